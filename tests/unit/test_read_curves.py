"""What a reading remembers of a model: enough to say what its errors are."""

from cadnode.domain import OperatingCurve
from cadnode.models.feature_model import FeatureModel
from cadnode.read import Readers
from tests.unit import feature_model_cases as cases


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
