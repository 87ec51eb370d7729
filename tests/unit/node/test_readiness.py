"""When a study is read."""

from collections.abc import Set

import pytest

from cadnode.domain import Laterality, ViewPosition
from cadnode.node.readiness import WantedView, wait_s

R_CC = (Laterality.RIGHT, ViewPosition.CC)
L_CC = (Laterality.LEFT, ViewPosition.CC)
R_MLO = (Laterality.RIGHT, ViewPosition.MLO)
L_MLO = (Laterality.LEFT, ViewPosition.MLO)
R_ML = (Laterality.RIGHT, ViewPosition.ML)
ALL = frozenset({R_CC, L_CC, R_MLO, L_MLO})
SETTLE_S, QUIET_S = 2.0, 30.0


@pytest.mark.parametrize(
    ("present", "wanted", "expected"),
    [
        (ALL, ALL, SETTLE_S),
        (ALL | {R_ML}, ALL, SETTLE_S),
        ({L_CC}, {L_CC}, SETTLE_S),
        (ALL - {R_CC}, ALL, QUIET_S),
        (frozenset(), ALL, QUIET_S),
        (ALL, frozenset(), QUIET_S),
    ],
)
def test_a_study_with_its_wanted_views_only_settles_and_others_must_be_quiet(
    present: Set[WantedView], wanted: Set[WantedView], expected: float
) -> None:
    assert wait_s(present, wanted, settle_s=SETTLE_S, quiet_s=QUIET_S) == expected
