"""How a manifest's rows become whole views with a label per breast, for exam systems."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition, Laterality
from cadnode.errors import DataError
from cadnode_training.data import manifest as m
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.views import ViewRecord, ViewSet, left_out

_STANDARD: Final = ("CC", "MLO")
_CLASSES: Final = {m.MALIGNANT: "cancer", m.BENIGN: "benign", m.NORMAL: "normal"}


def views(manifest: Manifest, name: str, acquisition: Acquisition) -> ViewSet:
    """One record an image; a breast has a cancer if any row of it is malignant.

    Views other than CC and MLO, and breasts of unknown label, are left out. Of several exams of a
    woman one is taken, because her breasts would else be joined across years: worst, then latest.

    Raises
    ------
    DataError
        No view is left, or women of two data sets have the same number.
    """
    of_image: dict[Path, list[ManifestRow]] = defaultdict(list)
    of_breast: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    chosen = _one_exam_each(manifest.rows)
    for row in manifest.rows:
        of_image[row.image].append(row)
        of_breast[_breast(row)].append(row.label)
    records, reasons = [], []
    for rows in of_image.values():
        label = m.worst(of_breast[_breast(rows[0])])
        reason = _unfit(rows[0], label)
        if rows[0].exam != chosen[rows[0].dataset, rows[0].woman]:
            reason = "another exam of the same woman"
        if reason:
            reasons.append(reason)
        else:
            records.append(_record(rows, label))
    if not records:
        raise DataError("no view (CC or MLO, of a known side) has a label that is known")
    excluded = dict(manifest.left_out)
    return ViewSet(name, acquisition, tuple(records), (*excluded.items(), *left_out(reasons)))


def _one_exam_each(rows: Sequence[ManifestRow]) -> dict[tuple[str, str], str]:
    """The exam that is taken of each woman, by (data set, woman)."""
    labels: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    sets: dict[str, str] = {}
    for row in rows:
        labels[row.dataset, row.woman, row.exam_date, row.exam].append(row.label)
        if sets.setdefault(row.woman, row.dataset) != row.dataset:
            raise DataError("women of two data sets have the same number: give each its own --data")
    ranks = {m.MALIGNANT: 2, m.BENIGN: 1}
    best: dict[tuple[str, str], tuple[int, str, str]] = {}
    for (dataset, woman, date, exam), found in labels.items():
        rank = (ranks.get(m.worst(found), 0), date, exam)
        best[dataset, woman] = max(best.get((dataset, woman), rank), rank)
    return {woman: exam for woman, (_, _, exam) in best.items()}


def _breast(row: ManifestRow) -> tuple[str, str, str, str]:
    return row.dataset, row.woman, row.exam, row.laterality


def _unfit(row: ManifestRow, label: str) -> str:
    if row.view not in _STANDARD:
        return "neither CC nor MLO"
    if not row.laterality:
        return "side unknown"
    return "label unknown" if label == m.UNKNOWN else ""


def _record(rows: list[ManifestRow], label: str) -> ViewRecord:
    first = rows[0]
    malignant = [row for row in rows if row.label == m.MALIGNANT]
    size = max((row.size_mm for row in malignant if row.size_mm is not None), default=None)
    kinds = m.lesion_kind([row.lesion_kind for row in rows])
    return ViewRecord(
        dataset=first.dataset,
        woman=first.woman,
        laterality=Laterality(first.laterality),
        view=first.view,
        path=first.image,
        cancer=label == m.MALIGNANT,
        exam_class=_CLASSES[label],
        stratum=first.vendor,
        split=first.split,
        boxes=tuple(row.box for row in malignant if row.box is not None),
        facts=(
            ("density", first.density),
            ("lesion", kinds),
            ("birads", first.birads),
            ("age", "" if first.age is None else str(first.age)),
            ("pathology", "; ".join(dict.fromkeys(r.pathology for r in malignant if r.pathology))),
            ("size_mm", "" if size is None else f"{size:g}"),
        ),
    )
