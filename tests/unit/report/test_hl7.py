"""The HL7 message of a reading, read by a library that did not write it (`hl7`)."""

from pathlib import Path

import hl7
import pytest
from hl7apy.parser import parse_message
from pydicom import Dataset

from cadnode.domain import Priority
from cadnode.report.edition import Edition
from cadnode.report.hl7.oru import control_id, oru, write_message
from tests.report_cases import MADE_AT, OUTCOMES, digital_exam, result_of


def edition_of(outcome: str, **changes: object) -> Edition:
    exam = digital_exam(**changes)
    return Edition(exam, result_of(exam, outcome), MADE_AT)


def read(edition: Edition, priority: Priority = Priority.SCREENING) -> hl7.Message:
    return hl7.parse(oru(edition, priority).to_er7())


def rows(message: hl7.Message) -> list[tuple[str, str, str, str]]:
    """(part, code, value, status) of each observation."""
    return [
        (str(one[4]), str(one[3]).split("^")[0], str(one[5]), str(one[11]))
        for one in message.segments("OBX")
    ]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_is_a_message_of_the_standard_s_structure(outcome: str) -> None:
    edition = edition_of(outcome)
    written = oru(edition).to_er7()
    assert parse_message(written, find_groups=True).validate()
    message = hl7.parse(written)
    assert [str(one[1]) for one in message.segments("OBX")] == [
        str(n) for n in range(1, len(message.segments("OBX")) + 1)
    ]
    findings = {part for part, *_ in rows(message) if part.startswith("finding")}
    assert len(findings) == len(edition.result.findings)
    skipped = [row for row in rows(message) if row[1] == "READING_STATUS"]
    assert len(skipped) == len(edition.result.skipped)
    assert all(row[3] == "X" for row in skipped)


def test_header_patient_and_order_are_those_of_the_dicom() -> None:
    edition = edition_of("findings")
    message = read(edition, Priority.DIAGNOSTIC)
    msh, pid, obr = (message.segment(name) for name in ("MSH", "PID", "OBR"))
    assert (str(msh[9]), str(msh[10]), str(msh[12])) == (
        "ORU^R01^ORU_R01", control_id(edition), "2.5.1",
    )  # fmt: skip
    assert str(pid[3]).split("^")[0] == str(edition.reference.PatientID)
    assert str(pid[5]) == "Müller^Änne^^^^^L^A"
    assert (str(pid[7]), str(pid[8])) == ("19010203", "F")
    accession = str(edition.reference.AccessionNumber)
    assert (str(obr[3]), str(obr[18]), str(obr[25])) == (accession, accession, "P")
    assert str(message.segment("TQ1")[9]) == "A"


def test_scores_assessments_and_disclaimer_are_rows() -> None:
    edition = edition_of("systems")
    found = rows(read(edition))
    assert ("exam", "111017", "111242^All algorithms succeeded; with findings^DCM", "P") in found
    assert ("finding 1", "REACHES_OP", "373066001^Yes^SCT", "P") in found
    (impression,) = [value for _, code, value, _ in found if code == "19005-8"]
    assert "Research use only, not for primary diagnosis." in impression
    scores = [row for row in found if row[1] == "CAD_SCORE"]
    n_assessments = sum(max(1, len(f.assessments)) for f in edition.result.findings)
    assert len(scores) == 1 + len(edition.result.breasts) + n_assessments
    flagged = [one for one in read(edition).segments("OBX") if str(one[8])]
    assert not flagged  # no score of ours says "abnormal" or "normal"


def test_an_exam_without_a_score_says_so_and_gives_none() -> None:
    found = rows(read(edition_of("failed")))
    assert next(row for row in found if row[1] == "CAD_SCORE")[2:] == ("", "X")
    assert next(row for row in found if row[1] == "111017")[3] == "X"


def test_delimiters_and_control_characters_in_names_stay_text() -> None:
    def change(header: Dataset) -> None:
        header.PatientID = "A|1^2&3~4"
        header.AccessionNumber = "AC\r\nMSH|x"

    edition = edition_of("none")
    change(edition.reference)
    written = oru(edition).to_er7()
    message = hl7.parse(written)
    assert len(message.segments("MSH")) == 1
    assert written.count("\rMSH") == 0
    pid = message.segment("PID")
    assert message.unescape(str(pid[3]).split("^")[0]) == "A|1^2&3~4"
    assert message.unescape(str(message.segment("OBR")[3])) == "AC MSH|x"


def test_a_name_in_three_scripts_is_repeated_with_its_representation() -> None:
    edition = edition_of("none")
    edition.reference.SpecificCharacterSet = "ISO_IR 192"
    edition.reference.PatientName = "Hong^Gildong^^Dr.^Jr.=洪^吉洞=홍^길동"
    names = [str(one) for one in read(edition).segment("PID")[5]]
    assert names == [
        "Hong^Gildong^^Jr.^Dr.^^L^A", "洪^吉洞^^^^^L^I", "홍^길동^^^^^L^P",
    ]  # fmt: skip


def test_who_gave_the_number_out_and_what_was_ordered_are_stated_where_the_dicom_does() -> None:
    edition = edition_of("none")
    qualifier = Dataset()
    qualifier.UniversalEntityID, qualifier.UniversalEntityIDType = "1.2.3", "ISO"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "MG1", "99RIS", "Mammo"
    header = edition.reference
    header.IssuerOfPatientID = "HOSPITAL"
    header.IssuerOfPatientIDQualifiersSequence = [qualifier]
    header.PlacerOrderNumberImagingServiceRequest = "P-77"
    header.ProcedureCodeSequence = [code]
    message = read(edition)
    assert str(message.segment("PID")[3]).endswith("^^^HOSPITAL&1.2.3&ISO^PI")
    obr = message.segment("OBR")
    assert (str(obr[2]), str(obr[4])) == (
        "P-77", "MG1^Mammo^99RIS^111036^Mammography CAD Report^DCM",
    )  # fmt: skip


def test_a_header_that_states_nothing_makes_a_message_all_the_same() -> None:
    edition = edition_of("none")
    for keyword in (
        "PatientID", "PatientName", "PatientSex", "PatientBirthDate", "AccessionNumber",
        "StudyDate", "StudyTime",
    ):  # fmt: skip
        if keyword in edition.reference:
            delattr(edition.reference, keyword)
    message = read(edition)
    assert str(message.segment("PID")[8]) == "U"
    assert parse_message(oru(edition).to_er7(), find_groups=True).validate()


def test_the_same_result_is_the_same_message_and_another_has_another_identifier(
    tmp_path: Path,
) -> None:
    path = write_message(tmp_path / "oru.hl7", edition_of("systems"), Priority.SCREENING)
    first = path.read_bytes()
    write_message(path, edition_of("systems"), Priority.URGENT)
    assert path.read_bytes() == first  # a listener may have it
    write_message(path, edition_of("none"), Priority.SCREENING)
    assert path.read_bytes() != first
    assert control_id(edition_of("none")) != control_id(edition_of("systems"))
    assert len(control_id(edition_of("none"))) == 20
