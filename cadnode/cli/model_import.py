"""`cadnode models import`: a network of another maker, served as the node's own are."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from cadnode import settings
from cadnode.cli.acts import AuditedAct, changing_models
from cadnode.cli.command import AsJson, ConfigFile, command, err, out, print_json
from cadnode.errors import ModelError, SettingsError

if TYPE_CHECKING:
    from cadnode.models.card import OnnxRegionCard, OnnxViewCard
    from cadnode.models.onnx_trial import OnnxTrial, View
    from cadnode.registry.catalogue import Catalogue
    from cadnode.registry.installation import Added

_SEED: Final = 5


@command
def import_network(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.onnx|BUNDLE",
            help="an ONNX file, or a MONAI bundle with models/model.onnx",
        ),
    ],
    kind: Annotated[
        Literal["view", "region"],
        typer.Option(help="whether it reads whole views, or regions of interest"),
    ],
    spec: Annotated[
        Path, typer.Option(metavar="FILE", help="spec.toml: its input, output and map")
    ],
    card: Annotated[
        Path, typer.Option(metavar="FILE", help="card.toml: its data, measurements and limits")
    ],
    activate: Annotated[
        bool, typer.Option("--activate", help="read with it at once; else it is installed only")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="write its folder there, to be signed; add nothing"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would be served, change nothing")
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Bring your own network: an ONNX file becomes a model of this node, with a card.

    The file is checked and tried in a process of its own: standard operators alone, nothing outside
    its folder, no pickle. It reads a phantom exam; its numbers must be finite, in range, not all
    alike, the same twice, and those of a second runtime. It is switched off until it is activated
    or reads in shadow mode: [bold]cadnode models shadow start NAME@VERSION[/]
    """
    from cadnode.node import model_overview
    from cadnode.registry import installation, onnx_import
    from cadnode.registry.numbering import COUNT_UP

    if activate and (dry_run or folder):
        raise SettingsError("--activate adds the model; --dry-run and --out do not")
    values = settings.load(config)
    with tempfile.TemporaryDirectory(prefix="cadnode-import-") as place, err.status("examining …"):
        _refuse_full(folder, dry_run=dry_run)
        target = Path(place) / "store" / "name" / "version"
        author = model_overview.actor(datetime.now(UTC))
        made = onnx_import.make(file, kind, spec, card, target)
        stores = model_overview.stores(values)
        _refuse_name(stores.catalogue(), made)
        trial, names = _tried(target, made)
        added: tuple[Added, ...] = ()
        if folder is not None and not dry_run:
            _write_folder(target, folder)
        elif folder is None:
            doing = nullcontext(AuditedAct("")) if dry_run else changing_models(values, "import")
            with doing as act:
                added = installation.add(
                    target, stores, author, model_overview.examine,
                    activate=activate, dry_run=dry_run, numbering=COUNT_UP, starts_off=True,
                )  # fmt: skip
                act.what = " ".join(f"{a.card.name}@{a.card.version}" for a in added)
    spec_of = f"{made.name}@{added[0].card.version if added else made.version}"
    if as_json:
        print_json(_as_dict(made, trial, names, spec_of, added, dry_run=dry_run, folder=folder))
        return
    for line in _served(made, trial, names):
        out.print(line, highlight=False, soft_wrap=True)
    for line in _outcome(made, spec_of, added, dry_run=dry_run, folder=folder):
        out.print(line, highlight=False, soft_wrap=True)


def _refuse_name(catalogue: "Catalogue", made: "OnnxViewCard | OnnxRegionCard") -> None:
    """Raise where the network would be a version of another system's model, or of another kind."""
    from cadnode.models import store

    for version in catalogue.versions(made.name):
        there = store.read_card(catalogue.find(made.name, version).folder)
        if (there.system, there.kind) != (made.system, made.kind):
            raise ModelError(
                f"name: {made.name} {version} is installed, of the system "
                f"{there.system.value if there.system else 'shared'}: give yours another name"
            )


def _refuse_full(folder: Path | None, *, dry_run: bool) -> None:
    if folder is None or dry_run:
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"{folder} holds something already: give a folder that is empty or new")


def _write_folder(made: Path, folder: Path) -> None:
    """Copy what was tried to where it is wanted: what is refused leaves nothing there."""
    try:
        shutil.copytree(made, folder, dirs_exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{folder} cannot be written ({type(error).__name__})") from None


def _tried(
    target: Path, made: "OnnxViewCard | OnnxRegionCard"
) -> tuple["OnnxTrial", tuple[str, ...]]:
    """What the network answers to a phantom exam, and the names of its views."""
    from cadnode.models import onnx_child
    from cadnode_training.phantom.exam import exam

    phantom = exam(_SEED)
    views: list[View] = [(view.image, view.laterality) for view in phantom.views]
    names = tuple(f"{view.laterality.value}{view.view.value}" for view in phantom.views)
    return onnx_child.tried(target, made.name, views), names


def _served(
    made: "OnnxViewCard | OnnxRegionCard", trial: "OnnxTrial", names: tuple[str, ...]
) -> Iterator[str]:
    """What would be served, a line each."""
    given, gives = made.spec.input, made.spec.output
    what = "whole views" if made.kind == "onnx_view" else "regions of interest"
    yield f"{made.name}, system {made.own_system.value}: reads {what}, {', '.join(made.applies_to)}"
    yield (
        f"  input   {given.name}: {given.layout}, {given.channels} × {given.height} × "
        f"{given.width}, black {given.range[0]:g}, white {given.range[1]:g}"
    )
    class_ = "" if gives.malignant is None else f", class {gives.malignant}"
    yield f"  output  {gives.name}: {gives.meaning}{class_}"
    cells = "" if trial.map_cells is None else f", {trial.map_cells[0]} × {trial.map_cells[1]}"
    yield f"  map     {made.spec.map.kind}{cells}"
    yield f"  graph   operator set {made.source.opset}, {made.source.producer}"
    point = made.curve.at()
    yield f"  suspicious from {point.threshold:.3f} on: {point.chosen}"
    of = "phantom exam" if made.kind == "onnx_view" else "middle of each breast of a phantom exam"
    scores = ", ".join(f"{n} {s:.3f}" for n, s in zip(names, trial.scores, strict=True))
    yield f"  {of}: {scores}"
    runtime = (
        "not compared: onnxruntime is missing"
        if trial.onnxruntime is None
        else f"{trial.onnxruntime:.1e} log-odds from onnxruntime"
    )
    yield f"  {trial.seconds:.2f} s an image with its map; {runtime}"
    for limit in made.limits:
        yield f"  limit   {limit}"


def _outcome(
    made: "OnnxViewCard | OnnxRegionCard",
    spec: str,
    added: tuple["Added", ...],
    *,
    dry_run: bool,
    folder: Path | None,
) -> Iterator[str]:
    if dry_run:
        yield "Nothing was changed."
    elif folder is not None:
        yield f"{folder} is what `cadnode models sign` and `cadnode models add` take."
    elif added[0].there is not None:
        yield f"{spec} was there already."
    elif added[0].active == added[0].card.version:
        yield f"{spec} is added and active. A running node reads with it from the next study on."
        if made.kind == "onnx_view":
            yield (
                "Views that kim2018 reads are scored by kim2018, unless reading.counts begins with "
                f'"{made.own_system.value}" or the models of kim2018 are deactivated.'
            )
    else:
        yield (
            f"{spec} is added and switched off; `cadnode models activate {spec}` or "
            f"`cadnode models shadow start {spec}` lets it read."
        )


def _as_dict(
    made: "OnnxViewCard | OnnxRegionCard",
    trial: "OnnxTrial",
    names: tuple[str, ...],
    spec: str,
    added: tuple["Added", ...],
    *,
    dry_run: bool,
    folder: Path | None,
) -> dict[str, Any]:
    return {
        "model": spec,
        "system": made.own_system.value,
        "kind": made.kind,
        "sha256": made.weights_sha256,
        "onnx_sha256": made.source.file_sha256,
        "spec": made.spec.model_dump(mode="json"),
        "phantom": dict(zip(names, trial.scores, strict=True)),
        "trial": asdict(trial),
        "active_version": added[0].active if added else None,
        "was_there": bool(added) and added[0].there is not None,
        "folder": None if folder is None else str(folder),
        "dry_run": dry_run,
    }
