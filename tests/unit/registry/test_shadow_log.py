"""What the shadow would have said, beside what was reported."""

import json

from cadnode.domain import (
    Assessment,
    Box,
    BreastScore,
    ExamResult,
    Finding,
    FindingKind,
    Laterality,
    ModelUse,
    System,
    ViewPosition,
    ViewScore,
)
from cadnode.registry import shadow_log
from cadnode.registry.shadow_log import Failure, Pair, ShadowStatus

R, L = Laterality.RIGHT, Laterality.LEFT
KIM, KANG = System.KIM2018, System.KANG2021


def result(version: str, point: float | None, **scores: float) -> ExamResult:
    breasts = tuple(BreastScore(Laterality(side), score, 2) for side, score in scores.items())
    views = tuple(ViewScore("1.2", b.laterality, ViewPosition.CC, b.score, "toy") for b in breasts)
    models = (ModelUse("toy", version, version * 8), ModelUse("other", "1.0.0", "0" * 8))
    exam = max(scores.values(), default=None)
    return ExamResult("1.2.3.4711", exam, breasts, views, (), (), models, point)


def with_regions(*said: tuple[float, bool], seen: bool = True) -> ExamResult:
    """Regions that kang2021 gave these probabilities; kim2018 has assessed them, too."""
    found = tuple(
        Finding(
            "1.2", Box(0, 0, 4, 4), (), FindingKind.MASS, p, "cnn",
            (Assessment(KIM, "toy", 0.99, suspicious=True), Assessment(KANG, "cnn", p, called)),
            certainty=0.5 if seen else None,
        )
        for p, called in said
    )  # fmt: skip
    read = result("1", 0.5, R=0.1)
    return ExamResult("1.2.3", 0.1, read.breasts, read.views, found, (), read.models, 0.5)


def test_each_is_called_at_its_own_operating_point() -> None:
    active, other = result("1", 0.5, R=0.6, L=0.2), result("2", 0.3, R=0.25, L=0.3)

    rows = shadow_log.pairs(active, other, [KIM])

    assert rows == (
        Pair(KIM, "exam", 0.6, 0.3, True, True),
        Pair(KIM, "R", 0.6, 0.25, True, False),
        Pair(KIM, "L", 0.2, 0.3, False, True),
    )


def test_what_one_side_cannot_read_is_not_called() -> None:
    rows = shadow_log.pairs(result("1", 0.5, R=0.6), result("2", None), [KIM])

    assert rows[0] == Pair(KIM, "exam", 0.6, None, True, None)
    assert rows[1] == Pair(KIM, "R", 0.6, None, True, None)
    assert shadow_log.agreement(rows[:1])["incomplete"] == 1


def test_a_system_that_reads_regions_says_of_an_exam_the_most_that_it_says_of_a_region() -> None:
    active, other = with_regions((0.4, False), (0.7, True)), with_regions((0.5, False))

    assert shadow_log.pairs(active, other, [KANG]) == (Pair(KANG, "exam", 0.7, 0.5, True, False),)


def test_an_exam_that_was_read_and_has_no_region_is_not_called() -> None:
    rows = shadow_log.pairs(with_regions(), with_regions((0.7, True)), [KANG])

    assert rows == (Pair(KANG, "exam", None, 0.7, False, True),)
    assert shadow_log.agreement(rows)["shadow"] == 1


def test_the_file_names_the_models_that_differ_and_no_study() -> None:
    active, other = result("1", 0.5, R=0.6), result("2", 0.5, R=0.7)

    told = shadow_log.document(
        active, other, other.models[:1], [KIM], wanted=["toy@2", "x@1"], seconds=1.2345
    )

    assert told["active"] == [{"name": "toy", "version": "1", "sha256": "1" * 8}]
    assert told["shadow"] == [{"name": "toy", "version": "2", "sha256": "2" * 8}]
    assert (told["wanted"], told["seconds"]) == (["toy@2", "x@1"], 1.23)
    assert "4711" not in json.dumps(told)
    assert "1.2.3" not in json.dumps(told)


def test_regions_that_detection_marked_are_counted_and_those_of_people_are_not() -> None:
    seen, drawn = with_regions((0.4, False), (0.7, True)), with_regions((0.5, False), seen=False)

    told = shadow_log.document(seen, drawn, [], [], wanted=[], seconds=0)

    assert told["marks"] == {"active": 2, "shadow": 0}


def test_a_failure_is_told_by_its_code() -> None:
    told = shadow_log.without_reading(ShadowStatus.FAILED, ["toy@0.0.2"], Failure.CRASHED)

    assert told == {
        "schema_version": 2, "status": "failed", "reason": "crashed", "wanted": ["toy@0.0.2"],
        "missing": [],
    }  # fmt: skip


def test_exams_are_counted_by_who_would_have_called_them() -> None:
    def exam(active: float, other: float) -> Pair:
        return shadow_log.pairs(result("1", 0.5, R=active), result("2", 0.5, R=other), [KIM])[0]

    found = shadow_log.agreement([exam(0.9, 0.9), exam(0.9, 0.1), exam(0.1, 0.9), exam(0.1, 0.2)])

    assert found == {"both": 1, "active": 1, "shadow": 1, "neither": 1, "incomplete": 0}
