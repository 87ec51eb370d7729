"""Content items as plain values, PS3.3 C.17.3: by value and by reference.

A report has thousands of them. They are encoded by `content_tree`; as pydicom's data sets each
attribute would cost what a whole item costs here.
"""

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.valuerep import DSfloat

CONTAINS: Final = "CONTAINS"
PROPERTIES: Final = "HAS PROPERTIES"
INFERRED: Final = "INFERRED FROM"
SELECTED: Final = "SELECTED FROM"
MODIFIER: Final = "HAS CONCEPT MOD"
ACQUISITION: Final = "HAS ACQ CONTEXT"
OBSERVATION: Final = "HAS OBS CONTEXT"

TreePath = tuple[int, ...]
"""Where a content item stands in the tree, counted from 1: (1, 2, 3) is root, child 2, child 3."""

Attributes = tuple[tuple[int, str, "Value"], ...]
"""Tag, VR and value of each attribute of an item."""

Value = str | bytes | Code | Sequence[Attributes]
"""Text; other values as they are encoded; an item's coded concept; the items of a sequence."""

_REFERENCED_SOP: Final = 0x00081199
_NUMERIC_VALUE: Final = 0x0040A30A
_DATE: Final = r"\d{8}"
_TIME: Final = r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?"


@dataclass(frozen=True, slots=True)
class Item:
    """A content item (PS3.3 C.17.3.2). `attributes` are those that its value type asks for.

    `words` is the value of a text, a code or a number as people read it.
    """

    relationship: str
    value_type: str
    name: Code | None = None
    attributes: Attributes = ()
    children: tuple["Item", ...] = ()
    words: str = ""


def with_children(item: Item, children: Iterable[Item]) -> Item:
    """The item, holding these items in this order (none: no Content Sequence at all)."""
    return replace(item, children=tuple(children))


def container(relationship: str, name: Code, children: Iterable[Item], template: str = "") -> Item:
    """CONTAINER whose items are each of their own (SEPARATE); renderers show these as a list.

    `template` is its identifier in PS3.16, such as "1500".
    """
    attributes: Attributes = ((0x0040A050, "CS", "SEPARATE"),)
    if template:
        of_template: Attributes = ((0x00080105, "CS", "DCMR"), (0x0040DB00, "CS", template))
        attributes = (*attributes, (0x0040A504, "SQ", (of_template,)))
    return Item(relationship, "CONTAINER", name, attributes, tuple(children))


def code(relationship: str, name: Code, value: Code, children: Iterable[Item] = ()) -> Item:
    """CODE."""
    attributes: Attributes = ((0x0040A168, "SQ", value),)
    return Item(relationship, "CODE", name, attributes, tuple(children), value.meaning)


def text(relationship: str, name: Code, value: str) -> Item:
    """TEXT."""
    return Item(relationship, "TEXT", name, ((0x0040A160, "UT", value),), words=value)


def number(
    relationship: str, name: Code, value: float, unit: Code, children: Iterable[Item] = ()
) -> Item:
    """NUM; the value as a decimal string of seven digits."""
    attributes: Attributes = ((0x004008EA, "SQ", unit), (_NUMERIC_VALUE, "DS", f"{value:.7g}"))
    return _number(relationship, name, value, unit, attributes, children)


def precise_number(
    relationship: str, name: Code, value: float, unit: Code, children: Iterable[Item] = ()
) -> Item:
    """NUM with all digits that a decimal string holds (16 characters); a float as binary, too.

    Floating Point Value (0040,A161), PS3.3 table C.18.1-1.
    """
    text = str(DSfloat(float(value), auto_format=True))
    measured: Attributes = ((0x004008EA, "SQ", unit), (_NUMERIC_VALUE, "DS", text))
    if isinstance(value, float):
        binary: Attributes = ((0x0040A161, "FD", struct.pack("<d", value)),)
        measured = (*measured[:1], *binary, *measured[1:])
    return _number(relationship, name, value, unit, measured, children)


def _number(
    relationship: str,
    name: Code,
    value: float,
    unit: Code,
    measured: Attributes,
    children: Iterable[Item],
) -> Item:
    words = f"{value:.3g}" if unit.value == "1" else f"{value:.3g} {unit.value}"
    attributes: Attributes = ((0x0040A300, "SQ", (measured,)),)
    return Item(relationship, "NUM", name, attributes, tuple(children), words)


def uid(relationship: str, name: Code, value: str) -> Item:
    """UIDREF."""
    return Item(relationship, "UIDREF", name, ((0x0040A124, "UI", value),))


def date(relationship: str, name: Code, value: object) -> list[Item]:
    """DATE in a list; an empty one when the value is no date."""
    if not re.fullmatch(_DATE, str(value or "")):
        return []
    return [Item(relationship, "DATE", name, ((0x0040A121, "DA", str(value)),))]


def time(relationship: str, name: Code, value: object) -> list[Item]:
    """TIME in a list; an empty one when the value is no time."""
    if not re.fullmatch(_TIME, str(value or "")):
        return []
    return [Item(relationship, "TIME", name, ((0x0040A122, "TM", str(value)),))]


def image(
    relationship: str,
    name: Code | None,
    header: Dataset,
    children: Iterable[Item] = (),
    segments: Sequence[int] = (),
) -> Item:
    """IMAGE: the instance that the header is of, or segments of it."""
    return Item(relationship, "IMAGE", name, _referenced(header, segments), tuple(children))


def composite(relationship: str, name: Code, class_uid: str, instance_uid: str) -> Item:
    """COMPOSITE: an instance of any kind."""
    return Item(relationship, "COMPOSITE", name, _reference_to(class_uid, instance_uid, b""))


def _referenced(header: Dataset, segments: Sequence[int]) -> Attributes:
    numbers = struct.pack(f"<{len(segments)}H", *segments)
    return _reference_to(str(header.SOPClassUID), str(header.SOPInstanceUID), numbers)


def _reference_to(class_uid: str, instance_uid: str, segments: bytes) -> Attributes:
    named: Attributes = ((0x00081150, "UI", class_uid), (0x00081155, "UI", instance_uid))
    if segments:
        named = (*named, (0x0062000B, "US", segments))
    return ((_REFERENCED_SOP, "SQ", (named,)),)


def coordinates(
    relationship: str,
    name: Code,
    graphic_type: str,
    points: Iterable[Iterable[float]],
    of: Item,
) -> Item:
    """SCOORD of (column, row) points, selected from the image that `of` is or refers to.

    (0, 0) is the top left corner of the top left pixel (PS3.3 C.18.6.1.2).
    """
    values = [float(value) for point in points for value in point]
    attributes: Attributes = (
        (0x00700022, "FL", struct.pack(f"<{len(values)}f", *values)),
        (0x00700023, "CS", graphic_type),
    )
    return Item(relationship, "SCOORD", name, attributes, (of,))


def reference(relationship: str, to: TreePath) -> Item:
    """An item by reference: the relationship, and where its target stands in the tree."""
    path = struct.pack(f"<{len(to)}I", *to)
    return Item(relationship, "", None, ((0x0040DB73, "UL", path),))
