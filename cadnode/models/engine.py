"""Networks on a processor by OpenVINO: converted once, kept as files, used only where they agree.

OpenVINO fuses normalisations into convolutions and computes in bfloat16 where the processor has
instructions for it. PyTorch computes on GPUs, and where OpenVINO is missing, fails, or gives other
scores.
"""

import hashlib
import json
import os
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cadnode import __version__
from cadnode.errors import SettingsError
from cadnode.files import file_sha256, write_whole
from cadnode.log import get_logger
from cadnode.models import quiet_openvino
from cadnode.models.references import REFERENCES, references

log = get_logger("models")

AGREEMENT: Final = 0.005
"""Log-odds by which a network's scores of the references may differ from PyTorch's in float32.

Choice: a quarter of what is promised of exams, 0.02. Of 96 regions of 12 phantom exams the furthest
moved five times as far as of 16 references (Inception-v3 in bfloat16: 0.087, 0.015).
"""

# Converted networks that are kept, the last used ones; each has as many bytes as its weights.
_MOST_KEPT: Final = 24

Pass = Callable[..., Tensor]
"""Tensors in, one tensor out, on the CPU."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What networks are to be computed with.

    Parameters
    ----------
    name
        `"torch"`; `"openvino"` on processors; `"auto"`: OpenVINO where it is installed.
    bf16
        Compute in bfloat16 where scores agree: `"auto"` where OpenVINO computes on a processor
        that has instructions for it.
    folder
        Where converted networks are kept; None: nowhere, each is converted again (seconds each).
    """

    name: Literal["auto", "openvino", "torch"] = "torch"
    bf16: bool | Literal["auto"] = False
    folder: Path | None = None

    def on(self, device: str) -> "Engine":
        """What it comes to on a device: `"torch"` or `"openvino"`.

        Raises
        ------
        SettingsError
            OpenVINO is wanted and not installed.
        """
        there = find_spec("openvino") is not None
        if self.name == "openvino" and not there:
            raise SettingsError(
                "reading.engine is 'openvino', but it is not installed: "
                "`pip install openvino`, or use 'auto'"
            )
        if device != "cpu" or self.name == "torch" or not there:
            return Engine("torch", self.bf16)
        return Engine("openvino", self.bf16, self.folder)

    @property
    def precisions(self) -> tuple[Literal["bf16", "f32"], ...]:
        """Those that OpenVINO tries, the fastest first."""
        wanted = has_bf16() if self.bf16 == "auto" else self.bf16
        return ("bf16", "f32") if wanted else ("f32",)

    def describe(self) -> str:
        """For people: `OpenVINO 2026.4.1, bfloat16 where scores agree`."""
        if self.name != "openvino":
            return f"PyTorch {torch.__version__.partition('+')[0]}"
        precision = ", bfloat16 where scores agree" if "bf16" in self.precisions else ""
        return f"OpenVINO {version('openvino')}{precision}"


TORCH: Final = Engine()
"""PyTorch in float32, as in training."""


def default_folder() -> Path | None:
    """Where converted networks are kept: systemd's cache folder, else the user's.

    `$CACHE_DIRECTORY` (systemd.exec(5)), `$XDG_CACHE_HOME` or `~/.cache` (XDG Base Directory
    Specification 0.8); None where there is no home.
    """
    if given := os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]:
        return Path(given) / "compiled"
    with suppress(RuntimeError):
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(base) / "cadnode" / "compiled"
    return None


class CompiledPass:
    """A network's pass, compiled by OpenVINO. Threads may call it at the same time."""

    def __init__(self, model: Any, precision: Literal["bf16", "f32"]) -> None:
        properties = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._compiled = core().compile_model(model, "CPU", properties)
        self._of_thread = threading.local()
        self.bf16 = precision == "bf16"

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The output for inputs of any number of rows.

        Raises
        ------
        RuntimeError
            OpenVINO failed.
        """
        request = getattr(self._of_thread, "request", None)
        if request is None:
            request = self._of_thread.request = self._compiled.create_infer_request()
        given = [np.ascontiguousarray(one.numpy()) for one in inputs]
        found: NDArray[np.float32] = request.infer(given, share_inputs=True)[0]
        return torch.from_numpy(np.array(found, np.float32))


def accelerated(
    network: nn.Module,
    which: Callable[..., Tensor],
    shapes: Sequence[tuple[int, ...]],
    log_odds: Callable[[Pass, tuple[Tensor, ...]], NDArray[np.float64]],
    *,
    engine: Engine,
    name: str,
    sha256: str,
    trusted: bool = False,
) -> CompiledPass | None:
    """A pass of `network` compiled in the fastest precision whose scores agree with PyTorch's.

    None where none does, which is logged, and where the engine is PyTorch.

    Parameters
    ----------
    network
        In evaluation mode, on the CPU.
    which
        The pass: a method of the network, tensors in, one tensor out.
    shapes
        Of its inputs, without the axis of the batch.
    log_odds
        What a pass makes of a batch: `(B,)`, compared with PyTorch's in float32.
    engine
        As `Engine.on` gave it.
    name, sha256
        Of the model and of its weights: converted networks are kept by them.
    trusted
        Its card has measured that scores agree in bfloat16: the references are not asked.
    """
    if engine.name != "openvino":
        return None
    try:
        key = f"{name}-{_key(sha256, shapes)}"
        kept = None if engine.folder is None else engine.folder / key
        model = _converted(network, which, shapes, kept)
        moved = _seen(kept)
        for precision in engine.precisions:
            if trusted and precision == "bf16":
                return CompiledPass(model, precision)
            if moved.get(precision, 0.0) <= AGREEMENT:  # else it is known, and not compiled again
                compiled = CompiledPass(model, precision)
                if precision not in moved:
                    moved[precision] = _moved(compiled, which, shapes, log_odds, precision)
                    _note_seen(kept, moved)
                if moved[precision] <= AGREEMENT:
                    return compiled
            found = round(moved[precision], 4)
            log.info("engine_disagrees", model=name, precision=precision, log_odds=found)
    except Exception as error:  # whatever OpenVINO raises, PyTorch reads
        log.warning("engine_failed", model=name, error=type(error).__name__)
    return None


def _moved(
    compiled: Pass,
    which: Pass,
    shapes: Sequence[tuple[int, ...]],
    log_odds: Callable[[Pass, tuple[Tensor, ...]], NDArray[np.float64]],
    precision: Literal["bf16", "f32"],
) -> float:
    """How far log-odds move, looked at as far as needed: one reference at a time, for memory.

    In float32, where engines differ in rounding, or else in everything, two references tell.
    """
    inputs, furthest = references(shapes), 0.0
    for n in range(2 if precision == "f32" else REFERENCES):
        one = tuple(rows[n : n + 1] for rows in inputs)
        with torch.inference_mode():
            differ = log_odds(compiled, one) - log_odds(which, one)
        furthest = max(furthest, float(np.abs(differ).max()))
        if furthest > AGREEMENT:
            break
    return furthest


def known(
    shapes: Sequence[tuple[int, ...]],
    *,
    engine: Engine,
    name: str,
    sha256: str,
    trusted: bool = False,
) -> CompiledPass | None:
    """What `accelerated` would give, where it is kept and was seen to agree: no network is needed.

    None where anything has to be converted or compared first. Parameters as `accelerated`.
    """
    if engine.name != "openvino" or engine.folder is None:
        return None
    try:
        kept = engine.folder / f"{name}-{_key(sha256, shapes)}"
        moved = _seen(kept)
        for precision in engine.precisions:
            sure = trusted and precision == "bf16"
            if not sure and precision not in moved:
                return None
            if sure or moved[precision] <= AGREEMENT:
                model = _kept(kept)
                return None if model is None else CompiledPass(model, precision)
    except Exception as error:  # whatever OpenVINO raises, the network is built
        log.info("engine_not_known", model=name, error=type(error).__name__)
    return None


class _Traced(nn.Module):
    """A pass as a module of its own, for the tracer."""

    def __init__(self, network: nn.Module, which: Callable[..., Tensor]) -> None:
        super().__init__()
        self.network = network
        self._which = which

    def forward(self, *inputs: Tensor) -> Tensor:
        return self._which(*inputs)


def _converted(
    network: nn.Module,
    which: Callable[..., Tensor],
    shapes: Sequence[tuple[int, ...]],
    kept: Path | None,
) -> Any:
    """OpenVINO's model of a pass: the kept one, else converted, and kept."""
    if kept is not None and (found := _kept(kept)) is not None:
        return found
    model = _conversion(network, which, shapes)
    if kept is not None:
        try:
            _keep(model, kept)
            return _kept(kept) or model  # from the file, which needs no memory of its own
        except (OSError, RuntimeError) as error:  # a cache that cannot be written costs seconds
            log.info("engine_not_kept", error=type(error).__name__)
    return model


def _seen(kept: Path | None) -> dict[str, float]:
    """Precision → log-odds by which it moved the references on this very kind of processor."""
    if kept is None:
        return {}
    try:
        told = json.loads((kept / _SEEN).read_bytes())[_processor()]
        return {str(name): float(moved) for name, moved in told.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _note_seen(kept: Path | None, moved: dict[str, float]) -> None:
    if kept is not None and kept.is_dir():
        with suppress(OSError):
            write_whole(kept / _SEEN, json.dumps({_processor(): moved}).encode())


def _conversion(
    network: nn.Module, which: Callable[..., Tensor], shapes: Sequence[tuple[int, ...]]
) -> Any:
    """By OpenVINO's PyTorch front end itself."""
    openvino = quiet_openvino.openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example = tuple(torch.rand(1, *shape) for shape in shapes)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing fixes sizes, which are fixed here
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            _Traced(network, which).eval(), example, check_trace=False
        )
        decoder = TorchScriptPythonDecoder(traced, example_input=example)
    front_end = FrontEndManager().load_by_framework("pytorch")
    model = front_end.convert(front_end.load(decoder))
    sizes = zip(model.inputs, shapes, strict=True)
    model.reshape({i: openvino.PartialShape([-1, *shape]) for i, shape in sizes})
    return model


def _kept(folder: Path) -> Any | None:
    """The kept model; None where there is none, or its bytes are not those that were written."""
    try:
        digests = (folder / "sha256").read_text("ascii").split()
        if digests != [file_sha256(folder / name) for name in _FILES]:
            return None
        os.utime(folder)
        return core().read_model(folder / _FILES[0])
    except (OSError, ValueError, RuntimeError):
        return None


_FILES: Final = ("network.xml", "network.bin")
_SEEN: Final = f"agreement-{REFERENCES}.json"


def _keep(model: Any, target: Path) -> None:
    """Write a model beside its place and move it there whole; drop those unused for the longest."""
    openvino = quiet_openvino.openvino()

    target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    with TemporaryDirectory(prefix=".making-", dir=target.parent) as making:
        made = Path(making) / "made"
        made.mkdir(mode=0o750)
        openvino.save_model(model, made / _FILES[0], compress_to_fp16=False)
        digests = "\n".join(file_sha256(made / name) for name in _FILES)
        (made / "sha256").write_text(digests, "ascii")
        if target.exists():  # damaged, or another process was faster
            target.rename(Path(making) / "replaced")
        with suppress(OSError):
            made.rename(target)
    _drop_oldest(target.parent)


def _drop_oldest(folder: Path) -> None:
    kept = sorted(
        (one for one in folder.iterdir() if not one.name.startswith(".")),
        key=lambda one: one.stat().st_mtime,
    )
    for old in kept[:-_MOST_KEPT]:
        for file in (*_FILES, "sha256", _SEEN):
            (old / file).unlink(missing_ok=True)
        with suppress(OSError):
            old.rmdir()


def _key(sha256: str, shapes: Sequence[tuple[int, ...]]) -> str:
    """What a converted network depends on: weights, software, sizes."""
    stated = (sha256, __version__, torch.__version__, version("openvino"), list(shapes))
    return hashlib.sha256(repr(stated).encode()).hexdigest()[:24]


@cache
def core() -> Any:
    """OpenVINO, the one of this process."""
    openvino = quiet_openvino.openvino()

    return openvino.Core()


@cache
def _processor() -> str:
    """What precisions depend on beside the network."""
    of = core()
    able = " ".join(sorted(of.get_property("CPU", "OPTIMIZATION_CAPABILITIES")))
    return f"{of.get_property('CPU', 'FULL_DEVICE_NAME')}; {able}"


@cache
def has_bf16() -> bool:
    """Whether the processor computes in bfloat16 by instructions of its own.

    False where OpenVINO, which knows, is not installed.
    """
    return find_spec("openvino") is not None and "BF16" in core().get_property(
        "CPU", "OPTIMIZATION_CAPABILITIES"
    )
