"""Outcomes in HL7 v2: which observations are taken, of which breast, and whose they are."""

import pytest

from cadnode.errors import DataError
from cadnode.node.outcome_hl7 import rows_of
from cadnode.node.outcome_rows import codes_of

CODES = codes_of(
    [{"code": "SCT|86049000", "outcome": "malignant"}, {"code": "B2", "outcome": "benign"}]
)
HEAD = (
    r"MSH|^~\&|LAB|H|CAD|H|202605041000||ORU^R01^ORU_R01|1|P|2.5",
    "PID|1||P1^^^H^MR~77^^^INS^XX||DOE^ANN",
)
ORDER = "OBR|1|PL1|FL1|88305^Path^C4|||20260504|||||||||||A1"
LEFT = "SPM|1|||TIS||||80248007^Left breast^SCT"


def observation(code: str = "86049000^Malignant^SCT", status: str = "F", site: str = "") -> str:
    kind = "22637-3^Pathology diagnosis^LN"
    return f"OBX|1|CWE|{kind}||{code}||||||{status}|||20260504" + (f"||||||{site}" if site else "")


def message(*segments: str) -> bytes:
    return "\r".join([*HEAD, *segments]).encode() + b"\r"


def cells(*segments: str) -> list[dict[str, str]]:
    return [dict(one.cells) for one in rows_of(message(*segments), CODES, "x.hl7")]


def test_an_observation_has_the_orders_exam_the_specimens_side_and_the_record_number() -> None:
    assert cells(ORDER, observation(), LEFT) == [
        {
            "outcome": "malignant",
            "outcome_date": "20260504",
            "laterality": "L",
            "patient_id": "P1",
            "study_instance_uid": "",
            "accession_number": "A1",
        }
    ]


def test_a_study_that_is_named_comes_before_an_accession_number() -> None:
    study = "OBX|2|HD|113014^DICOM Study^DCM||1.2.840.1^^^||||||F"
    (row,) = cells(ORDER, observation(), study, LEFT)
    assert (row["study_instance_uid"], row["accession_number"]) == ("1.2.840.1", "")
    (row,) = cells(ORDER, "IPC|A7|RP1|1.2.840.2|SPS1", observation(), LEFT)
    assert row["study_instance_uid"] == "1.2.840.2"


def test_an_observations_own_site_comes_before_the_specimens() -> None:
    (row,) = cells(ORDER, observation(site="73056007^Right breast^SCT"), LEFT)
    assert row["laterality"] == "R"


def test_each_order_has_its_own_side() -> None:
    right = "SPM|1|||TIS||||73056007^Right breast^SCT"
    found = cells(ORDER, observation(), LEFT, ORDER, observation("B2^benign^L"), right)
    assert [(row["laterality"], row["outcome"]) for row in found] == [
        ("L", "malignant"), ("R", "benign"),
    ]  # fmt: skip


@pytest.mark.parametrize("status", ["P", "R", "X", "D", "W", ""])
def test_what_is_not_final_or_was_wrong_is_no_outcome(status: str) -> None:
    assert cells(ORDER, observation(status=status), LEFT) == []
    assert len(cells(ORDER, observation(status="C"), LEFT)) == 1


def test_a_file_has_messages_one_after_the_other_or_in_a_batch() -> None:
    two = message(ORDER, observation(), LEFT) + message(ORDER, observation("B2^benign^L"))
    batch = b"FHS|^~\\&|LAB\rBHS|^~\\&|LAB\r" + two + b"BTS|2\rFTS|1\r"
    framed = b"\x0b" + two.replace(b"MSH", b"MSH", 1)
    for data in (two, batch, framed, two.replace(b"\r", b"\r\n")):
        found = rows_of(data, CODES, "x.hl7")
        assert [(one.number, one.cells["outcome"]) for one in found] == [
            (1, "malignant"), (2, "benign"),
        ]  # fmt: skip


@pytest.mark.parametrize("version", ["2.3", "2.3.1", "2.5.1", "2.8", "1.0"])
def test_segments_are_read_whatever_version_is_stated(version: str) -> None:
    data = message(ORDER, "IPC|A7|RP1|1.2.840.2|SPS1", "ZXY|1", observation(), LEFT)
    stated = data.replace(b"|P|2.5\r", f"|P|{version}\r".encode())
    (one,) = rows_of(stated, CODES, "x.hl7")
    assert (one.cells["study_instance_uid"], one.cells["laterality"]) == ("1.2.840.2", "L")


@pytest.mark.parametrize("data", [b"", b"study,side\n", b'{"resourceType": "Bundle"}', b"\xff"])
def test_a_file_of_another_kind_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=r"x\.hl7"):
        rows_of(data, CODES, "x.hl7")


@pytest.mark.parametrize(
    "odd",
    [
        b"MSH|$%&!|LAB|Roe\rPID|1\r",
        b"MSH|^~\\&|LAB|H|CAD|H|202605041000||ORU^R01|1|P|2.5||||||NO SUCH SET\rPID|1\r",
        b"MSH|^~\\&|LAB|H|CAD|H|202605041000||ORU^R01|1|P|2.5||||||ASCII\rPID|1||\xc4\r",
        b"MSH|\r", b"MSH|^~\\&\rOBX|\rPID\rOBR||||\x00\rOBX|1|CWE|\\|||\\\r",
    ],
)  # fmt: skip
def test_an_odd_message_is_a_row_without_cells_and_the_others_are_read(odd: bytes) -> None:
    good = message(ORDER, observation())
    found = rows_of(good + odd + good, CODES, "x.hl7")
    assert [(one.number, bool(one.cells)) for one in found if one.number != 2] == [
        (1, True), (3, True),
    ]  # fmt: skip
    assert not any(one.cells for one in found if one.number == 2)


def test_several_orders_observations_and_values_are_each_their_own() -> None:
    second = ORDER.replace("|A1", "|A2")
    two_values = observation("B2^benign^L~86049000^Malignant^SCT")
    found = cells(ORDER, two_values, observation("B2^benign^L"), LEFT, second, observation())
    assert [(row["accession_number"], row["outcome"], row["laterality"]) for row in found] == [
        ("A1", "benign", "L"), ("A1", "malignant", "L"), ("A1", "benign", "L"),
        ("A2", "malignant", ""),
    ]  # fmt: skip


def test_escaped_delimiters_and_hexadecimal_characters_are_what_they_stand_for() -> None:
    order = ORDER.replace("|A1", r"|A\F\1\S\2\T\3\R\4\E\5\X4142\\.br\6")
    (row,) = cells(order, observation())
    assert row["accession_number"] == "A|1^2&3~4\\5AB 6"
    (row,) = cells(ORDER.replace("|A1", r"|A\X5E\1\H\x\N\\Zq\ "), observation())
    assert row["accession_number"] == "A^1x"


@pytest.mark.parametrize(
    ("stated", "codec"),
    [("UNICODE UTF-8", "utf-8"), ("8859/1", "latin-1"), ("", "utf-8"), ("", "cp1252"),
     ("ISO IR6~8859/15", "ascii"), ("ASCII~ISO IR87", "iso2022_jp"), ("8859/5", "iso8859-5")],
)  # fmt: skip
def test_text_is_in_the_character_set_that_the_message_states(stated: str, codec: str) -> None:
    known = {"ascii": "P1", "iso2022_jp": "山田", "iso8859-5": "Ж1"}
    number = known.get(codec, "Ä1")
    head = HEAD[0] + f"||||||{stated}"
    text = "\r".join([head, HEAD[1].replace("P1", number), ORDER, observation()])
    (one,) = rows_of(text.encode(codec), CODES, "x.hl7")
    assert one.cells["patient_id"] == number
