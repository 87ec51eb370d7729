"""`cadnode models export`: a model as a zip file, a MONAI bundle or an ONNX file."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cadnode import settings
from cadnode.cli.command import (
    AsJson,
    ConfigFile,
    command,
    err,
    out,
    print_json,
    to_file,
    to_folder,
)
from cadnode.cli.model_signing import KeyFile, PassphraseStdin, Signer, private_key
from cadnode.errors import DataError, SettingsError

if TYPE_CHECKING:
    from cadnode.export.onnx_file import OnnxFile


@command
def export(
    what: Annotated[
        str,
        typer.Argument(
            metavar="NAME[@VERSION]|FOLDER",
            help="a model, as `list` names it, or a folder with one: of a model, a bundle, or "
            "what `cadnode train` wrote",
        ),
    ],
    bundle_folder: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="DIR",
            help="write a MONAI bundle; DIR is empty or new",
            callback=to_folder,
        ),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(
            "--onnx",
            metavar="FILE",
            help="write an ONNX file, and FILE.json beside it",
            callback=to_file,
        ),
    ] = None,
    parcel: Annotated[
        Path | None,
        typer.Option(
            "--zip",
            metavar="FILE",
            help="write a zip file that `cadnode models add` takes on another node",
            callback=to_file,
        ),
    ] = None,
    key: KeyFile = None,
    signer: Signer = "",
    passphrase_stdin: PassphraseStdin = False,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="DICOM images that the ONNX file is checked on; may be repeated; default: the "
            "two real exams of the demo, where they are installed",
        ),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Write a model for another node (zip) or for other tools: a MONAI bundle, an ONNX file.

    With --key the zip file and the bundle are signed, as by `cadnode models sign`.

    The bundle's `monai.bundle run` gives the scores of `cadnode read`. The ONNX file is compared
    with the model on random and on real inputs; where a probability differs by more than 1e-4 no
    file is left and the exit code is 4: [bold]cadnode models export dib-mg-film --onnx dib.onnx[/]
    """
    if bundle_folder is None and onnx is None and parcel is None:
        raise SettingsError("say what is to be written: --zip FILE, --bundle DIR, --onnx FILE")
    if key is not None and bundle_folder is None and parcel is None:
        raise SettingsError("--key signs a --zip or a --bundle: an ONNX file is not signed")
    from cadnode.export import bundle
    from cadnode.registry import signing

    private = None if key is None else private_key(key, from_stdin=passphrase_stdin)

    def sign(made: Path) -> None:
        if private is not None:
            signing.sign(made, private, signer, datetime.now(UTC))

    folder, detector = _found(what, settings.load(config))
    summary: dict[str, Any] = {"folder": str(folder), "zip": None, "bundle": None, "onnx": None}
    if parcel is not None:
        bundle.write_zip(folder, parcel, sign)
        summary["zip"] = str(parcel)
    if bundle_folder is not None:
        bundle.write(folder, bundle_folder, detector, sign)
        summary["bundle"] = str(bundle_folder)
    summary["signed"] = private is not None
    if onnx is not None:
        checked = _onnx(folder, onnx, images, detector)
        differences = [asdict(d) for d in checked.differences]
        summary["onnx"] = {"file": str(onnx), "max_difference": differences}
    if as_json:
        print_json(summary)
    else:
        _print_summary(summary)


def _found(what: str, values: settings.Settings) -> tuple[Path, Path | None]:
    """The model's folder, and that of the node's detector."""
    from cadnode.export import source
    from cadnode.node import model_overview
    from cadnode.registry.catalogue import parse

    active = [entry.folder for entry in model_overview.stores(values).catalogue().active()]
    detector = source.detector_among([*values.reading.model_folders, *active])
    path = Path(what)
    if not path.exists():
        row, _ = model_overview.show(values, *parse(what))
        path = row.entry.folder
    return source.model_folder(path), detector


def _onnx(
    folder: Path, file: Path, images: Sequence[Path] | None, detector: Path | None
) -> "OnnxFile":
    from cadnode.export import onnx_file
    from cadnode.models.detector import Detector
    from cadnode.models.loading import load

    looks = load(detector) if detector is not None else None
    with _images(images) as folders, err.status("converting and comparing …"):
        return onnx_file.write(
            folder, file, images=folders, detector=looks if isinstance(looks, Detector) else None
        )


@contextmanager
def _images(named: Sequence[Path] | None) -> Iterator[Sequence[Path]]:
    """The folders that were named; by default the demo's real exams, for as long as needed."""
    if named is not None:
        yield named
        return
    from cadnode.demo.exam import FOLDERS, write_exam

    with tempfile.TemporaryDirectory(prefix="cadnode-export-") as name:
        try:
            for kind in FOLDERS:
                write_exam(Path(name) / kind, kind)
        except DataError:
            err.print("the demo's real exams are not installed: compared on random inputs alone")
            yield ()
            return
        yield [Path(name) / kind for kind in FOLDERS]


def _print_summary(summary: dict[str, Any]) -> None:
    if summary["zip"]:
        state = "signed" if summary["signed"] else "not signed: `cadnode models sign` signs it"
        out.print(
            f"{summary['zip']} is what `cadnode models add` takes; it is {state}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    if summary["bundle"]:
        out.print(
            f"{summary['bundle']} is a MONAI bundle; its docs/README.md says how it is run",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    if summary["onnx"] is None:
        return
    file = summary["onnx"]["file"]
    out.print(f"{file} answers as the model does; {file}.json says how far", highlight=False)
    for row in summary["onnx"]["max_difference"]:
        out.print(
            f"  {row['n']} {row['inputs']} inputs: probabilities differ by at most "
            f"{row['probability']:.1e}, log-odds by {row['log_odds']:.1e}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
