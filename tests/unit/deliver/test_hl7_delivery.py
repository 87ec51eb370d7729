"""An HL7 message by MLLP to a listener of another library: taken, refused, away, by TLS."""

import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from cadnode.deliver.hl7 import Acknowledgement, Hl7Kind, acknowledgement
from cadnode.deliver.outgoing import Outgoing
from cadnode.domain import Priority
from cadnode.errors import (
    DeliveryError,
    PassingRefusal,
    PermanentDeliveryError,
    TransientDeliveryError,
)
from cadnode.report.edition import Edition
from cadnode.report.hl7.oru import control_id, write_message
from cadnode.settings import Destination
from tests.certificates import Authority
from tests.hl7_listener import Hl7Listener, listening
from tests.report_cases import MADE_AT, digital_exam, result_of

STUDY = "0123456789abcdef"


def edition() -> Edition:
    exam = digital_exam()
    return Edition(exam, result_of(exam, "systems"), MADE_AT)


@pytest.fixture
def outgoing(tmp_path: Path) -> Outgoing:
    path = write_message(tmp_path / "oru.hl7", edition(), Priority.SCREENING)
    return Outgoing([path], f"{STUDY}/2", lambda path: True)


def ris(port: int, **more: object) -> Destination:
    return Destination(name="ris", kind="hl7", port=port, **{"timeout_s": 2.0, **more})  # type: ignore[arg-type]


def test_a_message_is_acknowledged_and_is_what_was_written(outgoing: Outgoing) -> None:
    with listening(Hl7Listener()) as there:
        values = {
            "receiving_application": "RIS", "receiving_facility": "HOSPITAL",
            "sending_facility": "MG", "processing_id": "T",
            "link_url": "https://cad.hospital.org",
        }  # fmt: skip
        taken = Hl7Kind().send(outgoing, ris(there.port, **values), "CADNODE")
    (message,) = there.messages
    msh = message.segment("MSH")
    assert [str(msh[n]) for n in (3, 4, 5, 6, 11, 18)] == [
        "cadnode", "MG", "RIS", "HOSPITAL", "T", "UNICODE UTF-8",
    ]  # fmt: skip
    assert str(msh[10]) == control_id(edition())
    assert str(message.segment("PID")[5]) == "Müller^Änne^^^^^L^A"
    last = message.segments("OBX")[-1]
    assert str(last[1]) == str(len(message.segments("OBX")))
    assert (str(last[2]), str(last[5]).split("^")[0]) == (
        "RP", f"https://cad.hospital.org/studies/{STUDY}",
    )  # fmt: skip
    assert (taken.n_sent, taken.n_unverified) == (1, 0)


def test_sent_again_it_is_the_same_and_can_be_recognised(outgoing: Outgoing) -> None:
    with listening(Hl7Listener()) as there:
        for _ in range(2):
            Hl7Kind().send(outgoing, ris(there.port), "CADNODE")
    first, second = map(str, there.messages)
    assert first == second


def test_a_listener_that_was_away_gets_it_when_it_is_back(outgoing: Outgoing) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    with pytest.raises(TransientDeliveryError, match="ris refuses the connection"):
        Hl7Kind().send(outgoing, ris(port), "CADNODE")
    with listening(Hl7Listener(), port) as there:
        assert Hl7Kind().check(ris(port), "CADNODE") == "takes connections"
        Hl7Kind().send(outgoing, ris(port), "CADNODE")
    assert len(there.messages) == 1


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (("AE", ""), PassingRefusal, r"ris answered an error \(AE\)"),
        (("AE", "101"), PermanentDeliveryError, r"\(AE, 101 required field missing\)"),
        (("CE", "103"), PermanentDeliveryError, r"\(CE, 103 table value not found\)"),
        (("AE", "204"), PassingRefusal, r"\(AE, 204 unknown key identifier\)"),
        (("AR", "203"), PassingRefusal, r"answered a rejection \(AR, 203 unsupported version id\)"),
        (("AR", "207"), TransientDeliveryError, r"\(AR, 207 application internal error\)"),
        (("CR", "206"), TransientDeliveryError, r"\(CR, 206 application record locked\)"),
        (("AE", "999"), PassingRefusal, r"an error \(AE\)"),
        (("??", ""), PassingRefusal, "as an HL7 listener does"),
        (("noise", ""), PassingRefusal, "as an HL7 listener does"),
        (("other", ""), TransientDeliveryError, "another message"),
        (("silent", ""), TransientDeliveryError, "did not acknowledge in time"),
        (("hang up", ""), TransientDeliveryError, "ended the connection"),
    ],
)
def test_what_an_acknowledgement_means(
    outgoing: Outgoing, answer: tuple[str, str], error: type[DeliveryError], words: str
) -> None:
    with listening(Hl7Listener(answers=[answer])) as there:
        with pytest.raises(DeliveryError, match=words) as raised:
            Hl7Kind().send(outgoing, ris(there.port), "CADNODE")
        assert type(raised.value) is error
        assert "MUSTERMANN" not in str(raised.value)
        assert Hl7Kind().send(outgoing, ris(there.port), "CADNODE").n_sent == 1


def test_an_answer_that_drips_holds_the_feed_up_no_longer_than_silence(outgoing: Outgoing) -> None:
    """A byte within each timeout would otherwise keep the next messages waiting for weeks."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(1 << 20)
                while not stop.wait(0.2):
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        port, began = int(listener.getsockname()[1]), time.monotonic()
        threading.Timer(8.0, stop.set).start()
        try:
            with pytest.raises(TransientDeliveryError, match="did not acknowledge in time"):
                Hl7Kind().send(outgoing, ris(port, timeout_s=1.0), "CADNODE")
            assert time.monotonic() - began < 5.0
        finally:
            stop.set()
            thread.join(10)


@pytest.mark.parametrize("code", ["AA", "CA"])
def test_both_modes_of_acknowledgement_are_understood(outgoing: Outgoing, code: str) -> None:
    with listening(Hl7Listener(answers=[(code, "")])) as there:
        assert Hl7Kind().send(outgoing, ris(there.port), "CADNODE").n_sent == 1


def test_a_listener_that_has_it_already_counts_as_unverified(outgoing: Outgoing) -> None:
    with listening(Hl7Listener(answers=[("AE", "205")])) as there:
        assert Hl7Kind().send(outgoing, ris(there.port), "CADNODE").n_unverified == 1


@pytest.mark.parametrize(
    ("character_set", "codec", "name"),
    [
        ("8859/1", "iso8859-1", "Müller^Änne"), ("8859/5", "iso8859-5", "M?ller^?nne"),
        ("ASCII", "ascii", "M?ller^?nne"),
    ],
)  # fmt: skip
def test_the_character_set_is_the_listener_s(
    outgoing: Outgoing, character_set: str, codec: str, name: str
) -> None:
    with listening(Hl7Listener(encoding=codec)) as there:
        Hl7Kind().send(outgoing, ris(there.port, character_set=character_set), "CADNODE")
    (message,) = there.messages
    assert str(message.segment("PID")[5]).startswith(name)
    stated = str(message.segment("MSH")[18]) if len(message.segment("MSH")) > 18 else ""
    assert stated == ("" if character_set == "ASCII" else character_set)


def test_by_tls_the_listener_s_certificate_is_checked(outgoing: Outgoing, tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other", "Other CA")
    signed = authority.sign("ris")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed.certificate, signed.key)
    with listening(Hl7Listener(), tls=context) as there:
        good = ris(there.port, tls=True, ca_file=authority.path)
        assert Hl7Kind().check(good, "CADNODE") == "takes connections by TLS"
        assert Hl7Kind().send(outgoing, good, "CADNODE").n_sent == 1
        with pytest.raises(PassingRefusal, match="the certificate of ris is signed by"):
            Hl7Kind().send(outgoing, ris(there.port, tls=True, ca_file=other.path), "CADNODE")
    with listening(Hl7Listener()) as there, pytest.raises(DeliveryError, match="no TLS with ris"):
        Hl7Kind().check(ris(there.port, tls=True, ca_file=authority.path), "CADNODE")


def test_what_is_no_message_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "oru.hl7").write_bytes(b"no message\xff")
    with pytest.raises(PermanentDeliveryError, match="cannot be used"):
        Hl7Kind().send(
            Outgoing([tmp_path / "oru.hl7"], STUDY, lambda path: True), ris(104), "CADNODE"
        )


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("MSH|^~\\&|R\rMSA|AA|1\r", Acknowledgement("AA", "1")),
        ("MSH|^~\\&|R\r\nMSA|AE|1|text\r\nERR||PID^1|101^x^HL70357|E",
         Acknowledgement("AE", "1", "101")),
        ("MSH|^~\\&|R\rMSA|AE|1\rERR|PID^1^5^101&Required", Acknowledgement("AE", "1", "101")),
        ("MSH#$~\\&#R\rMSA#AR#1#\rERR###207$x", Acknowledgement("AR", "1", "207")),
        ("MSA|AA|1", None),
        ("MSH|^~\\&|R", None),
        ("", None),
    ],
)  # fmt: skip
def test_an_acknowledgement_is_read_by_its_own_delimiters(
    answer: str, found: Acknowledgement | None
) -> None:
    assert acknowledgement(answer.encode()) == found
