"""ORU^R01 of a reading (HL7 v2.5.1 chapter 7.3.1): patient, order, and a row for each observation.

The same result makes the same message: its control identifier (MSH-10) and its time are the
result's, so that a listener knows one that is sent again. Who sends and who receives, the character
set and the link to the page are the destination's, and are written when it is sent
(`deliver.hl7`).

Choice: every observation is preliminary (table 0085), as in the FHIR bundle: no person has seen
it. No flag says "abnormal" or "normal" (OBX-8): systems colour their lists by it, and a score of
this software is no such judgement; whether it reaches the operating point is a coded row.
"""

import hashlib
import re
from pathlib import Path
from typing import Any, Final

from hl7apy.core import Message
from hl7apy.exceptions import HL7apyException
from pydicom.sr.coding import Code

from cadnode.domain import Finding, Outcome, Priority
from cadnode.errors import ReportError
from cadnode.exam.patient import patient_of
from cadnode.files import write_whole
from cadnode.report import codes
from cadnode.report.cad_sr import concepts
from cadnode.report.edition import Edition
from cadnode.report.hl7.segments import (
    NO_RESULT,
    VERSION,
    Rows,
    coded,
    identification,
    moment,
    observed_at,
    placer_number,
    procedure,
    text,
)
from cadnode.report.scores import (
    assessment_scorer,
    exam_scorer,
    finding_scorer,
    phantom_sentence,
)
from cadnode.report.sr.documents import remarks
from cadnode.report.sr.group_parts import mammogram_of, number
from cadnode.report.sr.measurement_groups import summary
from cadnode.report.wording import counting

STUDY: Final = Code("113014", "DCM", "DICOM Study")
IMPRESSION: Final = Code("19005-8", "LN", "Radiology Imaging study [Impression] (narrative)")
IMAGING_STUDY: Final = Code("18748-4", "LN", "Diagnostic imaging study")
FINDING: Final = Code("121071", "DCM", "Finding")
FINDING_SITE: Final = Code("363698007", "SCT", "Finding Site")
TRACKING_UID: Final = Code("112040", "DCM", "Tracking Unique Identifier")
PRIORITIES: Final = {Priority.URGENT: "S", Priority.DIAGNOSTIC: "A", Priority.SCREENING: "R"}
_CONTROL_ID: Final = re.compile(rb"MSH\|(?:[^|]*\|){8}([0-9A-F]{20})\|")


def write_message(path: Path, edition: Edition, priority: Priority) -> Path:
    """`path`, now holding the message in UTF-8; it appears whole or not at all.

    A message that is there of the same result stays as it is: a listener may have it.

    Raises
    ------
    ReportError
        The result does not fit the exam, or the file cannot be written.
    """
    try:
        before = path.read_bytes() if path.is_file() else b""
        known = _CONTROL_ID.match(before)
        if known is None or known.group(1).decode() != control_id(edition):
            write_whole(path, oru(edition, priority).to_er7().encode())
    except OSError as error:
        raise ReportError(f"{path.name} could not be written (errno {error.errno})") from None
    except HL7apyException as error:  # its text may quote a value
        raise ReportError(f"no HL7 message could be made ({type(error).__name__})") from None
    return path


def control_id(edition: Edition) -> str:
    """MSH-10 of a result's message: 20 characters, the most that it may have."""
    return hashlib.sha256(edition.uid("hl7-message").encode()).hexdigest()[:20].upper()


def oru(edition: Edition, priority: Priority = Priority.SCREENING) -> Message:
    """The message.

    Raises
    ------
    ReportError
        The exam has no DICOM header, or a finding's image is not in it.
    """
    message = Message("ORU_R01", version=VERSION)
    msh = message.msh
    msh.msh_3, msh.msh_7 = "cadnode", moment(edition.made_at)
    msh.msh_9, msh.msh_10, msh.msh_11 = "ORU^R01^ORU_R01", control_id(edition), "P"
    result = message.add_group("oru_r01_patient_result")
    identification(result.add_group("oru_r01_patient").pid, edition.reference)
    order = result.add_group("oru_r01_order_observation")
    _order(order.obr, edition)
    timing = order.add_group("oru_r01_timing_qty").tq1
    timing.tq1_1, timing.tq1_9 = "1", PRIORITIES[priority]
    _rows(Rows(order), edition)
    return message


def _order(obr: Any, edition: Edition) -> None:
    """OBR: the accession number stands in both places where systems look for it."""
    header = edition.reference
    accession = patient_of(header).accession_number
    obr.obr_1 = "1"
    if placer := placer_number(header):
        obr.obr_2 = text(placer)
    obr.obr_3 = text(accession)
    obr.obr_4 = coded(procedure(header) or IMAGING_STUDY, concepts.REPORT)
    obr.obr_7 = observed_at(header)
    obr.obr_18 = text(accession)
    obr.obr_22 = moment(edition.made_at)
    obr.obr_24, obr.obr_25 = "RAD", "P"


def _rows(rows: Rows, edition: Edition) -> None:
    """The observations: exam, breasts, findings, images that were not read."""
    result = edition.result
    rows.identifier(STUDY, str(edition.reference.StudyInstanceUID), "exam")
    status = NO_RESULT if result.outcome is Outcome.NOT_READ else "P"
    rows.coded(codes.SUMMARY, summary(result), "exam", status)
    rows.text(IMPRESSION, _impression(edition), "exam")
    score = exam_scorer(result).code
    if result.exam_score is None:
        rows.absent(score, "exam")
    else:
        rows.number(score, number(result.exam_score), codes.NO_UNITS, "exam")
    if (with_age := result.score_with_age()) is not None:
        rows.number(codes.IMAGE_AGE_SCORE, number(with_age), codes.NO_UNITS, "exam")
    if result.operating_point is not None:
        point = number(result.operating_point)
        rows.number(codes.OPERATING_POINT, point, codes.NO_UNITS, "exam")
    for breast in result.breasts:
        part = f"breast {breast.laterality.value}"
        rows.coded(FINDING_SITE, concepts.SIDES[breast.laterality], part)
        rows.number(score, number(breast.score), codes.NO_UNITS, part)
        if (with_age := result.score_with_age(breast.laterality)) is not None:
            rows.number(codes.IMAGE_AGE_SCORE, number(with_age), codes.NO_UNITS, part)
    for index, finding in enumerate(result.findings):
        _finding(rows, edition, finding, index)
    for index, skipped in enumerate(result.skipped, start=1):
        part = f"not read {index}"
        read = codes.reading_status(skipped.reason)
        rows.coded(codes.READING_STATUS, read, part, NO_RESULT)
        rows.coded(codes.REASON_NOT_READ, codes.skip_reason(skipped.reason), part)


def _finding(rows: Rows, edition: Edition, finding: Finding, index: int) -> None:
    """A finding: what and where it is, the score that counts, and other systems' assessments."""
    part, mammogram = f"finding {index + 1}", mammogram_of(edition, finding.sop_instance_uid)
    chosen = counting(finding)
    rows.coded(FINDING, codes.FINDING_KINDS[finding.kind], part)
    side = concepts.SIDES[mammogram.laterality]
    rows.coded(FINDING_SITE, side, part)
    rows.identifier(codes.IMAGE_VIEW, f"{mammogram.laterality} {mammogram.view}", part)
    scorer = finding_scorer(edition.result, finding)
    rows.number(scorer.code, number(finding.probability), codes.NO_UNITS, part)
    if chosen is not None:
        answer = codes.YES if chosen.suspicious else codes.NO
        rows.coded(codes.REACHES_OPERATING_POINT, answer, part)
    if finding.certainty is not None:
        rows.number(codes.CERTAINTY, number(100 * finding.certainty), codes.PERCENT, part)
    for other in finding.assessments:
        if other is not chosen:
            code = assessment_scorer(edition.result, other).code
            words = f"{code.meaning} ({other.algorithm})"
            rows.number(code, number(other.probability), codes.NO_UNITS, part, words)
    rows.identifier(TRACKING_UID, edition.uid("tracking-region", index), part)


def _impression(edition: Edition) -> str:
    """How the reading ended, what was trained on phantoms, what it is for, and remarks."""
    sentences = (
        summary(edition.result).meaning,
        phantom_sentence(edition.result),
        edition.disclaimer,
        *remarks(edition.result),
    )
    return " ".join(f"{sentence.rstrip('.')}." for sentence in sentences if sentence)
