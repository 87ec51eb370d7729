"""What a reading remembers of a model: enough to say what its errors are."""

from pathlib import Path

from cadnode.domain import OperatingCurve
from cadnode.models.feature import FeatureModel
from cadnode.models.loading import load_view_model
from cadnode.models.operating_point import Roc
from cadnode.models.view import ViewModel
from cadnode.reading import Readers
from tests.unit import feature_model_cases as cases
from tests.unit import model_cases


def test_a_model_that_took_part_brings_its_cards_curve_and_the_chosen_threshold() -> None:
    readers = Readers(features=(FeatureModel(cases.card(), cases.fitted().state()),))

    use = readers.use("toy-features")

    assert use is not None
    assert use.curve == OperatingCurve(
        points=((1.0, 0.0, 1.0), (0.5, 0.8, 0.8), (0.0, 1.0, 0.0)),
        threshold=0.5,  # highest Youden index of the card
        measured_on="nothing",
        n_pos=5,
        n_neg=5,
        of_breasts=False,
    )


def test_a_model_of_exams_brings_the_curve_on_which_exams_and_breasts_are_called(
    tmp_path: Path,
) -> None:
    model_cases.saved(tmp_path)
    before = load_view_model(tmp_path)
    exams = Roc(
        points=((1.0, 0.0, 1.0), (0.6, 0.9, 0.7), (0.0, 1.0, 0.0)),
        measured_on="exams", n_pos=3, n_neg=4,
    )  # fmt: skip
    after = ViewModel(before.card.model_copy(update={"exam": exams}), before.network)

    older, newer = (Readers(views=(m,)).use("toy") for m in (before, after))

    assert older is not None
    assert older.curve is not None
    assert older.curve.points == before.card.roc.points
    assert newer is not None
    assert newer.curve == OperatingCurve(
        points=exams.points, threshold=0.6, measured_on="exams", n_pos=3, n_neg=4, of_breasts=True,
    )  # fmt: skip
