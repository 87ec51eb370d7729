"""Marked regions in segmentations: each connected area of each segment on one image.

PS3.3 A.51 and C.8.20: one frame a segment and image, binary or fractional.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian

from cadnode.codecs.decoder import decode_frame
from cadnode.codecs.frame import Frame
from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.attributes import items, number, text
from cadnode.exam.dicom_file import is_encapsulated, read_pixel_data, tolerant
from cadnode.exam.markings.marking import Marking, Outline
from cadnode.limits import MARKED_FRAMES, REGIONS

SOP_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.66.4"})
MOST_REGIONS = REGIONS  # of one frame; what has more is no set of regions that a person marked
_MOST_POINTS = 200
Matrix = tuple[int, int]
Cells = NDArray[np.integer[Any]]


def is_by_device(header: Dataset) -> bool:
    """Whether every segment was made by an algorithm alone (Segment Algorithm Type)."""
    return not _segments(header)


def markings(path: Path, header: Dataset, matrices: Mapping[str, Matrix]) -> Iterator[Marking]:
    """What is marked in a segmentation, area by area.

    Frames of images that `matrices` (rows and columns by SOP Instance UID) does not name, and
    of another size than their image, are not decoded.
    """
    segments = _segments(header)
    matrix = (int(number(header, "Rows") or 0), int(number(header, "Columns") or 0))
    wanted: dict[int, str] = {}
    for index, (segment, image) in enumerate(_frames(header)):
        if segment not in segments:
            continue
        if image not in matrices:
            yield Marking(image)
        elif matrices[image] != matrix:
            yield Marking(image, problem="it has another size than its image")
        else:
            wanted[index] = image
            if len(wanted) > MARKED_FRAMES:
                yield Marking(image, problem=f"it has more than {MARKED_FRAMES} frames")
                return
    try:
        yield from _areas(path, header, wanted)
    except NotProcessable:
        yield from (Marking(image, problem="it cannot be decoded") for image in wanted.values())


def outlines_of(mask: NDArray[np.bool_]) -> Iterator[Outline]:
    """The outer outline of each 8-connected area, along pixel edges, largest area first.

    `mask` is `(H, W) bool`.
    """
    import cv2  # not in the listener, which reads headers only

    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), None, None, 8)
    sizes = stats[1:count, cv2.CC_STAT_AREA]
    for label in 1 + np.argsort(-sizes, kind="stable"):
        left, top, width, height = stats[label, :4]
        area = labels[top : top + height, left : left + width] == label
        # Each pixel as four: a contour's odd positions then are right or lower edges.
        doubled = np.kron(area.astype(np.uint8), np.ones((2, 2), np.uint8))
        contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        contour = max(contours, key=cv2.contourArea)
        if len(contour) > _MOST_POINTS:
            contour = cv2.approxPolyDP(contour, 1.0, closed=True)
        edges = (contour[:, 0] + 1) // 2 + (left, top)
        yield tuple((float(row), float(column)) for column, row in edges)


def _segments(header: Dataset) -> set[float]:
    """Numbers of the segments that a person took part in."""
    return {
        segment_number
        for segment in items(header, "SegmentSequence")
        if text(segment, "SegmentAlgorithmType") != "AUTOMATIC"
        and (segment_number := number(segment, "SegmentNumber")) is not None
    }


def _frames(header: Dataset) -> Iterator[tuple[float | None, str]]:
    """Segment number and image of each frame; "" where no single image is named."""
    (shared,) = items(header, "SharedFunctionalGroupsSequence")[:1] or (Dataset(),)
    listed = {
        text(instance, "ReferencedSOPInstanceUID")
        for series in items(header, "ReferencedSeriesSequence")
        for instance in items(series, "ReferencedInstanceSequence")
    }
    only = listed.pop() if len(listed) == 1 else ""
    for group in items(header, "PerFrameFunctionalGroupsSequence"):
        segment = None
        for holder in (shared, group):
            for item in items(holder, "SegmentIdentificationSequence"):
                segment = number(item, "ReferencedSegmentNumber")
        yield segment, _source(group) or _source(shared) or only


def _source(group: Dataset) -> str:
    sources = {
        text(source, "ReferencedSOPInstanceUID")
        for derivation in items(group, "DerivationImageSequence")
        for source in items(derivation, "SourceImageSequence")
    }
    return sources.pop() if len(sources) == 1 else ""


def _areas(path: Path, header: Dataset, wanted: Mapping[int, str]) -> Iterator[Marking]:
    """The areas of the wanted frames."""
    if not wanted:
        return
    highest = number(header, "MaximumFractionalValue") or 255
    fractional = text(header, "SegmentationType") == "FRACTIONAL"
    threshold = highest / 2 if fractional else 1
    for index, frame in _wanted_frames(path, header, wanted):
        image = wanted[index]
        for count, outline in enumerate(outlines_of(frame >= threshold)):
            if count == MOST_REGIONS:
                yield Marking(image, problem=f"it has more than {MOST_REGIONS} areas")
                break
            yield Marking(image, outline)


def _wanted_frames(
    path: Path, header: Dataset, wanted: Collection[int]
) -> Iterator[tuple[int, Cells]]:
    """The wanted frames by their numbers, `(H, W)` of stored values.

    Raises
    ------
    NotProcessable
        PIXELS_CORRUPT when one cannot be decoded, PIXELS_UNSUPPORTED.
    """
    value, syntax = read_pixel_data(path), header.file_meta.TransferSyntaxUID
    if not is_encapsulated(syntax):
        pixels = header.group_dataset(0x0028)
        pixels.file_meta = FileMetaDataset()
        pixels.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        pixels.PixelData = value
        yield from ((index, _native_frame(pixels, index)) for index in wanted)
        return
    for index, stream in enumerate(_streams(value, int(number(header, "NumberOfFrames") or 1))):
        if index in wanted:
            yield index, decode_frame(stream, _facts(header, str(syntax), len(stream)))


def _streams(value: bytes, n_frames: int) -> Iterator[bytes]:
    try:
        yield from generate_frames(value, number_of_frames=n_frames)
    except GeneratorExit:
        raise
    except Exception:  # pydicom's parser raises several types on damaged items
        raise NotProcessable(SkipReason.PIXELS_CORRUPT) from None


def _facts(header: Dataset, syntax: str, n_bytes: int) -> Frame:
    return Frame(
        transfer_syntax_uid=syntax,
        rows=int(number(header, "Rows") or 0),
        columns=int(number(header, "Columns") or 0),
        bits_allocated=int(number(header, "BitsAllocated") or 8),
        bits_stored=int(number(header, "BitsStored") or 8),
        signed=number(header, "PixelRepresentation") == 1,
        n_bytes=n_bytes,
    )


def _native_frame(pixels: Dataset, index: int) -> Cells:
    """One frame of uncompressed pixel data."""
    try:
        with tolerant():
            frame = pixel_array(pixels, index=index, raw=True)
    except Exception:  # pydicom raises nearly anything on damaged input
        raise NotProcessable(SkipReason.PIXELS_CORRUPT) from None
    if frame.ndim != 2:
        raise NotProcessable(SkipReason.PIXELS_CORRUPT)
    return frame
