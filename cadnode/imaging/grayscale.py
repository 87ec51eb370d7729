"""From stored values to shown brightness: modality LUT, VOI, polarity (PS3.3 C.11.1, C.11.2).

All of it is a function of one stored value, so it is computed once for each of the at most
65,536 values that occur, never for each pixel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian

from cadnode.domain import FloatImage, Intent
from cadnode.exam.attributes import items, number, numbers, text

Values = NDArray[np.float64]
Counts = Callable[[], NDArray[np.int64]]
# Of the pixels outside padding, so that a scratch or a marker does not set the scale.
ROBUST_RANGE = (0.0005, 0.9995)


@dataclass(frozen=True, slots=True)
class Window:
    """A VOI window in modality units; `function` is a VOI LUT Function (PS3.3 C.11.2.1.3)."""

    center: float
    width: float
    function: str = "LINEAR"


def brightness_table(
    header: Dataset,
    *,
    bits: int,
    signed: bool,
    counts: Counts,
    intent: Intent = Intent.PRESENTATION,
    voi: Window | None = None,
) -> FloatImage:
    """`(2**bits,) float32 in [0, 1]`: the brightness of each stored cell, dense tissue bright.

    Padding is 0. `counts` gives how many pixels have each cell value; it is asked only when
    the header has no VOI. `voi` is used in place of the header's. Of For Processing images the
    header's VOI and photometric interpretation mean nothing: their range and sign are used.
    """
    cells = np.arange(2**bits, dtype=np.int64)
    stored = np.where(cells >= 2 ** (bits - 1), cells - 2**bits, cells) if signed else cells
    padding = _padding(header, cells, bits)
    values = _modality(header, stored, signed=signed)
    if intent is Intent.PROCESSING:
        if text(header, "PixelIntensityRelationship") == "LIN":
            values = np.log(np.maximum(values, 1.0))
        shown = _window(values, voi) if voi else _full_range(values, counts, ~padding)
        inverse = number(header, "PixelIntensityRelationshipSign") == 1
    else:
        shown = _voi(header, values, counts, ~padding, voi)
        inverse = _is_inverse(header)
    if inverse:
        shown = 1.0 - shown
    shown[padding] = 0.0
    return cast(FloatImage, shown.astype(np.float32))


def _is_inverse(header: Dataset) -> bool:
    """Whether low values are bright; MONOCHROME1 and INVERSE say the same thing once."""
    return (
        text(header, "PhotometricInterpretation") == "MONOCHROME1"
        or text(header, "PresentationLUTShape") == "INVERSE"
    )


def _padding(header: Dataset, cells: NDArray[np.int64], bits: int) -> NDArray[np.bool_]:
    """Which cells are background by Pixel Padding Value and Range Limit (PS3.3 C.7.5.1.1.2).

    Both are compared modulo 2**bits: their sign is often written wrongly. A range that would
    take more than half of all cells is disbelieved.
    """
    value = number(header, "PixelPaddingValue")
    if value is None:
        return np.zeros(cells.shape, np.bool_)
    limit = number(header, "PixelPaddingRangeLimit")
    first, last = int(value), int(value if limit is None else limit)
    first, last = min(first, last), max(first, last)
    if last - first >= 2 ** (bits - 1):
        first = last = int(value)
    return np.asarray((cells - first) % 2**bits <= last - first, dtype=np.bool_)


def _modality(header: Dataset, stored: NDArray[np.int64], *, signed: bool) -> Values:
    """Stored values through the modality LUT sequence or rescale (PS3.3 C.11.1)."""
    for item in items(header, "ModalityLUTSequence")[:1]:
        table = _lut(item, _byte_order(header), signed=signed)
        if table is not None:
            first, entries, _ = table
            return entries[np.clip(stored - first, 0, len(entries) - 1)]
    slope, intercept = number(header, "RescaleSlope"), number(header, "RescaleIntercept")
    return cast(Values, stored * (slope or 1.0) + (intercept or 0.0))


def _voi(
    header: Dataset,
    values: Values,
    counts: Counts,
    real: NDArray[np.bool_],
    voi: Window | None,
) -> Values:
    """Brightness in [0, 1] before polarity: given window, LUT, header's window, or full range.

    Of a LUT and a window in one header the LUT is taken, of several the first (C.11.2.1.1).
    """
    if voi is not None:
        return _window(values, voi)
    for item in items(header, "VOILUTSequence")[:1]:
        table = _lut(item, _byte_order(header), signed=bool(values.min() < 0))
        if table is not None:
            first, entries, top = table
            index = np.clip(np.round(values) - first, 0, len(entries) - 1).astype(np.int64)
            return np.clip(entries[index] / top, 0.0, 1.0)
    window = header_window(header)
    return _full_range(values, counts, real) if window is None else _window(values, window)


def header_window(header: Dataset) -> Window | None:
    """The first usable window of a header; None when there is none."""
    function = text(header, "VOILUTFunction") or "LINEAR"
    least = 1.0 if function == "LINEAR" else 0.0
    centers, widths = numbers(header, "WindowCenter"), numbers(header, "WindowWidth")
    for center, width in zip(centers, widths, strict=False):
        if width > least or width == least == 1.0:
            return Window(center, width, function)
    return None


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


def _lut(item: Dataset, order: str, *, signed: bool) -> tuple[int, Values, float] | None:
    """First mapped value, entries and greatest possible entry of a LUT item; None if unusable.

    LUT Descriptor and LUT Data: PS3.3 C.11.1.1. Data come as numbers or as OW bytes.
    """
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    length = int(descriptor[0]) or 65536
    first = int(descriptor[1])
    if signed and first > 32767:
        first -= 65536
    bits = int(descriptor[2])
    data = item.get("LUTData")
    if isinstance(data, bytes):
        entries = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * length else "u1")
    else:
        entries = np.atleast_1d(np.asarray([] if data is None else data))
    if not 1 <= bits <= 16 or len(entries) < length or entries.dtype.kind not in "iuf":
        return None
    return first, entries[:length].astype(np.float64), float(2**bits - 1)
