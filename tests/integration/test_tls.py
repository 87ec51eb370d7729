"""DICOM by TLS with DCMTK and Orthanc, both ways: right, wrong, expired, revoked, weaker."""

import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog

from cadnode.deliver.dicom import DicomPeer, echo, send
from cadnode.errors import Again, DeliveryError, SettingsError
from cadnode.receive import scp
from cadnode.receive.admission import AllowedPeer
from cadnode.receive.spool import Spool
from cadnode.tls import TlsFiles
from tests.certificates import Authority, Signed
from tests.peers import (
    free_port,
    is_cut_while_dripping,
    orthanc,
    storescp,
    wait_for_port,
    wait_until,
)
from tests.synthetic import view_dataset, write, write_exam

REFUSED = (ssl.SSLError, ConnectionError)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """An authority with what it signed, and another one that nobody trusts."""
    folder = tmp_path_factory.mktemp("pki")
    ours, strangers = Authority(folder / "ours"), Authority(folder / "strangers", "Other CA")
    expired, revoked = ours.sign("expired", days=-1), ours.sign("revoked")
    return SimpleNamespace(
        ours=ours, node=ours.sign("node"), peer=ours.sign("peer"), expired=expired,
        revoked=revoked, crl=ours.revoke(revoked), strangers=strangers,
        stranger=strangers.sign("stranger"), elsewhere=ours.sign("elsewhere", host="192.0.2.1"),
    )  # fmt: skip


@contextmanager
def listening(folder: Path, files: TlsFiles, **options: object) -> Iterator[scp.Listener]:
    config = scp.ScpConfig(
        port=0, tls_port=0, in_clear=False, tls=files, network_timeout_s=20, **options
    )  # type: ignore[arg-type]
    with scp.serve(config, Spool(folder / "spool"), lambda stored: None) as listener:
        yield listener


@pytest.fixture(scope="module")
def node(
    tmp_path_factory: pytest.TempPathFactory, pki: SimpleNamespace
) -> Iterator[SimpleNamespace]:
    """Our listener by mutual TLS alone, with a list of what is revoked."""
    folder = tmp_path_factory.mktemp("node")
    with listening(folder, pki.ours.files(pki.node, pki.crl)) as listener:
        yield SimpleNamespace(port=listener.tls_port, spool=Spool(folder / "spool"))


def dcmtk(command: str, port: int, authority: Authority, shown: Signed | None, *more: str) -> bool:
    """Whether DCMTK's command succeeds by TLS; without a certificate it shows none."""
    keys = ["+tls", str(shown.key), str(shown.certificate)] if shown else ["+tla"]
    options, last = more[:-1], more[-1:]
    done = subprocess.run(
        [command, *keys, "+cf", str(authority.path), *options, "127.0.0.1", str(port), *last],
        capture_output=True, timeout=60,
    )  # fmt: skip
    return done.returncode == 0


def test_dcmtk_sends_an_exam_by_tls(node: SimpleNamespace, pki: SimpleNamespace, tmp_path: Path):
    files = write_exam(tmp_path / "exam")

    assert dcmtk("storescu", node.port, pki.ours, pki.peer, "+sd", str(tmp_path / "exam"))

    (study,) = node.spool.studies()
    assert len(node.spool.instances(study)) == len(files)


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ("stranger", "tls_certificate"),
        ("expired", "tls_certificate"),
        ("revoked", "tls_certificate"),
        (None, "tls_no_certificate"),
    ],
)
def test_a_peer_whose_certificate_is_not_right_gets_no_association(
    node: SimpleNamespace, pki: SimpleNamespace, shown: str | None, reason: str, tmp_path: Path
):
    files = pki.ours.files(pki.node, pki.crl)
    with structlog.testing.capture_logs() as logs, listening(tmp_path, files) as listener:
        certificate = getattr(pki, shown) if shown else None
        assert not dcmtk("echoscu", listener.tls_port, pki.ours, certificate)
        wait_until(lambda: any(e["event"] == "connection_refused" for e in logs), 5)
    assert [e["reason"] for e in logs if e["event"] == "connection_refused"] == [reason]
    assert dcmtk("echoscu", node.port, pki.ours, pki.peer)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    "weaker",
    [
        {"maximum_version": ssl.TLSVersion.TLSv1_1},
        {"maximum_version": ssl.TLSVersion.TLSv1_2, "ciphers": "ECDHE-ECDSA-AES128-SHA@SECLEVEL=0"},
        {"maximum_version": ssl.TLSVersion.TLSv1_2, "ciphers": "AES128-GCM-SHA256@SECLEVEL=0"},
    ],
    ids=["tls_1_1", "cbc", "no_forward_secrecy"],
)
def test_nothing_weaker_is_negotiated(
    node: SimpleNamespace, pki: SimpleNamespace, weaker: dict[str, object]
):
    context = ssl.create_default_context(cafile=str(pki.ours.path))
    context.load_cert_chain(pki.peer.certificate, pki.peer.key)
    context.set_ciphers(str(weaker.get("ciphers", "ALL:@SECLEVEL=0")))
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = weaker["maximum_version"]  # type: ignore[assignment]
    with socket.create_connection(("127.0.0.1", node.port), 10) as plain, pytest.raises(REFUSED):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


@pytest.mark.parametrize("harm", ["silent", "half_a_hello", "in_clear", "garbage"])
def test_half_handshakes_keep_nobody_out(node: SimpleNamespace, pki: SimpleNamespace, harm: str):
    data = {
        "silent": b"",
        "half_a_hello": b"\x16\x03\x01\x02\x00\x01\x00",
        "in_clear": b"\x01\x00\x00\x00\x00\x44" + bytes(68),
        "garbage": os.urandom(5000),
    }[harm]
    held = [socket.create_connection(("127.0.0.1", node.port), 10) for _ in range(60)]
    try:
        for one in held:
            one.sendall(data)
        began = time.monotonic()
        assert dcmtk("echoscu", node.port, pki.ours, pki.peer)
        assert time.monotonic() - began < 10  # a process is started in it, on a busy machine
    finally:
        for one in held:
            one.close()


def test_what_tls_has_decrypted_in_one_piece_is_read_to_its_end(
    node: SimpleNamespace, pki: SimpleNamespace
):
    peer = DicomPeer(
        "node", "127.0.0.1", node.port, "CADNODE", tls=pki.ours.files(pki.peer), timeout_s=20
    )
    for _ in range(20):
        echo(peer)


def test_a_handshake_byte_by_byte_is_cut_in_its_time(tmp_path: Path, pki: SimpleNamespace):
    config = scp.ScpConfig(
        port=0, tls_port=0, in_clear=False, tls=pki.ours.files(pki.node), association_within_s=2.0
    )
    with (
        scp.serve(config, Spool(tmp_path / "spool"), lambda stored: None) as listener,
        socket.create_connection(("127.0.0.1", listener.tls_port), 10) as peer,
    ):
        assert is_cut_while_dripping(peer, 10, every_s=0.2)


def test_more_than_a_handshake_and_a_request_need_is_not_taken(
    node: SimpleNamespace, pki: SimpleNamespace
):
    def drip(peer: ssl.SSLSocket) -> None:
        peer.sendall(b"\x01\x00\x00\x04\x00\x00" + bytes(100_000))  # 256 KiB are announced
        for _ in range(100_000):
            peer.sendall(b"\0")  # a record of 23 bytes for each

    with _connected(node.port, pki.ours, pki.peer) as peer, pytest.raises(REFUSED):
        drip(peer)


def test_a_title_that_is_bound_is_let_in_by_no_other_entry(tmp_path: Path, pki: SimpleNamespace):
    peers = (
        AllowedPeer("PACS", ip_network("127.0.0.1"), pki.peer.sha256),
        AllowedPeer("", ip_network("127.0.0.0/8")),
    )
    with listening(tmp_path, pki.ours.files(pki.node), peers=peers) as listener:
        assert _is_taken(listener.tls_port, pki, pki.peer, "PACS")
        assert not _is_taken(listener.tls_port, pki, pki.node, "PACS")
        assert _is_taken(listener.tls_port, pki, pki.node, "ANOTHER")


def test_a_peer_may_be_bound_to_its_certificate(tmp_path: Path, pki: SimpleNamespace):
    peers = (AllowedPeer("MODALITY", ip_network("127.0.0.1"), pki.peer.sha256),)
    with listening(tmp_path, pki.ours.files(pki.node), peers=peers) as listener:
        port = listener.tls_port
        assert _is_taken(port, pki, pki.peer, "MODALITY")
        assert not _is_taken(port, pki, pki.node, "MODALITY")
        assert not _is_taken(port, pki, pki.peer, "ANOTHER")


def _is_taken(port: int, pki: SimpleNamespace, shown: Signed, aet: str) -> bool:
    peer = DicomPeer(
        "node", "127.0.0.1", port, "CADNODE", aet, tls=pki.ours.files(shown), timeout_s=20
    )
    try:
        echo(peer)
    except DeliveryError:
        return False
    return True


def test_renewed_certificates_are_shown_and_broken_ones_change_nothing(
    tmp_path: Path, pki: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cadnode.tls._LOOK_EVERY_S", 0.0)
    authority = Authority(tmp_path / "pki")
    before, after, peer = (authority.sign(name) for name in ("before", "after", "peer"))
    certificate, key = tmp_path / "node.pem", tmp_path / "node.key"

    def renew(signed: Signed) -> None:
        certificate.write_bytes(signed.certificate.read_bytes())
        key.write_bytes(signed.key.read_bytes())

    renew(before)
    with (
        listening(tmp_path, TlsFiles(certificate, key, authority.path)) as listener,
        _connected(listener.tls_port, authority, peer) as old,
    ):
        port = listener.tls_port
        assert _shown(old) == before.certificate.read_text()
        certificate.write_text("rubbish")
        assert _shown_at(port, authority, peer) == before.certificate.read_text()
        assert "cannot be used" in listener.problem()
        renew(after)
        assert _shown_at(port, authority, peer) == after.certificate.read_text()
        assert listener.problem() == ""
        old.sendall(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00")  # the old one still lives
        assert old.recv(1)[0] == 7  # A-ABORT: a release of no association


@contextmanager
def _connected(port: int, authority: Authority, signed: Signed) -> Iterator[ssl.SSLSocket]:
    context = ssl.create_default_context(cafile=str(authority.path))
    context.load_cert_chain(signed.certificate, signed.key)
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as peer,
    ):
        yield peer


def _shown(peer: ssl.SSLSocket) -> str:
    return ssl.DER_cert_to_PEM_cert(peer.getpeercert(binary_form=True) or b"")


def _shown_at(port: int, authority: Authority, signed: Signed) -> str:
    with _connected(port, authority, signed) as peer:
        return _shown(peer)


def test_files_that_cannot_be_used_are_named_before_the_node_listens(
    tmp_path: Path, pki: SimpleNamespace
):
    for files, words in (
        (TlsFiles(pki.node.certificate, pki.peer.key), "cannot be used"),
        (TlsFiles(tmp_path / "none.pem", pki.peer.key), "there is no file"),
    ):
        with pytest.raises(SettingsError, match=words), listening(tmp_path, files):
            pass


# To archives


@contextmanager
def dcmtk_archive(folder: Path, pki: SimpleNamespace, shown: Signed, *options: str):
    keys = ["+tls", str(shown.key), str(shown.certificate), "+cf", str(pki.ours.path)]
    with storescp(folder, *keys, *options) as peer:
        yield peer


def archive_at(port: int, files: TlsFiles | None, ae_title: str = "DCMTK") -> DicomPeer:
    return DicomPeer("archive", "127.0.0.1", port, ae_title, tls=files, timeout_s=20)


def test_an_exam_goes_to_dcmtk_by_tls(tmp_path: Path, pki: SimpleNamespace):
    files = write_exam(tmp_path / "exam")
    with dcmtk_archive(tmp_path / "got", pki, pki.peer) as peer:
        taken = send(files, archive_at(peer.port, pki.ours.files(pki.node)))
    assert taken.n_sent == len(files) == len(list((tmp_path / "got").iterdir()))


@pytest.mark.parametrize(
    ("archive", "ours", "words"),
    [
        ("stranger", "node", "signed by somebody whom ca_file does not hold"),
        ("expired", "node", "has expired"),
        ("elsewhere", "node", "for another (name|address)"),
        ("peer", "stranger", "does not trust|refuses our certificate"),
        ("peer", None, "wants a certificate of ours"),
    ],
)
def test_why_there_is_no_tls_with_an_archive_is_said_and_it_is_tried_daily(
    tmp_path: Path, pki: SimpleNamespace, archive: str, ours: str | None, words: str
):
    shown = getattr(pki, ours) if ours else None
    files = TlsFiles(shown and shown.certificate, shown and shown.key, pki.ours.path)
    with (
        dcmtk_archive(tmp_path / "got", pki, getattr(pki, archive)) as peer,
        pytest.raises(DeliveryError, match=words) as refused,
    ):
        echo(archive_at(peer.port, files))
    assert getattr(refused.value, "again", None) is Again.SLOWLY


def test_an_archive_whose_certificate_was_revoked_gets_nothing(
    tmp_path: Path, pki: SimpleNamespace
):
    files = pki.ours.files(pki.node, pki.crl)
    with (
        dcmtk_archive(tmp_path / "got", pki, pki.revoked) as peer,
        pytest.raises(DeliveryError, match="was revoked") as refused,
    ):
        echo(archive_at(peer.port, files))
    assert getattr(refused.value, "again", None) is Again.SLOWLY


def test_an_archive_that_speaks_no_tls_is_sent_nothing_in_clear(
    tmp_path: Path, pki: SimpleNamespace
):
    with storescp(tmp_path / "got") as peer, pytest.raises(DeliveryError, match="TLS"):
        echo(archive_at(peer.port, pki.ours.files(pki.node)))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_archive_of_weaker_tls_is_not_spoken_to(tmp_path: Path, pki: SimpleNamespace):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.load_cert_chain(pki.peer.certificate, pki.peer.key)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            plain, _ = server.accept()
            with plain, suppress(OSError):
                context.wrap_socket(plain, server_side=True).close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(DeliveryError, match=r"TLS 1\.2"):
            echo(archive_at(port, pki.ours.files(pki.node)))
        thread.join(10)


def test_orthanc_sends_and_takes_by_tls(tmp_path: Path, pki: SimpleNamespace):
    port = free_port()
    settings = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(pki.peer.certificate),
        "DicomTlsPrivateKey": str(pki.peer.key),
        "DicomTlsTrustedCertificates": str(pki.ours.path),
        "DicomTlsRemoteCertificateRequired": True,
        "DicomModalities": {
            "node": {"AET": "CADNODE", "Host": "127.0.0.1", "Port": port, "UseDicomTls": True}
        },
    }
    image = write(view_dataset(), tmp_path / "view.dcm")
    config = scp.ScpConfig(port=0, tls_port=port, in_clear=False, tls=pki.ours.files(pki.node))
    spool = Spool(tmp_path / "spool")
    with (
        orthanc(tmp_path / "orthanc", **settings) as archive,
        scp.serve(config, spool, lambda stored: None),
    ):
        wait_for_port(port)
        taken = send([image], archive_at(archive.dicom_port, pki.ours.files(pki.node), archive.aet))
        assert taken.n_sent == 1
        (instance,) = archive.get("/instances")
        archive.post("/modalities/node/store", instance.encode())
        assert len(spool.instances(spool.studies()[0])) == 1
        with pytest.raises(DeliveryError):
            echo(archive_at(archive.dicom_port, TlsFiles(authorities=pki.ours.path), archive.aet))
        with pytest.raises(DeliveryError):
            echo(archive_at(archive.dicom_port, None, archive.aet))


# User identity negotiation (PS3.7 D.3.3.7)


USER = AllowedPeer("MODALITY", ip_network("127.0.0.0/8"), username="ward", passcode="let me in")


def _scu(port: int, pki: SimpleNamespace, *more: str, aet: str = "MODALITY") -> bool:
    """Whether DCMTK's storescu is let in with these words of user identity."""
    return dcmtk("storescu", port, pki.ours, pki.peer, "-aet", aet, *more)


def test_a_peer_with_a_user_shows_its_passcode(tmp_path: Path, pki: SimpleNamespace) -> None:
    image = str(write(view_dataset("L", "CC"), tmp_path / "one.dcm"))
    right = ("-usr", "ward", "-pwd", "let me in")
    peers = (USER, AllowedPeer("", ip_network("127.0.0.0/8")))
    with (
        structlog.testing.capture_logs() as logs,
        listening(tmp_path, pki.ours.files(pki.node), peers=peers) as listener,
    ):
        port = listener.tls_port
        assert _scu(port, pki, *right, image)
        assert _scu(port, pki, *right, "-rsp", image)  # it asks for the answer, too
        assert not _scu(port, pki, image)
        assert not _scu(port, pki, "-usr", "ward", image)
        assert not _scu(port, pki, "-usr", "ward", "-pwd", "let me", image)
        assert not _scu(port, pki, "-usr", "word", "-pwd", "let me in", image)
        assert _scu(port, pki, image, aet="ANOTHER")
    text = repr(logs)
    assert "user_identity" in text
    assert not any(word in text for word in ("ward", "let me"))


def test_a_passcode_in_clear_lets_nobody_in(tmp_path: Path) -> None:
    image = str(write(view_dataset("L", "CC"), tmp_path / "one.dcm"))
    config = scp.ScpConfig(port=0, peers=(USER,))
    with scp.serve(config, Spool(tmp_path / "spool"), lambda stored: None) as listener:
        sent = subprocess.run(
            ["storescu", "-aet", "MODALITY", "-usr", "ward", "-pwd", "let me in",
             "127.0.0.1", str(listener.port), image],
            capture_output=True, timeout=60,
        )  # fmt: skip
    assert sent.returncode != 0


def test_an_archive_is_shown_a_user_with_the_passcode_that_its_file_has_now(
    tmp_path: Path, pki: SimpleNamespace
) -> None:
    passcode = tmp_path / "passcode"
    with listening(tmp_path, pki.ours.files(pki.node), peers=(USER,)) as listener:
        archive = DicomPeer(
            "archive", "127.0.0.1", listener.tls_port, "CADNODE", "MODALITY",
            tls=pki.ours.files(pki.peer), timeout_s=20, username="ward", password_file=passcode,
        )  # fmt: skip
        with pytest.raises(DeliveryError, match="cannot be read"):
            echo(archive)
        for content, is_right in (("wrong", False), ("let me in", True)):
            passcode.write_text(content + "\n")
            passcode.chmod(0o600)
            if is_right:
                echo(archive)
            else:
                with pytest.raises(DeliveryError, match="refused the association"):
                    echo(archive)
    assert "let me in" not in repr(archive)
