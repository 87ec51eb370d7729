"""From stored values to shown brightness: modality LUT, VOI, polarity (PS3.3 C.11.1, C.11.2).

All of it is a function of one stored value, so it is computed once for each of the at most
65,536 values that occur, never for each pixel.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian

from cadnode.domain import FloatImage, Intent, SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.attributes import items, number, numbers, text

Values = NDArray[np.float64]
Counts = Callable[[], NDArray[np.int64]]
# Of the pixels outside padding, so that a scratch or a marker does not set the scale.
ROBUST_RANGE = (0.0005, 0.9995)
_LUT_BITS: Final = (8, 10, 12, 14, 16)  # what entries of LUTs are made for
_LUT_ENDS: Final = frozenset(2**bits for bits in _LUT_BITS)
# Of pixels outside padding: the background of one polarity, and how much it outweighs the other.
_LEAST_BACKGROUND: Final = 0.1
_BACKGROUND_RATIO: Final = 4.0


@dataclass(frozen=True, slots=True)
class Window:
    """A VOI window in modality units; `function` is a VOI LUT Function (PS3.3 C.11.2.1.3)."""

    center: float
    width: float
    function: str = "LINEAR"


@dataclass(frozen=True, eq=False, slots=True)
class GreyScale:
    """What each stored cell of an image means and how bright it is; arrays of `2**bits`.

    Parameters
    ----------
    values
        float64, in modality units.
    brightness
        float32 in [0, 1], dense tissue bright, padding 0.
    padding
        bool: background by Pixel Padding Value and Range Limit.
    inverse
        Whether low values are bright.
    """

    values: Values
    brightness: FloatImage
    padding: NDArray[np.bool_]
    inverse: bool


def brightness_table(
    header: Dataset,
    *,
    bits: int,
    signed: bool,
    counts: Counts,
    intent: Intent = Intent.PRESENTATION,
    voi: Window | None = None,
) -> FloatImage:
    """The `brightness` of `grey_scale`, which see."""
    scale = grey_scale(header, bits=bits, signed=signed, counts=counts, intent=intent, voi=voi)
    return scale.brightness


def grey_scale(
    header: Dataset,
    *,
    bits: int,
    signed: bool,
    counts: Counts,
    intent: Intent = Intent.PRESENTATION,
    voi: Window | None = None,
) -> GreyScale:
    """The grey scale of an image's `2**bits` cells.

    `counts` gives how many pixels have each cell value; it is asked only when
    the header has no VOI or contradicts itself. `voi` is used in place of the header's. Of For
    Processing images the header's VOI and photometric interpretation mean nothing: their range
    and sign are used.

    Raises
    ------
    NotProcessable
        PIXELS_UNSUPPORTED when the header has a modality LUT, rescale, VOI LUT or window that
        cannot be understood: the full range in its place would be another picture.
    """
    cells = np.arange(2**bits, dtype=np.int64)
    stored = np.where(cells >= 2 ** (bits - 1), cells - 2**bits, cells) if signed else cells
    padding = _padding(header, stored, bits, signed=signed)
    values = _modality(header, stored, signed=signed)
    if intent is Intent.PROCESSING:
        if text(header, "PixelIntensityRelationship") == "LIN":
            values = np.log(np.maximum(values, 1.0))
        shown = _window(values, voi) if voi else _full_range(values, counts, ~padding)
        inverse = number(header, "PixelIntensityRelationshipSign") == 1
    else:
        shown = _voi(header, values, counts, ~padding, voi)
        inverse = _is_inverse(header, shown, counts, ~padding)
    if not np.isfinite(shown).all():  # a slope or width that no double holds
        raise NotProcessable(SkipReason.PIXELS_UNSUPPORTED, "the window is unusable")
    if inverse:
        shown = 1.0 - shown
    shown[padding] = 0.0
    return GreyScale(values, cast(FloatImage, shown.astype(np.float32)), padding, inverse)


def _is_inverse(header: Dataset, shown: Values, counts: Counts, real: NDArray[np.bool_]) -> bool:
    """Whether low values are bright; MONOCHROME1 and INVERSE state the same thing once.

    PS3.3 C.8.11.3 has INVERSE with MONOCHROME1 and IDENTITY with MONOCHROME2. Where they
    contradict each other, which viewers resolve either way, the air around the breast decides:
    it is meant to be black.
    """
    monochrome1 = text(header, "PhotometricInterpretation") == "MONOCHROME1"
    shape = text(header, "PresentationLUTShape")
    if shape not in ("INVERSE", "IDENTITY") or (shape == "INVERSE") == monochrome1:
        return monochrome1
    if not text(header, "PhotometricInterpretation"):
        return shape == "INVERSE"
    for of_background in (real, np.ones_like(real)):  # all air may be padding
        weight = np.where(of_background, counts(), 0)
        total = max(int(weight.sum()), 1)
        dark = float(weight[shown < 0.1].sum()) / total
        bright = float(weight[shown > 0.9].sum()) / total
        most, least = max(dark, bright), min(dark, bright)
        if most >= _LEAST_BACKGROUND and most >= _BACKGROUND_RATIO * least:
            return bright > dark
    raise _unusable("PresentationLUTShape")


def _unusable(keyword: str) -> NotProcessable:
    """The reason why an image is not shown: an attribute that there is and that means nothing."""
    return NotProcessable(SkipReason.PIXELS_UNSUPPORTED, f"{keyword} is unusable")


def _padding(
    header: Dataset, stored: NDArray[np.int64], bits: int, *, signed: bool
) -> NDArray[np.bool_]:
    """Which stored values are background by Pixel Padding Value and Range Limit.

    PS3.3 C.7.5.1.1.2. A value that no pixel can have matches none; a limit that no pixel can have
    is disregarded, and so is one that would take more than half of all values.
    """
    value = _as_stored(number(header, "PixelPaddingValue"), bits, signed=signed)
    if value is None:
        return np.zeros(stored.shape, np.bool_)
    limit = _as_stored(number(header, "PixelPaddingRangeLimit"), bits, signed=signed)
    if limit is None or abs(limit - value) >= 2 ** (bits - 1):
        limit = value
    return (stored >= min(value, limit)) & (stored <= max(value, limit))


def _as_stored(value: float | None, bits: int, *, signed: bool) -> int | None:
    """The stored value that an attribute of VR US or SS means; None when no pixel can have it.

    Its sign is often written wrongly: either reading of the 16-bit word may be meant, and of
    signed values the two's complement in `bits`.
    """
    if value is None or not -32768 <= value <= 65535 or value != int(value):
        return None
    word, half = int(value) % 65536, 2 ** (bits - 1)
    if not signed:
        return word if word < 2 * half else None
    if word >= 32768:
        word -= 65536
    if not -half <= word < 2 * half:
        return None
    return word - 2 * half if word >= half else word


def _modality(header: Dataset, stored: NDArray[np.int64], *, signed: bool) -> Values:
    """Stored values through the modality LUT sequence or rescale (PS3.3 C.11.1).

    A slope of 0 is a placeholder for 1 where there is no intercept (both are fixed for
    mammograms, C.8.11.3).
    """
    for item in items(header, "ModalityLUTSequence")[:1]:
        table = _lut(item, _byte_order(header), stored)
        if table is None:
            raise _unusable("ModalityLUTSequence")
        first, entries, _ = table
        return entries[np.clip(stored - first, 0, len(entries) - 1)]
    slope, intercept = _rescale(header, "RescaleSlope"), _rescale(header, "RescaleIntercept")
    if slope == 0 and intercept:
        raise _unusable("RescaleSlope")
    return cast(Values, stored * (slope or 1.0) + (intercept or 0.0))


def _rescale(header: Dataset, keyword: str) -> float | None:
    value = _each(header, keyword)
    if value and value[0] is None:
        raise _unusable(keyword)
    return value[0] if value else None


def _each(header: Dataset, keyword: str) -> tuple[float | None, ...]:
    """Every value of an attribute, None for one that is no number; () when there are none.

    Values that could not be decoded at all count as one that is no number.
    """
    value = header.get(keyword)
    if value is None or value == "":
        return (None,) if keyword in getattr(header, "undecoded", ()) else ()
    many = [value] if isinstance(value, str | int | float | bytes) else list(value)
    return tuple(_number(item) for item in many)


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # what is none raises
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _voi(
    header: Dataset,
    values: Values,
    counts: Counts,
    real: NDArray[np.bool_],
    voi: Window | None,
) -> Values:
    """Brightness in [0, 1] before polarity: given window, LUT, header's window, or full range.

    Of a LUT and a window in one header the LUT is taken, of several the first (C.11.2.1.1), and
    of two of which one is unusable the other.
    """
    if voi is not None:
        return _window(values, voi)
    sequence = items(header, "VOILUTSequence")[:1]
    for item in sequence:
        table = _lut(item, _byte_order(header), values)
        if table is not None:
            first, entries, top = table
            index = np.clip(np.round(values) - first, 0, len(entries) - 1).astype(np.int64)
            return np.clip(entries[index] / top, 0.0, 1.0)
    window = header_window(header)
    if window is not None:
        return _window(values, window)
    if sequence:
        raise _unusable("VOILUTSequence")
    centers, widths = _each(header, "WindowCenter"), _each(header, "WindowWidth")
    if centers or widths:
        raise _unusable("WindowCenter" if not centers or None in centers else "WindowWidth")
    return _full_range(values, counts, real)


def header_window(header: Dataset) -> Window | None:
    """The first usable window of a header; None when there is none."""
    return next(iter(header_windows(header)), None)


def header_windows(header: Dataset) -> list[Window]:
    """The usable windows of a header, in its order."""
    function = text(header, "VOILUTFunction") or "LINEAR"
    least = 1.0 if function == "LINEAR" else 0.0
    centers, widths = _each(header, "WindowCenter"), _each(header, "WindowWidth")
    found = []
    for center, width in zip(centers, widths, strict=False):
        if center is None or width is None:
            continue
        if width > least or width == least == 1.0:
            found.append(Window(center, width, function))
    return found


def _window(values: Values, window: Window) -> Values:
    """PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT)."""
    center, width = window.center, window.width
    if window.function == "SIGMOID":
        exponent = np.clip(-4.0 * (values - center) / width, -700.0, 700.0)
        return 1.0 / (1.0 + np.exp(exponent))
    if window.function == "LINEAR_EXACT":
        return cast(Values, np.clip((values - center) / width + 0.5, 0.0, 1.0))
    if width <= 1.0:
        return cast(Values, (values > center - 0.5).astype(np.float64))
    return cast(Values, np.clip((values - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0))


def _full_range(values: Values, counts: Counts, real: NDArray[np.bool_]) -> Values:
    """The robust range of the pixels outside padding stretched to [0, 1]; a flat image is 0."""
    order = np.argsort(values, kind="stable")
    weight = np.cumsum(np.where(real, counts(), 0)[order])
    total = weight[-1]
    if total == 0:
        return np.zeros_like(values)
    low, high = (
        values[order[np.searchsorted(weight, max(share * total, 1))]] for share in ROBUST_RANGE
    )
    if high <= low:
        return np.zeros_like(values)
    return cast(Values, np.clip((values - low) / (high - low), 0.0, 1.0))


def _byte_order(header: Dataset) -> str:
    """The order of the bytes in OW values, as numpy writes it."""
    big = header.file_meta.get("TransferSyntaxUID") == ExplicitVRBigEndian
    return ">" if big else "<"


def _lut(
    item: Dataset, order: str, inputs: NDArray[np.int64] | Values
) -> tuple[int, Values, float] | None:
    """First mapped value, entries and greatest possible entry of a LUT item; None if unusable.

    LUT Descriptor and LUT Data: PS3.3 C.11.1.1 and C.11.2.1.1. The number of bits that the
    descriptor states is not believed where the entries need fewer or more: many writers state 16
    for entries that end at 4095. The least of 8, 10, 12, 14 and 16 bits that holds the greatest
    entry counts, and the stated number where it lies between.
    """
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    length = int(descriptor[0]) % 65536 or 65536
    entries = _entries(item.get("LUTData"), length, order)
    if entries is None:
        return None
    greatest = int(entries.max())
    # 2**bits itself is the greatest value of a writer that is one off.
    needed = (greatest - (greatest in _LUT_ENDS)).bit_length()
    stated = int(descriptor[2]) % 65536
    bits = next(bits for bits in _LUT_BITS if bits >= needed)
    if needed <= stated < bits or (stated <= 16 and not needed):
        bits = max(stated, 1)
    return _first(descriptor[1], length, inputs), entries, float(2**bits - 1)


def _first(stated: float, length: int, inputs: NDArray[np.int64] | Values) -> int:
    """The first mapped value, as signed or unsigned as what is looked up.

    VR and sign are often wrong (63488 for -2048). The other reading counts where this one would
    put the whole table outside of the inputs and the other would not.
    """
    low, high = float(inputs.min()), float(inputs.max())
    unsigned = int(stated) % 65536
    signed = unsigned - 65536 if unsigned > 32767 else unsigned
    readings = (signed, unsigned) if low < 0 else (unsigned, signed)
    reaching = [first for first in readings if first <= high and first + length > low]
    return (*reaching, *readings)[0]


def _entries(data: object, length: int, order: str) -> Values | None:
    """`(length,)` entries of LUT Data in words, or in bytes packed into words; None if too few.

    They come as US, SS or words of OW, in which 8-bit entries may be packed two by two, the first
    in the lower byte (PS3.5 section 8.1.1 for pixels).
    """
    if isinstance(data, bytes):
        words = np.frombuffer(data[: len(data) // 2 * 2], f"{order}u2")
        rest = np.frombuffer(data[len(words) * 2 :], "u1")
    else:
        given = np.atleast_1d(np.asarray([] if data is None else data))
        if given.dtype.kind not in "iu":
            return None
        words, rest = given.astype(np.int64) % 65536, np.zeros(0, np.uint8)
    if len(words) < length:
        packed = np.ascontiguousarray(words, "<u2").view(np.uint8)
        words = np.concatenate([packed, rest])
    return words[:length].astype(np.float64) if len(words) >= length else None
