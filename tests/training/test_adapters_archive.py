"""Images from a real archive on loopback, by both of its interfaces."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cadnode.errors import DataError
from cadnode_training.data.pathology import pseudonym, read_pathology
from cadnode_training.data.sets import archive
from cadnode_training.data.sets.archive_client import ArchiveInstance
from tests import peers
from tests.synthetic import MARK
from tests.training import layouts
from tests.training.layouts import FIRST, SECOND, two_exams, write_csv

DICOM_WEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Orthanc]:
    """An Orthanc with two exams, and a CT in the second study."""
    there = peers.find_orthanc() is not None and DICOM_WEB.is_file()
    assert there, "Orthanc or its DICOMweb plugin is missing: deploy/system-packages.sh test"
    folder = tmp_path_factory.mktemp("archive")
    paths = two_exams(folder / "sent")
    paths.append(
        layouts.mammogram(
            folder / "sent" / "ct.dcm", "L", "CC", study_uid="1.2.3.2", Modality="CT",
            SOPClassUID="1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID="1.2.3.2.9",
            SeriesInstanceUID="1.2.3.2.8", PatientID=f"{MARK}-2", AccessionNumber=SECOND,
        )
    )  # fmt: skip
    with peers.orthanc(folder / "orthanc", Plugins=[str(DICOM_WEB)]) as peer:
        for path in paths:
            peer.post("/instances", path.read_bytes())
        yield peer


def configure(folder: Path, url: str, text: str, **more: str) -> Path:
    """A configuration whose pathology is `text`."""
    write_csv(folder, text)
    lines = {"url": url, "pathology": "pathology.csv", "folder": "images", **more}
    path = folder / "ours.toml"
    path.write_text("".join(f"{name} = '{value}'\n" for name, value in lines.items()))
    return path


LABELS = f"accession_number,laterality,label\n{FIRST},L,malignant\n{SECOND},,normal\n"


@pytest.mark.parametrize("protocol", ["orthanc", "dicomweb"])
def test_an_archives_mammograms_are_fetched_and_labelled(
    orthanc: peers.Orthanc, tmp_path: Path, protocol: str
) -> None:
    root = "/dicom-web" if protocol == "dicomweb" else ""
    url = f"http://127.0.0.1:{orthanc.http_port}{root}"
    ticks: list[int] = []

    found = archive.read(
        configure(tmp_path, url, LABELS, protocol=protocol), lambda: ticks.append(1)
    )

    assert sorted((row.label, row.laterality) for row in found.rows) == [
        ("malignant", "L"), ("normal", "L"), ("normal", "R"),
    ]  # fmt: skip
    assert len(ticks) == 4
    assert dict(found.left_out) == {"no statement on this breast": 1}
    for row in found.rows:
        header = layouts.header_of(row.image)
        assert header.ImageLaterality == row.laterality
        assert row.woman == pseudonym("local", header.PatientID)


def test_both_protocols_write_the_same_bytes_of_the_pixels(
    orthanc: peers.Orthanc, tmp_path: Path
) -> None:
    images = []
    for protocol, root in (("orthanc", ""), ("dicomweb", "/dicom-web")):
        folder = tmp_path / protocol
        folder.mkdir()
        url = f"http://127.0.0.1:{orthanc.http_port}{root}/"
        rows = archive.read(configure(folder, url, LABELS, protocol=protocol)).rows
        images.append({row.laterality + row.label: row.image.read_bytes()[-4000:] for row in rows})

    assert images[0] == images[1]


def test_names_on_disk_hold_no_identifier_and_only_the_user_can_look(
    orthanc: peers.Orthanc, tmp_path: Path
) -> None:
    archive.read(configure(tmp_path, f"http://127.0.0.1:{orthanc.http_port}", LABELS))

    names = [path.name for path in (tmp_path / "images").rglob("*")]
    assert len([name for name in names if name.endswith(".dcm")]) == 4
    assert not any(MARK in name or "1.2.3" in name for name in names)
    assert (tmp_path / "images").stat().st_mode & 0o077 == 0


def test_a_run_that_was_broken_off_goes_on_where_it_was(
    orthanc: peers.Orthanc, tmp_path: Path
) -> None:
    config = configure(tmp_path, f"http://127.0.0.1:{orthanc.http_port}", LABELS)
    archive.read(config)
    files = sorted((tmp_path / "images").rglob("*.dcm"))
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes())
    before = {path: path.stat().st_mtime_ns for path in files[1:]}

    archive.read(config)

    assert sorted((tmp_path / "images").rglob("*.dcm")) == files
    assert {path: path.stat().st_mtime_ns for path in files[1:]} == before


def test_studies_that_the_archive_has_not_are_told(orthanc: peers.Orthanc, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{orthanc.http_port}"
    config = configure(tmp_path, url, "accession_number,label\nnone,benign\n")

    with pytest.raises(DataError, match="has no mammogram"):
        archive.read(config)


def test_the_wrong_protocol_says_which_there_are(orthanc: peers.Orthanc, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{orthanc.http_port}"

    with pytest.raises(DataError, match="`protocol` is orthanc for"):
        archive.read(configure(tmp_path, url, LABELS, protocol="dicomweb"))


def test_an_archive_that_is_not_there_says_so(tmp_path: Path) -> None:
    config = configure(tmp_path, f"http://127.0.0.1:{peers.free_port()}", LABELS)

    with pytest.raises(DataError, match="does not answer"):
        archive.read(config)


@pytest.mark.parametrize("column", ["accession_number", "patient_id"])
def test_a_wildcard_never_reaches_the_archive(tmp_path: Path, column: str) -> None:
    url = f"http://127.0.0.1:{peers.free_port()}"
    config = configure(tmp_path, url, f"{column},label\nA*,benign\n")

    with pytest.raises(DataError, match=f"line 2, column {column}"):
        archive.read(config)


class Refusing(BaseHTTPRequestHandler):
    """Refuses whoever does not say `user:secret`, then breaks off in the middle of a file."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        if self.headers.get("Authorization") != "Basic dXNlcjpzZWNyZXQ=":
            self.send_response(401)
            self.end_headers()
            return
        bodies = {
            "/tools/find": b'["s"]',
            "/studies/s/series": b'[{"ID": "r", "MainDicomTags": {"Modality": "MG"}}]',
            "/series/r/instances": b'[{"ID": "i", "MainDicomTags": {"SOPInstanceUID": "1.2"}}]',
        }
        body = bodies.get(self.path, b"half of it")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) * (1 if self.path in bodies else 2)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_refused_credentials_say_where_they_come_from(refusing: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="CADNODE_ARCHIVE_USER"):
        archive.read(configure(tmp_path, refusing, LABELS))


@pytest.mark.parametrize("from_file", [True, False])
def test_credentials_are_used_and_half_a_file_is_never_kept(
    refusing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, from_file: bool
) -> None:
    more = {}
    if from_file:
        file = tmp_path / "archive.env"
        file.write_text("# ours\nCADNODE_ARCHIVE_USER=user\nCADNODE_ARCHIVE_PASSWORD=secret\n")
        file.chmod(0o600)
        more["credentials_file"] = "archive.env"
    else:
        monkeypatch.setenv("CADNODE_ARCHIVE_USER", "user")
        monkeypatch.setenv("CADNODE_ARCHIVE_PASSWORD", "secret")

    with pytest.raises(DataError, match="broke off") as caught:
        archive.read(configure(tmp_path, refusing, LABELS, **more))

    assert [path for path in (tmp_path / "images").rglob("*") if path.is_file()] == []
    assert "secret" not in str(caught.value)


def test_credentials_never_leave_the_machine_in_the_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CADNODE_ARCHIVE_TOKEN", "secret")

    with pytest.raises(DataError, match="https only"):
        archive.read(configure(tmp_path, "http://pacs.example.org", LABELS))


def test_a_credentials_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "archive.env").write_text("CADNODE_ARCHIVE_TOKEN=secret\n")
    (tmp_path / "archive.env").chmod(0o644)
    config = configure(tmp_path, "http://127.0.0.1:1", LABELS, credentials_file="archive.env")

    with pytest.raises(DataError, match="chmod 600"):
        archive.read(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [("url = ", "no TOML"), ("url = 'ftp://x'", "url: "), ("password = 'x'", "password: "),
     ("protocol = 'dimse'", "protocol: ")],
)  # fmt: skip
def test_what_is_wrong_with_a_configuration_is_said(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "ours.toml").write_text(text)

    with pytest.raises(DataError, match=message):
        archive.read(tmp_path / "ours.toml")


def test_identifiers_are_compared_without_case_and_asked_for_as_written(
    orthanc: peers.Orthanc, tmp_path: Path
) -> None:
    path = layouts.mammogram(
        tmp_path / "lower.dcm", "L", "CC", study_uid="1.2.3.7", AccessionNumber="abc-7",
        PatientID="seven",
    )  # fmt: skip
    orthanc.post("/instances", path.read_bytes())
    url = f"http://127.0.0.1:{orthanc.http_port}"

    found = archive.read(configure(tmp_path, url, "accession_number,label\n  abc-7 ,benign\n"))

    assert [row.label for row in found.rows] == ["benign"]


class Strange:
    """An archive that answers something else."""

    def studies(self, keyword: str, value: str) -> list[str]:
        raise KeyError(keyword)

    def mammograms(self, study: str) -> list[ArchiveInstance]:
        return []

    def fetch(self, instance: ArchiveInstance, path: Path) -> None:
        """Never asked."""


def test_an_answer_of_another_shape_asks_whether_the_url_is_right(tmp_path: Path) -> None:
    table = read_pathology(write_csv(tmp_path, LABELS))

    with pytest.raises(DataError, match="are `url` and `protocol` right"):
        archive.fetch(Strange(), table, tmp_path / "images")
