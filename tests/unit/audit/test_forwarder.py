"""The trail reaches a repository by TLS: whole, in order, after any outage."""

import itertools
import re
import socket
import ssl
import threading
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from cadnode.audit.forwarder import Forwarder, backlog, position
from cadnode.audit.syslog import Repository, RepositoryAway, SyslogSender, framed
from cadnode.audit.trail import Trail
from cadnode.demo.archive import free_port
from cadnode.errors import SettingsError
from cadnode.settings import AuditSection
from tests.certificates import Authority
from tests.syslog_server import SyslogServer, running
from tests.unit.audit.cases import Clock, trail, viewed, written


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def section(authority: Authority, port: int) -> AuditSection:
    ours = authority.sign("node")
    return AuditSection(
        syslog_host="127.0.0.1", syslog_port=port, syslog_ca_file=authority.path,
        certificate_file=ours.certificate, key_file=ours.key,
    )  # fmt: skip


class Now:
    """A clock that a test sets on."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def sequences(server: SyslogServer) -> list[int]:
    return [
        int(n) for n in re.findall(r'ParticipantObjectID="urn:cadnode:audit:(\d+)"', server.text)
    ]


def test_a_message_has_the_header_of_rfc_5424_and_its_length_before_it(tmp_path: Path) -> None:
    made = trail(tmp_path, 1)
    frame = framed(written(made)[0], SyslogSender("node 1.örg", "77"))
    length, _, message = frame.partition(b" ")
    assert int(length) == len(message)
    header = b"<85>1 2026-03-04T04:53:21.000000Z node1.rg cadnode 77 DICOM+RFC3881 - \xef\xbb\xbf"
    assert message.startswith(header)
    assert Xml.fromstring(message[len(header) :]).tag == "AuditMessage"


def test_lines_arrive_once_and_in_order_with_our_certificate(
    tmp_path: Path, authority: Authority
) -> None:
    made = trail(tmp_path, 450)
    with running(authority.files(authority.sign("repository"))) as server:
        repository = Repository(section(authority, server.port))
        sending = Forwarder(made.folder, repository)
        assert sending.round() == 450
        assert sending.round() == 0
        made.record(viewed())
        assert Forwarder(made.folder, repository).round() == 1  # another process goes on
    assert sequences(server) == list(range(1, 452))
    assert server.peer  # it asked for a certificate, and was shown ours
    assert backlog(made.folder).waiting == 0


def test_an_outage_loses_nothing_and_is_shown_with_its_age(
    tmp_path: Path, authority: Authority
) -> None:
    files, port, now = authority.files(authority.sign("repository")), free_port(), Now()
    clock = Clock()
    made = trail(tmp_path, 2, clock)
    sending = Forwarder(made.folder, Repository(section(authority, port)), now)
    assert sending.round() == 0
    made.record(viewed())
    found = backlog(made.folder)
    assert (found.waiting, found.oldest_at) == (3, clock.at - 2)
    assert "refused" in found.problem
    with running(files, SyslogServer(port)) as server:
        assert sending.round() == 0  # not yet: its pause is not over
        now.at += 1.1
        assert sending.round() == 3
    assert sequences(server) == [1, 2, 3]
    assert backlog(made.folder).problem == ""


def test_what_a_repository_did_not_take_to_the_end_is_sent_again_before_the_rest(
    tmp_path: Path, authority: Authority
) -> None:
    made, now = trail(tmp_path, 3), Now()
    files = authority.files(authority.sign("repository"))
    with running(files, SyslogServer(drops=2)) as server:
        sending = Forwarder(made.folder, Repository(section(authority, server.port)), now)
        for _ in range(3):
            sending.round()
            made.record(viewed())
            now.at += 61
        assert sending.round() > 0
    assert server.connections >= 4
    assert sequences(server) == [1, 2, 3, 4, 5, 6]


def test_a_repository_that_closes_without_the_alert_has_read_all(
    tmp_path: Path, authority: Authority
) -> None:
    made = trail(tmp_path, 3)
    files = authority.files(authority.sign("repository"))
    with running(files, SyslogServer(says_goodbye=False)) as server:
        sending = Forwarder(made.folder, Repository(section(authority, server.port)))
        assert (sending.round(), sending.round()) == (3, 0)
    assert sequences(server) == [1, 2, 3]


def test_pauses_grow_to_a_minute_and_the_log_says_it_once(
    tmp_path: Path, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    made, now = trail(tmp_path, 1), Now()
    tries = []

    class Away:
        def send(self, entries: object) -> None:
            tries.append(now.at)
            raise RepositoryAway("it is away")

    sending = Forwarder(made.folder, Away(), now)
    while now.at < 400:
        sending.round()
        now.at += 0.5
    pauses = [b - a for a, b in itertools.pairwise(tries)]
    assert pauses[:6] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    assert set(pauses[6:]) == {60.0}
    assert capsys.readouterr().err.count("audit_not_forwarded") <= 1


def test_a_trail_that_was_begun_anew_is_sent_from_its_beginning(
    tmp_path: Path, authority: Authority
) -> None:
    made = trail(tmp_path, 5)
    with running(authority.files(authority.sign("repository"))) as server:
        sending = Forwarder(made.folder, Repository(section(authority, server.port)))
        sending.round()
        for path in (*made.folder.glob("2*.jsonl"), made.folder / "head.json"):
            path.unlink()
        Trail(made.folder, clock=Clock()).record(viewed())
        assert sending.round() == 1
    assert sequences(server) == [1, 2, 3, 4, 5, 1]


def test_a_repository_of_another_authority_gets_nothing(
    tmp_path: Path, authority: Authority
) -> None:
    other = Authority(tmp_path / "other", "Other CA")
    made = trail(tmp_path, 1)
    with running(other.files(other.sign("repository"))) as server:
        sending = Forwarder(made.folder, Repository(section(authority, server.port)))
        assert sending.round() == 0
    assert server.messages == []
    assert "not trusted" in backlog(made.folder).problem
    assert position(made.folder).sequence == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("n_lines", [1, 300])
def test_a_repository_that_refuses_our_certificate_has_nothing(
    tmp_path: Path, authority: Authority, version: ssl.TLSVersion, n_lines: int
) -> None:
    other = Authority(tmp_path / "other", "Other CA").sign("node")
    made = trail(tmp_path, n_lines)
    with running(authority.files(authority.sign("repository")), version=version) as server:
        place = {"syslog_host": "127.0.0.1", "syslog_port": server.port}
        without = AuditSection(**place, syslog_ca_file=authority.path)
        foreign = AuditSection(
            **place, syslog_ca_file=authority.path,
            certificate_file=other.certificate, key_file=other.key,
        )  # fmt: skip
        for settings in (without, foreign):
            for _ in range(3):
                assert Forwarder(made.folder, Repository(settings)).round() == 0
    assert server.messages == []
    assert position(made.folder).sequence == 0


def test_a_repository_for_another_name_gets_nothing(tmp_path: Path, authority: Authority) -> None:
    made = trail(tmp_path, 1)
    with running(authority.files(authority.sign("repository", host="127.0.0.9"))) as server:
        assert Forwarder(made.folder, Repository(section(authority, server.port))).round() == 0
    assert server.messages == []


def test_what_speaks_no_tls_is_away(tmp_path: Path, authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        repository = Repository(section(authority, listening.getsockname()[1]))
        listening.settimeout(0.1)
        answering = listening.accept

        def answer() -> None:
            listening.settimeout(5)
            plain, _ = answering()
            plain.sendall(b"220 mail\r\n")
            plain.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(RepositoryAway):
            repository.send([])
        thread.join(5)


def test_files_that_tls_cannot_use_are_wrong_settings(tmp_path: Path) -> None:
    missing = AuditSection(syslog_host="h", syslog_ca_file=tmp_path / "none.pem")
    with pytest.raises(SettingsError, match=r"none\.pem"):
        Repository(missing)
    with pytest.raises(SettingsError, match="syslog_host"):
        Repository(AuditSection())
    with pytest.raises(ValueError, match="come together"):
        AuditSection(syslog_host="h", key_file=tmp_path / "k")
