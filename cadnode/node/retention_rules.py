"""May a study's images or results be removed, and if not, why: decided from facts, no disk."""

from dataclasses import dataclass
from enum import StrEnum

from cadnode.settings import RetentionSection

DAY_S = 86400.0


class Part(StrEnum):
    """What is removed of a study at a time."""

    IMAGES = "images"
    RESULTS = "results"


class Because(StrEnum):
    """Why something is removed."""

    AGE = "age"
    SIZE = "size"
    DISK = "disk"


class KeptBecause(StrEnum):
    """Why something that is due by age, size or disk stays."""

    PINNED = "pinned"
    REQUESTED = "requested"
    UNDER_WAY = "under_way"
    YOUNG = "young"
    UNREAD = "unread"
    UNDELIVERED = "undelivered"
    NO_DESTINATION = "no_destination"
    HAS_IMAGES = "has_images"
    NOT_DUE = "not_due"

    @property
    def meaning(self) -> str:
        """The reason in words."""
        return _MEANINGS[self]


_MEANINGS = {
    KeptBecause.PINNED: "pinned by a person (`cadnode storage unpin`)",
    KeptBecause.REQUESTED: "requested, and not fetched yet",
    KeptBecause.UNDER_WAY: "a job of it waits or runs",
    KeptBecause.YOUNG: "got an image, or was delivered, a short while ago (retention.keep_h)",
    KeptBecause.UNREAD: "not read, or its reading failed",
    KeptBecause.UNDELIVERED: "not delivered to every destination",
    KeptBecause.NO_DESTINATION: "nothing has its results but this node: no destination is configured",
    KeptBecause.HAS_IMAGES: "its images are still here",
    KeptBecause.NOT_DUE: "within its time (retention.images_days, retention.results_days)",
}


@dataclass(frozen=True, slots=True)
class RetentionFacts:
    """What is known of one study. Times are seconds since the epoch.

    `changed_at` is when it last got an image, None without images; `ended_at` when the last of
    receipt, reading and delivery was. `content` is the fingerprint of what was read, "" when
    nothing in it concerns us. `has_destination`: somebody else got, or is to get, its results.
    """

    study: str
    changed_at: float | None = None
    ended_at: float = 0.0
    content: str = ""
    is_pinned: bool = False
    is_requested: bool = False
    is_read: bool = True
    is_delivered: bool = True
    has_destination: bool = True


def kept(
    facts: RetentionFacts, part: Part, because: Because, rules: RetentionSection, now: float
) -> KeptBecause | None:
    """Why that part of the study stays; None when it may go."""
    if part is Part.RESULTS and not facts.has_destination:
        return KeptBecause.NO_DESTINATION
    reasons = (
        (facts.is_pinned, KeptBecause.PINNED),
        (facts.is_requested, KeptBecause.REQUESTED),
        (is_young(facts, rules, now), KeptBecause.YOUNG),
        (part is Part.RESULTS and now - facts.ended_at < rules.keep_h * 3600.0, KeptBecause.YOUNG),
        (not facts.is_read, KeptBecause.UNREAD),
        (not facts.is_delivered, KeptBecause.UNDELIVERED),
        (part is Part.RESULTS and facts.changed_at is not None, KeptBecause.HAS_IMAGES),
        (
            because is Because.AGE and not is_old(facts.ended_at, part, rules, now),
            KeptBecause.NOT_DUE,
        ),
    )
    return next((reason for holds, reason in reasons if holds), None)


def is_old(at: float, part: Part, rules: RetentionSection, now: float) -> bool:
    """Whether what ended `at` has had its time; images go at the latest with their results."""
    return any(now - at >= days * DAY_S for days in _days(part, rules))


def due_at(at: float, part: Part, rules: RetentionSection) -> float | None:
    """When what ended `at` has had its time, in seconds since the epoch; None: never by age."""
    return min((at + days * DAY_S for days in _days(part, rules)), default=None)


def _days(part: Part, rules: RetentionSection) -> list[float]:
    of_part = [rules.results_days]
    if part is Part.IMAGES:
        of_part.append(rules.images_days)
    return [days for days in of_part if days > 0]


def is_young(facts: RetentionFacts, rules: RetentionSection, now: float) -> bool:
    """Whether the study got an image in the last `keep_h` hours."""
    # A clock that was set back makes images of the future: those are young.
    return facts.changed_at is not None and now - facts.changed_at < rules.keep_h * 3600.0
