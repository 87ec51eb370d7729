"""When a study is read."""

from collections.abc import Set

import pytest

from cadnode.domain import Laterality, ViewPosition
from cadnode.node.readiness import (
    ArrivalFacts,
    Fetching,
    Ignore,
    Readiness,
    Ready,
    Rules,
    Wait,
    WantedView,
    debounce_s,
    decide,
    rules_of,
    waits,
)
from cadnode.settings import Settings

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
    rules = Rules(frozenset(wanted), SETTLE_S, QUIET_S)
    assert debounce_s(frozenset(present), rules) == expected
    assert debounce_s(frozenset(present), rules, at_once=True) == 0.0


FOUR = Rules(ALL, SETTLE_S, QUIET_S)
NO_R_CC = ALL - {R_CC}


@pytest.mark.parametrize(
    ("facts", "readiness"),
    [
        (ArrivalFacts(ALL, 0.5, "c"), Wait(1.5, SETTLE_S)),
        (ArrivalFacts(ALL, 2.0, "c"), Ready()),
        (ArrivalFacts(NO_R_CC, 2.0, "c"), Wait(28.0, QUIET_S, (R_CC,))),
        (ArrivalFacts(frozenset({L_CC, L_MLO}), 10.0, "c"), Wait(20.0, QUIET_S, (R_CC, R_MLO))),
        (ArrivalFacts(NO_R_CC, 30.0, "c"), Ready()),
        (ArrivalFacts(NO_R_CC, 0.0, "c", at_once=True), Ready()),
        (ArrivalFacts(frozenset(), 29.0), Wait(1.0, QUIET_S, (L_CC, L_MLO, R_CC, R_MLO))),
        (ArrivalFacts(frozenset(), 30.0), Ignore()),
        (ArrivalFacts(frozenset(), 30.0, "damaged"), Ready()),
        (ArrivalFacts(ALL, 99.0, "c", is_requested=True), Fetching()),
        (ArrivalFacts(is_requested=True), Fetching()),
    ],
)
def test_a_study_is_waited_for_read_or_left_alone(
    facts: ArrivalFacts, readiness: Readiness
) -> None:
    assert decide(facts, FOUR) == readiness
    expected = readiness if isinstance(readiness, Wait | Fetching) else None
    assert waits(facts, FOUR) == expected


def test_without_wanted_views_only_quiet_counts() -> None:
    rules = Rules(frozenset(), SETTLE_S, QUIET_S)
    assert decide(ArrivalFacts(ALL, 2.0, "c"), rules) == Wait(28.0, QUIET_S)
    assert decide(ArrivalFacts(ALL, 30.0, "c"), rules) == Ready()


def test_the_rules_are_those_of_the_settings() -> None:
    settings = Settings(study={"wanted_views": ["R CC", "L MLO"], "settle_s": 1, "quiet_s": 9})
    assert rules_of(settings) == Rules(frozenset({R_CC, L_MLO}), 1.0, 9.0)
    assert rules_of(Settings()).wanted == ALL
