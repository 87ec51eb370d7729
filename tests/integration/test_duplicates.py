"""An archive says that it has an object already: ours, another's, or nobody can look."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from structlog.testing import capture_logs

from cadnode.deliver import dicom, folder, orthanc, stow
from cadnode.deliver.held import ANOTHER, PeerCopy, compared, compared_in_part, sent
from cadnode.deliver.outcome import Delivered
from cadnode.deliver.query import FIND
from cadnode.errors import PermanentDeliveryError, TransientDeliveryError
from cadnode.exam.exam import Exam
from cadnode.http import HttpPeerValues
from cadnode.node import deliveries
from cadnode.report.objects import make_objects, write_objects
from cadnode.report.profiles import ObjectKind
from cadnode.settings import Destination, Settings
from tests.integration.http_peers import values_of, web_orthanc
from tests.peers import Orthanc, free_port
from tests.report_cases import MADE_AT, digital_exam, image_of, result_of

KINDS = frozenset({ObjectKind.MEASUREMENT_SR, ObjectKind.CAD_SR, ObjectKind.SMALL_HEAT_MAP})
SYNTAXES = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.50"]


def objects(to: Path, exam: Exam) -> list[Path]:
    made = make_objects(
        exam, result_of(exam, "one_view"), partial(image_of, exam), MADE_AT,
        kinds=KINDS, small_side=64,
    )  # fmt: skip
    to.mkdir(parents=True, exist_ok=True)
    return write_objects(made, to)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A report and its pictures, as the node delivers them."""
    return objects(tmp_path_factory.mktemp("result"), digital_exam())


Change = Callable[[Dataset], None]


def another_patient(ds: Dataset) -> None:
    ds.PatientID, ds.PatientName = "SOMEBODY", "Some^Body"


def another_name(ds: Dataset) -> None:
    ds.PatientName = "Other^Woman"


def another_birth_date(ds: Dataset) -> None:
    ds.PatientBirthDate = "19010101"


def another_study(ds: Dataset) -> None:
    ds.StudyInstanceUID = UID("1.2.3.4")


def another_series(ds: Dataset) -> None:
    ds.SeriesInstanceUID = UID("1.2.3.4")


def another_class(ds: Dataset) -> None:
    ds.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.88.11")


def another_input(ds: Dataset) -> None:
    item = ds.ContributingEquipmentSequence[-1]
    item.ContributionDescription = item.ContributionDescription[:-1] + "x"


def no_input(ds: Dataset) -> None:
    del ds.ContributingEquipmentSequence


def another_maker(ds: Dataset) -> None:
    ds.ContributingEquipmentSequence[-1].Manufacturer = "Somebody"


IDENTIFIERS: tuple[Change, ...] = (
    another_patient, another_name, another_birth_date, another_study, another_series,
    another_class,
)  # fmt: skip
INPUTS: tuple[Change, ...] = (another_input, no_input, another_maker)


def foreign(path: Path, change: Change) -> Dataset:
    ds = pydicom.dcmread(path)
    change(ds)
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    return ds


def coerced(ds: Dataset) -> None:
    """What archives do to an object that stays the same: padding, character set, times."""
    ds.PatientID = f" {ds.PatientID} "
    ds.PatientName = str(ds.PatientName) + "^^"
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.InstanceCreationTime, ds.RetrieveAETitle = "000000", "ARCHIVE"


def test_a_copy_is_ours_whatever_an_archive_rightly_changes(files: list[Path]) -> None:
    for path in files:
        assert compared(sent(path), sent(path)) is PeerCopy.OURS
        assert compared(sent(path), foreign(path, coerced)) is PeerCopy.OURS


@pytest.mark.parametrize("change", [*IDENTIFIERS, *INPUTS], ids=lambda c: c.__name__)
def test_a_copy_that_says_another_thing_is_another(files: list[Path], change: Change) -> None:
    for path in files:
        assert compared(sent(path), foreign(path, change)) is PeerCopy.ANOTHER


@pytest.mark.parametrize("change", [*IDENTIFIERS, another_input], ids=lambda c: c.__name__)
def test_a_query_s_match_that_contradicts_is_another(files: list[Path], change: Change) -> None:
    assert compared_in_part(sent(files[0]), foreign(files[0], change)) in (
        [PeerCopy.ANOTHER] if change is not another_input else [PeerCopy.OURS]
    )


@pytest.mark.parametrize(
    ("keywords", "is_"),
    [
        (("PatientID", "StudyInstanceUID", "SOPInstanceUID"), PeerCopy.OURS),
        (("PatientName", "StudyInstanceUID", "SOPInstanceUID"), PeerCopy.OURS),
        (("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), PeerCopy.UNKNOWN),
        (("PatientID", "SOPInstanceUID"), PeerCopy.UNKNOWN),
        (("ContributingEquipmentSequence",), PeerCopy.OURS),
        ((), PeerCopy.UNKNOWN),
    ],
)
def test_a_query_s_match_proves_as_much_as_it_says(
    files: list[Path], keywords: tuple[str, ...], is_: PeerCopy
) -> None:
    ours, match = sent(files[0]), Dataset()
    for keyword in keywords:
        match[keyword] = ours[keyword]
    match.PatientBirthDate = ""  # asked for, and not known there

    assert compared_in_part(ours, match) is is_


class Archive:
    """A Storage SCP that has every object already, and perhaps answers C-FIND for its copies."""

    def __init__(
        self,
        copies: list[Dataset],
        *,
        by_level: bool = False,
        no_sequences: bool = False,
        hangs_up: Callable[[Dataset], bool] = lambda asked: False,
        answers: int = 0,
    ) -> None:
        self.hangs_up = hangs_up
        self.answers = answers
        self.copies = copies
        self.by_level = by_level
        self.no_sequences = no_sequences
        self.levels: list[str] = []

    def store(self, event: Any) -> int:
        return 0x0111

    def find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        self.levels.append(asked.QueryRetrieveLevel)
        if self.hangs_up(asked):
            event.assoc.abort()
            return
        if self.answers:
            yield self.answers, None
            return
        if self.no_sequences and any(e.VR == "SQ" for e in asked):
            yield 0xA900, None
            return
        for copy_ in self.copies:
            wanted = [e for e in asked if e.VR == "UI" and e.value]
            if all(copy_.get(e.keyword) == e.value for e in wanted):
                yield 0xFF00, self._match(copy_, asked)

    def _match(self, copy_: Dataset, asked: Dataset) -> Dataset:
        match = Dataset()
        for element in asked:
            is_patient = element.keyword.startswith("Patient")
            hidden = self.by_level and is_patient and asked.QueryRetrieveLevel == "IMAGE"
            if element.keyword in copy_ and not hidden and element.VR != "SQ":
                match[element.tag] = copy_[element.tag]
        match.QueryRetrieveLevel = asked.QueryRetrieveLevel
        return match


@pytest.fixture
def serving() -> Iterator[Callable[..., dicom.DicomPeer]]:
    servers = []

    def start(archive: Archive, *, finds: bool = True, stores: bool = True) -> dicom.DicomPeer:
        ae = AE("ARCHIVE")
        for sop_class in ("88.33", "88.50", "7"):
            if stores:
                ae.add_supported_context(f"1.2.840.10008.5.1.4.1.1.{sop_class}", SYNTAXES)
        if finds:
            ae.add_supported_context(FIND)
        handlers = [(evt.EVT_C_STORE, archive.store), (evt.EVT_C_FIND, archive.find)]
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        servers.append(server)
        port = server.server_address[1]
        return dicom.DicomPeer("archive", "127.0.0.1", port, "ARCHIVE", timeout_s=60)

    yield start
    for server in servers:
        server.shutdown()


@pytest.mark.parametrize("by_level", [False, True])
def test_a_peer_whose_copies_are_ours_has_them_delivered(
    files: list[Path], serving: Callable[..., dicom.DicomPeer], by_level: bool
) -> None:
    archive = Archive([sent(path) for path in files], by_level=by_level)
    taken: list[Path] = []

    n = len(files)
    assert dicom.send(files, serving(archive), taken.append) == Delivered(n, n)
    assert taken == files
    assert ("STUDY" in archive.levels) is by_level


@pytest.mark.parametrize("change", IDENTIFIERS, ids=lambda c: c.__name__)
def test_a_peer_that_holds_another_s_object_under_our_uid_refuses_it(
    files: list[Path], serving: Callable[..., dicom.DicomPeer], change: Change
) -> None:
    copies = [sent(path) for path in files]
    change(copies[1])
    taken: list[Path] = []

    with pytest.raises(PermanentDeliveryError, match=f"took {len(files) - 1} of .*{ANOTHER}"):
        dicom.send(files, serving(Archive(copies)), taken.append)
    assert taken == [path for path in files if path != files[1]]


def test_a_peer_that_refuses_to_be_asked_for_a_sequence_is_asked_without(
    files: list[Path], serving: Callable[..., dicom.DicomPeer]
) -> None:
    archive = Archive([sent(path) for path in files], no_sequences=True)

    assert dicom.send(files, serving(archive)).n_unverified == 0


def test_a_peer_that_hangs_up_on_a_query_for_a_sequence_is_asked_without(
    files: list[Path], serving: Callable[..., dicom.DicomPeer]
) -> None:
    def hangs_up(asked: Dataset) -> bool:
        return any(element.VR == "SQ" for element in asked)

    copies = [sent(path) for path in files]
    assert dicom.send(files, serving(Archive(copies, hangs_up=hangs_up))).n_unverified == 0
    another_patient(copies[0])
    with pytest.raises(PermanentDeliveryError, match=ANOTHER):
        dicom.send(files, serving(Archive(copies, hangs_up=hangs_up)))


@pytest.mark.parametrize(
    ("asked", "is_open"),
    [
        ({"hangs_up": lambda asked: True}, True),
        ({"answers": 0xA700}, True),  # out of resources
        ({"answers": 0xC001}, False),  # unable to process
    ],
)
def test_whose_copy_it_is_stays_open_while_a_peer_does_not_answer_now(
    files: list[Path], serving: Callable[..., dicom.DicomPeer], asked: Any, is_open: bool
) -> None:
    peer = serving(Archive([sent(path) for path in files], **asked))

    if is_open:
        with pytest.raises(TransientDeliveryError, match="whose they are is open"):
            dicom.send(files, peer)
    else:
        assert dicom.send(files, peer).n_unverified == len(files)


def test_whose_copy_it_is_stays_open_while_the_peer_for_queries_is_away(
    files: list[Path], serving: Callable[..., dicom.DicomPeer]
) -> None:
    peer = replace(serving(Archive([])), query_port=free_port())

    with pytest.raises(TransientDeliveryError, match="whose they are is open"):
        dicom.send(files, peer)


@pytest.mark.parametrize("change", IDENTIFIERS[:3], ids=lambda c: c.__name__)
def test_a_peer_that_says_of_the_patient_at_study_level_only_is_asked_there(
    files: list[Path], serving: Callable[..., dicom.DicomPeer], change: Change
) -> None:
    copies = [sent(path) for path in files]
    for copied in copies:
        change(copied)

    with pytest.raises(PermanentDeliveryError, match=f"took 0 of .*{ANOTHER}"):
        dicom.send(files, serving(Archive(copies, by_level=True)))


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


def warned(lines: list[Any]) -> list[tuple[str, str, int]]:
    """Level, coded reason and count of each warning of unverified copies."""
    told = [line for line in lines if line["event"] == "delivery_unverified"]
    return [(line["log_level"], line["reason"], line["count"]) for line in told]


@pytest.mark.parametrize("finds", [False, True])
def test_a_peer_that_cannot_be_asked_counts_and_is_reported_as_unverified(
    files: list[Path],
    serving: Callable[..., dicom.DicomPeer],
    finds: bool,
    logged: list[Any],
) -> None:
    peer = serving(Archive([]), finds=finds)  # no C-FIND, or one that finds nothing

    n = len(files)
    assert dicom.send(files, peer) == Delivered(n, n, n_unverified=n)
    assert warned(logged) == [("warning", "duplicate_unverified", n)]
    settings = Settings(
        destinations=(Destination(name="pacs", port=peer.port, ae_title="ARCHIVE"),)
    )
    assert deliveries.deliver(settings, "study", files[0].parent, "pacs") == "unverified"


def test_another_peer_may_be_named_for_queries(
    files: list[Path], serving: Callable[..., dicom.DicomPeer]
) -> None:
    copies = [sent(path) for path in files]
    another_patient(copies[0])
    database = serving(Archive(copies), stores=False)
    router = serving(Archive([]), finds=False)
    pacs = Destination(
        name="pacs", port=router.port, ae_title="ARCHIVE", query_port=database.port,
        query_ae_title="FINDER",
    )  # fmt: skip
    settings = Settings(destinations=(pacs,))

    assert deliveries.deliver(settings, "study", files[0].parent, "pacs") == "refused"


class Web(BaseHTTPRequestHandler):
    """A STOW-RS server that has every object already."""

    copies: tuple[Dataset, ...] = ()
    metadata = True
    searches = True
    status = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        items = [
            {
                "00081150": {"vr": "UI", "Value": [ds.SOPClassUID]},
                "00081155": {"vr": "UI", "Value": [uid]},
                "00081197": {"vr": "US", "Value": [0x0111]},
            }
            for uid, ds in self.asked
        ]
        self._answer(409, {"00081198": {"vr": "SQ", "Value": items}})

    asked: tuple[tuple[str, Dataset], ...] = ()

    def do_GET(self) -> None:
        if self.status:
            self._answer(self.status, {})
            return
        for ds in self.copies:
            place = (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
            if self.metadata and self.path == "/studies/{}/series/{}/instances/{}/metadata".format(
                *place
            ):
                self._answer(200, [ds.to_json_dict()])
                return
            if self.searches and f"SOPInstanceUID={ds.SOPInstanceUID}" in self.path:
                self._answer(200, [ds.to_json_dict()])
                return
        self._answer(404, {})

    def _answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web(files: list[Path]) -> Iterator[tuple[type[Web], HttpPeerValues]]:
    asked = tuple((str(sent(path).SOPInstanceUID), sent(path)) for path in files)
    handler = type("Serving", (Web,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield handler, HttpPeerValues("archive", f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_web_server_whose_copies_are_ours_has_them_delivered(
    files: list[Path], web: tuple[type[Web], HttpPeerValues]
) -> None:
    handler, values = web
    handler.copies = tuple(sent(path) for path in files)

    n = len(files)
    assert stow.send(files, values) == Delivered(n, n)


@pytest.mark.parametrize("change", [*IDENTIFIERS, *INPUTS], ids=lambda c: c.__name__)
def test_a_web_server_that_holds_another_s_object_refuses_ours(
    files: list[Path], web: tuple[type[Web], HttpPeerValues], change: Change
) -> None:
    handler, values = web
    copies = [sent(path) for path in files]
    change(copies[-1])
    handler.copies = tuple(copies)

    with pytest.raises(PermanentDeliveryError, match=f"took {len(files) - 1} of .*{ANOTHER}"):
        stow.send(files, values)


@pytest.mark.parametrize("status", [0, 401, 403, 404, 406, 500, 501, 301])
def test_a_web_server_that_shows_nothing_counts_and_is_reported_as_unverified(
    files: list[Path], web: tuple[type[Web], HttpPeerValues], status: int
) -> None:
    handler, values = web
    handler.copies = tuple(sent(path) for path in files)
    handler.status, handler.metadata, handler.searches = status, False, False

    n = len(files)
    assert stow.send(files, values) == Delivered(n, n, n_unverified=n)


def test_a_web_server_that_is_busy_is_asked_again_later(
    files: list[Path], web: tuple[type[Web], HttpPeerValues]
) -> None:
    handler, values = web
    handler.status = 503

    with pytest.raises(TransientDeliveryError):
        stow.send(files, values)


def test_a_duplicate_that_a_web_server_does_not_name_is_unverified(
    files: list[Path], web: tuple[type[Web], HttpPeerValues]
) -> None:
    handler, values = web
    handler.asked = tuple(("", sent(path)) for path in files)

    assert stow.send(files, values).n_unverified == len(files)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with web_orthanc(tmp_path_factory.mktemp("orthanc"), OverwriteInstances=False) as peer:
        yield peer


def stored(archive: Orthanc, ds: Dataset, to: Path) -> bytes:
    """The object, now in the archive."""
    path = to / "foreign.dcm"
    ds.save_as(path, enforce_file_format=True)
    archive.post("/instances", path.read_bytes())
    return path.read_bytes()


@pytest.mark.parametrize(
    "change",
    [another_patient, another_study, another_name, another_input, no_input],
    ids=lambda c: c.__name__,
)
def test_an_orthanc_that_holds_a_foreign_object_under_our_uid_keeps_it_and_gets_no_second(
    real: Orthanc, tmp_path: Path, change: Change
) -> None:
    exam = digital_exam(StationName=change.__name__)  # objects of its own
    files = objects(tmp_path / "result", exam)
    theirs = stored(real, foreign(files[0], change), tmp_path)
    values = values_of(real, "orthanc")

    with pytest.raises(PermanentDeliveryError, match=f"took {len(files) - 1} of .*{ANOTHER}"):
        orthanc.send(files, values)

    uid = str(sent(files[0]).SOPInstanceUID)
    (found,) = real.post("/tools/lookup", uid.encode())
    assert real.get_bytes(f"/instances/{found['ID']}/file") == theirs
    for path in files[1:]:
        assert len(real.post("/tools/lookup", str(sent(path).SOPInstanceUID).encode())) == 1


def test_an_orthanc_that_has_ours_from_an_earlier_try_has_them_delivered(
    real: Orthanc, files: list[Path], logged: list[Any]
) -> None:
    values = values_of(real, "orthanc")

    assert orthanc.send(files, values) == Delivered(len(files), 0)
    assert orthanc.send(files, values) == Delivered(len(files), 0)
    assert warned(logged) == []


@pytest.mark.parametrize("change", [None, another_patient, another_birth_date, another_series])
def test_an_orthanc_answers_our_query_for_its_copy(tmp_path: Path, change: Change | None) -> None:
    files = objects(tmp_path / "result", digital_exam())
    with web_orthanc(tmp_path / "orthanc", DicomAlwaysAllowFind=True) as archive:
        if change is None:
            archive.post("/instances", files[0].read_bytes())
        else:
            stored(archive, foreign(files[0], change), tmp_path)
        peer = dicom.DicomPeer("archive", "127.0.0.1", archive.dicom_port, archive.aet)

        expected = PeerCopy.OURS if change is None else PeerCopy.ANOTHER
        assert dicom._held(files[:1], peer) == [expected]


def test_an_orthanc_that_lets_nobody_look_counts_and_is_reported_as_unverified(
    files: list[Path], logged: list[Any]
) -> None:
    class Closed(Web):
        def do_GET(self) -> None:
            self._answer(200, {"ApiVersion": 24, "Version": "1.12.9"})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            is_look = self.path == "/tools/lookup"
            self._answer(403 if is_look else 200, {"Status": "AlreadyStored"})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Closed)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        values = HttpPeerValues("archive", f"http://127.0.0.1:{server.server_address[1]}")
        n = len(files)
        assert orthanc.send(files, values) == Delivered(n, 0, n_unverified=n)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert warned(logged) == [("warning", "duplicate_unverified", n)]


@pytest.mark.parametrize(
    "change", [*IDENTIFIERS[:3], another_class, *INPUTS], ids=lambda c: c.__name__
)
def test_a_folder_that_holds_a_foreign_object_under_our_uid_keeps_it(
    files: list[Path], tmp_path: Path, change: Change
) -> None:
    ds = foreign(files[0], change)
    ds.save_as(tmp_path / files[0].name, enforce_file_format=True)
    before = (tmp_path / files[0].name).read_bytes()

    with pytest.raises(PermanentDeliveryError, match=f"took {len(files) - 1} of .*{ANOTHER}"):
        folder.deliver(files, tmp_path)

    assert (tmp_path / files[0].name).read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in files)


def test_a_folder_that_holds_an_object_of_another_study_under_our_name_keeps_it(
    files: list[Path], tmp_path: Path
) -> None:
    ds = foreign(files[0], another_study)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.5")
    ds.save_as(tmp_path / files[0].name, enforce_file_format=True)

    with pytest.raises(PermanentDeliveryError, match=ANOTHER):
        folder.deliver(files, tmp_path)


def test_an_earlier_reading_of_the_study_and_half_a_file_are_replaced(
    files: list[Path], tmp_path: Path
) -> None:
    objects(tmp_path, digital_exam(PatientID="BEFORE THE CORRECTION"))
    (tmp_path / files[1].name).write_bytes(files[1].read_bytes()[:200])

    assert folder.deliver(files, tmp_path) == len(files)
    assert [(tmp_path / f.name).read_bytes() for f in files] == [f.read_bytes() for f in files]


def test_refusals_and_warnings_name_nobody(
    files: list[Path],
    serving: Callable[..., dicom.DicomPeer],
    logged: list[Any],
) -> None:
    copies = [copy.deepcopy(sent(path)) for path in files]
    another_patient(copies[0])
    with pytest.raises(PermanentDeliveryError) as refused:
        dicom.send(files, serving(Archive(copies[:1])))

    ours = sent(files[0])
    told = f"{refused.value} {logged}"
    secrets = (ours.PatientID, str(ours.PatientName), ours.PatientBirthDate, "SOMEBODY")
    assert not [s for s in (*secrets, str(ours.SOPInstanceUID)) if str(s) in told]
