"""`cadnode train detection --kind masses`: how the detector of masses is trained."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from torch import Tensor

from cadnode import terminal
from cadnode.errors import DataError
from cadnode.models.engine import Engine
from cadnode.models.mass_finder import MassFinder
from cadnode.networks import imagenet
from cadnode.networks.mass_map import TRUNK, MassMap
from cadnode_training.data import manifest as m
from cadnode_training.data import sources
from cadnode_training.data.contents import content_hashes
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.sets import cbis_views
from cadnode_training.data.views import fold_of
from cadnode_training.engine import tracking
from cadnode_training.engine.checkpoint import claim
from cadnode_training.engine.command_line import command_line
from cadnode_training.engine.machine import Machine
from cadnode_training.engine.phase_loop import Kept
from cadnode_training.engine.preview import Count, Preview, PreviewPhase, table_of
from cadnode_training.engine.provenance import Provenance
from cadnode_training.papers.detection.masses import config as recipes
from cadnode_training.papers.detection.masses import export, marks, material, measure
from cadnode_training.papers.detection.masses.config import MassRecipe
from cadnode_training.papers.detection.masses.fitting import AUTO, fit, folds_of
from cadnode_training.papers.detection.masses.marks import OUT_OF_FOLD, SEEN, MeasuredView
from cadnode_training.papers.detection.masses.material import PHANTOM, MassViews

KINDS: Final = f"{cbis_views.NAME}:PATH, {sources.MANIFEST}:FILE or phantom:N"
STATES, VIEWS = "states", "views.npz"
# `phantom:small`, as in the other trainings.
_SMALL: Final = 8
_IMAGENET: Final = "imagenet"


def run(
    data: Sequence[str],
    out: Path,
    *,
    config: Path | None = None,
    epochs: int | None = None,
    recipe: MassRecipe | None = None,
    seed: int = 0,
    resume: bool = False,
    quiet: bool = False,
    machine: Machine | None = None,
    engine: Engine = AUTO,
) -> dict[str, Any]:
    """Train on the development women, measure by those left out, write `out/NAME/VERSION`.

    Parameters
    ----------
    data
        `cbis-mass-views:PATH` or `manifest:FILE` (rows of the test part are left out), and
        `phantom:N` exams; several are taken together.
    out
        Folder for the model, the preprocessed views and the training's state.
    config, epochs, recipe
        A recipe, the committed one by default; how many epochs; or the whole recipe.
    seed, quiet
        Seed of everything; no progress.
    resume
        Resume what `out` holds.
    machine
        Its processes but the first have nothing to do: the network is small.
    engine
        What the network's frozen layers are computed with.

    Raises
    ------
    DataError, SettingsError, ModelError
        A folder or the recipe is not what it should be, no real view has a box, women are too
        few, or ImageNet's weights cannot be had.
    """
    machine = (machine or Machine.here()).small()
    if not machine.first:
        return {"models": []}
    tracking.check(machine)
    recipe = recipe or recipes.load(config, epochs)
    console = terminal.console(stderr=True, quiet=quiet)
    console.print(table_of(recipes.differences(recipe), "Zhou 2019"))
    claim(out, recipe, data, seed, resume=resume)
    manifests = {text: sources.open_manifest(text) for text in data if not _drawn(text)}
    views = _views(data, manifests, recipe, out / VIEWS, resume=resume)
    if all(name == PHANTOM for name in views.datasets):
        raise DataError(f"--data: real views with boxes are needed beside phantoms: {KINDS}")
    _check_folds(views, recipe)
    start = _start(recipe.schedule.start)
    kept = Kept(out / STATES, machine=machine)
    network = fit(views, recipe, start, seed, quiet=quiet, kept=kept, engine=engine)
    named = {
        "--kind": "masses", "--config": config.name if config else None, "--epochs": epochs,
        "--seed": seed,
    }  # fmt: skip
    origin = Provenance(
        command_line("detection", data, out, named), seed, datetime.now(UTC).date(),
        content_hashes(data),
    )  # fmt: skip
    held_out = read_held_out(manifests, network, recipe, origin)
    card = export.card(recipe, views, held_out, origin, imagenet=start is not None)
    keys = {known[0]: known for text in manifests for known in _keys(text).values()}
    folder = export.write(network, card, views, recipe.schedule.folds, keys, out)
    _show(console, card.found[0].n_lesions, card.found[0].sensitivity)
    return {"models": [{"folder": str(folder), "metrics": [f.model_dump() for f in card.found]}]}


def preview(
    data: Sequence[str], out: Path, *, config: Path | None = None, epochs: int | None = None,
    machine: Machine | None = None,
) -> Preview:  # fmt: skip
    """What `run` would do with these; nothing is written or drawn.

    Raises
    ------
    DataError, SettingsError
        A folder or the recipe is not what it should be.
    """
    machine = (machine or Machine.here()).small()
    recipe = recipes.load(config, epochs)
    plan = recipe.schedule
    return Preview(
        system="detection",
        recipe=recipes.RECIPES.of(config).name,
        counts=tuple(_count(text) for text in data),
        differences=tuple(recipes.differences(recipe)),
        phases=(PreviewPhase(f"{plan.members} members at once", plan.epochs, plan.steps),),
        writes=(f"{out}/{measure.NAME}/ (card, weights)", f"{out}/{VIEWS}", f"{out}/{STATES}/"),
        machine=machine,
    )


def read_held_out(
    manifests: dict[str, Manifest], network: MassMap, recipe: MassRecipe, origin: Provenance
) -> list[MeasuredView]:
    """The development views of women whom a member left out, as the node reads them with it."""
    finder = MassFinder(export.uncalibrated(recipe, origin), network.state_dict())
    plan, views = recipe.schedule, []
    for text, manifest in manifests.items():
        known = _keys(text)
        rows: dict[Path, list[ManifestRow]] = {}
        for row in manifest.rows:
            if row.split != m.TEST:
                rows.setdefault(row.image, []).append(row)

        def part(
            row: ManifestRow, known: dict[str, tuple[str, ...]] = known
        ) -> tuple[str, int | None]:
            fold = fold_of(material.key_of(row, known), plan.folds)
            return (OUT_OF_FOLD, fold) if fold < plan.members else (SEEN, None)

        views += list(marks.measured(rows, marks.reader(finder), part))
    return [view for view in views if view.part == OUT_OF_FOLD]


def _views(
    data: Sequence[str], manifests: dict[str, Manifest], recipe: MassRecipe, file: Path,
    *, resume: bool,
) -> MassViews:  # fmt: skip
    """The preprocessed views of all data; those that the folder holds are read."""
    if resume and file.exists():
        return material.read(file)
    parts = []
    for text in data:
        if _drawn(text):
            found = material.of_phantom(_exams(text))
        else:
            found = material.of_manifest(manifests[text], _keys(text))
        parts.append(material.prepared(found, recipe.input.spec))
    views = material.joined(parts)
    material.write(file, views)
    return views


def _check_folds(views: MassViews, recipe: MassRecipe) -> None:
    """Refuse women too few to learn from and to measure, before hours of training."""
    folds, members = folds_of(views, recipe.schedule.folds), recipe.schedule.members
    left_out = ((folds >= 0) & (folds < members)).any()
    if not left_out or any((folds == number).all() for number in range(members)):
        raise DataError("these women are too few: each member needs some, and some are left out")


def _start(start: str) -> dict[str, Tensor] | None:
    if not start:
        return None
    file = imagenet.download(f"{TRUNK}.in1k") if start == _IMAGENET else Path(start)
    return imagenet.read(file)


def _keys(text: str) -> dict[str, tuple[str, ...]]:
    kind, _, path = text.partition(":")
    return cbis_views.keys_of_women(Path(path).expanduser()) if kind == cbis_views.NAME else {}


def _drawn(text: str) -> bool:
    return text.partition(":")[0] == PHANTOM


def _exams(text: str) -> int:
    """The number of `phantom:N`."""
    where = text.partition(":")[2]
    if where == "small" or (where.isdigit() and int(where) > 0):
        return _SMALL if where == "small" else int(where)
    raise DataError(f"--data must be {KINDS}, not {text!r}")


def _count(text: str) -> Count:
    """Views of a data set, with and without masses."""
    if _drawn(text):
        return Count(text, "all", {"views": 4 * _exams(text)})
    rows = [r for r in sources.open_manifest(text).rows if r.split != m.TEST]
    ill = {row.image for row in rows if row.box is not None and row.lesion_kind in (m.MASS, m.BOTH)}
    count = {"views with masses": len(ill), "without": len({row.image for row in rows} - ill)}
    return Count(text.partition(":")[0], "train and validation", count)


def _show(console: Console, masses: int, share: float) -> None:
    console.print(f"women left out: {share:.0%} of {masses} masses at one false mark an image")
