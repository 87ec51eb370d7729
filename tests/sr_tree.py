"""A structured report as tests look into it."""

import io

from highdicom.sr import srread
from pydicom import Dataset
from pydicom.sr.coding import Code


def reread(ds: Dataset) -> Dataset:
    """The report as highdicom reads it from a file."""
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return srread(buffer)


def items(node: Dataset, name: Code) -> list[Dataset]:
    """All content items below `node` that have this concept name."""
    found = []
    for item in node.get("ContentSequence", []):
        concept = item.ConceptNameCodeSequence[0]
        if (concept.CodeValue, concept.CodingSchemeDesignator) == (
            name.value,
            name.scheme_designator,
        ):
            found.append(item)
        found += items(item, name)
    return found


def value_code(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeValue)


def number(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)
