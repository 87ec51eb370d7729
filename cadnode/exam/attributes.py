"""Tolerant access to a header's values: the wrong type, an empty value or an odd one is absent."""

import math
from collections.abc import Iterable
from typing import Any

from pydicom import Dataset


def texts(ds: Dataset, keyword: str) -> tuple[str, ...]:
    """Every value of an attribute as upper-case text without outer spaces; () when absent.

    An empty value among several is kept as "": the position carries meaning in Image Type.
    """
    value = ds.get(keyword)
    if value is None or isinstance(value, bytes):
        return ()
    many = value if _is_list(value) else [value]
    found = tuple(" ".join(str(v).upper().split()) for v in many)
    return found if any(found) else ()


def text(ds: Dataset, keyword: str) -> str:
    """The first value of an attribute as `texts` gives it, "" when absent."""
    return next(iter(texts(ds, keyword)), "")


def numbers(ds: Dataset, keyword: str) -> tuple[float, ...]:
    """Every value of an attribute as a finite number; () when one of them is none."""
    value = ds.get(keyword)
    if value is None:
        return ()
    found = []
    for item in value if _is_list(value) else [value]:
        try:
            number = float(item)
        except (TypeError, ValueError):
            return ()
        if not math.isfinite(number):
            return ()
        found.append(number)
    return tuple(found)


def number(ds: Dataset, keyword: str) -> float | None:
    """The first value of an attribute as a finite number."""
    return next(iter(numbers(ds, keyword)), None)


def items(ds: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """The items of a sequence; () when it is absent, empty or no sequence at all."""
    value = ds.get(keyword)
    if not _is_list(value):
        return ()
    return tuple(item for item in value if isinstance(item, Dataset))


def code_values(codes: Iterable[Dataset]) -> tuple[str, ...]:
    """Code values of code sequence items, whatever their coding scheme calls itself.

    SNOMED codes arrive as SCT, SRT, SNM3 or 99SDM; their values do not collide.
    """
    return tuple(value for item in codes if (value := text(item, "CodeValue")))


def _is_list(value: Any) -> bool:
    return (
        hasattr(value, "__iter__")
        and not isinstance(value, str | bytes | Dataset)
        and not (
            hasattr(value, "components")  # a PersonName is one value
        )
    )
