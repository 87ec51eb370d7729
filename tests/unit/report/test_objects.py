"""Objects are made and written together, the same each time, or not at all."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cadnode.errors import ReportError
from cadnode.report.objects import make_objects, write_objects
from tests.report_cases import (
    MADE_AT,
    OUTCOMES,
    digital_exam,
    heat_map,
    image_of,
    objects_of,
    result_of,
)
from tests.synthetic import IDENTIFIERS


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_same_exam_read_twice_gives_the_same_bytes(outcome: str, tmp_path: Path) -> None:
    first = write_objects(objects_of(digital_exam(), outcome), tmp_path / "1")
    second = write_objects(objects_of(digital_exam(), outcome), tmp_path / "2")

    assert [p.name for p in first] == [p.name for p in second]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_another_model_makes_other_objects_and_a_computed_map_does_not() -> None:
    exam = digital_exam()
    result = result_of(exam, "none")
    other_model = replace(result, models=(replace(result.models[0], version="1.0.1"),))
    other_map = (heat_map(exam.mammograms[0], row=0.6), *result.heat_maps[1:])

    one, new, moved = (
        [
            ds.SOPInstanceUID
            for ds in make_objects(exam, told, partial(image_of, exam), MADE_AT, longest_side=64)
        ]
        for told in (result, other_model, replace(result, heat_maps=other_map))
    )

    assert len({*one, *new}) == 10
    assert moved == one


def test_files_are_named_for_what_they_are_and_not_for_whom(tmp_path: Path) -> None:
    paths = write_objects(objects_of(digital_exam(), "findings"), tmp_path)

    assert [p.name for p in paths] == [
        "sr.dcm", "heatmap-1-RCC.dcm", "heatmap-2-LCC.dcm", "heatmap-3-RMLO.dcm",
        "heatmap-4-LMLO.dcm",
    ]  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in paths)
    assert pydicom.dcmread(paths[0]).file_meta.ImplementationVersionName == "CADNODE"


def test_a_full_disk_leaves_no_part_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = objects_of(digital_exam(), "failed")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(ReportError, match="errno 28"):
        write_objects(objects, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_exam_without_a_dicom_header_has_no_objects() -> None:
    exam = replace(digital_exam(), reference=None, mammograms=(), headers={})

    assert make_objects(exam, result_of(digital_exam(), "failed"), lambda _: 1 / 0, MADE_AT) == []


@pytest.mark.parametrize("score", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_refused(score: float) -> None:
    exam = digital_exam()
    result = replace(result_of(exam, "none"), exam_score=score)

    with pytest.raises(ReportError, match="finite"):
        make_objects(exam, result, partial(image_of, exam), MADE_AT)


def test_errors_of_other_libraries_are_mapped_without_their_words() -> None:
    exam = digital_exam()

    def broken(_uid: str) -> np.ndarray:
        raise ValueError(f"cannot show {IDENTIFIERS[0]}")

    with pytest.raises(ReportError) as caught:
        make_objects(exam, result_of(exam, "none"), broken, MADE_AT)

    assert str(caught.value) == "an object could not be made (ValueError)"
    assert caught.value.__cause__ is None


def test_odd_uids_of_a_source_are_carried_without_a_word() -> None:
    # Leading zeros are forbidden and common; a warning would fail this run, and print the UID.
    with pydicom.config.disable_value_validation():
        exam = digital_exam(SeriesInstanceUID="1.2.003.4")

    (sr, *_) = objects_of(exam, "none")

    series = sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == "1.2.003.4"
