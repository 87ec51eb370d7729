import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cadnode.domain import Acquisition, Box, FloatImage, Outcome, Skipped, SkipReason, System
from cadnode.errors import ModelError, NotProcessable
from cadnode.exam.exam import Exam, Mammogram
from cadnode.exam.read import exam_of as exam_of
from cadnode.models.breast import BreastScoring
from cadnode.models.view import HotRegion, ViewReading
from cadnode.reading import Readers, read_exam
from tests.synthetic import write_exam


@dataclass
class Reader:
    """Stands for a `ViewModel`: scores a view by its brightest pixel, marks one region."""

    name: str = "a"
    applies_to: tuple[Acquisition, ...] = (Acquisition.DIGITAL, Acquisition.FILM)
    threshold: float = 0.5
    contralateral_weight: float = 0.0
    fails: bool = False
    sha256: str = "ab"

    @property
    def card(self) -> Any:
        return SimpleNamespace(
            name=self.name,
            version="1.0.0",
            applies_to=self.applies_to,
            weights_sha256=self.sha256,
            system=System.KIM2018,
            materials=(),
            hot_region=SimpleNamespace(threshold=0.5),
            scanners=(),
            breast=BreastScoring(
                contralateral_weight=self.contralateral_weight,
                contralateral_mean=0.0,
                slope=1.0,
                intercept=0.0,
                fitted_on="",
            ),
        )

    @property
    def operating_point(self) -> Any:
        return SimpleNamespace(threshold=self.threshold)

    def score(self, views: Sequence[tuple[FloatImage, str]]) -> list[ViewReading]:
        if self.fails:
            raise ModelError("on purpose")
        return [self._reading(image) for image, _ in views]

    def _reading(self, image: FloatImage) -> ViewReading:
        region = HotRegion(Box(0, 0, 4, 4), ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0)), 0.9)
        level = float(image.max())
        logit = math.log(level / (1 - level))
        return ViewReading(level, logit, image[:8, :8], Box(0, 0, 8, 8), (region,))


@pytest.fixture
def exam(tmp_path: Path) -> Exam:
    return exam_of(write_exam(tmp_path, rows=64, columns=48))


def constant(levels: dict[str, float]) -> Any:
    """A pixel loader: a uniform image whose level depends on side and view."""

    def load(m: Mammogram) -> FloatImage:
        return np.full((64, 48), levels[f"{m.laterality}{m.view}"], np.float32)

    return load


LEVELS = {"RCC": 0.2, "RMLO": 0.2, "LCC": 0.5, "LMLO": 0.8}


def read(exam: Exam, *models: Any, load: Any = None) -> Any:
    return read_exam(exam, Readers(views=tuple(models)), load=load or constant(LEVELS))


def test_a_breast_is_the_mean_of_its_views_log_odds_and_the_exam_the_higher_breast(
    exam: Exam,
) -> None:
    result = read(exam, Reader())
    assert [(b.laterality, b.n_views) for b in result.breasts] == [("R", 2), ("L", 2)]
    # log-odds: 0.2 -> -log 4, 0.5 -> 0, 0.8 -> log 4; sigmoid(log(4) / 2) = 2 / 3
    assert [b.score for b in result.breasts] == pytest.approx([0.2, 2 / 3])
    assert result.exam_score == pytest.approx(2 / 3)


def test_the_other_breast_is_taken_off_where_the_card_says_so(exam: Exam) -> None:
    result = read(exam, Reader(contralateral_weight=1.0))
    # left: log(2) - (-log 4) = log 8; right: the same with the other sign
    assert [b.score for b in result.breasts] == pytest.approx([1 / 9, 8 / 9])


def test_hot_regions_are_findings_only_in_breasts_that_reach_the_operating_point(
    exam: Exam,
) -> None:
    result = read(exam, Reader(threshold=0.5))
    sides = {v.sop_instance_uid: v.laterality for v in result.views}
    assert {sides[f.sop_instance_uid] for f in result.findings} == {"L"}
    assert result.outcome is Outcome.FINDINGS


def test_nothing_above_the_operating_point_is_an_outcome_with_scores(exam: Exam) -> None:
    result = read(exam, Reader(threshold=0.9))
    assert result.outcome is Outcome.NO_FINDINGS
    assert len(result.views) == len(result.heat_maps) == 4


def test_each_view_is_read_by_the_first_model_that_applies(exam: Exam) -> None:
    film, digital = Reader("film", (Acquisition.FILM,)), Reader("digital", (Acquisition.DIGITAL,))
    result = read(exam, film, digital, Reader("both"))
    assert {v.algorithm for v in result.views} == {"digital"}
    assert [m.name for m in result.models] == ["digital"]


def test_views_that_no_model_reads_are_skipped_with_a_reason(exam: Exam) -> None:
    result = read(exam, Reader("film", (Acquisition.FILM,)))
    assert {s.reason for s in result.skipped} == {SkipReason.NO_MODEL_APPLIES}
    assert result.outcome is Outcome.NOT_READ
    assert result.exam_score is None


def test_a_view_whose_pixels_fail_is_skipped_and_the_others_are_read(exam: Exam) -> None:
    def load(m: Mammogram) -> FloatImage:
        if f"{m.laterality}{m.view}" == "RCC":
            raise NotProcessable(SkipReason.PIXELS_CORRUPT, "short")
        return constant(LEVELS)(m)  # type: ignore[no-any-return]

    result = read(exam, Reader(), load=load)
    assert [(s.reason, s.detail) for s in result.skipped] == [(SkipReason.PIXELS_CORRUPT, "short")]
    assert [b.n_views for b in result.breasts] == [1, 2]


def test_two_views_are_read_at_a_time_and_none_while_progress_is_reported(
    exam: Exam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    third, pair = threading.Event(), threading.Barrier(2, timeout=10)
    stages: list[str] = []
    third_came: list[bool] = []

    def on_progress(stage: str) -> None:
        stages.append(stage)
        if len(stages) == 3:
            third.set()

    def look_at(mammogram: Mammogram, *_: Any) -> Any:
        if len(stages) == 2:
            pair.wait()
            # The first view ends, the second one has not: no third may be begun or reported.
            is_second = f"{mammogram.laterality} {mammogram.view}" == stages[1]
            third_came.append(is_second and third.wait(0.2))
        raise NotProcessable(SkipReason.PIXELS_CORRUPT, mammogram.view)

    monkeypatch.setattr("cadnode.reading.exam._look_at", look_at)
    result = read_exam(exam, Readers(), on_progress=on_progress)

    assert third_came == [False, False]
    assert [s.sop_instance_uid for s in result.skipped] == [
        m.sop_instance_uid for m in exam.mammograms
    ]


def test_a_failing_model_is_a_reason_not_a_crash(exam: Exam) -> None:
    result = read(exam, Reader(fails=True))
    assert {s.reason for s in result.skipped} == {SkipReason.MODEL_FAILED}
    assert len(result.skipped) == 4


def test_what_the_exam_skipped_stays_in_the_result(exam: Exam) -> None:
    why = Skipped("1.2.3", SkipReason.TRUNCATED)
    partial = replace(exam, skipped=(why,))
    assert why in read(partial, Reader()).skipped


def test_findings_of_both_views_at_one_distance_from_the_nipple_are_paired(exam: Exam) -> None:
    rows, columns = np.mgrid[0:64, 0:48]

    def cone(m: Mammogram) -> FloatImage:
        """A breast with its chest wall where that side's is; the reader marks its corner."""
        across = columns if m.laterality == "L" else 47 - columns
        inside = np.abs(rows - 32) < 24 * (1 - across / 36)
        return np.where(inside, LEVELS[f"{m.laterality}{m.view}"], 0.001).astype(np.float32)

    result = read(exam, Reader(threshold=0.4), load=cone)

    (pair,) = result.correspondences
    views = {v.sop_instance_uid: (v.laterality, v.view) for v in result.views}
    seen = [views[result.findings[i].sop_instance_uid] for i in (pair.cc, pair.mlo)]
    assert seen == [("L", "CC"), ("L", "MLO")]
    assert pair.nipple_mm[0] == pytest.approx(pair.nipple_mm[1], abs=5)
