"""A CD, loose files and archives that a page brings: what is taken, and why the rest is not."""

import io
import resource
import socket
import struct
import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pydicom
import pytest
import requests
from pydicom.fileset import FileSet

from cadnode.audit.event import Action
from cadnode.log import hashed
from cadnode.node import uploads
from cadnode.node.uploads import SpoolUploads
from cadnode.receive.spool import Spool
from cadnode.settings import Settings, StorageSection
from cadnode.web import uploads as web_uploads
from cadnode.web.uploaded import NoRoom, Uploaded
from cadnode_training.phantom import PhantomSpec, exam
from cadnode_training.phantom.dicom import write_dicom
from tests.report_cases import digital_exam, objects_of
from tests.web_cases import OPERATORS_TOKEN, VIEWERS_TOKEN, Client, Told, Trail, known, served


class Announced:
    """An announcer that keeps what it is told."""

    def __init__(self) -> None:
        self.studies: list[str] = []

    def announce(self, study: str, quiet_s: float) -> None:
        self.studies.append(study)


class Site:
    """A spool, its uploads, and a CD with four views."""

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder / "data" / "spool")
        self.announced = Announced()
        settings = Settings(storage=StorageSection(folder=folder / "data"))
        announcer: Any = self.announced
        self.uploads = SpoolUploads(settings, self.spool, announcer)
        views = PhantomSpec(0.9, rows=120, columns=100)
        self.views = write_dicom(exam(3, views), folder / "views", compressed=False)
        self.study = hashed(str(pydicom.dcmread(self.views[0]).StudyInstanceUID))

    def bring(self, data: bytes, name: str = "file") -> Uploaded:
        upload = self.uploads.begin()
        upload.write(data[: len(data) // 2])
        upload.write(data[len(data) // 2 :])
        return upload.finish(name)

    @property
    def n_left_over(self) -> int:
        return len([*(self.spool.folder_of("x").parents[1] / "incoming").iterdir()])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture
def fresh(site: Site) -> Site:
    site.spool.discard(site.study)
    site.announced.studies.clear()
    return site


def why(found: Uploaded) -> dict[str, str]:
    return {one.name: one.why.value for one in found.left_out}


def zipped(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return held.getvalue()


def test_a_loose_file_is_taken_as_if_it_had_been_sent(fresh: Site) -> None:
    data = fresh.views[0].read_bytes()
    first, second = fresh.bring(data), fresh.bring(data)
    assert (first.studies, first.n_new, first.n_here) == ((fresh.study,), 1, 0)
    assert (second.n_new, second.n_here) == (0, 1)
    (path,) = fresh.spool.instances(fresh.study)
    assert path.read_bytes() == data
    assert fresh.announced.studies == [fresh.study] * 2
    assert fresh.n_left_over == 0


def test_what_is_no_image_of_another_is_left_out_with_its_reason(fresh: Site) -> None:
    assert why(fresh.bring(b"MZ\x90 a viewer", "viewer.exe")) == {"viewer.exe": "not_dicom"}
    assert why(fresh.bring(b"", "empty")) == {"empty": "not_dicom"}
    held = io.BytesIO()
    ds = pydicom.dcmread(fresh.views[0])
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"  # CT
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.save_as(held)
    assert why(fresh.bring(held.getvalue(), "ct")) == {"ct": "other_kind"}
    assert fresh.spool.instances(fresh.study) == []
    assert fresh.n_left_over == 0


def test_a_cd_is_taken_whole_and_its_index_counted(fresh: Site, tmp_path: Path) -> None:
    files = FileSet()
    for path in fresh.views:
        files.add(path)
    files.write(tmp_path / "cd")
    files._stage["t"].cleanup()
    cd = {str(p.relative_to(tmp_path / "cd")): p.read_bytes()
          for p in (tmp_path / "cd").rglob("*") if p.is_file()}  # fmt: skip
    found = fresh.bring(zipped({**cd, "autorun.inf": b"[autorun]", "../../evil": b"x"}), "cd.zip")
    assert (found.n_new, found.studies) == (len(fresh.views), (fresh.study,))
    assert why(found) == {
        "DICOMDIR": "dicomdir", "autorun.inf": "not_dicom", "../../evil": "not_dicom",
    }  # fmt: skip
    assert found.n_listed == len(fresh.views)
    assert len(fresh.spool.instances(fresh.study)) == len(fresh.views)
    assert fresh.n_left_over == 0


def test_an_archive_that_is_damaged_locked_or_a_bomb_costs_nothing(
    fresh: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = zipped({"a": fresh.views[0].read_bytes()})
    assert why(fresh.bring(good[:-30], "cut.zip")) == {"": "damaged"}
    monkeypatch.setattr(uploads, "INSTANCE_BYTES", 100_000)
    bomb = zipped({"bomb": bytes(10_000_000), "note": b"x"})
    assert len(bomb) < 100_000
    assert why(fresh.bring(bomb, "b.zip")) == {"bomb": "too_large", "note": "not_dicom"}
    monkeypatch.setattr(uploads, "INSTANCES", 1)
    assert why(fresh.bring(bomb, "b.zip")) == {"": "too_many"}
    monkeypatch.undo()
    locked = bytearray(good)
    for at in (good.find(b"PK\x03\x04") + 6, good.find(b"PK\x01\x02") + 8):
        locked[at] |= 1
    assert why(fresh.bring(bytes(locked), "l.zip")) == {"a": "encrypted"}
    assert fresh.n_left_over == 0


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_unpacks_without_bound_is_not_unpacked(fresh: Site, how: int) -> None:
    """A piece of such an archive becomes gigabytes before anybody can count them."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", how) as archive:
        archive.writestr("bomb", bytes(128 << 20))
    limits = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (100 << 20), limits[1]))
    try:
        assert why(fresh.bring(held.getvalue(), "b.zip")) == {"bomb": "damaged"}
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert fresh.n_left_over == 0


def test_a_directory_that_is_too_long_is_not_read_whichever_record_says_so(
    fresh: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 64-bit record counts wherever it stands, also where the old one states a small length."""
    monkeypatch.setattr(uploads, "_MOST_DIRECTORY_BYTES", 1 << 20)
    length = 3 << 20
    ends = (
        struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, length, 4)
        + struct.pack("<4sLQL", b"PK\x06\x07", 0, length + 4, 1)
        + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 46, 4, 0)
    )
    seen = list[int]()
    reads = zipfile.ZipFile._RealGetContents  # type: ignore[attr-defined]

    def watched(archive: Any) -> None:
        held = archive.fp.read

        def read(size: int = -1) -> Any:
            found = held(size)
            seen.append(len(found))
            return found

        archive.fp.read = read
        reads(archive)

    monkeypatch.setattr(zipfile.ZipFile, "_RealGetContents", watched)
    assert why(fresh.bring(b"PK\x03\x04" + bytes(length) + ends, "z.zip")) == {"": "too_many"}
    assert max(seen) <= 1 << 20
    assert fresh.n_left_over == 0


def test_what_cadnode_made_stays_out(fresh: Site) -> None:
    held = io.BytesIO()
    objects_of(digital_exam(), "none")[0].save_as(held, enforce_file_format=True)
    assert why(fresh.bring(held.getvalue(), "sr.dcm")) == {"sr.dcm": "own"}


def test_without_room_nothing_is_begun(fresh: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spool, "has_room", lambda self: False)
    with pytest.raises(NoRoom):
        fresh.uploads.begin()


@pytest.fixture
def client(fresh: Site) -> Iterator[tuple[Client, Trail]]:
    trail = Trail()
    node = replace(Told().node(), uploads=fresh.uploads)

    class Here(Told):
        def node(self) -> Any:
            return node

    with served(Here(), known(), trail) as found:
        yield found, trail


def post(client: Client, data: bytes, token: str, **headers: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(
            f"{client.url}/api/upload", data=data, timeout=20,
            headers={"Authorization": f"Bearer {token}", **headers},
        )  # fmt: skip


def test_by_http_a_file_far_larger_than_other_bodies_streams_in(
    client: tuple[Client, Trail], fresh: Site
) -> None:
    http, trail = client
    data = fresh.views[0].read_bytes()
    assert len(data) > 16 * 1024
    name = {"X-File-Name": quote("CD/Bild für Frau Müller.dcm")}
    answer = post(http, data, OPERATORS_TOKEN, **name)
    assert (answer.status_code, answer.json()) == (
        200, {"studies": [fresh.study], "new": 1, "already_here": 0, "listed": 0, "left_out": []},
    )  # fmt: skip
    refused = post(http, b"no image", OPERATORS_TOKEN, **name)
    assert refused.status_code == 422
    assert refused.json()["left_out"] == [
        {"name": "CD/Bild für Frau Müller.dcm", "code": "not_dicom",
         "meaning": "is not DICOM, such as a viewer's program or a picture"},
    ]  # fmt: skip
    assert post(http, data, VIEWERS_TOKEN).status_code == 403
    received = [event for event in trail.events if event.action is Action.RECEIVED]
    assert [(event.study, event.outcome.value) for event in received] == [
        (fresh.study, "success"), (None, "failure"),
    ]  # fmt: skip
    assert fresh.n_left_over == 0


def test_a_file_that_drips_keeps_no_place(
    client: tuple[Client, Trail], fresh: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then is no silence; eight of such would shut all others out for days."""
    monkeypatch.setattr(web_uploads, "UPLOAD_SILENCE_S", 1.0)
    http, _ = client
    where, stop = urlsplit(http.url), threading.Event()
    with socket.create_connection((str(where.hostname), where.port or 0), 20) as connection:
        head = (
            f"POST /api/upload HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: 100000\r\n"
            f"Authorization: Bearer {OPERATORS_TOKEN}\r\n\r\n"
        )
        connection.sendall(head.encode())

        def drip() -> None:
            with suppress(OSError):
                while not stop.wait(0.2):
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        connection.settimeout(8)
        try:
            assert connection.recv(100).startswith(b"HTTP/1.1 408")
        finally:
            stop.set()
            thread.join(10)
    assert fresh.n_left_over == 0
