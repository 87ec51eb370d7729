"""What is written of a reading: DICOM objects, FHIR bundle, the exam's page, `result.json`."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import pydicom
from pydicom import Dataset

from cadnode import settings
from cadnode.beside import beside
from cadnode.domain import ExamResult, FloatImage, Priority, Profile
from cadnode.errors import CadnodeError, ModelError
from cadnode.exam.exam import Exam
from cadnode.exam.patient import patient_of
from cadnode.files import write_whole
from cadnode.imaging import pixels
from cadnode.log import get_logger
from cadnode.models import store
from cadnode.models.card import ModelCard
from cadnode.node.model_overview import of_settings, stores
from cadnode.node.results import BUNDLE, DOCUMENTS, MESSAGE, PAGE, PDF, RESULT, object_file
from cadnode.page.content import PageContent
from cadnode.page.exam_page import exam_page
from cadnode.page.pdf import pdf_of
from cadnode.reading.views import PixelLoader
from cadnode.report.edition import OFFLINE_OBSERVER_UID, Edition
from cadnode.report.edition import observer_uid as uid_of_observer
from cadnode.report.fhir.bundle import write_bundle
from cadnode.report.hl7.oru import write_message
from cadnode.report.objects import make_objects, write_objects
from cadnode.report.profiles import STRUCTURED, ObjectKind, kinds_of, wants_fhir, wants_hl7
from cadnode.report.result import write_result

INSTALLATION: Final = "installation-id"  # in the storage folder

log = get_logger("report")


def write_outputs(
    exam: Exam,
    result: ExamResult,
    folder: Path,
    report: settings.ReportSection,
    *,
    made_at: datetime,
    predecessors: Sequence[Path] = (),
    profiles: Sequence[Profile] = (),
    cards: Sequence[ModelCard] = (),
    earlier: Sequence[Path] = (),
    observer_uid: str = OFFLINE_OBSERVER_UID,
    load: PixelLoader | None = None,
    timings: Mapping[str, float] | None = None,
    removed_reports: Mapping[ObjectKind, Sequence[Dataset]] | None = None,
    times_removed: int = 0,
    priority: Priority = Priority.SCREENING,
) -> tuple[Path, ...]:
    """Write the exam's objects, its page and, last, `result.json` into `folder`.

    Returns the DICOM objects: those of `profiles`, without any those of `report.profile`; where
    one of them wants it, `report.pdf`, `fhir.json` or `oru.hl7` is written too. `predecessors` are
    the folders of earlier readings whose reports these replace; `cards` are the models'
    (`cards_of`). An object that `folder` or one of the `earlier` folders holds under the same UID
    stays the bytes it is.
    `observer_uid` is the node's (`installation_uid`), else one that all readings outside of a node
    share. `load` gives a view's image: the reading's cache, so that nothing is decoded twice.
    `timings` are seconds by stage of the reading. `removed_reports` are earlier reports that these
    replace, too, whose files are not here any more; `times_removed` is how often results of the
    study were removed: objects that are made again since have UIDs of their own. `priority` is
    how soon the study was to be read, which the HL7 message states.

    An exam without a single DICOM header has nothing to refer to: it gets `result.json` and a
    page that states it.
    """
    wanted = profiles or [report.profile]
    has_bundle = exam.reference is not None and wants_fhir(wanted)
    has_message = exam.reference is not None and wants_hl7(wanted)
    kept = [name for name, has in ((BUNDLE, has_bundle), (MESSAGE, has_message)) if has]
    for name in {PAGE, PDF, *DOCUMENTS} - {*kept}:  # of an earlier reading
        (folder / name).unlink(missing_ok=True)
    content = page_content(
        exam, result, report, made_at=made_at, cards=cards, load=load or pixels.ImageCache().load
    )
    kinds = kinds_of(wanted)
    written: tuple[Path, ...] = ()
    with beside("page") as pool:
        page: Callable[[], str] = partial(exam_page, content)
        if report.page or ObjectKind.PDF in kinds:
            page = pool.submit(page).result  # drawn while the reports are written
        if exam.reference is not None:
            objects = make_objects(
                exam,
                result,
                content.image,
                made_at=made_at,
                disclaimer=report.disclaimer,
                longest_side=report.heat_map_longer_side,
                small_side=report.small_heat_map_longer_side,
                predecessors=_together(_reports_in(predecessors), removed_reports or {}),
                times_removed=times_removed,
                kinds=kinds,
                pdf=lambda: _write_pdf(folder / PDF, page()),
                observer_uid=observer_uid,
            )
            written = tuple(write_objects(objects, folder, earlier))
            edition = _edition(exam, result, report, made_at, observer_uid, times_removed)
            if has_bundle:
                write_bundle(folder / BUNDLE, edition)
            if has_message:
                write_message(folder / MESSAGE, edition, priority)
        if report.page:
            _write_page(folder / PAGE, page)
    write_result(folder / RESULT, result, made_at=made_at, timings=timings)
    return written


def _edition(
    exam: Exam,
    result: ExamResult,
    report: settings.ReportSection,
    made_at: datetime,
    observer_uid: str,
    times_removed: int,
) -> Edition:
    """The edition that `make_objects` makes: what its objects and the bundle track is the same."""
    longest_side = report.heat_map_longer_side
    return Edition(
        exam, result, made_at, report.disclaimer, longest_side, observer_uid, times_removed
    )


def installation_uid(storage: Path) -> str:
    """Device Observer UID of the node that stores here; it is generated once and kept in a file."""
    path = storage / INSTALLATION
    if not path.exists():
        drawn = path.with_name(f".{uuid.uuid4().hex}.part")
        write_whole(drawn, uuid.uuid4().hex.encode())
        try:
            path.hardlink_to(drawn)  # unlike a rename, it takes no other process's file away
        except FileExistsError:
            pass
        finally:
            drawn.unlink()
    return uid_of_observer(path.read_text().strip())


def _write_pdf(path: Path, page: str) -> bytes:
    """The page as PDF, also written to a file."""
    pdf = pdf_of(page)
    for package in pdf.fonts_wanted:
        log.warning("font_missing", reason=f"install {package}")
    write_whole(path, pdf.data)
    return pdf.data


def _write_page(path: Path, page: Callable[[], str]) -> None:
    """Write the page. A page that fails does not cost the report."""
    try:
        write_whole(path, page().encode())
    except (CadnodeError, OSError, ValueError) as error:
        log.error("object_not_made", reason=path.name, error=error)


def page_content(
    exam: Exam,
    result: ExamResult,
    report: settings.ReportSection,
    *,
    made_at: datetime,
    cards: Sequence[ModelCard] = (),
    load: PixelLoader,
) -> PageContent:
    """What the exam's page shows."""
    patient = patient_of(exam.reference)
    n_views = len(result.views)
    return PageContent(
        title=f"exam of {patient.study_date}" if patient.study_date else "exam",
        subtitle=f"{n_views} view{'' if n_views == 1 else 's'} read",
        disclaimer=report.disclaimer,
        exam=exam,
        result=result,
        image=image_loader(exam, load),
        cards=cards,
        patient=patient,
        made_at=made_at,
    )


def cards_of(folders: Iterable[Path], result: ExamResult) -> list[ModelCard]:
    """Cards of the models that took part, found in `folders`; a damaged one is left out."""
    used = {(m.name, m.version) for m in result.models}
    cards: dict[tuple[str, str], ModelCard] = {}
    for folder in folders:
        try:
            card = store.read_card(folder)
        except ModelError:
            continue
        if (card.name, card.version) in used:
            cards.setdefault((card.name, card.version), card)
    return list(cards.values())


def model_folders(values: settings.Settings) -> tuple[Path, ...]:
    """Where the models are that this node may read with: the settings' folders, what is active.

    Raises
    ------
    ModelError
        One of them is missing, or its signature does not hold.
    """
    catalogue = stores(values).catalogue()
    for entry in of_settings(values):
        catalogue.approve(entry)
    return (*values.reading.model_folders, *(entry.folder for entry in catalogue.active()))


def folders_of(values: settings.Settings, result: ExamResult) -> tuple[Path, ...]:
    """Where the models may be that took part, also those that are not active any more."""
    used = {(m.name, m.version) for m in result.models}
    entries = stores(values).catalogue().entries
    found = (e.folder for e in entries if (e.name, e.version) in used)
    return (*values.reading.model_folders, *found)


def _reports_in(folders: Sequence[Path]) -> dict[ObjectKind, list[Dataset]]:
    """The structured reports in readings' folders, which those of another reading replace."""
    found: dict[ObjectKind, list[Dataset]] = {}
    for kind in STRUCTURED:
        paths = [object_file(folder, kind) for folder in folders]
        found[kind] = [pydicom.dcmread(path) for path in paths if path.exists()]
    return found


def _together(
    here: Mapping[ObjectKind, Sequence[Dataset]], gone: Mapping[ObjectKind, Sequence[Dataset]]
) -> dict[ObjectKind, list[Dataset]]:
    """The earlier reports of each kind, whether their files are here or not."""
    return {kind: [*here.get(kind, ()), *gone.get(kind, ())] for kind in {*here, *gone}}


def image_loader(exam: Exam, load: PixelLoader = pixels.load) -> Callable[[str], FloatImage]:
    """Function that gives a view's image, `(H, W) float32 in [0, 1]`, by SOP Instance UID."""
    mammograms = {m.sop_instance_uid: m for m in exam.mammograms}
    return lambda uid: load(mammograms[uid])
