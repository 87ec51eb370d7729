"""Results stored in a real Orthanc by C-STORE, STOW-RS and REST: once, in the same study."""

import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pydicom
import pytest

from cadnode.deliver import dicom, orthanc, stow
from cadnode.deliver.outcome import Delivered
from cadnode.errors import PermanentDeliveryError, TransientDeliveryError
from cadnode.http import HttpPeerValues
from cadnode.node import checks, deliveries
from cadnode.settings import Destination, Settings, Source
from tests.integration.http_peers import PASSWORD, USER, data_set, values_of, web_orthanc
from tests.peers import Orthanc, free_port
from tests.synthetic import MARK, uid, view_dataset, write, write_exam

Send = Callable[[Sequence[Path], Orthanc], Delivered]
KIND_OF = {"stow": "dicomweb", "orthanc": "orthanc"}


def by_cstore(files: Sequence[Path], archive: Orthanc) -> Delivered:
    peer = dicom.DicomPeer("archive", "127.0.0.1", archive.dicom_port, archive.aet)
    return dicom.send(files, peer)


def by_stow(files: Sequence[Path], archive: Orthanc) -> Delivered:
    return stow.send(files, values_of(archive, "dicomweb"))


def by_rest(files: Sequence[Path], archive: Orthanc) -> Delivered:
    return orthanc.send(files, values_of(archive, "orthanc"))


WAYS: tuple[Send, ...] = (by_cstore, by_stow, by_rest)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with web_orthanc(tmp_path_factory.mktemp("orthanc")) as peer:
        yield peer


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with web_orthanc(tmp_path_factory.mktemp("guarded"), password=PASSWORD) as peer:
        yield peer


def held(archive: Orthanc, study: str) -> list[bytes]:
    """Data sets that the archive holds of a study, each as often as it holds it."""
    found = archive.post("/tools/find", {"Level": "Instance", "Query": {"StudyInstanceUID": study}})
    files = (archive.get_bytes(f"/instances/{i}/file") for i in found)
    return sorted(content[content.index(b"DICM") :] for content in files)


@pytest.mark.parametrize("send", WAYS, ids=lambda way: way.__name__)
def test_objects_arrive_as_they_are_once_also_when_sent_twice(
    archive: Orthanc, tmp_path: Path, send: Send
) -> None:
    study = uid("delivered", send.__name__)
    files = write_exam(tmp_path / "exam", study_uid=study)
    assert send(files, archive).n_sent == 4
    first = held(archive, study)
    assert send(files, archive).n_sent == 4
    assert held(archive, study) == first
    assert len(first) == 4
    for file in files:
        assert any(content.endswith(data_set(file)) for content in first)


def test_all_three_ways_lead_to_the_same_instances_of_the_same_study(
    archive: Orthanc, tmp_path: Path
) -> None:
    study = uid("delivered three ways")
    files = write_exam(tmp_path / "exam", study_uid=study)
    for send in WAYS:
        send(files, archive)
    assert len(held(archive, study)) == 4
    assert len(archive.post("/tools/lookup", study.encode())) == 1


@pytest.mark.parametrize("kind", ["stow", "orthanc"])
def test_what_is_no_dicom_is_refused_and_the_rest_is_taken(
    archive: Orthanc, tmp_path: Path, kind: str
) -> None:
    study = uid("with noise", kind)
    noise = tmp_path / "noise.dcm"
    noise.write_text(f"{MARK} is no DICOM")
    files = [noise, *write_exam(tmp_path / "exam", study_uid=study)]
    send = {"stow": by_stow, "orthanc": by_rest}[kind]
    with pytest.raises((PermanentDeliveryError, TransientDeliveryError)) as refused:
        send(files, archive)
    assert MARK not in str(refused.value)
    assert study not in str(refused.value)
    if kind == "orthanc":
        assert len(held(archive, study)) == 4


@pytest.mark.parametrize("kind", ["stow", "orthanc"])
def test_a_wrong_password_is_told_before_anything_is_sent(
    guarded: Orthanc, tmp_path: Path, kind: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong")
    send = {"stow": stow.send, "orthanc": orthanc.send}[kind]
    told = values_of(guarded, KIND_OF[kind], username=USER, password_file=secret)
    big = write(view_dataset(rows=4096, columns=3328), tmp_path / "big.dcm")  # 27 MB
    with pytest.raises(TransientDeliveryError, match=r"refuses the user, password or token \(401"):
        send([big], told)
    secret.write_text(PASSWORD)  # corrected while the node runs
    assert send([big], told).n_sent == 1


@pytest.mark.parametrize("kind", ["stow", "orthanc"])
def test_a_peer_that_is_down_or_whose_password_file_is_gone_is_tried_again(
    tmp_path: Path, kind: str
) -> None:
    files = write_exam(tmp_path / "exam", views=(("L", "CC"),))
    send = {"stow": stow.send, "orthanc": orthanc.send}[kind]
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(TransientDeliveryError, match="archive cannot be reached"):
        send(files, HttpPeerValues("archive", url))
    missing = HttpPeerValues("archive", url, username="a", password_file=tmp_path / "none")
    with pytest.raises(TransientDeliveryError, match="the password_file of archive cannot be read"):
        send(files, missing)


def test_an_address_that_is_no_orthanc_is_permanent(archive: Orthanc, tmp_path: Path) -> None:
    files = write_exam(tmp_path / "exam", views=(("L", "CC"),))
    with pytest.raises(PermanentDeliveryError, match="is the url right"):
        orthanc.send(files, values_of(archive, "dicomweb"))
    with pytest.raises(PermanentDeliveryError, match="is the url right"):
        stow.send(files, HttpPeerValues("archive", f"{values_of(archive, 'orthanc').url}/nowhere"))


class Guarded(BaseHTTPRequestHandler):
    """What a token-checking proxy with TLS would answer for an Orthanc."""

    def do_GET(self) -> None:
        ok = self.headers["Authorization"] == "Bearer a-token"
        self.send_response(200 if ok else 401)
        self.end_headers()
        self.wfile.write(b'{"ApiVersion": 24, "Version": "1.12.9"}' if ok else b"")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(url, certificate file) of a server on loopback with a certificate of its own making."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    server = HTTPServer(("127.0.0.1", 0), Guarded)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}", certificate
    server.shutdown()
    thread.join()
    server.server_close()


def test_tls_wants_a_trusted_certificate_and_a_token_comes_from_its_file(
    tls_server: tuple[str, Path], tmp_path: Path
) -> None:
    url, certificate = tls_server
    token = tmp_path / "token"
    token.write_text("a-token\n")
    with pytest.raises(TransientDeliveryError, match="certificate that is not trusted"):
        orthanc.check(HttpPeerValues("archive", url, token_file=token))
    trusting = HttpPeerValues("archive", url, token_file=token, ca_file=certificate)
    assert orthanc.check(trusting) == "Orthanc 1.12.9"
    token.write_text("another\n")
    with pytest.raises(TransientDeliveryError, match="401"):
        orthanc.check(trusting)


def settings_of(archive: Orthanc, tmp_path: Path) -> Settings:
    """A node with a destination of each kind and two sources, some of them wrong."""
    url = f"http://127.0.0.1:{archive.http_port}"
    down = f"http://127.0.0.1:{free_port()}"
    return Settings(
        storage={"folder": tmp_path / "data"},
        destinations=(
            Destination(name="rest", kind="orthanc", url=url),
            Destination(name="web", kind="stow", url=f"{url}/dicom-web"),
            Destination(name="dicom", port=archive.dicom_port, ae_title="ORTHANC"),
            Destination(name="files", kind="folder", folder=tmp_path / "out"),
            Destination(name="down", kind="orthanc", url=down),
            Destination(name="nofhir", kind="fhir", url=url),
        ),
        sources=(
            Source(name="rest", kind="orthanc", url=url),
            Source(name="web", kind="dicomweb", url=f"{url}/dicom-web"),
            Source(name="wrong", kind="dicomweb", url=url),
        ),
    )  # fmt: skip


def test_check_reaches_every_destination_and_source_and_says_what_is_wrong(
    archive: Orthanc, tmp_path: Path
) -> None:
    settings = settings_of(archive, tmp_path)
    found = {
        c.name: c
        for c in [checks.destination_check(settings, d) for d in settings.destinations]
        + [checks.source_check(s, settings.listener.ae_title) for s in settings.sources]
    }
    good = {name for name, check in found.items() if check.verdict is checks.CheckVerdict.OK}
    assert good == {
        "destination rest", "destination web", "destination dicom", "source rest", "source web",
    }  # fmt: skip
    assert "Orthanc 1.10.1" in found["destination rest"].found
    assert "answered QIDO-RS" in found["source web"].found
    assert "cannot be reached" in found["destination down"].found
    assert "is the url right" in found["source wrong"].found
    assert "no folder" in found["destination files"].found
    assert all(check.advice for name, check in found.items() if name not in good)


def test_one_reading_goes_to_every_kind_of_destination(archive: Orthanc, tmp_path: Path) -> None:
    settings = settings_of(archive, tmp_path)
    study = uid("dispatched")
    result = tmp_path / "result"
    ds = view_dataset(study_uid=study, rows=32, columns=32)
    write(ds, result / "sr.dcm")
    said = {
        d.name: deliveries.deliver(settings, "study", result, d.name) for d in settings.destinations
    }
    assert said == {
        "rest": "delivered", "web": "delivered", "dicom": "delivered", "files": "delivered",
        "down": "retry", "nofhir": "refused",
    }  # fmt: skip
    assert len(held(archive, study)) == 1
    copies = list((tmp_path / "out" / "study").iterdir())
    assert [pydicom.dcmread(p).SOPInstanceUID for p in copies] == [ds.SOPInstanceUID]
