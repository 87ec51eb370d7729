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


def test_an_unreadable_message_is_named_by_its_number_alone() -> None:
    data = message(ORDER, observation()) + b"MSH|$%&!|LAB|Roe\rPID|1\r"
    with pytest.raises(DataError, match=r"message 2 of x\.hl7") as refused:
        rows_of(data, CODES, "x.hl7")
    assert "Roe" not in str(refused.value)
