"""Where a study is on its way, as clients and pages show it."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from cadnode.domain import Priority
from cadnode.log import hashed
from cadnode.phrases import N_, phrase

KEY: Final = re.compile(r"[0-9a-f]{16}")


def key_of(name: str) -> str:
    """Key of a study that is named by its UID, or by the key itself."""
    return name if KEY.fullmatch(name) else hashed(name)


class State(StrEnum):
    """Where a study is on its way through the node."""

    FETCHING = "fetching"
    RECEIVING = "receiving"
    QUEUED = "queued"
    READING = "reading"
    DELIVERING = "delivering"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    DROPPED = "dropped"
    IGNORED = "ignored"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to the study unless something new comes."""
        return self in _FINAL


_FINAL: Final = frozenset({State.DONE, State.REFUSED, State.FAILED, State.DROPPED, State.IGNORED})

STATE_MEANINGS: Final[dict[State, str]] = {
    State.FETCHING: N_("The node is fetching the images from their source"),
    State.RECEIVING: N_("Images are arriving; reading begins when the study is complete"),
    State.QUEUED: N_("All images are here; the study waits for its turn"),
    State.READING: N_("The models are reading the study"),
    State.DELIVERING: N_("The result is made and is being sent"),
    State.DONE: N_("The study is read, and every destination has the result"),
    State.REFUSED: N_("The study is read, but a destination did not take the result"),
    State.FAILED: N_("The study could not be processed"),
    State.DROPPED: N_("The study could not be read, and was given up on purpose"),
    State.IGNORED: N_("The study holds no mammograms: there is nothing to read"),
    State.UNKNOWN: N_("The node has never received anything of this study"),
}

DELIVERY_MEANINGS: Final = {
    "waiting": N_("not sent yet, or the destination is away and is tried again"),
    "awaiting_commitment": N_("the destination stored it, and has yet to confirm that it keeps it"),
    "delivered": N_("the destination has the result"),
    "unverified": N_(
        "the destination had these UIDs already and could not be asked whose they are"
    ),
    "refused": N_(
        "the destination refused the result; where the cause can pass, it is tried daily"
    ),
    "given_up": N_("the destination was away for too long; it is tried daily"),
    "superseded": N_(
        "not sent any more: the study was read again, and the newer result goes instead"
    ),
    "dropped": N_("given up on purpose; the record says by whom and why"),
}

OUTCOME_MEANINGS: Final = {
    "findings": N_("Findings"),
    "no_findings": N_("No findings"),
    "not_read": N_("Could not be read"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a study, or a part of it, was not processed as wished: a code, and a sentence."""

    code: str
    meaning: str


@dataclass(frozen=True, slots=True)
class StudyState:
    """One study. `key` is its hashed UID; `study_instance_uid` is "" where only that is known.

    `is_complete`: both standard views of a breast were scored; no findings in an exam that is not
    complete make no negative exam. `exam_score` is in [0, 1]; `scored_by` are the models that
    scored views. `deliveries` has a word of `DELIVERY_MEANINGS` per destination.
    """

    key: str
    study_instance_uid: str
    state: State
    outcome: str | None = None
    is_complete: bool | None = None
    n_findings: int | None = None
    exam_score: float | None = None
    reasons: tuple[Reason, ...] = ()
    deliveries: tuple[tuple[str, str], ...] = ()
    n_instances: int = 0
    updated_at: datetime | None = None
    scored_by: tuple[str, ...] = ()
    priority: Priority = Priority.SCREENING

    @property
    def url(self) -> str:
        """Path of the study's page."""
        return f"/studies/{self.study_instance_uid or self.key}"

    @property
    def result(self) -> str:
        """The outcome in words; "" when there is none yet."""
        words = OUTCOME_MEANINGS.get(self.outcome or "", "")
        if self.n_findings:
            return phrase("%(outcome)s: %(n)s", outcome=phrase(words), n=self.n_findings)
        if self.outcome == "no_findings" and not self.is_complete:
            return N_("No findings, but the exam is not complete")
        return words

    @property
    def needs_a_look(self) -> bool:
        """Whether the outcome must not be taken for a negative exam, though nothing was found."""
        return self.outcome == "not_read" or (
            self.outcome == "no_findings" and not self.is_complete
        )

    @property
    def needs_you(self) -> bool:
        """Whether it goes on by itself no more: somebody has to look, and to decide."""
        left = {word for _, word in self.deliveries} & {"refused", "given_up"}
        return bool(left) or self.state in (State.REFUSED, State.FAILED)

    @property
    def why(self) -> str:
        """Why it is where it is, in a sentence; "" where the state says it all."""
        if self.state in (State.DONE, State.IGNORED) or not self.reasons:
            return ""
        return self.reasons[0].meaning

    @property
    def meaning(self) -> str:
        """The state in a sentence, which promises no more than is true of this study."""
        if self.state is State.DONE and self.outcome == "not_read":
            return N_("No image of the study could be read; the result says why")
        if self.state is State.DONE and not self.deliveries:
            return N_("The study is read")
        return STATE_MEANINGS[self.state]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: everything, under the names that docs/web.md documents."""
        return {
            "study_instance_uid": self.study_instance_uid or None,
            "state": self.state.value,
            "is_final": self.state.is_final,
            "outcome": self.outcome,
            "is_complete": self.is_complete,
            "n_findings": self.n_findings,
            "exam_score": self.exam_score,
            "reasons": [{"code": r.code, "meaning": r.meaning} for r in self.reasons],
            "deliveries": dict(self.deliveries),
            "n_instances": self.n_instances,
            "priority": self.priority.value,
            "updated_at": _iso(self.updated_at),
            "url": self.url,
        }

    def as_row(self) -> dict[str, Any]:
        """For the JSON list: without UIDs, since nobody asked for this study by its UID."""
        return {
            "key": self.key,
            "state": self.state.value,
            "is_final": self.state.is_final,
            "needs_you": self.needs_you,
            "priority": self.priority.value,
            "outcome": self.outcome,
            "reasons": [{"code": r.code, "meaning": r.meaning} for r in self.reasons],
            "updated_at": _iso(self.updated_at),
        }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
