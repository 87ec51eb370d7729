"""What a header's sources state about one thing of an image (side, view), and what follows.

The rule, for side and view alike:

1. Sources about the image itself (its attributes and codes, its label, its orientation) must agree.
2. An attribute or code of the image decides; series and texts that differ are overruled.
3. A label or the orientation decides only where nothing of the series contradicts it.
4. An attribute of the series decides where nothing speaks for the image, and no text of the
   series contradicts it; a text of the series decides where nothing else speaks.
5. Study and procedure decide nothing about one image. Free comments are not evaluated.

Sources that contradict each other leave it unknown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydicom.datadict import dictionary_description, tag_for_keyword

from cadnode.domain import Evidence, EvidenceLevel

_OF_IMAGE: Final = (EvidenceLevel.IMAGE, EvidenceLevel.LABEL)
_DECIDING: Final = (*_OF_IMAGE, EvidenceLevel.SERIES, EvidenceLevel.SERIES_TEXT)
UNCLEAR: Final = "both or neither"
"""The value of a source that names no single side: it neither decides nor agrees."""


@dataclass(frozen=True, slots=True)
class Clue:
    """What a source states; `decides` is False where it can only contradict others."""

    source: str
    level: EvidenceLevel
    says: str
    decides: bool = True


@dataclass(frozen=True, slots=True)
class Weighed:
    """The outcome of weighing the clues.

    `value` is "" where nothing decides or sources contradict each other; `contradiction` then
    names the sources and their values, without any text of the header's.
    """

    value: str
    evidence: tuple[Evidence, ...]
    contradiction: str = ""

    @property
    def source(self) -> str:
        """The first source that decided, "" without one."""
        return next((e.source for e in self.evidence if e.counts), "")


def weigh(about: str, clues: Iterable[Clue]) -> Weighed:
    """The outcome of the clues about one thing, by this module's rule."""
    found = sorted(clues, key=lambda clue: list(EvidenceLevel).index(clue.level))
    spoken = [c for c in found if c.level in _DECIDING]
    deciding = next((c.level for c in spoken if c.decides), None)
    if deciding is None:
        return Weighed("", _as_evidence(about, found, ""))
    if deciding is EvidenceLevel.IMAGE:
        heard = [c for c in spoken if c.level in _OF_IMAGE]
    else:
        heard = spoken
    value = next(c.says for c in heard if c.level is deciding and c.decides)
    against = next((c for c in heard if c.says != value), None)
    if against is not None:
        agreeing = next(c for c in heard if c.says == value and c.decides)
        words = f"{_statement(agreeing)}, {_statement(against)}"
        return Weighed("", _as_evidence(about, found, ""), words)
    if value == UNCLEAR:
        return Weighed("", _as_evidence(about, found, ""))
    return Weighed(str(value), _as_evidence(about, found, value))


def name_of(keyword: str) -> str:
    """An attribute as people know it: "Image Laterality (0020,0062)"."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        return keyword
    return f"{dictionary_description(tag)} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _statement(clue: Clue) -> str:
    return f"{name_of(clue.source)} says {clue.says}"


def _as_evidence(about: str, clues: Sequence[Clue], value: str) -> tuple[Evidence, ...]:
    """The clues as evidence, those that made the value marked."""
    made = [Evidence(about, c.source, c.level, str(c.says)) for c in clues]
    counting = [bool(value) and c.says == value and c.level in _DECIDING for c in clues]
    return tuple(replace(e, counts=counts) for e, counts in zip(made, counting, strict=True))
