"""How fetches end, in codes and in words."""

from dataclasses import dataclass
from enum import StrEnum


class FetchCode(StrEnum):
    """How a fetch ended, or why it is tried again."""

    FETCHED = "fetched"
    NO_MAMMOGRAMS = "no_mammograms"
    UNKNOWN_STUDY = "unknown_study"
    UNKNOWN_SOURCE = "unknown_source"
    SOURCE_REFUSED = "source_refused"
    SOURCE_NOT_UNDERSTOOD = "source_not_understood"
    SOURCE_UNREACHABLE = "source_unreachable"
    INSTANCE_MISSING = "instance_missing"
    NO_ROOM = "no_room"
    FETCH_FAILED = "fetch_failed"
    INTERRUPTED = "interrupted"
    GIVEN_UP = "given_up"

    @property
    def meaning(self) -> str:
        """The code in words."""
        return _MEANINGS[self]


_MEANINGS = {
    FetchCode.FETCHED: "everything of the study that concerns this node is here",
    FetchCode.NO_MAMMOGRAMS: "the source holds no mammograms of the study",
    FetchCode.UNKNOWN_STUDY: "the source does not know the study",
    FetchCode.UNKNOWN_SOURCE: "the configuration names no such source",
    FetchCode.SOURCE_REFUSED: "the source refused: user, password, token or rights are wrong; "
    "it is asked again",
    FetchCode.SOURCE_NOT_UNDERSTOOD: "the source's answer cannot be used",
    FetchCode.SOURCE_UNREACHABLE: "the source cannot be reached; it is asked again",
    FetchCode.INSTANCE_MISSING: "the source lists an instance that it does not give; "
    "it is asked again",
    FetchCode.NO_ROOM: "this node's disk is full; the source is asked again",
    FetchCode.FETCH_FAILED: "this node failed while it fetched; its log says how; it tries again",
    FetchCode.INTERRUPTED: "this node was stopped meanwhile; it goes on at its next start",
    FetchCode.GIVEN_UP: "the source could not be reached, or did not give the study, for too long",
}
GOOD = frozenset({FetchCode.FETCHED, FetchCode.NO_MAMMOGRAMS})  # nothing went wrong


@dataclass(frozen=True, slots=True)
class Ended:
    """How the last fetch of a study went.

    `is_final` is False while it is tried again. `n_instances` of the study are here,
    `n_new` of them came with this fetch.
    """

    code: FetchCode
    is_final: bool
    n_instances: int = 0
    n_new: int = 0
