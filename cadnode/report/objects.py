"""All DICOM objects of one report: made together, written together."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.valuerep import VR

from cadnode.beside import beside
from cadnode.domain import ExamResult, FloatImage, HeatMap, Outcome, ViewScore
from cadnode.errors import NotProcessable, ReportError
from cadnode.exam.dicom_file import tolerant
from cadnode.exam.exam import Exam
from cadnode.files import write_whole, written_whole
from cadnode.log import get_logger
from cadnode.report import encapsulated_pdf
from cadnode.report.cad_sr import tid4000_document as cad_sr
from cadnode.report.edition import (
    DISCLAIMER,
    LONGEST_SIDE,
    OFFLINE_OBSERVER_UID,
    SMALL_SIDE,
    Edition,
)
from cadnode.report.images import heat_map as heatmap
from cadnode.report.images import presentation_state, segmentation
from cadnode.report.profiles import REPORTS, STANDARD, ObjectKind, is_ours
from cadnode.report.sr import ai_results, key_objects, measurement_report, region_report

Images = Callable[[str], FloatImage]

log = get_logger("report")

_SERIES: Final[dict[int, ObjectKind]] = {
    measurement_report.SERIES_NUMBER: ObjectKind.MEASUREMENT_SR,
    cad_sr.SERIES_NUMBER: ObjectKind.CAD_SR,
    region_report.SERIES_NUMBER: ObjectKind.REGION_SR,
    ai_results.SERIES_NUMBER: ObjectKind.AI_RESULTS_SR,
    heatmap.SERIES_NUMBER: ObjectKind.HEAT_MAP,
    heatmap.SMALL_SERIES_NUMBER: ObjectKind.SMALL_HEAT_MAP,
    segmentation.SERIES_NUMBER: ObjectKind.SEGMENTATION,
    presentation_state.SERIES_NUMBER: ObjectKind.OUTLINES,
    key_objects.SERIES_NUMBER: ObjectKind.KEY_OBJECTS,
    encapsulated_pdf.SERIES_NUMBER: ObjectKind.PDF,
}
# These repeat a report in another form.
_ACCOMPANY: Final = frozenset(
    {ObjectKind.SEGMENTATION, ObjectKind.OUTLINES, ObjectKind.KEY_OBJECTS, ObjectKind.PDF}
)


@dataclass(frozen=True, eq=False, slots=True)
class _Pictures:
    """The heat maps of one size, in hanging order, while they are drawn in other threads."""

    size: heatmap.Size
    drawn: Sequence[tuple[ViewScore, Future[heatmap.Picture]]]


@dataclass(frozen=True, eq=False, slots=True)
class _Given:
    """What all objects of one report are made from."""

    edition: Edition
    predecessors: Mapping[ObjectKind, Sequence[Dataset]]
    pdf: Callable[[], bytes] | None
    pictures: Mapping[ObjectKind, _Pictures]


def make_objects(
    exam: Exam,
    result: ExamResult,
    images: Images,
    made_at: datetime,
    *,
    disclaimer: str = DISCLAIMER,
    predecessors: Mapping[ObjectKind, Sequence[Dataset]] = MappingProxyType({}),
    longest_side: int | None = LONGEST_SIDE,
    small_side: int = SMALL_SIDE,
    kinds: Collection[ObjectKind] = STANDARD,
    pdf: Callable[[], bytes] | None = None,
    observer_uid: str = OFFLINE_OBSERVER_UID,
    times_removed: int = 0,
) -> list[Dataset]:
    """Objects of the wanted kinds; by default the SR and a heat map per scored view.

    Heat maps come in hanging order (RCC, LCC, RMLO, LMLO). `images(sop_instance_uid)` gives a
    source image, `(H, W) float32 in [0, 1]`; it is asked once per heat map. `longest_side` and
    `small_side` are pixels of the heat maps' longer sides. The same arguments
    give the same objects, byte for byte. An exam that could not be read has reports only; one in
    which nothing was DICOM has no object at all. `predecessors` are an earlier reading's
    structured reports. `observer_uid` names the installation. `times_removed`: see `Edition`.
    `pdf()` gives the report on paper; it is asked where a PDF is among the kinds, which without it
    is left out.

    Raises
    ------
    ReportError
        The result does not fit the exam, or its headers do not make a valid report.
    """
    if exam.reference is None:
        return []
    edition = Edition(exam, result, made_at, disclaimer, longest_side, observer_uid, times_removed)
    wanted = [
        kind
        for kind in ObjectKind
        if kind in kinds and (kind in REPORTS or result.outcome is not Outcome.NOT_READ)
    ]
    sizes = {
        ObjectKind.HEAT_MAP: heatmap.full(edition),
        ObjectKind.SMALL_HEAT_MAP: heatmap.small(small_side),
    }
    with tolerant(), beside("heat-map") as pool:
        pictures = {k: _drawn(edition, images, sizes[k], pool) for k in wanted if k in sizes}
        given = _Given(edition, predecessors, pdf, pictures)
        # Values copied from sources may break rules (UIDs with leading zeros …); pydicom would
        # print them in warnings.
        made: dict[ObjectKind, Sequence[Dataset]] = {}
        for kind in sorted(wanted, key=_turn):
            made[kind] = _whole(kind, given, made)
    if wanted == [ObjectKind.PDF] and not made[ObjectKind.PDF]:
        raise ReportError("the only object that is wanted, the PDF, could not be made")
    return [ds for kind in wanted for ds in made[kind]]


def _turn(kind: ObjectKind) -> int:
    """When a kind is made: pictures first, what refers to other objects last.

    While pictures are drawn nothing else is made: the Python of reports would hold up the threads
    that draw them more than it would gain (benchmarks/LOG.md).
    """
    if kind in (ObjectKind.HEAT_MAP, ObjectKind.SMALL_HEAT_MAP):
        return 0
    return 2 if kind is ObjectKind.AI_RESULTS_SR else 1


def _whole(
    kind: ObjectKind, given: _Given, made: Mapping[ObjectKind, Sequence[Dataset]]
) -> Sequence[Dataset]:
    """Objects of one kind; what only accompanies a report is done without when it cannot be made.

    A source's header that highdicom refuses costs its outlines, not the patient's report.
    """
    try:
        with as_report_error():
            return _made(kind, given, made)
    except ReportError as error:
        if kind not in _ACCOMPANY:
            raise
        log.error("object_not_made", reason=f"{kind.value}: {error}")
        return []


def _made(
    kind: ObjectKind, given: _Given, made: Mapping[ObjectKind, Sequence[Dataset]]
) -> Sequence[Dataset]:
    """Objects of one kind; none where the result has nothing for it. `made` are those before it."""
    edition, old = given.edition, given.predecessors.get(kind, ())
    match kind:
        case ObjectKind.MEASUREMENT_SR:
            return [measurement_report.measurement_sr(edition, old)]
        case ObjectKind.CAD_SR:
            return _present(cad_sr.cad_sr(edition, old))
        case ObjectKind.REGION_SR:
            return [region_report.region_sr(edition, old)]
        case ObjectKind.AI_RESULTS_SR:
            beside = (ObjectKind.SEGMENTATION, ObjectKind.KEY_OBJECTS)
            named = [ds for other in beside for ds in made.get(other, ())]
            return [ai_results.ai_results_sr(edition, old, named)]
        case ObjectKind.HEAT_MAP:
            return [*_heat_maps(edition, given.pictures[kind])]
        case ObjectKind.SMALL_HEAT_MAP:
            return [*_heat_maps(edition, given.pictures[kind])]
        case ObjectKind.SEGMENTATION:
            return segmentation.segmentations(edition)
        case ObjectKind.OUTLINES:
            return presentation_state.presentation_states(edition)
        case ObjectKind.KEY_OBJECTS:
            return _present(key_objects.key_objects(edition))
        case ObjectKind.PDF:
            return [encapsulated_pdf.encapsulated_pdf(edition, given.pdf())] if given.pdf else []


def _present(made: Dataset | None) -> list[Dataset]:
    return [] if made is None else [made]


def _drawn(
    edition: Edition, images: Images, size: heatmap.Size, pool: ThreadPoolExecutor
) -> _Pictures:
    """The heat maps of that size, begun."""

    def draw(view: ViewScore, heat_map: HeatMap) -> heatmap.Picture:
        image = images(view.sop_instance_uid)
        return heatmap.heat_map_picture(edition, view, heat_map, image, size)

    order = edition.hanging_order()
    return _Pictures(size, [(view, pool.submit(draw, view, shown)) for view, shown in order])


def _heat_maps(edition: Edition, pictures: _Pictures) -> Iterator[Dataset]:
    for number, (view, picture) in enumerate(pictures.drawn, start=1):
        yield heatmap.heat_map_image(edition, view, picture.result(), number, pictures.size)


def write_objects(
    objects: Sequence[Dataset], folder: Path, earlier: Iterable[Path] = ()
) -> list[Path]:
    """Paths of the objects as DICOM files in `folder`: `sr.dcm`, `heatmap-1-RCC.dcm` ….

    What was once written under a UID is written for good: a receiver may have it. Where `folder`
    or one of the `earlier` folders has an object of the same UID, its bytes are the file's,
    whatever later time or last digit of a score the new one has. Each file appears whole or not at
    all, and those that an earlier report left under other names go.

    Raises
    ------
    ReportError
        A file cannot be written.
    """
    with as_report_error(), tolerant():
        paths = [folder / name for name in _names(objects)]
        uids = [str(ds.SOPInstanceUID) for ds in objects]
        written = _written({*uids}, [folder, *earlier])
        for uid, path, ds in zip(uids, paths, objects, strict=True):
            _write(path, ds, written.get(uid))
        for old in folder.glob("*.dcm"):
            if old not in paths and is_ours(old):
                old.unlink()
        return paths


def _written(uids: Collection[str], folders: Iterable[Path]) -> dict[str, bytes]:
    """The files of these UIDs that are in the folders, the first one's first."""
    found: dict[str, bytes] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*.dcm"))):
        uid = _uid_in(path) if is_ours(path) else ""
        if uid in uids and uid not in found:
            found[uid] = path.read_bytes()
    return found


def _uid_in(path: Path) -> str:
    """SOP Instance UID by the file meta information; "" when it cannot be read."""
    try:
        return str(read_file_meta_info(path).get("MediaStorageSOPInstanceUID") or "")
    except (ValueError, TypeError, LookupError, EOFError, InvalidDicomError):
        return ""


def _names(objects: Sequence[Dataset]) -> Iterator[str]:
    """File names that state what the objects are and nothing of the patient.

    Kinds of which there may be several have a number; instance numbers repeat between series.
    """
    seen: Counter[ObjectKind] = Counter()
    for ds in objects:
        kind = _SERIES[int(ds.SeriesNumber)]
        seen[kind] += 1
        if kind in (ObjectKind.HEAT_MAP, ObjectKind.SMALL_HEAT_MAP):
            view = str(ds.ImageComments).split(" heat map")[0].replace(" ", "")
            yield f"{kind}-{int(ds.InstanceNumber)}-{view}.dcm"
        elif kind in (ObjectKind.SEGMENTATION, ObjectKind.OUTLINES):
            yield f"{kind}-{seen[kind]}.dcm"
        else:
            yield f"{kind}.dcm"


def _write(path: Path, ds: Dataset, written: bytes | None) -> None:
    """Write the object, or what was written of it before; nothing when that is there."""
    if written is None:
        _settle_items(ds)
        with written_whole(path) as file:
            ds.save_as(file, enforce_file_format=True)
    elif not path.exists() or path.read_bytes() != written:
        write_whole(path, written)


def _settle_items(ds: Dataset) -> None:
    """State of items made here that they are as they will be written.

    pydicom looks for ambiguous VRs in all that is below an object, and then in all that is below
    each of its items, unless the item has the encoding of the file. Items with elements as they
    were read stay as they are.
    """
    for element in ds.elements():
        if element.VR != VR.SQ or isinstance(element, RawDataElement):
            continue
        for item in element.value:
            _settle_items(item)
            made_here = item.original_encoding == (None, None)
            if made_here and not any(isinstance(e, RawDataElement) for e in item.elements()):
                # Strings are written in the object's character set, whatever is stated here.
                own = getattr(item, "_character_set", None)
                item.set_original_encoding(False, True, own)


@contextmanager
def as_report_error() -> Iterator[None]:
    """Map what pydicom, highdicom and the file system raise; their texts may hold patient data."""
    try:
        yield
    except (ReportError, NotProcessable):
        raise
    except OSError as error:
        raise ReportError(f"an object could not be written (errno {error.errno})") from None
    except (ValueError, TypeError, AttributeError, KeyError, LookupError) as error:
        raise ReportError(f"an object could not be made ({type(error).__name__})") from None
