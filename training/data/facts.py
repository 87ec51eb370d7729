"""What a manifest states of a breast or region besides its label (docs/data.md)."""

from collections.abc import Iterable, Sequence
from typing import Final

from cadnode_training.data import manifest as m
from cadnode_training.data.manifest import ManifestRow
from cadnode_training.data.regions import DataRegion

_LARGE_MM: Final = 20.0
# Places that a manifest gives where a data set names no manufacturer: facts of their own here.
_NO_VENDORS: Final = ("machine ", "digitizer ")
# Of several regions of a breast the assessment that led to the biopsy counts: the highest.
_BIRADS: Final = ("", "1", "2", "3", "0", "4A", "4", "4B", "4C", "5", "6")


def of_rows(rows: Sequence[ManifestRow]) -> dict[str, str]:
    """Facts of one breast, by name; "" where no row states it."""
    lesions = [row for row in rows if row.lesion_kind]
    worst = next((row for row in lesions if row.label == m.MALIGNANT), None)
    chosen = worst or (lesions[0] if lesions else None)
    vendor = next((row.vendor for row in rows if row.vendor), "")
    age = next((row.age for row in rows if row.age is not None), None)
    return {
        "vendor": "" if vendor.startswith(_NO_VENDORS) else vendor,
        "density": next((row.density for row in rows if row.density), ""),
        "age": decade(str(age)),
        "lesion": chosen.lesion_kind.replace("_", " ") if chosen else "",
        "size": _size(chosen) if chosen else "",
        "type": chosen.calcification_type if chosen else "",
        "distribution": chosen.distribution if chosen else "",
        "invasive": _invasive(rows),
        "birads": max((row.birads for row in rows), key=_BIRADS.index, default=""),
    }


def facts_of(region: DataRegion) -> dict[str, str]:
    """What a region is broken down by: names of `grouped.STRATA`; "" where nothing is stated."""
    row, acquisition = region.row, region.acquisition.value
    return of_rows([row]) | {"dataset": row.dataset, "acquisition": acquisition}


def decade(age: str) -> str:
    """`50–59` of an age in years; "" where it is no number. From 90 on ages are one group."""
    try:
        tens = int(float(age)) // 10 * 10
    except (ValueError, OverflowError):
        return ""
    return "90 or more" if tens >= 90 else f"{tens}–{tens + 9}"


def _size(row: ManifestRow) -> str:
    """As Kim 2018's Table 5 has it: `mass, under 20 mm`; "" without a size."""
    if row.size_mm is None:
        return ""
    kind = row.lesion_kind.replace("_", " ")
    return f"{kind}, {'under 20 mm' if row.size_mm < _LARGE_MM else '20 mm or more'}"


def _invasive(rows: Sequence[ManifestRow]) -> str:
    return invasive_by([row.pathology for row in rows if row.label == m.MALIGNANT])


def invasive_by(pathology: Iterable[str]) -> str:
    """`invasive` or `not invasive` by the words of pathology, "" where they state neither.

    An invasive part decides.
    """
    words = [text.lower() for text in pathology]
    if any("invasive" in w and "non-invasive" not in w for w in words):
        return "invasive"
    return "not invasive" if any("in situ" in w or "dcis" in w for w in words) else ""
