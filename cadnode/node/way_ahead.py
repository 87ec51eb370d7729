"""What comes next on a study's way, in sentences."""

from collections.abc import Sequence
from typing import Final

from cadnode.web.study import State, StudyState
from cadnode.web.way import Arrived

_NEXT: Final = {
    State.FETCHING: "The rest is fetched from its source, which is asked again until it gives it "
    "or is given up.",
    State.QUEUED: "It is read when it is its turn.",
    State.READING: "It is reported when it is read, and sent to every destination.",
    State.DONE: "Nothing more happens by itself. It is read again where images come, or where "
    "somebody asks for it.",
    State.IGNORED: "Nothing happens unless mammograms come.",
    State.FAILED: "Nothing more happens by itself: somebody has to look at it, and to decide.",
    State.DROPPED: "Nothing more happens by itself. It is read where other images come, or where "
    "somebody tries it again.",
    State.UNKNOWN: "",
}


def coming_of(study: StudyState, deliveries: Sequence[Arrived]) -> tuple[str, ...]:
    """What comes next; each destination that does not have the result has a sentence."""
    found = [_NEXT.get(study.state, "")]
    if study.state is State.RECEIVING:
        words = study.reasons[-1].meaning if study.reasons else "it is read when it is complete"
        found = [f"{words[:1].upper()}{words[1:]}."]
    found += filter(None, map(_of_delivery, deliveries))
    return tuple(filter(None, found))


def _of_delivery(one: Arrived) -> str:
    if one.word not in ("waiting", "awaiting_commitment", "refused", "given_up"):
        return ""
    if one.next_at is not None:
        at = one.next_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        if one.word == "awaiting_commitment":
            return f"{one.destination} is asked at {at} whether it keeps the result."
        return f"{one.destination} is tried again at {at}."
    if one.word == "waiting":
        return f"{one.destination} gets the result when it is its turn."
    return f"{one.destination} is not tried again by itself: try again, or give it up."
