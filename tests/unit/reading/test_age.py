"""The score of image and age: beside the image's own, never in its place, and never in silence."""

from dataclasses import replace
from datetime import date
from math import exp, log
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from cadnode.domain import ImageAndAge, Laterality, NoAgeScore
from cadnode.exam.age import ages_stated
from cadnode.exam.exam import Exam
from cadnode.exam.read import exam_of
from cadnode.models.age_prior import AgePrior
from cadnode.models.card import CARDS, DibMgCard
from cadnode.reading.exam import read_exam
from cadnode.reading.readers import Choices, Readers
from cadnode.reading.views import hanging_order
from tests.synthetic import write_exam
from tests.unit import model_cases
from tests.unit.reading.test_exam import Reader, constant

LEVELS = {"LCC": 0.2, "LMLO": 0.4, "RCC": 0.7, "RMLO": 0.9}


def prior(**changes: Any) -> AgePrior:
    """Twice the odds for ten years, none at 60."""
    return AgePrior.model_validate(
        {
            "intercept": 0.5, "slope": 0.5, "per_decade": log(2), "per_decade_ci": (0.5, 0.9),
            "centre": 60.0, "youngest": 40, "oldest": 80, "fitted_on": "toys", "n_women": 10,
            "n_cancer": 5, "intercept_from": "toys", "n_intercept_women": 10,
            "n_intercept_cancer": 5, "prevalence": 0.5, "command": "none",
            "on": date(2026, 1, 1), **changes,
        }
    )  # fmt: skip


class AgedReader(Reader):
    """A model whose card is a DIB-MG card with a prior."""

    prior: AgePrior | None = prior()

    @property
    def card(self) -> Any:
        return model_cases.card().model_copy(update={"age_prior": self.prior})


def exam_aged(folder: Path, *ages: str) -> Exam:
    """An exam whose views state these ages, the last one all further views; "" states none."""
    exam = exam_of([*map(Path, write_exam(folder))])
    for number, mammogram in enumerate(sorted(exam.mammograms, key=hanging_order)):
        mammogram.header.PatientAge = ages[min(number, len(ages) - 1)]
        mammogram.header.PatientBirthDate = ""
    return exam


def read(exam: Exam, *, asked: bool = True, given: AgePrior | None = prior()) -> Any:  # noqa: B008
    reader = AgedReader()
    reader.prior = given
    choices = Choices(age_prior=asked)
    model: Any = reader
    return read_exam(exam, Readers(views=(model,)), choices=choices, load=constant(LEVELS))


def by_hand(image: float, years: int) -> float:
    odds = exp(0.5 + 0.5 * log(image / (1 - image))) * 2 ** ((years - 60) / 10)
    return odds / (1 + odds)


def test_each_breast_has_its_score_of_image_and_age_and_the_exam_the_higher(tmp_path: Path) -> None:
    result = read(exam_aged(tmp_path, "070Y"))

    both = result.image_and_age
    assert both.reason is None
    images = {b.laterality: b.score for b in result.breasts}
    assert {b.laterality: b.score for b in both.breasts} == {
        side: pytest.approx(by_hand(score, 70)) for side, score in images.items()
    }
    assert both.exam_score == max(b.score for b in both.breasts)
    assert both.algorithm == "toy"


def test_the_image_s_own_result_is_the_same_with_and_without_it(tmp_path: Path) -> None:
    exam = exam_aged(tmp_path, "070Y")

    without, beside = read(exam, asked=False), read(exam)

    assert without.image_and_age is None
    assert replace(beside, image_and_age=None, read_with="") == replace(without, read_with="")


@pytest.mark.parametrize(
    ("ages", "given", "reason"),
    [
        (("",), prior(), NoAgeScore.AGE_UNKNOWN),
        (("000Y",), prior(), NoAgeScore.AGE_UNKNOWN),
        (("039Y",), prior(), NoAgeScore.AGE_OUT_OF_RANGE),
        (("081Y",), prior(), NoAgeScore.AGE_OUT_OF_RANGE),
        (("050Y", "052Y"), prior(), NoAgeScore.AGE_CONTRADICTORY),
        (("070Y",), None, NoAgeScore.NO_PRIOR),
    ],
)
def test_an_exam_without_such_a_score_has_a_coded_reason(
    tmp_path: Path, ages: tuple[str, ...], given: AgePrior | None, reason: NoAgeScore
) -> None:
    result = read(exam_aged(tmp_path, *ages), given=given)

    assert result.image_and_age == ImageAndAge("toy", None, (), reason)
    assert result.exam_score is not None


@pytest.mark.parametrize("years", [40, 80])
def test_both_ends_of_the_range_belong_to_it(tmp_path: Path, years: int) -> None:
    both = read(exam_aged(tmp_path, f"{years:03d}Y")).image_and_age

    assert both.reason is None


def test_views_a_year_apart_have_the_first_view_s_age(tmp_path: Path) -> None:
    same = read(exam_aged(tmp_path / "a", "070Y")).image_and_age

    assert read(exam_aged(tmp_path / "b", "070Y", "071Y")).image_and_age == same


def header(**values: str) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize(
    ("values", "ages"),
    [
        ({"PatientBirthDate": "19560703", "StudyDate": "20260702"}, (69,)),
        ({"PatientBirthDate": "19560703", "StudyDate": "20260703"}, (70,)),
        ({"PatientBirthDate": "19560703"}, ()),
        ({"PatientBirthDate": "18000101", "StudyDate": "20260703"}, ()),
        ({"PatientBirthDate": "20270101", "StudyDate": "20260703"}, ()),
        ({"PatientAge": "840M"}, (70,)),
        (
            {"PatientAge": "071Y", "PatientBirthDate": "19560703", "StudyDate": "20260703"},
            (71, 70),
        ),
    ],
)
def test_an_age_is_the_stated_one_before_that_between_two_dates(
    values: dict[str, str], ages: tuple[int, ...]
) -> None:
    assert ages_stated([header(**values)]) == ages


def test_what_uids_are_made_of_is_as_before_where_no_such_score_is_asked_for() -> None:
    assert list(Choices().stated()) == ["counts", "flips", "most_regions"]
    readers = Readers()
    assert readers.digest(Choices(age_prior=True)) != readers.digest(Choices())


def test_a_card_without_a_prior_is_written_as_before_there_were_priors() -> None:
    card = model_cases.card()
    assert "age_prior" not in card.model_dump()

    with_prior = card.model_copy(update={"age_prior": prior()})
    again = CARDS.validate_json(with_prior.model_dump_json())

    assert isinstance(again, DibMgCard)
    assert again == with_prior


@pytest.mark.parametrize(
    "wrong", [{"youngest": 80, "oldest": 80}, {"slope": 0.0}, {"per_decade": float("nan")}]
)
def test_a_prior_that_reverses_the_image_or_holds_for_no_age_is_refused(
    wrong: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match="AgePrior"):
        prior(**wrong)


def test_the_age_never_changes_which_breast_is_the_higher(tmp_path: Path) -> None:
    both = read(exam_aged(tmp_path, "041Y")).image_and_age

    scores = {b.laterality: b.score for b in both.breasts}
    assert scores[Laterality.RIGHT] > scores[Laterality.LEFT]
