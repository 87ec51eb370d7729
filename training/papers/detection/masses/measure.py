"""`cadnode evaluate detection` on views with boxes: masses found against false marks an image."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from cadnode.errors import DataError, ModelError
from cadnode.models import loading, store
from cadnode.models.mass_finder import MassFinder
from cadnode.models.store import woman_key
from cadnode_training.data import sources
from cadnode_training.data.manifest import ManifestRow
from cadnode_training.data.sets import cbis_views
from cadnode_training.papers.detection.masses.marks import (
    CRITERION,
    OUT_OF_FOLD,
    SEEN,
    UNSEEN,
    MeasuredMass,
    MeasuredView,
    measured,
    reader,
)
from cadnode_training.statistics.froc import froc, interval, summary

NAME: Final = "mass-detector"
KINDS: Final = (cbis_views.NAME, sources.MANIFEST)
FALSE_MARKS: Final = 1.0
_FOLDS: Final = 5
_REPLICATES: Final = 1000
FACTS: Final = ("label", "shape", "density")


def run(data: str, *, model: Path | None = None, seed: int = 0) -> dict[str, Any]:
    """Numbers of the masses found on `cbis-mass-views:PATH` or `manifest:FILE`.

    Women of a fold are read by the member that did not learn from them, unseen ones by all
    members; seen ones, whom every member learnt from, are left out.

    Parameters
    ----------
    data
        Views with boxes of masses; of a manifest also views without.
    model
        Folder of the detector; by default the packaged one, or the statistics where there is none.
    seed
        Of the bootstrap.

    Raises
    ------
    DataError, ModelError
        The data or the model are not what they should be.
    """
    folder = model or packaged()
    finder = load_finder(folder)
    rows = _rows_of_images(data)
    keys = _keys(data, rows)
    views = list(measured(rows, reader(finder), _parts(folder, keys)))
    used = [view for view in views if view.part != SEEN]
    if not any(view.masses for view in used):
        raise DataError("no mass could be measured: every woman was in the detector's training")
    named = None if finder is None else {
        "name": finder.card.name, "version": finder.card.version,
        "sha256": finder.card.weights_sha256,
    }  # fmt: skip
    head = {"data": data.partition(":")[0], "model": named, "contrast": CRITERION}
    counts = {
        "images_read": len(used), "women": len({v.woman for v in used}),
        "women_seen_in_training": len({v.woman for v in views if v.part == SEEN}),
    }  # fmt: skip
    parts = {
        name: numbers([v for v in used if v.part == name], seed, brief=True)
        for name in (OUT_OF_FOLD, UNSEEN)
    }
    return head | numbers(used, seed) | counts | {"by_part": parts, "message": ""}


def numbers(views: Sequence[MeasuredView], seed: int, *, brief: bool = False) -> dict[str, Any]:
    """Masses found at one false mark an image, the threshold chosen on other women.

    Of five folds by woman each has the threshold of the four others. The interval resamples
    women, and chooses the threshold again in each draw. `brief` leaves out curve and strata.
    """
    masses = [mass for view in views for mass in view.masses]
    if not masses:
        return {"n_lesions": 0, "n_images": len(views), "sensitivity_at_1fp": None}
    thresholds = out_of_fold_thresholds(views)
    found = [_is_found(x, t) for v, t in zip(views, thresholds, strict=True) for x in v.masses]
    women = [v.woman for v in views for _ in v.masses]
    false = [sum(c >= t for c in v.false) for v, t in zip(views, thresholds, strict=True)]
    marks = [view.marks for view in views]
    several = len({v.woman for v in views if v.masses}) > 1
    ends = interval(marks, FALSE_MARKS, seed=seed) if several else None
    result = {
        "n_lesions": len(masses),
        "n_images": len(views),
        "n_women": len({v.woman for v in views}),
        "n_found_at_1fp": sum(found),
        "sensitivity_at_1fp": round(float(np.mean(found)), 4),
        "sensitivity_at_1fp_ci": None if ends is None else [round(end, 4) for end in ends],
        "ci_method": "95 %, bootstrap over women, 1,000 replicates, the threshold in each",
        "fp_per_image": round(float(np.mean(false)), 4),
        "threshold_at_1fp": round(float(np.median(thresholds)), 5),
    }
    if brief:
        return result
    curve = summary(marks, seed=seed)
    strata = {f"by_{name}": _stratum(name, masses, found, women, seed) for name in FACTS}
    halves = {"sensitivity_at_half_fp": curve["sensitivity_at_half_fp"], "froc": curve["froc"]}
    return result | halves | strata


def out_of_fold_thresholds(views: Sequence[MeasuredView]) -> list[float]:
    """For each view, the threshold of one false mark an image in the views of the other folds.

    With women of a single fold it is that of all views.
    """
    folds = np.array([int(woman_key("fold", v.woman)[:8], 16) % _FOLDS for v in views])
    of_fold = {}
    for fold in set(folds.tolist()):
        others = [v.marks for v, k in zip(views, folds, strict=True) if k != fold]
        chosen = others if any(image.lesions for image in others) else [v.marks for v in views]
        of_fold[fold] = froc(chosen).threshold_at(FALSE_MARKS)
    return [of_fold[fold] for fold in folds.tolist()]


def packaged() -> Path | None:
    """Folder of the packaged detector of masses; None where none is packaged."""
    return next((f for f in store.available() if f.parent.name == NAME), None)


def load_finder(folder: Path | None) -> MassFinder | None:
    """The detector of a folder; None without one.

    Raises
    ------
    ModelError
        The folder holds another kind of model.
    """
    if folder is None:
        return None
    model = loading.load(folder)
    if not isinstance(model, MassFinder):
        raise ModelError(f"{folder.name} is no detector of masses")
    return model


def show(console: Console, result: dict[str, Any]) -> None:
    """Print the numbers as a table."""
    console.print(f"{result['data']}: {result['contrast']}", highlight=False)
    table = Table("", "found at 1 false mark an image", "95 % CI", "masses", "images")
    rows = [("all", result)]
    rows += [(name.replace("_", " "), result["by_part"][name]) for name in (OUT_OF_FOLD, UNSEEN)]
    rows += [(f"{name} {row['value']}", row) for name in FACTS for row in result[f"by_{name}"]]
    for name, row in rows:
        if row["sensitivity_at_1fp"] is not None:
            ends = row["sensitivity_at_1fp_ci"]
            between = "–" if ends is None else "–".join(f"{end:.0%}" for end in ends)
            images = str(row.get("n_images", ""))
            share = f"{row['sensitivity_at_1fp']:.0%}"
            table.add_row(name, share, between, str(row["n_lesions"]), images)
    console.print(table)


def _rows_of_images(data: str) -> dict[Path, list[ManifestRow]]:
    found: dict[Path, list[ManifestRow]] = {}
    for row in sources.open_manifest(data).rows:
        found.setdefault(row.image, []).append(row)
    return found


def _keys(
    data: str, rows: Mapping[Path, Sequence[ManifestRow]]
) -> Callable[[ManifestRow], tuple[str, ...]]:
    """Every key under which a row's woman may be known."""
    kind, _, path = data.partition(":")
    folders = {Path(path).expanduser()} if kind == cbis_views.NAME else set()
    folders |= {
        file.parent.parent for file, own in rows.items() if own[0].dataset == cbis_views.NAME
    }
    known: dict[str, tuple[str, ...]] = {}
    for folder in folders:
        if (folder / "views.csv").is_file():
            known |= cbis_views.keys_of_women(folder)

    def keys(row: ManifestRow) -> tuple[str, ...]:
        if row.dataset == cbis_views.NAME:
            return known.get(row.woman, cbis_views.keys_of(row.woman, ()))
        return (woman_key(row.dataset, row.woman),)

    return keys


def _parts(
    folder: Path | None, keys: Callable[[ManifestRow], tuple[str, ...]]
) -> Callable[[ManifestRow], tuple[str, int | None]]:
    folds = store.read_folds(folder) if folder else ()
    seen = store.seen_women(folder) if folder else frozenset()

    def part(row: ManifestRow) -> tuple[str, int | None]:
        known = keys(row)
        if (member := store.left_out_by(folds, *known)) is not None:
            return OUT_OF_FOLD, member
        return (SEEN, None) if any(key in seen for key in known) else (UNSEEN, None)

    return part


def _is_found(mass: MeasuredMass, threshold: float) -> bool:
    return mass.certainty is not None and mass.certainty >= threshold


def _stratum(
    name: str,
    masses: Sequence[MeasuredMass],
    found: Sequence[bool],
    women: Sequence[str],
    seed: int,
) -> list[dict[str, Any]]:
    """A row for each value of a fact, with an interval over women at the thresholds as they are."""
    values = np.array([mass.facts.get(name) or "not stated" for mass in masses])
    rows = []
    for value in sorted(set(values.tolist())):
        mine = values == value
        ends = _by_woman(np.array(found)[mine], np.array(women)[mine], seed)
        rows.append(
            {
                "value": value, "n_lesions": int(mine.sum()),
                "sensitivity_at_1fp": round(float(np.mean(np.array(found)[mine])), 4),
                "sensitivity_at_1fp_ci": ends,
            }
        )  # fmt: skip
    return rows


def _by_woman(found: NDArray[np.bool_], women: NDArray[np.str_], seed: int) -> list[float] | None:
    """95 % interval of a share, women resampled; None of a single woman."""
    names, number = np.unique(women, return_inverse=True)
    if len(names) < 2:
        return None
    hit, all_of = np.bincount(number, found), np.bincount(number)
    drawn = np.random.default_rng(seed).integers(0, len(names), (_REPLICATES, len(names)))
    shares = hit[drawn].sum(1) / all_of[drawn].sum(1)
    return [round(float(end), 4) for end in np.percentile(shares, (2.5, 97.5))]
