"""When a study is read."""

import pytest

from cadnode.domain import Laterality, ViewPosition
from cadnode.receive.completeness import Decision, decide, views_complete

R_CC = (Laterality.RIGHT, ViewPosition.CC)
L_CC = (Laterality.LEFT, ViewPosition.CC)
R_MLO = (Laterality.RIGHT, ViewPosition.MLO)
L_MLO = (Laterality.LEFT, ViewPosition.MLO)
R_ML = (Laterality.RIGHT, ViewPosition.ML)
ALL = frozenset({R_CC, L_CC, R_MLO, L_MLO})


@pytest.mark.parametrize(
    ("present", "quiet_s", "wanted", "decision"),
    [
        (ALL, 0.0, ALL, Decision.COMPLETE_BY_VIEWS),
        (ALL | {R_ML}, 0.0, ALL, Decision.COMPLETE_BY_VIEWS),
        (ALL, 99.0, ALL, Decision.COMPLETE_BY_VIEWS),
        (ALL - {R_CC}, 29.9, ALL, Decision.WAIT),
        (ALL - {R_CC}, 30.0, ALL, Decision.COMPLETE_BY_QUIET),
        (frozenset(), 0.0, ALL, Decision.WAIT),
        (frozenset(), 31.0, ALL, Decision.COMPLETE_BY_QUIET),
        (ALL, 0.0, frozenset(), Decision.WAIT),
        (ALL, 30.0, frozenset(), Decision.COMPLETE_BY_QUIET),
        ({L_CC}, 1.0, {L_CC}, Decision.COMPLETE_BY_VIEWS),
    ],
)
def test_a_study_is_read_when_its_views_are_there_or_it_is_quiet(
    present, quiet_s, wanted, decision
):
    assert decide(present, quiet_s, wanted, quiet_wanted_s=30.0) is decision


def test_a_study_of_which_nothing_is_wanted_is_never_complete_by_views():
    assert not views_complete(ALL, frozenset())
