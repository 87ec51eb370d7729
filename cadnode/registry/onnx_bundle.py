"""The ONNX file in what is brought: the file itself, or a MONAI bundle that has one.

Source: MONAI Bundle Specification, section "Directory Structure". A bundle's `model.pt` is a pickle
and its `model.ts` TorchScript; both are programs that run when they are loaded, and are never
opened. `python -m monai.bundle onnx_export` makes `models/model.onnx` where the bundle came from.
"""

import json
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cadnode.errors import ModelError, SettingsError
from cadnode.models.onnx_card import OnnxSpec
from cadnode.models.onnx_gate import MOST_BYTES
from cadnode.models.store import CARD, WEIGHTS

MODEL: Final = "models/model.onnx"
METADATA: Final = "configs/metadata.json"
_TAKEN: Final = (MODEL, f"{MODEL}.data", "models/model.data", METADATA)
_PROGRAMS: Final = {".pt": "a pickle", ".pth": "a pickle", ".pkl": "a pickle", ".ts": "TorchScript"}
_MOST_TEXT: Final = 1 << 20


@contextmanager
def onnx_in(path: Path, spec: OnnxSpec | None = None) -> Iterator[Path]:
    """The ONNX file of a path; what was unpacked is gone afterwards.

    `spec`: compared with what a bundle states of its input.

    Raises
    ------
    SettingsError
        There is no such path.
    ModelError
        It is neither an ONNX file nor a bundle with one, or the bundle states another input.
    """
    if not path.exists():
        raise SettingsError(f"there is no {path}")
    if path.is_dir():
        names = {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()}
        _refuse(path, names)
        _compare(path / METADATA, spec)
        yield path / MODEL
    elif zipfile.is_zipfile(path):
        with tempfile.TemporaryDirectory(prefix="cadnode-bundle-") as name:
            yield _unpacked(path, Path(name), spec)
    elif path.suffix in _PROGRAMS:
        raise ModelError(_program(path.name, path.suffix))
    else:
        yield path


def _program(name: str, suffix: str) -> str:
    return (
        f"{name} was refused: it is {_PROGRAMS[suffix]}, a program that runs when it is loaded; "
        "export the network as ONNX where it was made (`torch.onnx.export`, or `python -m "
        "monai.bundle onnx_export`)"
    )


def _refuse(path: Path, names: set[str]) -> None:
    """Raise where a bundle has no ONNX file, for the reason that fits what it has."""
    if {f"models/{CARD}", f"models/{WEIGHTS}"} & names or {CARD, WEIGHTS} & names:
        raise ModelError(f"{path} is a model of cadnode: `cadnode models add {path}` takes it")
    if MODEL in names:
        return
    programs = sorted(n for n in names if Path(n).suffix in _PROGRAMS)
    if programs:
        raise ModelError(_program(f"{path}: {programs[0]}", Path(programs[0]).suffix))
    raise ModelError(f"{path} is no ONNX file, and no MONAI bundle with {MODEL}")


def _unpacked(path: Path, target: Path, spec: OnnxSpec | None) -> Path:
    """The ONNX file of a zipped bundle, which may lie in one folder."""
    try:
        with zipfile.ZipFile(path) as archive:
            files = [m for m in archive.infolist() if not m.is_dir()]
            first = {m.filename.partition("/")[0] for m in files}
            alone = len(first) == 1 and not first & {"models", "configs", "docs"}
            root = f"{first.pop()}/" if alone else ""
            _refuse(path, {m.filename.removeprefix(root) for m in files})
            wanted = [m for m in files if m.filename.removeprefix(root) in _TAKEN]
            if sum(m.file_size for m in wanted) > MOST_BYTES:
                raise ModelError(f"{path} has more than {MOST_BYTES // 1024**2} MB")
            for member in wanted:
                file = target / member.filename.removeprefix(root)
                file.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source:
                    content = source.read(member.file_size + 1)
                if len(content) > member.file_size:
                    raise zipfile.BadZipFile
                file.write_bytes(content)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ):
        raise ModelError(f"{path} is damaged or encrypted, nothing was taken from it") from None
    _compare(target / METADATA, spec)
    return target / MODEL


def _compare(metadata: Path, spec: OnnxSpec | None) -> None:
    """Raise where a bundle's metadata state another input than the spec; some state none."""
    if spec is None or not metadata.is_file() or metadata.stat().st_size > _MOST_TEXT:
        return
    try:
        inputs = json.loads(metadata.read_bytes())["network_data_format"]["inputs"]
        given = inputs.get(spec.input.name) or next(iter(inputs.values()))
        stated = (given["num_channels"], *given["spatial_shape"])
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError):
        return
    wanted = (spec.input.channels, spec.input.height, spec.input.width)
    apart = [
        (said, ours)
        for said, ours in zip(stated, wanted, strict=False)
        if isinstance(said, int) and said != ours
    ]
    if apart:
        raise ModelError(
            f"{METADATA} states an input of {stated}, spec.toml {wanted} (channels, height, width)"
        )
