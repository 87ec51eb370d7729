"""`cadnode evaluate detection`: how well the node itself detects lesions (FROC, intervals)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from cadnode import terminal
from cadnode.detect.regions import Region
from cadnode.domain import FindingKind
from cadnode.errors import DataError, ModelError
from cadnode.models import loading, store
from cadnode.models.card import MassFinderCard
from cadnode.models.detector import Detector
from cadnode.models.mass_finder import MassFinder
from cadnode.statistics.draws import seed_or
from cadnode.terminal import styled
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.papers.detection import cases, rois
from cadnode_training.papers.detection.cases import (
    DetectionCase,
    DetectionCases,
    detected,
    matched,
    regions_of,
)
from cadnode_training.papers.detection.masses import measure
from cadnode_training.statistics.froc import ImageMarks, summary
from cadnode_training.statistics.grouped import shown

NAME: Final = "microcalcification-detector"
KINDS: Final = (FindingKind.CALCIFICATION_CLUSTER, FindingKind.MASS)


_OF_CURVE: Final = (
    "n_found_at_1fp", "sensitivity_at_1fp", "sensitivity_at_1fp_ci", "sensitivity_at_half_fp",
    "threshold_at_1fp",
)  # fmt: skip


def run(
    data: str, *, model: Path | None = None, seed: int | None = None, cache: ReadCache | None = None
) -> dict[str, Any]:
    """Numbers of detection on `phantom:N`, `mini-mias:PATH` or `pisa-calcifications:PATH`.

    `cbis-mass-views:PATH` and `manifest:FILE` are views with boxes of masses (`masses.measure`).

    Parameters
    ----------
    data
        Whole views for the first two (FROC), regions with or without calcifications for the last
        (AUC of the most certain candidate).
    model
        Folder of the learned filter; by default the packaged one, or none where there is none.
    seed
        Of the bootstrap; by default as `draws.seeded` has it.
    cache
        What this command has read already; it is added to.

    Raises
    ------
    DataError, ModelError
        The data or the model are not what they should be.
    """
    seed, (kind, _, where) = seed_or(seed), data.partition(":")
    if kind in measure.KINDS:
        return measure.run(data, model=model, seed=seed)
    folder, masses = models(model)
    detector = load_detector(folder)
    known = store.seen_women(folder) if folder else frozenset()
    if kind == "pisa-calcifications" and where:
        return _head(kind, detector) | rois.numbers(Path(where).expanduser(), detector, known)
    source = cases.open_cases(kind, where)
    women, marks = set(), []
    for case, regions in _progress(source, detector, masses, cache):
        women.add(case.group)
        marks.append(_marks(case, regions))
    if not marks:
        raise DataError("no image could be read")
    seen = sum(store.woman_key(kind, woman) in known for woman in women)
    rows = [_row(source, [m[k] for m in marks], finding, seed) for k, finding in enumerate(KINDS)]
    best = rows[0]
    counts = {"images_read": len(marks), "women": len(women), "women_seen_in_training": seen}
    return _head(kind, detector) | best | counts | {"by_kind": rows}


def packaged() -> Path | None:
    """Folder of the packaged filter; None where none is packaged."""
    return next((f for f in store.available() if f.parent.name == NAME), None)


def models(model: Path | None) -> tuple[Path | None, MassFinder | None]:
    """Folder of the filter of clusters, and the detector of masses: `model` and a packaged one.

    Raises
    ------
    ModelError
        A folder's card or weights are damaged.
    """
    if model is not None and isinstance(store.read_card(model), MassFinderCard):
        return packaged(), measure.load_finder(model)
    return model or packaged(), measure.load_finder(measure.packaged())


def load_detector(folder: Path | None) -> Detector | None:
    """The filter of a folder; None without one.

    Raises
    ------
    ModelError
        The folder holds another kind of model.
    """
    if folder is None:
        return None
    model = loading.load(folder)
    if not isinstance(model, Detector):
        raise ModelError(f"{folder.name} is no filter of candidates")
    return model


def marks_of(case: DetectionCase, detector: Detector | None) -> tuple[ImageMarks, ...]:
    """For each of `KINDS`, what was marked in one image."""
    return _marks(case, regions_of(case, detector))


def _marks(case: DetectionCase, regions: Sequence[Region]) -> tuple[ImageMarks, ...]:
    return tuple(matched(case, kind, regions).marks for kind in KINDS)


def show(console: Console, result: dict[str, Any]) -> None:
    """Print the numbers as a table."""
    if "by_part" in result:
        measure.show(console, result)
        return
    console.print(f"{result['data']}: {result['contrast']}", highlight=False)
    if result["women_seen_in_training"]:
        console.print(
            styled(
                "[bold]{} of {} women were in the filter's training[/]: these numbers are not of "
                "unseen images",
                result["women_seen_in_training"],
                result["women"],
            )
        )
    if "auc" in result:
        auc, interval = shown(result)
        console.print(f"AUC {auc} (95 % CI {interval}) {result['message']}", highlight=False)
        return
    table = Table("", "found at 1 false mark an image", "95 % CI", "at ½", "lesions", "images")
    for row in result["by_kind"]:
        found = ("–", "–", "–")
        if row["sensitivity_at_1fp"] is not None:
            ends = row["sensitivity_at_1fp_ci"]
            found = (
                f"{row['sensitivity_at_1fp']:.0%}",
                "–".join(f"{end:.0%}" for end in ends) if ends else "–",
                f"{row['sensitivity_at_half_fp']:.0%}",
            )
        table.add_row(row["kind"], *found, str(row["n_lesions"]), str(row["n_images"]))
    console.print(table)
    if result["message"]:
        console.print(styled("[bold]{}[/]", result["message"]))


def _row(
    source: DetectionCases, images: Sequence[ImageMarks], kind: FindingKind, seed: int
) -> dict[str, Any]:
    head = {"kind": kind.value, "contrast": source.contrast[kind]}
    lesions, free = sum(len(i.lesions) for i in images), sum(i.counts_false for i in images)
    if not lesions or not free:
        nothing = dict.fromkeys(_OF_CURVE)
        counts = {"n_lesions": lesions, "n_images": free}
        return head | counts | nothing | {"froc": [], "message": _message(**counts)}
    found = summary(images, seed=seed)
    few = found["sensitivity_at_1fp_ci"] is None
    return head | found | {"message": "No interval: one woman has all the lesions." if few else ""}


def _message(n_lesions: int, n_images: int) -> str:
    """Why there is no curve."""
    return (
        f"No curve: {n_lesions} lesions with a position and {n_images} images without such a "
        "lesion could be read, and both are needed."
    )


def _head(data: str, detector: Detector | None) -> dict[str, Any]:
    if detector is None:
        return {"data": data, "model": None}
    card = detector.card
    named = {"name": card.name, "version": card.version, "sha256": card.weights_sha256}
    return {"data": data, "model": named, "mark_at": card.mark_at}


def _progress(
    source: DetectionCases, detector: Detector | None, masses: MassFinder | None,
    cache: ReadCache | None,
) -> Iterator[tuple[DetectionCase, tuple[Region, ...]]]:  # fmt: skip
    console = terminal.console(stderr=True)
    yield from track(
        detected(source, detector, cache, masses=masses), "reading", total=source.count,
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
