"""STOW-RS: the body that is sent, and what an answer means (PS3.18 10.5.3)."""

import json
from email import policy
from email.parser import BytesParser
from pathlib import Path

import pytest

from cadnode.deliver.outcome import Delivered
from cadnode.deliver.stow import Multipart, outcome
from cadnode.errors import PermanentDeliveryError, TransientDeliveryError


def answer(stored: int = 0, failed: tuple[int, ...] = (), warnings: int = 0) -> bytes:
    """A DICOM JSON answer as PS3.18 table 10.5.3-2 describes it."""
    ok = [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}} for _ in range(stored)]
    for item in ok[:warnings]:
        item["00081196"] = {"vr": "US", "Value": [0xB000]}
    bad = [{"00081197": {"vr": "US", "Value": [reason]}} for reason in failed]
    sequences = {"00081199": ok, "00081198": bad}
    document = {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}
    return json.dumps(document).encode()


def test_the_body_is_what_an_independent_parser_reads_and_its_length_is_known(
    tmp_path: Path,
) -> None:
    contents = [b"first\r\n--", b"", b"\0" * 700_000]
    files = []
    for number, content in enumerate(contents):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(content)
    body = Multipart(files)
    blocks = list(body)
    assert sum(map(len, blocks)) == len(body)
    assert max(map(len, blocks)) <= 256 << 10
    head = f"Content-Type: {body.content_type}\r\n\r\n".encode()
    message = BytesParser(policy=policy.HTTP).parsebytes(head + b"".join(blocks))
    parts = list(message.iter_parts())
    assert [part.get_content_type() for part in parts] == ["application/dicom"] * 3
    assert [part.get_payload(decode=True) for part in parts][1:] == contents[1:]


@pytest.mark.parametrize(
    ("status", "body", "delivered"),
    [
        (200, answer(stored=3), Delivered(3, 0)),
        (200, b"", Delivered(3, 0)),  # "all stored" needs no list
        (200, b"[" + answer(stored=3) + b"]", Delivered(3, 0)),  # some servers make a list of it
        (202, answer(stored=3, warnings=2), Delivered(3, 2)),
        (409, answer(failed=(0x0111,) * 3), Delivered(3, 3)),  # it has them already
        (202, answer(stored=1, failed=(0x0111, 0x0111)), Delivered(3, 2)),
    ],
)
def test_answers_that_mean_delivered(status: int, body: bytes, delivered: Delivered) -> None:
    assert outcome(status, body, 3, "archive") == delivered


@pytest.mark.parametrize(
    ("status", "failed", "text"),
    [
        (202, (0x0122,), r"took 2 of 3 objects: answered 0122, SOP class not supported"),
        (409, (0xA900, 0xC000, 0x0124), r"took 0 of 3 .*not authorized"),
        (200, (0x0110,), r"took 2 of 3 .*processing failure"),
    ],
)
def test_a_refused_object_is_permanent_and_says_why(
    status: int, failed: tuple[int, ...], text: str
) -> None:
    with pytest.raises(PermanentDeliveryError, match=text):
        outcome(status, answer(stored=3 - len(failed), failed=failed), 3, "archive")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (202, answer(stored=2, failed=(0xA700,))),  # out of resources
        (202, b""),
        (409, b"<html>conflict</html>"),
        (202, answer(stored=1)),
        (202, b'{"00081199": {"Value": "odd"}, "00081198": [1]}'),
    ],
)
def test_an_answer_that_does_not_account_for_all_is_tried_again(status: int, body: bytes) -> None:
    with pytest.raises(TransientDeliveryError):
        outcome(status, body, 3, "archive")


@pytest.mark.parametrize("reason", ["1e400", "-1e400", "NaN", "[[]]", "{}", '"x"', "9" * 5000])
def test_a_reason_that_is_no_number_is_no_reason(reason: str) -> None:
    body = b'{"00081198": {"Value": [{"00081197": {"Value": [%s]}}]}}' % reason.encode()
    with pytest.raises((PermanentDeliveryError, TransientDeliveryError)):
        outcome(409, body, 1, "pacs")


def test_an_answer_deeper_than_any_parser_takes_accounts_for_nothing() -> None:
    with pytest.raises(TransientDeliveryError):
        outcome(409, b"[" * 100_000, 1, "pacs")
