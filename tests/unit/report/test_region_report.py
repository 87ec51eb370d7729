"""report/sr/region_report.py: a report whose every measurement group has a region."""

import pytest
from pydicom import Dataset

from cadnode.report.edition import Edition
from cadnode.report.sr.measurement_report import measurement_sr
from cadnode.report.sr.region_report import region_sr
from tests.report_cases import MADE_AT, digital_exam, result_of


def edition_of(outcome: str) -> Edition:
    exam = digital_exam()
    return Edition(exam, result_of(exam, outcome), MADE_AT)


def container(ds: Dataset, code: str) -> Dataset | None:
    items = (i for i in ds.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == code)
    return next(items, None)


def comments(ds: Dataset) -> list[str]:
    remarks = container(ds, "C0034375")
    assert remarks is not None
    return [i.TextValue for i in remarks.ContentSequence if i.ValueType == "TEXT"]


@pytest.mark.parametrize(("outcome", "regions"), [("findings", 2), ("systems", 3)])
def test_every_group_has_a_region(outcome: str, regions: int) -> None:
    measurements = container(region_sr(edition_of(outcome)), "126010")

    assert measurements is not None
    kinds = [{i.ValueType for i in g.ContentSequence} for g in measurements.ContentSequence]
    assert len(kinds) == regions
    assert all("SCOORD" in kind for kind in kinds)


KIM = "CAD score of kim2018, 1.0.0; training data not stated"


def test_what_the_other_groups_say_is_kept_in_words() -> None:
    said = comments(region_sr(edition_of("systems")))

    assert f"exam: {KIM} = 0.78; CAD operating point, 0 to 1 = 0.5" in said
    assert f"R CC: {KIM} = 0.81" in said
    (wang,) = (text for text in said if text.startswith("finding 1: wang2016: "))
    assert "CAD score of wang2016, 0.1.0; training data not stated = 0.5;" in wang
    assert "Score reaches the operating point = Yes" in wang


@pytest.mark.parametrize("outcome", ["none", "failed"])
def test_without_regions_there_are_no_measurements_and_all_is_said_in_words(outcome: str) -> None:
    ds = region_sr(edition_of(outcome))

    assert container(ds, "126010") is None
    assert any(text.startswith(("exam: ", "not read: ")) for text in comments(ds))


def test_it_is_a_document_of_its_own_beside_the_full_report() -> None:
    edition = edition_of("findings")

    ds, full = region_sr(edition), measurement_sr(edition)

    assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID != full.SOPInstanceUID
    assert ds.SeriesInstanceUID != full.SeriesInstanceUID
    assert len(container(full, "126010").ContentSequence) == 9
    assert region_sr(edition) == ds
