"""The way that a study took through the node, as clients and people see it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cadnode.phrases import N_

MOST_ATTEMPTS: Final = 100

WHAT_MEANINGS: Final = {
    "receive": N_("Images received"),
    "fetch": N_("Fetch"),
    "read": N_("Reading"),
    "report": N_("Report"),
    "deliver": N_("Delivery"),
    "reread": N_("Asked to be read once more"),
    "drop": N_("Given up"),
}

OBJECT_MEANINGS: Final = {
    "sr": N_("measurement report (SR, TID 1500)"),
    "cad-sr": N_("mammography CAD SR"),
    "region-sr": N_("SR with regions"),
    "ai-results-sr": N_("AI results SR (IHE)"),
    "heatmap": N_("heat map"),
    "small-heatmap": N_("small heat map"),
    "segmentation": N_("segmentation"),
    "outlines": N_("outlines"),
    "key-objects": N_("key object selection"),
    "report-pdf": N_("report as PDF"),
    "fhir": N_("FHIR bundle"),
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """Images that came together: from `who`, an AE title or a source, until `at`.

    `began_at` is None where that is not known; `n_images` where they are still coming.
    """

    who: str
    at: datetime
    began_at: datetime | None = None
    n_images: int | None = None
    is_fetched: bool = False


@dataclass(frozen=True, slots=True)
class ReadOnce:
    """One reading of the study that was reported, at `at`.

    `objects` has how many there are of each kind, a word of `OBJECT_MEANINGS`. `is_current`: of the
    images that the study holds now; `is_answer`: it only says that they were not read in time.
    """

    at: datetime
    models: tuple[str, ...] = ()
    n_images: int = 0
    seconds: float | None = None
    objects: tuple[tuple[str, int], ...] = ()
    is_current: bool = True
    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class Arrived:
    """How the delivery of the newest reading to one destination stands.

    `word` is one of `study.DELIVERY_MEANINGS`; `at` is when it was tried last.
    """

    destination: str
    word: str
    at: datetime | None = None
    n_tries: int = 0
    reason: str = ""
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a step, a word of `WHAT_MEANINGS`: `cause` is why it did not succeed, if not.

    `word` is how it ended. `who` is the peer, or the person who ordered it.
    """

    at: datetime
    what: str
    word: str = "done"
    who: str = ""
    cause: str = ""
    n: int = 0
    seconds: float = 0.0

    @property
    def meaning(self) -> str:
        """What was tried, in words."""
        return WHAT_MEANINGS[self.what]


@dataclass(frozen=True, slots=True)
class Way:
    """The way of one study so far.

    `rule` says when a study is read, `waiting` what this one waits for. `coming` is what comes
    next, a sentence each. `attempts` are the last tries, the newest first; `n_left_out` more are
    known to have been.
    """

    arrivals: tuple[Arrival, ...] = ()
    n_images: int = 0
    rule: str = ""
    waiting: str = ""
    readings: tuple[ReadOnce, ...] = ()
    deliveries: tuple[Arrived, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    n_left_out: int = 0
    coming: tuple[str, ...] = field(default=())

    @property
    def n_attempts(self) -> int:
        """How many tries there were in all."""
        return len(self.attempts) + self.n_left_out

    @property
    def last_reading(self) -> ReadOnce | None:
        """The newest reading; None before the first."""
        return self.readings[-1] if self.readings else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON, under the names that docs/web.md documents."""
        return {
            "received": [
                {
                    "from": one.who, "images": one.n_images, "began_at": _iso(one.began_at),
                    "at": _iso(one.at), "fetched": one.is_fetched,
                }
                for one in self.arrivals
            ],
            "images": self.n_images,
            "rule": self.rule,
            "waiting_for": self.waiting or None,
            "read": [
                {
                    "at": _iso(one.at), "models": list(one.models), "images": one.n_images,
                    "seconds": one.seconds, "objects": dict(one.objects),
                    "current": one.is_current, "not_in_time": one.is_answer,
                }
                for one in self.readings
            ],
            "delivered": [
                {
                    "destination": one.destination, "state": one.word, "at": _iso(one.at),
                    "tries": one.n_tries, "reason": one.reason, "next_try": _iso(one.next_at),
                }
                for one in self.deliveries
            ],
            "tries": [
                {
                    "at": _iso(one.at), "what": one.what, "how": one.word, "who": one.who,
                    "cause": one.cause, "count": one.n, "seconds": one.seconds or None,
                }
                for one in self.attempts
            ],
            "tries_left_out": self.n_left_out,
            "next": list(self.coming),
        }  # fmt: skip


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
