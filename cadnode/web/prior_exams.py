"""A woman's prior exams as pages and programs see them, and what the node is asked about them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from cadnode.phrases import N_, nphrase, phrase
from cadnode.web.viewing import PixelsOf, ShownView


class PriorState(StrEnum):
    """Where a prior exam is."""

    HERE = "here"
    AT_SOURCE = "at_source"
    FETCHING = "fetching"
    FAILED = "failed"


class NoPriors(StrEnum):
    """Why no priors can be sought."""

    NO_IMAGES = "no_images"
    PATIENT_UNCLEAR = "patient_unclear"


@dataclass(frozen=True, slots=True)
class PriorExam:
    """A prior exam; `reason` says why the last fetch failed. `sources` are those that list it."""

    key: str
    state: PriorState
    study_date: date | None = None
    interval: str = ""
    description: str = field(default="", repr=False)
    modality: str = ""
    n_images: int | None = None
    sources: tuple[str, ...] = ()
    reason: str = ""

    @property
    def label(self) -> str:
        """What stands beside each of its views: that it is a prior one, and of when."""
        if self.study_date is None:
            return N_("Prior, date not stated")
        if not self.interval:
            return phrase("Prior %(date)s", date=self.study_date)
        words = {"date": self.study_date, "interval": self.interval}
        return phrase("Prior %(date)s, %(interval)s", **words)

    @property
    def is_here(self) -> bool:
        """Whether it can be shown now."""
        return self.state is PriorState.HERE

    @property
    def may_be_fetched(self) -> bool:
        """Whether there is something to order: it is not here, or not all of it."""
        is_lacking = self.state in (PriorState.AT_SOURCE, PriorState.FAILED) or bool(self.reason)
        return is_lacking and bool(self.sources) and self.state is not PriorState.FETCHING

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "prior": self.key,
            "state": self.state.value,
            "study_date": self.study_date.isoformat() if self.study_date else None,
            "interval": self.interval or None,
            "description": self.description or None,
            "modality": self.modality or None,
            "n_images": self.n_images,
            "sources": list(self.sources),
            "reason": self.reason or None,
        }


@dataclass(frozen=True, slots=True)
class PriorList:
    """The priors of a study, the newest first.

    `n_another` exams under her Patient ID name another woman; of `n_unproven` nothing but the
    number says that they are hers: neither are listed. `away` are sources and what is wrong.
    """

    study: str
    priors: tuple[PriorExam, ...] = ()
    problem: NoPriors | None = None
    n_another: int = 0
    n_unproven: int = 0
    away: tuple[tuple[str, str], ...] = ()
    n_sources: int = 0

    @property
    def is_moving(self) -> bool:
        """Whether one of them is being fetched."""
        return any(one.state is PriorState.FETCHING for one in self.priors)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "study": self.study,
            "problem": self.problem.value if self.problem else None,
            "priors": [one.as_dict() for one in self.priors],
            "not_offered": {"another_patient": self.n_another, "unproven": self.n_unproven},
            "sources_away": [{"source": name, "problem": text} for name, text in self.away],
        }


@dataclass(frozen=True, slots=True)
class PriorPictures:
    """What of a prior can be shown: its views as they hang; `n_not_shown` of its images cannot."""

    views: tuple[ShownView, ...] = ()
    n_not_shown: int = 0


@dataclass(frozen=True, slots=True)
class PriorDesk:
    """What the node is asked about priors; studies and priors are named by their keys.

    `listed(study)`; `bring(study, prior)`: have it fetched, None: there is no such prior, False:
    too many wait. `pictures(study, prior)`; `pixels(study, prior, view)`: None of no such view.
    """

    listed: Callable[[str], PriorList]
    bring: Callable[[str, str], bool | None]
    pictures: Callable[[str, str], PriorPictures]
    pixels: Callable[[str, str, str], PixelsOf | None]


def interval_words(prior: date, present: date) -> str:
    """How long before the present exam the prior one was, as a reader says it."""
    months = 12 * (present.year - prior.year) + present.month - prior.month
    months -= present.day < prior.day
    years, months = divmod(max(months, 0), 12)
    days = (present - prior).days
    if days < 0:
        return phrase("later")
    if days == 0:
        return phrase("the same day")
    if not years and not months:
        return nphrase("%(n)s day before", "%(n)s days before", days)
    if not years:
        return nphrase("%(n)s month before", "%(n)s months before", months)
    if not months:
        return nphrase("%(n)s year before", "%(n)s years before", years)
    rest = nphrase("%(n)s month", "%(n)s months", months)
    return nphrase(
        "%(n)s year %(months)s before", "%(n)s years %(months)s before", years, months=rest
    )
