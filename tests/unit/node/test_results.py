"""What is saved of a reading comes back equal: every field, for any reading."""

import json
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cadnode.domain import (
    Assessment,
    Box,
    BreastScore,
    Calcification,
    CalcificationType,
    ClusterDescription,
    Correspondence,
    Distribution,
    Evidence,
    EvidenceLevel,
    ExamResult,
    Finding,
    FindingKind,
    HeatMap,
    ImageAndAge,
    ImageEvidence,
    Laterality,
    ModelUse,
    NoAgeScore,
    OperatingCurve,
    RoiReference,
    Skipped,
    SkipReason,
    System,
    SystemStatus,
    TrainingMaterial,
    ViewPosition,
    ViewScore,
)
from cadnode.node import results
from tests.report_cases import digital_exam, result_of

WORDS = st.text(max_size=8)
UNIT = st.floats(0, 1)
PIXELS = st.floats(-100, 6000)


def made(kind: type, /, **values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values of a dataclass; a field that is not drawn here is an error, also an optional one."""
    assert set(values) == {f.name for f in fields(kind)}, kind
    return st.builds(kind, **values)


def several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=2).map(tuple)


SIDE, VIEW, BOX = st.from_type(Laterality), st.from_type(ViewPosition), st.from_type(Box)
ASSESSMENT = made(
    Assessment,
    system=st.from_type(System),
    algorithm=WORDS,
    probability=UNIT,
    suspicious=st.booleans(),
    members=several(st.tuples(WORDS, UNIT)),
)
CLUSTER = made(
    ClusterDescription,
    distribution=st.from_type(Distribution),
    type=st.from_type(CalcificationType),
    count=st.integers(0, 500),
    diameter_mm=st.floats(0, 300),
    diameter_estimated=st.booleans(),
)
FINDING = made(
    Finding,
    sop_instance_uid=WORDS,
    box=BOX,
    outline=several(st.tuples(PIXELS, PIXELS)),
    kind=st.from_type(FindingKind),
    probability=UNIT,
    algorithm=WORDS,
    assessments=several(ASSESSMENT),
    certainty=st.none() | UNIT,
    cluster=st.none() | CLUSTER,
    calcifications=several(
        made(
            Calcification,
            row=PIXELS,
            col=PIXELS,
            area_mm2=UNIT,
            diameter_mm=UNIT,
            contrast=UNIT,
        )
    ),
    marked_by=st.none()
    | made(RoiReference, sop_class_uid=WORDS, sop_instance_uid=WORDS, by_person=st.booleans()),
)
HEAT_MAP = made(
    HeatMap,
    sop_instance_uid=WORDS,
    values=arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)),
    box=BOX,
    algorithm=WORDS,
)
CURVE = made(
    OperatingCurve,
    points=several(st.tuples(UNIT, UNIT, UNIT)),
    threshold=UNIT,
    measured_on=WORDS,
    n_pos=st.integers(1, 9),
    n_neg=st.integers(1, 9),
    of_breasts=st.booleans(),
)
BREAST = made(BreastScore, laterality=SIDE, score=UNIT, n_views=st.integers(0, 9))
RESULTS = made(
    ExamResult,
    study_instance_uid=WORDS,
    exam_score=st.none() | UNIT,
    breasts=several(BREAST),
    views=several(
        made(
            ViewScore,
            sop_instance_uid=WORDS,
            laterality=SIDE,
            view=VIEW,
            score=UNIT,
            algorithm=WORDS,
        )
    ),
    findings=several(FINDING),
    skipped=several(
        made(Skipped, sop_instance_uid=WORDS, reason=st.from_type(SkipReason), detail=WORDS)
    ),
    models=several(
        made(
            ModelUse,
            name=WORDS,
            version=WORDS,
            sha256=WORDS,
            curve=st.none() | CURVE,
            system=st.none() | st.from_type(System),
            trained_on=several(st.from_type(TrainingMaterial)),
            calibration=WORDS,
            scores_as=WORDS,
        )
    ),
    operating_point=st.none() | UNIT,
    read_with=WORDS,
    image_and_age=st.none()
    | made(
        ImageAndAge,
        algorithm=WORDS,
        exam_score=st.none() | UNIT,
        breasts=several(BREAST),
        reason=st.none() | st.from_type(NoAgeScore),
    ),
    heat_maps=several(HEAT_MAP),
    systems=several(
        made(
            SystemStatus,
            system=st.from_type(System),
            active=st.booleans(),
            models=several(WORDS),
            reason=WORDS,
            failed=st.booleans(),
        )
    ),
    evidence=several(
        made(
            ImageEvidence,
            sop_instance_uid=WORDS,
            evidence=several(
                made(
                    Evidence,
                    about=WORDS,
                    source=WORDS,
                    level=st.from_type(EvidenceLevel),
                    says=WORDS,
                    counts=st.booleans(),
                )
            ),
        )
    ),
    correspondences=several(
        made(
            Correspondence,
            cc=st.integers(0, 9),
            mlo=st.integers(0, 9),
            nipple_mm=st.tuples(UNIT, UNIT),
            certainty=UNIT,
            nipple_estimated=st.booleans(),
        )
    ),
)


def again(result: ExamResult) -> ExamResult:
    """The result, saved and loaded."""
    with TemporaryDirectory() as folder:
        results.save_reading(Path(folder) / "study", result)
        return results.load_reading(Path(folder) / "study")


@settings(max_examples=30, deadline=None, derandomize=True)
@given(RESULTS)
def test_any_reading_comes_back_equal_with_its_types(result: ExamResult) -> None:
    loaded = again(result)

    assert loaded == result
    assert repr(loaded) == repr(result)  # equal words and numbers of another type would differ
    assert [m.curve for m in loaded.models] == [m.curve for m in result.models]
    assert [m.box for m in loaded.heat_maps] == [m.box for m in result.heat_maps]
    for before, after in zip(result.heat_maps, loaded.heat_maps, strict=True):
        assert (after.sop_instance_uid, after.algorithm) == (
            before.sop_instance_uid,
            before.algorithm,
        )
        np.testing.assert_array_equal(after.values, before.values)


def test_what_several_systems_say_comes_back_as_it_was() -> None:
    result = result_of(digital_exam(), "marked")

    loaded = again(result)

    assert loaded.findings == result.findings
    assert isinstance(loaded.findings[0].assessments[0], Assessment)
    assert loaded.findings[0].kind is FindingKind.MARKED_REGION
    assert loaded.systems == result.systems


def test_a_reading_without_scores_comes_back_equal() -> None:
    nothing = ExamResult("1.2", None, (), (), (), (Skipped("", SkipReason.NOT_DICOM),), ())

    assert again(nothing) == nothing


def test_a_reading_saved_before_there_were_systems_is_still_read(tmp_path: Path) -> None:
    result = result_of(digital_exam(), "findings")
    results.save_reading(tmp_path, result)
    document = json.loads((tmp_path / "reading.json").read_bytes())
    del document["systems"]
    for finding in document["findings"]:
        for name in ("assessments", "certainty", "cluster", "marked_by"):
            del finding[name]
    (tmp_path / "reading.json").write_text(json.dumps(document))

    assert results.load_reading(tmp_path) == result


def test_how_long_a_reading_took_is_kept_beside_it(tmp_path: Path) -> None:
    result = result_of(digital_exam(), "findings")

    results.save_reading(tmp_path, result, read_s=2.34567)

    assert results.timings_of(tmp_path) == {"read": 2.346}
    assert results.load_reading(tmp_path) == result


def test_a_reading_of_an_older_version_has_no_timings(tmp_path: Path) -> None:
    results.save_reading(tmp_path, result_of(digital_exam(), "findings"))

    assert results.timings_of(tmp_path) == {}


def test_nothing_but_the_named_files_is_left_behind(tmp_path: Path) -> None:
    results.save_reading(tmp_path, result_of(digital_exam(), "findings"))

    assert {p.name for p in tmp_path.iterdir()} == {"reading.json", "maps.npz"}
