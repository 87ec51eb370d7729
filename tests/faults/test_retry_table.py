"""Every strategy of the retry table: pauses keep to their bounds, and what has an end ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadnode.node import retry
from cadnode.node.retry import RetryStrategy

STRATEGIES = {n: s for n, s in vars(retry).items() if isinstance(s, RetryStrategy)}
GIVE_UP_S = st.floats(1.0, 30 * 86400.0)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_pauses_never_shrink_and_never_pass_their_limit(name: str) -> None:
    strategy = STRATEGIES[name]
    pauses = [p for n in range(1, 200) if (p := strategy.pause_s(n)) is not None]
    assert pauses[0] == strategy.first_pause_s
    assert pauses == sorted(pauses)
    assert pauses[-1] <= strategy.longest_pause_s


@given(name=st.sampled_from(sorted(STRATEGIES)), give_up_s=GIVE_UP_S)
def test_what_is_given_up_is_tried_until_then_and_not_for_long_after(
    name: str, give_up_s: float
) -> None:
    strategy = STRATEGIES[name].until(give_up_s)
    waited_s, attempt = 0.0, 1
    while (pause_s := strategy.pause_s(attempt, waited_s)) is not None:
        waited_s, attempt = waited_s + pause_s, attempt + 1
        assert attempt < 1_000_000
        if attempt > 2000:  # one that waits seconds only: its sum is clear
            return
    ended_by_attempts = strategy.last_attempt is not None and attempt > strategy.last_attempt
    assert ended_by_attempts or waited_s >= give_up_s
    longest = max(strategy.first_pause_s, min(strategy.longest_pause_s, give_up_s))
    assert waited_s < give_up_s + strategy.factor * longest


@given(attempt=st.integers(1, 10**9))
def test_no_attempt_is_too_late_for_an_answer(attempt: int) -> None:
    for strategy in STRATEGIES.values():
        pause_s = strategy.pause_s(attempt)
        assert pause_s is None or 0 < pause_s <= strategy.longest_pause_s
