"""Content items as data sets, PS3.3 C.17.3: by value and by reference.

highdicom knows no relationships by reference and gives every IMAGE a concept name; the CAD
templates want the former and have none for the latter.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from pydicom import Dataset
from pydicom.sr.coding import Code

from cadnode.report.codes import code_item

CONTAINS: Final = "CONTAINS"
PROPERTIES: Final = "HAS PROPERTIES"
INFERRED: Final = "INFERRED FROM"
SELECTED: Final = "SELECTED FROM"
MODIFIER: Final = "HAS CONCEPT MOD"
ACQUISITION: Final = "HAS ACQ CONTEXT"
OBSERVATION: Final = "HAS OBS CONTEXT"

TreePath = tuple[int, ...]
"""Where a content item stands in the tree, counted from 1: (1, 2, 3) is root, child 2, child 3."""

_DATE: Final = r"\d{8}"
_TIME: Final = r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?"


class Item(Dataset):
    """A content item (PS3.3 C.17.3.2); nothing else belongs into a content tree."""


def _item(relationship: str, value_type: str, name: Code | None) -> Item:
    item = Item()
    if relationship:
        item.RelationshipType = relationship
    item.ValueType = value_type
    if name is not None:
        item.ConceptNameCodeSequence = [code_item(name)]
    return item


def with_children(item: Item, children: Sequence[Item]) -> Item:
    """The item, holding these items in this order (none: no Content Sequence at all)."""
    if children:
        item.ContentSequence = list(children)
    return item


def container(relationship: str, name: Code, children: Sequence[Item]) -> Item:
    """CONTAINER whose items are each of their own (SEPARATE)."""
    item = _item(relationship, "CONTAINER", name)
    item.ContinuityOfContent = "SEPARATE"
    return with_children(item, children)


def code(relationship: str, name: Code, value: Code, children: Sequence[Item] = ()) -> Item:
    """CODE."""
    item = _item(relationship, "CODE", name)
    item.ConceptCodeSequence = [code_item(value)]
    return with_children(item, children)


def text(relationship: str, name: Code, value: str) -> Item:
    """TEXT."""
    item = _item(relationship, "TEXT", name)
    item.TextValue = value
    return item


def number(
    relationship: str, name: Code, value: float, unit: Code, children: Sequence[Item] = ()
) -> Item:
    """NUM; the value as a decimal string of at most 16 characters."""
    item = _item(relationship, "NUM", name)
    measured = Dataset()
    measured.NumericValue = f"{value:.7g}"
    measured.MeasurementUnitsCodeSequence = [code_item(unit)]
    item.MeasuredValueSequence = [measured]
    return with_children(item, children)


def uid(relationship: str, name: Code, value: str) -> Item:
    """UIDREF."""
    item = _item(relationship, "UIDREF", name)
    item.UID = value
    return item


def date(relationship: str, name: Code, value: object) -> list[Item]:
    """DATE in a list; an empty one when the value is no date."""
    if not re.fullmatch(_DATE, str(value or "")):
        return []
    item = _item(relationship, "DATE", name)
    item.Date = str(value)
    return [item]


def time(relationship: str, name: Code, value: object) -> list[Item]:
    """TIME in a list; an empty one when the value is no time."""
    if not re.fullmatch(_TIME, str(value or "")):
        return []
    item = _item(relationship, "TIME", name)
    item.Time = str(value)
    return [item]


def image(header: Dataset, children: Sequence[Item]) -> Item:
    """IMAGE without a concept name, contained."""
    item = _item(CONTAINS, "IMAGE", None)
    referenced = Dataset()
    referenced.ReferencedSOPClassUID = header.SOPClassUID
    referenced.ReferencedSOPInstanceUID = header.SOPInstanceUID
    item.ReferencedSOPSequence = [referenced]
    return with_children(item, children)


def coordinates(
    relationship: str,
    name: Code,
    graphic_type: str,
    points: Iterable[Iterable[float]],
    of: TreePath,
) -> Item:
    """SCOORD of (column, row) points, selected by reference from the image at `of`.

    (0, 0) is the top left corner of the top left pixel (PS3.3 C.18.6.1.2).
    """
    item = _item(relationship, "SCOORD", name)
    item.GraphicType = graphic_type
    item.GraphicData = [float(value) for point in points for value in point]
    return with_children(item, [reference(SELECTED, of)])


def reference(relationship: str, to: TreePath) -> Item:
    """An item by reference: the relationship, and where its target stands in the tree."""
    item = Item()
    item.RelationshipType = relationship
    item.ReferencedContentItemIdentifier = list(to)
    return item
