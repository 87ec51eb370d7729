"""One region on its own: the same scores as in a reading of the whole exam, by all systems."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cadnode.detect.regions import Segmentation
from cadnode.domain import (
    Box,
    ExamResult,
    FindingKind,
    FloatImage,
    RoiReference,
    SkipReason,
    System,
    SystemStatus,
)
from cadnode.errors import NotProcessable
from cadnode.exam.exam import Exam, Mammogram, PersonRegion
from cadnode.exam.read import exam_of as exam_of
from cadnode.reading import Choices, Readers, read_exam, regions
from cadnode.reading.asked_region import assess_region, threshold_of, view_map
from tests.synthetic import write_exam
from tests.unit.reading.test_exam import Reader
from tests.unit.reading.test_regions import FIVE, RESNEXT, Cnn

BOX = Box(30, 5, 50, 25)
OUTLINE = ((30.0, 5.0), (30.0, 25.0), (50.0, 25.0), (50.0, 5.0))
TYPED = RoiReference("", "")
DRAWN = RoiReference("1.2.840.10008.5.1.4.1.1.88.33", "1.2.3")


@pytest.fixture(autouse=True)
def nothing_found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Detection finds nothing, and nothing is segmented."""

    def segment(image: FloatImage, side: str, spacing: float, box: Box, *_: Any) -> Segmentation:
        return Segmentation(
            np.zeros((4, 4), np.float32), 0.1, np.zeros((4, 4), np.int32), None, box
        )

    monkeypatch.setattr(regions, "detected", lambda *_: [])
    monkeypatch.setattr(regions, "segment_roi", segment)
    return


@pytest.fixture
def exam(tmp_path: Path) -> Exam:
    return exam_of(write_exam(tmp_path, rows=64, columns=48))


def readers(*cnns: Cnn, **reader: Any) -> Readers:
    return Readers(
        views=(Reader(**reader),),  # type: ignore[arg-type]
        rois=cnns,  # type: ignore[arg-type]
        systems=tuple(SystemStatus(s, active=True) for s in System),
    )


class Loader:
    """Uniform images; which views were decoded is remembered."""

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def __call__(self, mammogram: Mammogram) -> FloatImage:
        self.loaded.append(mammogram.sop_instance_uid)
        return np.full((64, 48), 0.6, np.float32)


def region_of(exam: Exam, box: Box = BOX, reference: RoiReference = TYPED) -> PersonRegion:
    return PersonRegion(exam.mammograms[0].sop_instance_uid, box, OUTLINE, reference)


def asked(
    exam: Exam, with_readers: Readers, finished: ExamResult | None = None, **choices: Any
) -> ExamResult:
    return assess_region(
        exam, region_of(exam), with_readers, finished, choices=Choices(**choices), load=Loader()
    )


@pytest.mark.parametrize("reference", [TYPED, DRAWN])
def test_a_region_alone_gets_the_scores_that_it_gets_with_its_exam(
    exam: Exam, reference: RoiReference
) -> None:
    all_of_them = readers(*FIVE, RESNEXT, threshold=0.5)
    marked = replace(exam, regions=(region_of(exam, reference=reference),))
    whole = read_exam(marked, all_of_them, load=Loader())
    (in_exam,) = (f for f in whole.findings if f.kind is FindingKind.MARKED_REGION)

    (alone,) = assess_region(
        exam, region_of(exam, reference=reference), all_of_them, whole, load=Loader()
    ).findings

    assert alone == in_exam
    assert {a.system for a in alone.assessments} == {
        System.KIM2018, System.KANG2021, System.HELSINKI_DTL
    }  # fmt: skip


def test_one_view_is_decoded_and_no_view_is_scored_where_its_map_exists(exam: Exam) -> None:
    loader = Loader()
    finished = read_exam(exam, readers(RESNEXT), load=Loader())

    broken = readers(RESNEXT, fails=True)  # it raises when it is asked
    result = assess_region(exam, region_of(exam), broken, finished, load=loader)

    assert loader.loaded == [exam.mammograms[0].sop_instance_uid]
    assert System.KIM2018 in {a.system for a in result.findings[0].assessments}


@pytest.mark.parametrize("other", [{"sha256": "ff"}, {"name": "z"}])
def test_a_map_of_another_model_does_not_count_and_the_view_is_scored(
    exam: Exam, other: dict[str, str]
) -> None:
    finished = read_exam(exam, readers(RESNEXT, **other), load=Loader())

    assert view_map(finished, exam.mammograms[0], readers(RESNEXT)) is None
    result = asked(exam, readers(RESNEXT), finished)
    (kim,) = (a for a in result.findings[0].assessments if a.system is System.KIM2018)
    assert kim.algorithm == "a"


def test_whole_view_models_suspect_a_region_only_in_a_breast_that_is_suspicious(
    exam: Exam,
) -> None:
    for threshold, suspicious in ((0.5, True), (0.9, False)):
        by = readers(threshold=threshold)
        finished = read_exam(exam, by, load=Loader())
        box = Box(2, 2, 26, 26)
        result = assess_region(exam, region_of(exam, box), by, finished, load=Loader())
        assert result.findings[0].assessments[0].suspicious is suspicious


def test_the_system_that_counts_gives_the_findings_score(exam: Exam) -> None:
    result = asked(exam, readers(*FIVE, RESNEXT), counts=(System.HELSINKI_DTL,))

    assert result.findings[0].probability == pytest.approx(0.7)
    assert [m.name for m in result.models] == ["a", "b", "r"]
    assert result.views == ()


def test_a_model_that_fails_silences_its_system_alone(exam: Exam) -> None:
    result = asked(exam, readers(*FIVE, replace(RESNEXT, fails=True)))

    assert System.HELSINKI_DTL not in {a.system for a in result.findings[0].assessments}
    assert [s.system for s in result.systems if s.failed] == [System.HELSINKI_DTL]


def test_the_threshold_is_that_of_the_system_on_that_kind_of_image(exam: Exam) -> None:
    by = readers(*FIVE)
    found = asked(exam, by).findings[0].assessments

    limits = {a.system: threshold_of(a, exam.mammograms[0], by) for a in found}
    assert limits[System.KIM2018] == 0.5
    assert limits[System.KANG2021] == 0.5
    for assessment in found:
        limit = limits[assessment.system]
        assert limit is not None
        assert assessment.probability >= limit or not assessment.suspicious


@pytest.mark.parametrize(
    ("box", "says"),
    [
        (Box(30, 5, 31, 6), "it is smaller than the networks can see"),
        (Box(70, 60, 90, 80), "it lies mostly outside the breast"),
    ],
)
def test_a_region_that_cannot_be_scored_has_a_reason_and_no_score(
    exam: Exam, box: Box, says: str
) -> None:
    with pytest.raises(NotProcessable) as refused:
        assess_region(exam, region_of(exam, box), readers(RESNEXT), load=Loader())

    assert (refused.value.reason, refused.value.detail) == (SkipReason.ROI_UNUSABLE, says)


def test_a_view_that_is_not_read_has_a_reason(exam: Exam) -> None:
    elsewhere = replace(region_of(exam), sop_instance_uid="1.2.3.4")

    with pytest.raises(NotProcessable, match="its image is not read"):
        assess_region(exam, elsewhere, readers(RESNEXT), load=Loader())


def test_without_any_model_for_such_an_image_there_is_a_reason(exam: Exam) -> None:
    with pytest.raises(NotProcessable) as refused:
        assess_region(exam, region_of(exam), Readers(), load=Loader())

    assert refused.value.reason is SkipReason.NO_MODEL_APPLIES
