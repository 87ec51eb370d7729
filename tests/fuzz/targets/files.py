"""DICOM files: what they are (`receive.identity`), what they show (`exam`), their pixels."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random

from pydicom import Dataset, uid
from pydicom.encaps import generate_frames

from cadnode.codecs import decoder
from cadnode.codecs.frame import Frame
from cadnode.errors import NotProcessable
from cadnode.exam.content import stated_input
from cadnode.exam.exam import Exam
from cadnode.exam.read import read_study
from cadnode.imaging.pixels import load
from cadnode.receive.identity import read_file_identity, read_identity
from tests.encoding import NATIVE, encode
from tests.fuzz.mutate import dicom, raw
from tests.fuzz.target import Target
from tests.rejection import note
from tests.synthetic import view_dataset
from tests.unit import region_cases

ROWS, COLUMNS = 16, 8


def file_bytes(ds: Dataset) -> bytes:
    """A data set as a Part 10 file."""
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def view(side: str = "L", name: str = "CC", **how: object) -> Dataset:
    """A tiny view, without what only makes it longer."""
    ds = view_dataset(side, name, rows=ROWS, columns=COLUMNS, **how)  # type: ignore[arg-type]
    for keyword in (
        "DeviceSerialNumber", "SoftwareVersions", "FieldOfViewShape", "DetectorType", "SeriesDate",
        "DetectorConfiguration", "SeriesTime", "PixelIntensityRelationship", "OrganExposed",
        "PixelIntensityRelationshipSign", "AcquisitionContextSequence", "RescaleType", "StudyTime",
        "ReferringPhysicianName", "ContentDate", "ContentTime", "BurnedInAnnotation", "StudyID",
    ):  # fmt: skip
        delattr(ds, keyword)
    return ds


class DicomFiles(Target):
    """Mutations of the tree three times out of four, else of the bytes."""

    allowed = (NotProcessable,)

    def open(self, folder: Path) -> None:
        super().open(folder)
        self._file = folder / "input.dcm"

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        if rng.random() < 0.75:
            return dicom.mutated(data, rng, other)
        return raw.mutated(data, rng, other)

    def written(self, data: bytes) -> Path:
        """The input as a file."""
        self._file.write_bytes(data)
        return self._file


class Identity(DicomFiles):
    """What the listener and the fetch ask of a data set: its UIDs."""

    name = "identity"

    def seeds(self) -> list[bytes]:
        return [file_bytes(encode(view(), syntax)) for syntax in NATIVE]

    def run(self, data: bytes) -> Iterator[str]:
        path = self.written(data)
        label, start = _label_and_start(data)
        with path.open("rb") as file:
            file.seek(start)
            try:
                yield _said(read_identity(file, label))
            except NotProcessable as error:
                yield str(error)
        yield _said(read_file_identity(path))


class Headers(DicomFiles):
    """One file as a mammogram or the reason why it is none, as an exam, and its pixels."""

    name = "headers"
    weight = 3.0

    def open(self, folder: Path) -> None:
        super().open(folder)
        start_decoder()

    def seeds(self) -> list[bytes]:
        views = [encode(view(), syntax) for syntax in NATIVE]
        views += [view("R", "MLO", photometric="MONOCHROME1", bits_stored=8)]
        views += [view("R", "CC", intent="FOR PROCESSING", signed=True)]
        luts = view("L", "MLO", WindowCenter=["1000", "2000"], WindowWidth=["500", "9"])
        luts.VOILUTFunction, luts.PixelPaddingValue = "SIGMOID", 0
        return [file_bytes(ds) for ds in (*views, luts)]

    def run(self, data: bytes) -> Iterator[str]:
        with with_decoder():
            for exam in read_study([self.written(data)], read_for_processing=True):
                yield from _texts_of_exam(exam)
                for header in exam.headers.values():
                    stated_input(header)
                for mammogram in exam.mammograms:
                    load(mammogram)


def start_decoder() -> None:
    """Have a decoding process, with its descriptors, so that those of inputs can be counted.

    A stream that hangs is given up after a few seconds: with more the input would count as a hang.
    """
    decoder._shared._wall_times_cpu = 0.3
    stream = encode(view(), uid.JPEGLSLossless)
    (frame,) = generate_frames(stream.PixelData, number_of_frames=1)
    with suppress(NotProcessable):
        facts = Frame(uid.JPEGLSLossless, ROWS, COLUMNS, 16, 12, False, len(frame))
        decoder.decode_frame(frame, facts)


@contextmanager
def with_decoder() -> Iterator[None]:
    """A block after which there is a decoding process, whatever became of the one before."""
    try:
        yield
    finally:
        if not decoder._shared._all:
            start_decoder()


class Marked(DicomFiles):
    """An object that lies beside a mammogram of its study: who marked what, who rejects what."""

    weight = 1.0

    def open(self, folder: Path) -> None:
        super().open(folder)
        (folder / "view.dcm").write_bytes(_view_of_regions())
        start_decoder()

    def run(self, data: bytes) -> Iterator[str]:
        path = self.written(data)
        with with_decoder():
            for exam in read_study([path, self.folder / "view.dcm"]):
                yield from _texts_of_exam(exam)


class Reports(Marked):
    """Structured reports with regions (`exam.markings.sr`)."""

    name = "sr"

    def seeds(self) -> list[bytes]:
        return [file_bytes(ds) for ds in _reports()]


class PresentationStates(Marked):
    """Presentation states with graphics (`exam.markings.gsps`)."""

    name = "gsps"

    def seeds(self) -> list[bytes]:
        return [file_bytes(ds) for ds in _states()]


class Segmentations(Marked):
    """Segmentations (`exam.markings.seg`)."""

    name = "seg"

    def seeds(self) -> list[bytes]:
        return [file_bytes(ds) for ds in _segmentations()]


class KeyObjects(Marked):
    """Key objects that reject images (`exam.rejection`)."""

    name = "kos"

    def seeds(self) -> list[bytes]:
        image = region_cases.mammogram()
        return [file_bytes(note([image], where=where)) for where in ("both", "evidence")]


@cache
def _view_of_regions() -> bytes:
    return file_bytes(region_cases.mammogram())


@cache
def _reports() -> list[Dataset]:
    square = [(10.0, 20.0), (30.0, 20.0), (30.0, 50.0), (10.0, 50.0), (10.0, 20.0)]
    shapes = [
        ("POLYLINE", square), ("CIRCLE", square[:2]), ("POINT", square[:1]),
        ("POLYLINE", square[:2]), ("ELLIPSE", [(10, 40), (50, 40), (30, 30), (30, 50)]),
    ]  # fmt: skip
    image = region_cases.mammogram()
    plain = region_cases.report_of(
        region_cases.image_item(image),
        region_cases.scoord("POLYLINE", [10, 20, 30, 20, 30, 50], region_cases.by_reference(1, 1)),
        region_cases.scoord("CIRCLE", [40, 40, 43, 44], region_cases.image_item(image)),
    )
    return [region_cases.tid1500(shapes[:2]), region_cases.tid1500(shapes[2:]), plain]


@cache
def _states() -> list[Dataset]:
    square = [(10.0, 20.0), (30.0, 20.0), (30.0, 50.0), (10.0, 50.0), (10.0, 20.0)]
    drawn = region_cases.presentation_state(
        [("POLYLINE", square), ("CIRCLE", square[:2]), ("INTERPOLATED", square)]
    )
    shown = region_cases.presentation_state([("POLYLINE", [(0.1, 0.2), (0.5, 0.6)])], "DISPLAY")
    shown.DisplayedAreaSelectionSequence = [region_cases.displayed_area((1, 1), (80, 96))]
    grouped = region_cases.presentation_state([("POLYLINE", square)])
    (annotation,) = grouped.GraphicAnnotationSequence
    annotation.CompoundGraphicSequence = [
        region_cases.compound(
            "ELLIPSE", [10, 20, 30, 50], RotationAngle=30.0, RotationPoint=[20.0, 30.0]
        ),
        region_cases.compound("RECTANGLE", [10, 20, 30, 50], 2),
    ]
    return [drawn, shown, grouped]


@cache
def _segmentations() -> list[Dataset]:
    import numpy as np

    mask = np.zeros((region_cases.ROWS, region_cases.COLUMNS), np.uint8)
    mask[10:20, 30:45] = mask[50:51, 60:61] = 1
    return [
        region_cases.segmentation(mask),
        region_cases.segmentation(mask * 0.9, kind="FRACTIONAL"),
        region_cases.segmentation(
            mask * 0.9, kind="FRACTIONAL", transfer_syntax_uid=dicom.RLE.decode()
        ),
    ]


def _label_and_start(data: bytes) -> tuple[str, int]:
    """What the listener would have of the file: its label, and where the data set begins."""
    file = dicom.parsed(data)
    values = [e.value for e in file.meta if e.tag == 0x00020010]
    label = values[0] if values and isinstance(values[0], bytes) else b""
    start = len(file.preamble) + len(dicom.encoded(file.meta))
    return label.decode("latin-1").strip(" \0"), min(start, len(data))


def _said(identity: object) -> str:
    """Nothing that leaves the program: identities are hashed wherever they go."""
    assert identity is not None
    return ""


def _texts_of_exam(exam: Exam) -> Iterator[str]:
    for skipped in exam.skipped:
        yield skipped.detail
