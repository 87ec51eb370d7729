"""Regions of a view: where they come from, who assesses them, whose probability counts."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cadnode.detect.regions import Detections, Region, Segmentation
from cadnode.domain import (
    Acquisition,
    Box,
    FindingKind,
    FloatImage,
    HeatMap,
    RoiReference,
    System,
    SystemStatus,
)
from cadnode.errors import ModelError
from cadnode.exam.exam import Exam, PersonRegion
from cadnode.exam.read import exam_of as exam_of
from cadnode.imaging.roi_chain import Roi, RoiSpec
from cadnode.imaging.spacing import Spacing
from cadnode.models.operating_point import Roc
from cadnode.models.roi import RoiReading
from cadnode.reading import Choices, Readers, read_exam, regions
from cadnode.reading.assessment import highest, scenarios
from tests.synthetic import write_exam
from tests.unit.reading.test_exam import Reader

SPEC = RoiSpec(size=64, spacing_mm=0.1)
SQUARE = ((10.0, 10.0), (20.0, 10.0), (20.0, 20.0), (10.0, 20.0))


@dataclasses.dataclass
class Cnn:
    """Stands for a `RoiModel`: always the same probability."""

    name: str
    system: System
    probability: float
    fails: bool = False

    @property
    def card(self) -> Any:
        return SimpleNamespace(
            name=self.name, version="1.0.0", weights_sha256="cd", system=self.system, roi=SPEC,
            materials=(),
            applies_to=(Acquisition.DIGITAL, Acquisition.FILM), validation=None,
            roc=Roc(points=((1.0, 0.0, 1.0), (0.5, 1.0, 1.0)), measured_on="", n_pos=1, n_neg=1),
        )  # fmt: skip

    choice = "youden"

    @property
    def operating_point(self) -> Any:
        return self.card.roc.at(self.choice)

    def read(self, rois: Sequence[Roi], *, flips: bool = False) -> list[RoiReading]:
        if self.fails:
            raise ModelError("on purpose")
        cam = np.full((4, 4), self.probability, np.float32)
        return [RoiReading(self.probability, 0.0, cam) for _ in rois]


@pytest.fixture
def exam(tmp_path: Path) -> Exam:
    return exam_of(write_exam(tmp_path, rows=64, columns=48, views=(("L", "CC"),)))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Region:
    """What detection finds in every view; nothing is segmented in it."""
    region = Region(FindingKind.CALCIFICATION_CLUSTER, Box(10, 10, 20, 20), SQUARE, 0.8)

    def detect(*_: Any, **__: Any) -> Detections:
        return Detections((region,), ())

    def segment(image: FloatImage, side: str, spacing: float, box: Box, *_: Any) -> Segmentation:
        return Segmentation(
            np.zeros((4, 4), np.float32), 0.1, np.zeros((4, 4), np.int32), None, box
        )

    monkeypatch.setattr(regions, "detect_view", detect)
    monkeypatch.setattr(regions, "segment_roi", segment)
    return region


def read(exam: Exam, *cnns: Cnn, threshold: float = 0.9, **choices: Any) -> Any:
    readers = Readers(
        views=(Reader(threshold=threshold),),  # type: ignore[arg-type]
        rois=cnns,  # type: ignore[arg-type]
        systems=tuple(SystemStatus(s, active=True) for s in System),
    )
    bright = np.full((64, 48), 0.6, np.float32)
    return read_exam(exam, readers, choices=Choices(**choices), load=lambda m: bright)


FIVE = [Cnn("a", System.KANG2021, 0.2), Cnn("b", System.KANG2021, 0.6)]
RESNEXT = Cnn("r", System.HELSINKI_DTL, 0.7)


def test_every_system_assesses_a_region_under_its_own_name(exam: Exam, cluster: Region) -> None:
    (finding,) = read(exam, *FIVE, RESNEXT).findings

    said = {a.system: (a.algorithm, round(a.probability, 6)) for a in finding.assessments}
    assert said[System.KANG2021] == ("kang2021", 0.4)  # the mean of 0.2 and 0.6
    assert said[System.HELSINKI_DTL] == ("r", 0.7)
    assert said[System.KIM2018][0] == "a"
    assert finding.kind is FindingKind.CALCIFICATION_CLUSTER
    assert finding.certainty == 0.8


@pytest.mark.parametrize(
    ("kind", "by_mm"),
    [
        (FindingKind.CALCIFICATION_CLUSTER, 3.0),
        (FindingKind.MASS, 3.0),
        (FindingKind.MARKED_REGION, 0.0),
        (FindingKind.SUSPICIOUS_REGION, 0.0),
    ],
)
def test_what_was_detected_is_segmented_in_a_larger_box(
    exam: Exam, cluster: Region, kind: FindingKind, by_mm: float
) -> None:
    spacing = Spacing(0.1, 0.2, estimated=False)
    cutter = regions.Cutter(np.full((64, 48), 0.6, np.float32), exam.mammograms[0], spacing, ())

    candidate = cutter.candidate(kind, Box(10, 10, 20, 20), SQUARE)

    rows, cols = round(by_mm / 0.1), round(by_mm / 0.2)
    assert candidate.segmentation.box == Box(10 - rows, 10 - cols, 20 + rows, 20 + cols)
    assert candidate.box == Box(10, 10, 20, 20)


def test_members_of_an_ensemble_are_reported_with_it(exam: Exam, cluster: Region) -> None:
    (finding,) = read(exam, *FIVE).findings

    kang = next(a for a in finding.assessments if a.system is System.KANG2021)
    assert dict(kang.members) == {"a": 0.2, "b": 0.6}
    assert not kang.suspicious


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((System.HELSINKI_DTL,), 0.7), ((System.WANG2016, System.KANG2021), 0.4)],
)
def test_the_first_chosen_system_that_assessed_it_counts(
    exam: Exam, cluster: Region, counts: tuple[System, ...], expected: float
) -> None:
    (finding,) = read(exam, *FIVE, RESNEXT, counts=counts).findings

    assert finding.probability == pytest.approx(expected)


def test_a_failing_cnn_silences_its_system_alone_and_says_so(exam: Exam, cluster: Region) -> None:
    broken = dataclasses.replace(RESNEXT, fails=True)

    result = read(exam, *FIVE, broken)

    assert {a.system for a in result.findings[0].assessments} == {System.KIM2018, System.KANG2021}
    helsinki = next(s for s in result.systems if s.system is System.HELSINKI_DTL)
    assert "failed" in helsinki.reason


def test_peaks_of_the_map_are_findings_where_the_breast_is_suspicious(
    exam: Exam, cluster: Region
) -> None:
    quiet, loud = read(exam, threshold=0.9), read(exam, threshold=0.5)

    assert [f.kind for f in quiet.findings] == [FindingKind.CALCIFICATION_CLUSTER]
    assert {f.kind for f in loud.findings} == {
        FindingKind.CALCIFICATION_CLUSTER, FindingKind.SUSPICIOUS_REGION
    }  # fmt: skip


def test_a_persons_region_is_assessed_and_names_its_object(exam: Exam, cluster: Region) -> None:
    drawn = RoiReference("1.2.840.10008.5.1.4.1.1.88.33", "1.2.3")
    uid = exam.mammograms[0].sop_instance_uid
    marked = PersonRegion(uid, Box(30, 5, 50, 25), SQUARE, drawn)

    result = read(dataclasses.replace(exam, regions=(marked,)), RESNEXT)

    (found,) = (f for f in result.findings if f.marked_by is not None)
    assert found.marked_by == drawn
    assert found.kind is FindingKind.MARKED_REGION
    assert {a.system for a in found.assessments} >= {System.HELSINKI_DTL}


def test_maps_of_all_systems_and_their_ensemble_are_kept(exam: Exam, cluster: Region) -> None:
    result = read(exam, *FIVE, RESNEXT)

    # "a" twice: DIB-MG's map of the view, and the CNN's of the region
    assert sorted(m.algorithm for m in result.heat_maps) == [
        "a", "a", "b", "ensemble", "kang2021", "r"
    ]  # fmt: skip


def test_models_that_took_part_are_named_once(exam: Exam, cluster: Region) -> None:
    result = read(exam, *FIVE, RESNEXT)

    assert [m.name for m in result.models] == ["a", "b", "r"]


def test_the_highest_value_in_a_box_is_read_off_the_map() -> None:
    values = np.array([[0.1, 0.2], [0.3, 0.9]], np.float32)
    heat_map = HeatMap("1", values, Box(0, 0, 100, 100), "a")

    # Centres of the map's cells lie at 25 and 75.
    assert highest(heat_map, Box(70, 70, 80, 80)) == pytest.approx(0.9, abs=0.02)
    assert highest(heat_map, Box(0, 0, 25, 25)) == pytest.approx(0.1, abs=0.02)
    assert highest(heat_map, Box(200, 200, 210, 210)) == 0.0


CLUSTER, MASS = FindingKind.CALCIFICATION_CLUSTER, FindingKind.MASS
MARKED, PEAK = FindingKind.MARKED_REGION, FindingKind.SUSPICIOUS_REGION


@pytest.mark.parametrize(
    ("kind", "calcified", "mass", "expected"),
    [
        (MARKED, True, True, ("both", "calcifications", "masses")),
        (PEAK, True, True, ("both", "calcifications", "masses")),
        (CLUSTER, True, True, ("calcifications", "both", "masses")),
        (MASS, True, True, ("masses", "both", "calcifications")),
        (MASS, True, False, ("calcifications",)),
        (MARKED, True, False, ("calcifications",)),
        (CLUSTER, False, True, ("masses",)),
        (PEAK, False, False, ()),
    ],
)
def test_the_scenario_follows_from_the_kind_and_what_was_segmented(
    kind: FindingKind, calcified: bool, mass: bool, expected: tuple[str, ...]
) -> None:
    labels = np.full((4, 4), int(calcified), np.int32)
    shape = np.ones((4, 4), bool) if mass else None

    segmentation = Segmentation(np.zeros((4, 4), np.float32), 0.1, labels, shape, Box(0, 0, 4, 4))

    assert scenarios(kind, segmentation) == expected
