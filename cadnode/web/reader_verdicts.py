"""What readers say of findings: accepted or rejected, by whom and when.

A finding is known by its image, its box and its kind, so that a reader's word holds as well after a
later reading that finds the same. The last word on a finding counts; none is ever changed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from cadnode.domain import Box, Finding
from cadnode.log import hashed
from cadnode.phrases import N_
from cadnode.web.deliveries import OrderRefused

MOST_WORDS: Final = 2000  # on the findings of one study


class VerdictWord(StrEnum):
    """What a reader says of a finding. Withdrawn: no more what was said before."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class ReaderVerdict:
    """One reader's word on one finding; it names no patient.

    Parameters
    ----------
    at
        Seconds since the epoch.
    by
        The name under which the reader is known here.
    content, patient, number
        Of the reading that was shown, the patient in it and the finding, both from 1.
    image
        The image's key: the hash of its SOP Instance UID.
    box, kind, score, algorithm
        The finding's, as it was shown.
    is_person
        Whether `by` is a person's log-in, not a program or whoever is at this machine.
    """

    word: VerdictWord
    at: float
    by: str
    content: str
    patient: int
    number: int
    image: str
    box: Box
    kind: str
    score: float
    algorithm: str
    is_person: bool = True

    @property
    def about(self) -> tuple[str, Box, str]:
        """Which finding it is about."""
        return self.image, self.box, self.kind

    @property
    def when(self) -> datetime:
        """When it was said."""
        return datetime.fromtimestamp(self.at, UTC)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "verdict": self.word.value,
            "at": self.when.isoformat(timespec="seconds"),
            "by": self.by,
            "content": self.content,
            "patient": self.patient,
            "finding": self.number,
            "image": self.image,
            "box": list(self.box),
            "kind": self.kind,
            "score": self.score,
            "algorithm": self.algorithm,
        }


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said of a finding: the last word, None where it is withdrawn or there is none.

    `n_before`: how many words there were before the last one.
    """

    last: ReaderVerdict | None = None
    n_before: int = 0


@dataclass(frozen=True, slots=True)
class VerdictBook:
    """Where readers' verdicts are kept.

    `of_study(name)`: all that was said of a study's findings, the first first.
    `add(name, verdict)`: keep one; raises `OrderRefused`, and `Unavailable` where it cannot be.
    """

    of_study: Callable[[str], Sequence[ReaderVerdict]]
    add: Callable[[str, ReaderVerdict], None]


def judged(words: Sequence[ReaderVerdict], finding: Finding) -> Judged:
    """What counts of all that was said of a finding."""
    about = (hashed(finding.sop_instance_uid), finding.box, finding.kind.value)
    said = [one for one in words if one.about == about]
    if not said:
        return Judged()
    last = None if said[-1].word is VerdictWord.WITHDRAWN else said[-1]
    return Judged(last, len(said) - 1)


def last_words(
    words: Sequence[ReaderVerdict], findings: Sequence[Finding]
) -> list[tuple[int, ReaderVerdict]]:
    """The last word on each finding of which anything was said, with its number from 1.

    One that takes back is a word, too.
    """
    last = {one.about: one for one in words}
    found = (
        (number, last.get((hashed(one.sop_instance_uid), one.box, one.kind.value)))
        for number, one in enumerate(findings, start=1)
    )
    return [(number, word) for number, word in found if word is not None]


def counting(words: Sequence[ReaderVerdict]) -> list[bool]:
    """Of each word whether it is the last one on its finding, and none that takes back."""
    last = {one.about: at for at, one in enumerate(words)}
    return [
        last[one.about] == at and one.word is not VerdictWord.WITHDRAWN
        for at, one in enumerate(words)
    ]


def about_finding(
    findings: Sequence[Finding], number: int, word: VerdictWord, *, at: float, by: str,
    content: str, patient: int, is_person: bool = True,
) -> ReaderVerdict:  # fmt: skip
    """A reader's word on the finding of that number.

    Raises
    ------
    OrderRefused
        There is no such finding.
    """
    if not 1 <= number <= len(findings):
        raise OrderRefused(
            N_("the result has no finding of that number"), N_("look at the study's page again")
        )
    finding = findings[number - 1]
    return ReaderVerdict(
        word, round(at, 3), by, content, patient, number, hashed(finding.sop_instance_uid),
        finding.box, finding.kind.value, finding.probability, finding.algorithm, is_person,
    )  # fmt: skip
