"""report/sr/region_answer.py: an SR that refers to one region, with the scores of all systems."""

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from cadnode.errors import ReportError
from cadnode.exam.kind import is_own_output
from cadnode.report.answer import write_answer
from cadnode.report.edition import Edition
from cadnode.report.profiles import ANSWER
from cadnode.report.sr.region_answer import region_answer_sr
from tests.report_cases import MADE_AT, MARKER, TYPED, digital_exam, result_of, with_marker
from tests.validators import dciodvfy, dsrdump

REGION = "aaaa0000bbbb1111"
SCORES = "CAD score of "


def edition_of(*, from_object: bool = True) -> Edition:
    """An edition about one marked finding, and its view alone."""
    exam = with_marker(digital_exam())
    whole = result_of(exam, "marked")
    finding = replace(whole.findings[0], marked_by=MARKER if from_object else TYPED)
    (view,) = (m for m in exam.mammograms if m.sop_instance_uid == finding.sop_instance_uid)
    result = replace(
        whole, findings=(finding,), views=(), breasts=(), exam_score=None, skipped=(),
        heat_maps=(), correspondences=(),
    )  # fmt: skip
    return Edition(replace(exam, mammograms=(view,), skipped=()), result, MADE_AT)


def items(ds: Dataset, code: str) -> list[Dataset]:
    """The items of that name, wherever they are in the tree."""
    found = []
    for item in ds.get("ContentSequence", ()):
        names = item.get("ConceptNameCodeSequence", ())
        found += [item] if names and names[0].CodeValue == code else []
        found += items(item, code)
    return found


def test_its_one_group_has_the_region_its_image_and_each_systems_score() -> None:
    edition = edition_of()
    finding = edition.result.findings[0]

    (group,) = items(region_answer_sr(edition, REGION), "125007")

    (region,) = items(group, "111030")
    assert region.ValueType == "SCOORD"
    image = region.ContentSequence[0].ReferencedSOPSequence[0]
    assert image.ReferencedSOPInstanceUID == finding.sop_instance_uid
    scores = items(group, "CAD_SCORE")
    wanted = {round(a.probability, 6) for a in finding.assessments}
    assert {float(s.MeasuredValueSequence[0].NumericValue) for s in scores} == wanted
    for score in scores:
        assert len(items(score, "111001")) == 1, "whose it is stands with each score"


def test_it_refers_to_the_object_in_which_the_region_was_drawn() -> None:
    ds = region_answer_sr(edition_of(), REGION)

    (source,) = items(ds, "121112")
    named = source.ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == MARKER.sop_instance_uid
    evidence = {
        str(instance.ReferencedSOPInstanceUID)
        for series in ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    assert MARKER.sop_instance_uid in evidence
    assert len(evidence) == 2, "the view and the object, and nothing else of the study"


def test_one_that_was_drawn_on_the_page_names_no_object() -> None:
    assert items(region_answer_sr(edition_of(from_object=False), REGION), "121112") == []


def test_each_region_has_an_object_in_a_series_of_its_own_and_the_same_one_the_same() -> None:
    one, again, other = (
        region_answer_sr(edition_of(), name) for name in (REGION, REGION, "cccc" * 4)
    )

    assert one == again
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert one[keyword].value != other[keyword].value
    (tracked,), (elsewhere,) = items(one, "112040"), items(other, "112040")
    assert tracked.UID != elsewhere.UID


def test_it_is_ours_so_that_it_is_never_taken_for_a_persons_mark() -> None:
    assert is_own_output(region_answer_sr(edition_of(), REGION))


def test_validators_have_nothing_to_say(tmp_path: Path) -> None:
    path = write_answer(edition_of(), REGION, tmp_path)

    assert path.name == ANSWER
    assert dciodvfy(path) == []
    assert dsrdump(path) == []


def test_what_was_written_once_stays(tmp_path: Path) -> None:
    before = write_answer(edition_of(), REGION, tmp_path).read_bytes()
    edition = edition_of()
    finding = replace(edition.result.findings[0], probability=0.123)
    later = replace(edition, result=replace(edition.result, findings=(finding,)))

    assert write_answer(later, REGION, tmp_path).read_bytes() == before
    assert pydicom.dcmread(tmp_path / ANSWER).SeriesDescription == "cadnode answer to a region"


def test_a_result_with_several_findings_is_no_answer() -> None:
    edition = edition_of()
    twice = replace(edition.result, findings=edition.result.findings * 2)

    with pytest.raises(ReportError, match="one region"):
        region_answer_sr(replace(edition, result=twice), REGION)
