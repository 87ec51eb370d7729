"""How often, how long apart and for how long the node tries again: every limit and back-off.

| what fails                       | tried again after            | until                        |
|----------------------------------|------------------------------|------------------------------|
| `READING` of a content           | 15 s, 1, 4, 16, 64 min       | the sixth attempt has failed |
| `DELIVERY`: away, busy, full     | 2 s, doubled, at most 10 min | its `give_up_after_h`        |
| `REFUSED`: it can pass           | 10 min, 1 h, 6 h, then daily | 30 days                      |
| `GIVEN_UP`: away for so long     | a day                        | 30 days                      |
| `FETCH` from a source            | 2 s, doubled, at most 10 min | its `give_up_after_h`        |
| `REPORT` of a commitment         | 2 s, doubled, at most 10 min | 3 days after its request     |
| `commitment` asked for, silence  | `commit_within_h`, doubled, at most a day or that | 30 days |
| `ANSWER`: not read in time    | 5 s, doubled, at most 10 min | the 100th attempt has failed |
| `ROLE`: a process that dies      | 1 s, doubled, at most 30 s   | the node is stopped          |
| `WEB_PORT` that is taken         | 2 s                          | the node is stopped          |
| `JOBS`: a job database           | 1 s, doubled, at most 30 s   | the node is stopped          |
| `ROOM` on a disk that is full    | 5 s, doubled, at most 60 s   | the node is stopped          |

Which answer of a destination is of which class, and which is never tried again by itself, is in
`deliver.answers`; `node.delivery_schedule` puts the two together. A waiting delivery holds no
place in a queue. A process that had run for `GOOD_RUN_S` is back after 0.5 s. Tried again without a
pause of their own: a set of models that cannot be loaded (at each study, `node.active_models`), an
announcement that the job database did not take (at the next sweep, every `study.sweep_s`,
`node.sweep`), and a shadow reading that a stopping node interrupted (at the node's next start,
`node.workflow`).
"""

from dataclasses import dataclass, replace
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class RetryStrategy:
    """How long to wait before each attempt of a kind of work, and when to give up.

    Attempts are numbered from 0, so an attempt's number is how many have failed before it. Before
    attempt 1 it is `first_pause_s`, before each later one `factor` times as long as before the last
    one, never more than `longest_pause_s`. No attempt is made after `last_attempt`, and none once
    `give_up_after_s` have been waited; None: without end.
    """

    first_pause_s: float
    factor: float = 1.0
    longest_pause_s: float = float("inf")
    last_attempt: int | None = None
    give_up_after_s: float | None = None

    def pause_s(self, attempt: int, waited_s: float = 0.0) -> float | None:
        """Seconds to wait before `attempt` (1 or more), or None: there is no such attempt.

        `waited_s` is the sum of the pauses so far.
        """
        if self.is_over(attempt, waited_s):
            return None
        pause_s = self.first_pause_s
        for _ in range(attempt - 1):
            longer_s = self.pause_after_s(pause_s)
            if longer_s == pause_s:
                break
            pause_s = longer_s
        return pause_s

    def pause_after_s(self, pause_s: float) -> float:
        """The pause that follows one of `pause_s`; the first one when that is 0."""
        return min(self.factor * pause_s or self.first_pause_s, self.longest_pause_s)

    def is_over(self, attempt: int = 0, waited_s: float = 0.0) -> bool:
        """Whether `attempt` is one too many, or enough time was waited for it."""
        if self.last_attempt is not None and attempt > self.last_attempt:
            return True
        return self.give_up_after_s is not None and waited_s >= self.give_up_after_s

    def attempts(self) -> range:
        """The numbers of all attempts, where they are limited."""
        return range((self.last_attempt or 0) + 1)

    def until(self, give_up_after_s: float) -> "RetryStrategy":
        """The same strategy, given up after so many seconds."""
        return replace(self, give_up_after_s=give_up_after_s)


READING: Final = RetryStrategy(15.0, factor=4.0, last_attempt=5)  # by 64 min a disk may have room
DELIVERY: Final = RetryStrategy(2.0, factor=2.0, longest_pause_s=600.0)
REFUSED: Final = RetryStrategy(
    600.0, factor=6.0, longest_pause_s=86_400.0, give_up_after_s=30 * 86_400.0
)
GIVEN_UP: Final = RetryStrategy(86_400.0, give_up_after_s=30 * 86_400.0)
FETCH: Final = RetryStrategy(2.0, factor=2.0, longest_pause_s=600.0)
REPORT: Final = RetryStrategy(2.0, factor=2.0, longest_pause_s=600.0, give_up_after_s=3 * 86_400.0)
ANSWER: Final = RetryStrategy(5.0, factor=2.0, longest_pause_s=600.0, last_attempt=100)
ROLE: Final = RetryStrategy(0.5, factor=2.0, longest_pause_s=30.0)
WEB_PORT: Final = RetryStrategy(2.0)
JOBS: Final = RetryStrategy(1.0, factor=2.0, longest_pause_s=30.0)
ROOM: Final = RetryStrategy(5.0, factor=2.0, longest_pause_s=60.0)


def commitment(within_s: float) -> RetryStrategy:
    """When an archive that does not answer within `within_s` is asked again to commit."""
    return RetryStrategy(
        within_s, factor=2.0, longest_pause_s=max(within_s, 86_400.0),
        give_up_after_s=30 * 86_400.0,
    )  # fmt: skip


GOOD_RUN_S: Final = 60.0  # a role that ran for so long begins with the first pause again


TRY_SILENCES: Final = 10  # a try may take so many of its destination's `timeout_s`,
TRY_BYTES_PER_S: Final = 100_000.0  # and what it sends no less than this


def longest_try_s(timeout_s: float, n_bytes: int) -> float:
    """Seconds after which one try to deliver is abandoned, whatever the destination does."""
    return TRY_SILENCES * timeout_s + n_bytes / TRY_BYTES_PER_S


class LimitedPeer(Protocol):
    """A configured destination or source."""

    @property
    def give_up_after_h(self) -> float:
        """For how many hours it may be away."""


def give_up_after_s(peer: LimitedPeer) -> float:
    """Seconds for which a destination or source may be away before its study is given up."""
    return peer.give_up_after_h * 3600
