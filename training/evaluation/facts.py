"""What is known of cases beside their scores, from the data's own manifest (docs/data.md)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from training.data import manifest as m
from training.data import sources
from training.data.manifest import ManifestRow
from training.evaluation.scored import FACTS, Case, Scored, decade, key

BREASTS: Final = "breasts"
_LARGE_MM: Final = 20.0
# Places that a manifest gives where a data set names no manufacturer: facts of their own here.
_NO_VENDORS: Final = ("machine ", "digitizer ")
# Of several regions of a breast the assessment that led to the biopsy counts: the highest.
_BIRADS: Final = ("", "1", "2", "3", "0", "4A", "4", "4B", "4C", "5", "6")


def enriched(cases: Scored, data: str) -> Scored:
    """The cases with the facts that the manifest of `KIND:PATH` adds; what they have stays.

    Only breasts are known to a manifest by woman and side; other cases are given back as they are.

    Raises
    ------
    DataError
        What is there is not of that kind.
    """
    kind = data.partition(":")[0]
    if cases.unit != BREASTS or kind not in sources.SOURCES:
        return cases
    breasts: dict[str, list[ManifestRow]] = defaultdict(list)
    for row in sources.open_manifest(data).rows:
        breasts[key(cases.data, row.woman, row.laterality)].append(row)
    told = {case: of_rows(rows) for case, rows in breasts.items()}
    return replace(cases, cases=tuple(_with(c, told.get(c.id, {})) for c in cases.cases))


def of_rows(rows: Sequence[ManifestRow]) -> dict[str, str]:
    """Facts of one breast, by the names of `scored.FACTS`; "" where no row tells."""
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


def _with(case: Case, told: Mapping[str, str]) -> Case:
    known = dict(case.facts)
    return replace(
        case,
        facts=tuple((n, v) for n in FACTS if (v := known.get(n, "") or told.get(n, ""))),
    )


def _size(row: ManifestRow) -> str:
    """As Kim 2018's Table 5 has it: `mass, under 20 mm`; "" without a size."""
    if row.size_mm is None:
        return ""
    kind = row.lesion_kind.replace("_", " ")
    return f"{kind}, {'under 20 mm' if row.size_mm < _LARGE_MM else '20 mm or more'}"


def _invasive(rows: Sequence[ManifestRow]) -> str:
    """By the words of pathology; an invasive part decides."""
    words = [row.pathology.lower() for row in rows if row.label == m.MALIGNANT]
    if any("invasive" in w and "non-invasive" not in w for w in words):
        return "invasive"
    return "not invasive" if any("in situ" in w or "dcis" in w for w in words) else ""
