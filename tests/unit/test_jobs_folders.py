from pathlib import Path

import numpy as np

from cadnode.domain import (
    Box,
    BreastScore,
    ExamResult,
    Finding,
    HeatMap,
    Laterality,
    ModelUse,
    Skipped,
    SkipReason,
    ViewPosition,
    ViewScore,
)
from cadnode.jobs import folders


def result() -> ExamResult:
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    return ExamResult(
        study_instance_uid="1.2.3",
        exam_score=0.75,
        breasts=(BreastScore(Laterality.LEFT, 0.75, 1),),
        views=(ViewScore("1.2.3.4", Laterality.LEFT, ViewPosition.CC, 0.75, "dib-mg"),),
        findings=(
            Finding("1.2.3.4", Box(1, 2, 30, 40), ((1.0, 2.0), (30.0, 2.5)), "x", 0.9, "dib-mg"),
        ),
        skipped=(Skipped("1.2.3.5", SkipReason.IMPLANT, "why"),),
        models=(ModelUse("dib-mg", "1", "ab"),),
        operating_point=0.5,
        heat_maps=(HeatMap("1.2.3.4", values, Box(0, 0, 100, 80), "dib-mg"),),
    )


def test_a_saved_reading_comes_back_equal(tmp_path: Path) -> None:
    folders.save_reading(tmp_path / "study", result())
    loaded = folders.load_reading(tmp_path / "study")
    assert loaded == result()
    assert loaded.heat_maps[0].box == Box(0, 0, 100, 80)
    np.testing.assert_array_equal(loaded.heat_maps[0].values, result().heat_maps[0].values)


def test_a_reading_without_scores_comes_back_equal(tmp_path: Path) -> None:
    nothing = ExamResult("1.2", None, (), (), (), (Skipped("", SkipReason.NOT_DICOM),), ())
    folders.save_reading(tmp_path, nothing)
    assert folders.load_reading(tmp_path) == nothing


def test_nothing_but_the_named_files_is_left_behind(tmp_path: Path) -> None:
    folders.save_reading(tmp_path, result())
    assert {p.name for p in tmp_path.iterdir()} == {"reading.json", "maps.npz"}
