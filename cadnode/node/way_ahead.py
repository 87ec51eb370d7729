"""What comes next on a study's way, in sentences."""

from collections.abc import Sequence
from typing import Final

from cadnode.phrases import N_, phrase
from cadnode.web.study import State, StudyState
from cadnode.web.way import Arrived

_NEXT: Final = {
    State.FETCHING: N_(
        "The rest is fetched from its source, which is asked again until it gives it "
        "or is given up."
    ),
    State.QUEUED: N_("It is read when it is its turn."),
    State.READING: N_("It is reported when it is read, and sent to every destination."),
    State.DONE: N_(
        "Nothing more happens by itself. It is read again where images come, or where "
        "somebody asks for it."
    ),
    State.IGNORED: N_("Nothing happens unless mammograms come."),
    State.FAILED: N_("Nothing more happens by itself: somebody has to look at it, and to decide."),
    State.DROPPED: N_(
        "Nothing more happens by itself. It is read where other images come, or where "
        "somebody tries it again."
    ),
    State.UNKNOWN: "",
}
_WHEN_COMPLETE: Final = N_("it is read when it is complete")


def coming_of(study: StudyState, deliveries: Sequence[Arrived]) -> tuple[str, ...]:
    """What comes next; each destination that does not have the result has a sentence."""
    found = [_NEXT.get(study.state, "")]
    if study.state is State.RECEIVING:
        found = [study.reasons[-1].meaning if study.reasons else _WHEN_COMPLETE]
    found += filter(None, map(_of_delivery, deliveries))
    return tuple(filter(None, found))


def _of_delivery(one: Arrived) -> str:
    if one.word not in ("waiting", "awaiting_commitment", "refused", "given_up"):
        return ""
    if one.next_at is not None:
        at = one.next_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        if one.word == "awaiting_commitment":
            return phrase(
                "%(destination)s is asked at %(at)s whether it keeps the result.",
                destination=one.destination,
                at=at,
            )
        return phrase(
            "%(destination)s is tried again at %(at)s.", destination=one.destination, at=at
        )
    if one.word == "waiting":
        return phrase(
            "%(destination)s gets the result when it is its turn.", destination=one.destination
        )
    return phrase(
        "%(destination)s is not tried again by itself: try again, or give it up.",
        destination=one.destination,
    )
