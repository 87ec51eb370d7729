"""How sets of digitized film become manifests: DDSM exams, mini-MIAS, the two sets of Pisa."""

from collections.abc import Callable, Mapping
from math import ceil, floor
from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition, Box, ViewPosition
from cadnode_training.data import birads
from cadnode_training.data import manifest as m
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.sets import ddsm_exams, mini_mias, pisa_calcifications, pisa_masses
from cadnode_training.data.tables import read_rows
from cadnode_training.data.views import ViewRecord

ACQUISITION: Final = Acquisition.FILM
_MIAS_KINDS: Final = {
    mini_mias.CALCIFICATION: m.CALCIFICATION, **dict.fromkeys(mini_mias.MASSES, m.MASS),
    "ASYM": m.ASYMMETRY, "ARCH": m.DISTORTION, mini_mias.NORMAL: "",
}  # fmt: skip
_MIAS_LABELS: Final = {"B": m.BENIGN, "M": m.MALIGNANT}


def read_ddsm_exams(folder: Path, tick: Callable[[], None] = lambda: None) -> Manifest:
    """A row for each view; a breast's label and the BI-RADS words of its worst lesion."""
    data = ddsm_exams.read(folder)
    exams = {row["exam_id"]: row for row in read_rows(folder / "exams.csv", ("exam_id",))}
    rows = []
    for record in data.records:
        tick()
        rows.append(_ddsm_row(record, exams[record.woman]))
    return Manifest(tuple(rows), data.left_out)


def _ddsm_row(record: ViewRecord, exam: Mapping[str, str]) -> ManifestRow:
    side = "left" if record.laterality == "L" else "right"
    lesions = [x.strip() for x in (exam.get(f"{side}_lesions") or "").split(";") if x.strip()]
    lesions.sort(key=lambda words: "[MALIGNANT]" not in words)
    first = lesions[0] if lesions else ""
    return ManifestRow(
        image=record.path,
        dataset=record.dataset,
        woman=record.woman,
        exam=record.woman,
        laterality=record.laterality.value,
        view=record.view,
        label=_ddsm_label(record, " ".join(lesions)),
        pathology=first.partition("[")[2].rstrip("]") or record.exam_class,
        birads=birads.category(exam.get("max_assessment") or "") if record.cancer else "",
        vendor=f"digitizer {record.stratum}",
        lesion_kind=m.lesion_kind([_ddsm_kind(words) for words in lesions]),
        calcification_type=birads.calcification_type(_after("TYPE", first)),
        distribution=birads.distribution(_after("DISTRIBUTION", first)),
        mass_shape=birads.mass_shape(_after("SHAPE", first)),
        mass_margin=birads.mass_margin(_after("MARGINS", first)),
    )


def _after(keyword: str, words: str) -> str:
    """What follows `keyword` in "MASS SHAPE OVAL MARGINS …"; of "CLUSTERED+MASS", CLUSTERED."""
    parts = words.split()
    place = parts.index(keyword) + 1 if keyword in parts else len(parts)
    return parts[place].partition("+")[0] if place < len(parts) else ""


def _ddsm_kind(words: str) -> str:
    has_mass, has_calcification = "MASS" in words, "CALC" in words
    if has_mass and has_calcification:
        return m.BOTH
    if has_mass:
        return birads.mass_kind(_after("SHAPE", words))
    return m.CALCIFICATION if has_calcification else m.OTHER


def _ddsm_label(record: ViewRecord, words: str) -> str:
    """Of the breast; of a benign exam both are benign, because the table does not state which."""
    if record.cancer:
        return m.MALIGNANT
    if "UNPROVEN" in words:
        return m.UNKNOWN
    benign = "[BENIGN" in words or record.exam_class.startswith("benign")
    return m.BENIGN if benign else m.NORMAL


def read_mini_mias(folder: Path, tick: Callable[[], None] = lambda: None) -> Manifest:
    """A row for each circle; for a view without any, one row."""
    severity: dict[str, list[str]] = {}
    for line in read_rows(folder / "findings.csv", ("image", "severity")):
        severity.setdefault(line["image"], []).append(line["severity"])
    rows = []
    views, missing = mini_mias.read_all(folder)
    for view in views:
        tick()
        regions = [
            (circle.kind, _mias_label(circle.kind, circle.severity), circle)
            for circle in view.circles
        ]
        label = m.worst(map(_mias_label, view.kinds, severity[view.name]))
        for number, (kind, of_region, circle) in enumerate(
            regions or [(view.kinds[0], label, None)], 1
        ):
            rows.append(_mias_row(view, kind, of_region, circle, number))
    return Manifest(tuple(rows), missing)


def _mias_label(kind: str, severity: str) -> str:
    return m.NORMAL if kind == mini_mias.NORMAL else _MIAS_LABELS.get(severity, m.UNKNOWN)


def _mias_row(
    view: mini_mias.MiasView, kind: str, label: str, circle: mini_mias.Circle | None, number: int
) -> ManifestRow:
    return ManifestRow(
        image=view.path,
        dataset=mini_mias.NAME,
        woman=view.woman,
        exam=view.woman,
        laterality=view.laterality.value,
        view=ViewPosition.MLO.value,
        box=None if circle is None else _around(circle),
        label=label,
        pathology=label if kind != mini_mias.NORMAL else "",
        lesion=f"{number}" if circle is not None else "",
        lesion_kind=_MIAS_KINDS.get(kind, m.OTHER),
        size_mm=2 * circle.radius * mini_mias.SPACING_MM if circle and circle.radius else None,
        spacing_mm=mini_mias.SPACING_MM,
    )


def _around(circle: mini_mias.Circle) -> Box | None:
    """The box around a circle, cut at the image's edge."""
    top, left = floor(circle.row - circle.radius), floor(circle.col - circle.radius)
    bottom, right = ceil(circle.row + circle.radius), ceil(circle.col + circle.radius)
    box = Box(max(top, 0), max(left, 0), min(bottom, mini_mias.SIZE), min(right, mini_mias.SIZE))
    return box if box.row0 < box.row1 and box.col0 < box.col1 else None


def read_pisa_masses(folder: Path, tick: Callable[[], None] = lambda: None) -> Manifest:
    """A row for each region, which is an image of its own: no box."""
    found = pisa_masses.read(folder)
    rows = []
    for roi in found.records:
        tick()
        label = m.MALIGNANT if roi.malignant else m.BENIGN
        rows.append(
            ManifestRow(
                image=roi.path, dataset=pisa_masses.NAME, woman=roi.woman, label=label,
                pathology=label, lesion_kind=m.MASS, spacing_mm=pisa_masses.SPACING_MM,
            )
        )  # fmt: skip
    return Manifest(tuple(rows), found.left_out)


def read_pisa_calcifications(folder: Path, tick: Callable[[], None] = lambda: None) -> Manifest:
    """A row for each region; whether its calcifications are malignant is not known.

    Raises
    ------
    DataError
        The table is missing or lacks columns, or no region is there.
    """
    rows = []
    rois, missing = pisa_calcifications.read_all(folder)
    for roi in rois:
        tick()
        rows.append(
            ManifestRow(
                image=roi.path, dataset=pisa_calcifications.NAME, woman=roi.woman,
                label=m.UNKNOWN if roi.positive else m.NORMAL,
                lesion_kind=m.CALCIFICATION if roi.positive else "",
                spacing_mm=pisa_calcifications.SPACING_MM,
            )
        )  # fmt: skip
    return Manifest(tuple(rows), missing)
