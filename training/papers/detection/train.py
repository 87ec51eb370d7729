"""`cadnode train detection`: how the filter of microcalcification candidates is trained."""

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cadnode import terminal
from cadnode.errors import DataError, SettingsError
from cadnode.models.card import DetectorCard
from cadnode.networks.patch_filter import CandidateFilter, DetectorConfig
from cadnode_training.data.contents import content_hashes
from cadnode_training.data.sets import mini_mias, pisa_calcifications
from cadnode_training.engine import tracking
from cadnode_training.engine.checkpoint import claim
from cadnode_training.engine.command_line import command_line
from cadnode_training.engine.machine import Machine
from cadnode_training.engine.phase_loop import Kept
from cadnode_training.engine.preview import Count, Preview, PreviewPhase, table_of
from cadnode_training.engine.provenance import Provenance
from cadnode_training.papers.detection import config as recipes
from cadnode_training.papers.detection import export, samples
from cadnode_training.papers.detection.config import FilterSchedule
from cadnode_training.papers.detection.fitting import fit
from cadnode_training.papers.detection.masses import train as masses
from cadnode_training.papers.detection.samples import Samples
from cadnode_training.papers.detection.validation import FOLDS, HeldOut, cross_validated, mias_froc

KINDS: Final = f"phantom:N, {mini_mias.NAME}:PATH or {pisa_calcifications.NAME}:PATH"
# `phantom:small`, as in the other trainings: enough to see that everything works.
_SMALL: Final = 400
CALCIFICATIONS, MASSES = "calcifications", "masses"
STATES, CANDIDATES = "states", "candidates"
_ROUNDS: Final = 4
_BANK: Final = 3


def run(
    data: Sequence[str],
    out: Path,
    *,
    config: Path | None = None,
    epochs: int | None = None,
    schedule: FilterSchedule | None = None,
    kind: str = CALCIFICATIONS,
    seed: int = 0,
    resume: bool = False,
    quiet: bool = False,
    machine: Machine | None = None,
) -> dict[str, Any]:
    """Train on all of the data, measure by women left out, write `out/NAME/VERSION`.

    Parameters
    ----------
    data
        `mini-mias:PATH` (candidates of real film, and clusters drawn into it),
        `pisa-calcifications:PATH`, `phantom:N` regions; several are taken together.
    out
        Folder for the model, the candidates and the networks' states.
    config, epochs, schedule
        A recipe, the committed one by default; how often its number of candidates is passed; or
        the whole schedule instead of a file.
    kind
        `"calcifications"`, the filter; `"masses"`, the detector of masses (`masses.train`).
    seed, quiet
        Seed of everything; no progress.
    resume
        Resume what `out` holds.
    machine
        Its processes but the first have nothing to do: these networks are small.

    Raises
    ------
    DataError, SettingsError
        A folder or the recipe is not what it should be, or there are no candidates of both classes.
    """
    if _of_masses(kind):
        return masses.run(
            data, out, config=config, epochs=epochs, seed=seed, resume=resume, quiet=quiet,
            machine=machine,
        )  # fmt: skip
    machine = (machine or Machine.here()).small()
    if not machine.first:
        return {"models": []}
    tracking.check(machine)
    schedule = schedule or recipes.load(config, epochs)
    console, network_config = terminal.console(stderr=True, quiet=quiet), DetectorConfig()
    console.print(table_of(recipes.differences(schedule), "Kang 2021, Wang 2016"))
    claim(out, schedule, data, seed, resume=resume)
    if not resume:
        for old in (STATES, CANDIDATES):
            shutil.rmtree(out / old, ignore_errors=True)
    found = _found(data, network_config, seed, out, console)
    network, held_out = _trained(found, network_config, schedule, seed, out, machine, console)
    named = {"--config": config.name if config else None, "--epochs": epochs, "--seed": seed}
    origin = Provenance(
        command_line("detection", data, out, named), seed, datetime.now(UTC).date(),
        content_hashes(data),
    )  # fmt: skip
    card = export.card(network_config, found, held_out.logits, origin)
    folder = export.write(network, card, found, out)
    _show(console, card)
    return {"models": [_report(folder, card, data, held_out)]}


def preview(
    data: Sequence[str], out: Path, *, config: Path | None = None, epochs: int | None = None,
    kind: str = CALCIFICATIONS, machine: Machine | None = None,
) -> Preview:  # fmt: skip
    """What `run` would do with these; nothing is written or drawn, no candidate is searched.

    Raises
    ------
    DataError, SettingsError
        A folder or the recipe is not what it should be.
    """
    if _of_masses(kind):
        return masses.preview(data, out, config=config, epochs=epochs, machine=machine)
    machine = (machine or Machine.here()).small()
    schedule, members = recipes.load(config, epochs), DetectorConfig().members
    return Preview(
        system="detection",
        recipe=recipes.RECIPES.of(config).name,
        counts=tuple(_count(text) for text in data),
        differences=tuple(recipes.differences(schedule)),
        phases=(
            PreviewPhase(
                f"{FOLDS} folds, {members} networks each", FOLDS * members * schedule.epochs,
                schedule.steps,
            ),
            PreviewPhase(
                f"{members} networks of all women", members * schedule.epochs, schedule.steps
            ),
        ),
        writes=(
            f"{out}/{export.NAME}/ (card, weights)", f"{out}/{CANDIDATES}/", f"{out}/{STATES}/",
        ),
        machine=machine,
    )  # fmt: skip


def _of_masses(kind: str) -> bool:
    if kind not in (CALCIFICATIONS, MASSES):
        raise SettingsError(f"--kind: {CALCIFICATIONS} or {MASSES}, not {kind!r}")
    return kind == MASSES


def _trained(
    found: Samples, config: DetectorConfig, schedule: FilterSchedule, seed: int, out: Path,
    machine: Machine, console: Console,
) -> tuple[CandidateFilter, HeldOut]:  # fmt: skip
    """The filter of all women, and the scores of women left out of training."""
    quiet = console.quiet
    console.print("three folds by woman, for the card's numbers")
    kept = Kept(out / STATES)
    held_out = cross_validated(found, config, schedule, seed, quiet=quiet, kept=kept)
    console.print("the network itself, of all women")
    whole = Kept(out / STATES / "all", machine=machine)
    return fit(found, config, schedule, seed, quiet=quiet, kept=whole), held_out


def _report(
    folder: Path, card: DetectorCard, data: Sequence[str], held_out: HeldOut
) -> dict[str, Any]:
    """What the command reports of the model; on mini-MIAS also the FROC of women left out."""
    result: dict[str, Any] = {
        "folder": str(folder),
        "metrics": [m.model_dump() for m in card.metrics],
    }
    for text in data:
        if text.startswith(f"{mini_mias.NAME}:"):
            views = mini_mias.read(Path(text.partition(":")[2]).expanduser())
            result["froc_by_women_left_out"] = mias_froc(views, held_out, card)
    return result


def _found(
    data: Sequence[str], config: DetectorConfig, seed: int, out: Path, console: Console
) -> Samples:
    """The candidates of all data; those that the folder holds are not searched again."""
    parts = []
    for number, text in enumerate(data, 1):
        file = out / CANDIDATES / f"{number}.npz"
        if file.exists():
            parts.append(samples.read(file))
        else:
            parts.append(candidates(text, config, seed, console))
            samples.write(file, parts[-1])
        console.print(f"{text.partition(':')[0]}: {len(parts[-1])} candidates")
    found = samples.joined(parts)
    if len(set(found.labels.tolist())) < 2:
        raise DataError("there are no candidates with and without calcifications to learn from")
    return found


def _count(text: str) -> Count:
    """Images or regions of a data set, with and without calcifications."""
    kind, _, where = text.partition(":")
    if kind == mini_mias.NAME and where:
        views = mini_mias.read(Path(where).expanduser())
        ill = sum(mini_mias.CALCIFICATION in view.kinds for view in views)
        return Count(kind, "all women", {"views with clusters": ill, "without": len(views) - ill})
    if kind == pisa_calcifications.NAME and where:
        rois = pisa_calcifications.read(Path(where).expanduser())
        ill = sum(roi.positive for roi in rois)
        return Count(kind, "all women", {"regions with clusters": ill, "without": len(rois) - ill})
    count = 4 * (_regions(text) // 4)
    return Count(text, "all", {"regions with a cluster": count // 2, "without": count - count // 2})


def _regions(text: str) -> int:
    """The number of `phantom:N`."""
    kind, _, where = text.partition(":")
    if kind == "phantom" and (where == "small" or (where.isdigit() and int(where) >= 8)):
        return _SMALL if where == "small" else int(where)
    raise DataError(f"--data must be {KINDS} (N of 8 or more), not {text!r}")


def _show(console: Console, card: DetectorCard) -> None:
    """Print the card's AUCs, of candidates of women left out."""
    table = Table("candidates of", "AUC", "95 %", "with / without", title="Women left out")
    for metric in card.metrics:
        low, high = metric.auc_ci
        table.add_row(
            metric.data, f"{metric.auc:.3f}", f"{low:.3f}–{high:.3f}",
            f"{metric.n_pos} / {metric.n_neg}",
        )  # fmt: skip
    console.print(table)


def candidates(
    text: str, config: DetectorConfig, seed: int, console: Console | None = None
) -> Samples:
    """The candidates of `KIND:PATH`; the console, where there is one, shows a bar of phantoms.

    Raises
    ------
    DataError
        The kind is unknown, or the folder is not of that kind.
    """
    kind, _, where = text.partition(":")
    rng = np.random.default_rng([seed, 11])
    if kind == mini_mias.NAME and where:
        views = mini_mias.read(Path(where).expanduser())
        return samples.joined(list(samples.mias_samples(views, config, rng, rounds=_ROUNDS)))
    if kind == pisa_calcifications.NAME and where:
        rois = pisa_calcifications.read(Path(where).expanduser())
        return samples.joined(list(samples.pisa_samples(rois, config)))
    count = _regions(text)
    drawn = samples.phantom_samples(count, config, rng, bank=_BANK + seed)
    console = console or terminal.console(quiet=True)
    # Regions without a candidate give nothing: the bar may end early.
    return samples.joined(list(track(drawn, "drawing regions", total=count, console=console)))
