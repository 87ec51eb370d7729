"""What every table and plot is made of: scores of cases with their facts.

No patient data: women and cases are keys (`cadnode.models.store.woman_key`), ages are decades.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import YOUDEN
from cadnode.errors import DataError
from cadnode.models.operating_point import Roc
from cadnode.models.store import woman_key

FACTS: Final = (
    "acquisition", "vendor", "machine", "site", "digitizer", "density", "age", "lesion", "size",
    "subtlety", "type", "distribution", "invasive", "birads",
)  # fmt: skip
# What is known of a lesion or of its reading: a negative case often has none.
OF_LESIONS: Final = frozenset(
    {"lesion", "size", "subtlety", "type", "distribution", "invasive", "birads"}
)
# How pages and tables call a fact, where they do not call it by its name.
FACT_TITLES: Final = {"birads": "BI-RADS"}
CHOICES: Final = (YOUDEN, "sensitivity=0.9", "specificity=0.9")
NOT_STATED: Final = "not stated"


@dataclass(frozen=True, slots=True)
class Cutoff:
    """From which score on a case is called positive.

    `choice` is as `Roc.at` takes it; `chosen` names the data of the choice, never the cases here.
    """

    choice: str
    threshold: float
    chosen: str


@dataclass(frozen=True, slots=True)
class Scorer:
    """What scored: a model, or a reader (`sha256` is "" then).

    `calibrated`: whether the score is a probability.
    """

    name: str
    version: str = ""
    sha256: str = ""
    cutoffs: tuple[Cutoff, ...] = ()
    calibrated: bool = False

    @property
    def spec(self) -> str:
        """`NAME@VERSION`, or the name alone."""
        return f"{self.name}@{self.version}" if self.version else self.name

    def cutoff(self, choice: str = YOUDEN) -> Cutoff | None:
        """The cut-off of a choice; None when there is none."""
        return next((c for c in self.cutoffs if c.choice == choice), None)


@dataclass(frozen=True, slots=True)
class ScoredCase:
    """One case: `scores` has one value per scorer, `facts` pairs of a name of `FACTS` and a value.

    `id` and `woman` are keys, see `key`.
    """

    id: str
    woman: str
    label: bool
    scores: tuple[float, ...]
    facts: tuple[tuple[str, str], ...] = ()

    def fact(self, name: str) -> str:
        """The value of a fact; `NOT_STATED` without one."""
        return dict(self.facts).get(name, "") or NOT_STATED


@dataclass(frozen=True, slots=True)
class Scored:
    """Cases of one contrast, scored by one or several scorers.

    Parameters
    ----------
    data
        The data set and the part of it, without its folder.
    contrast
        Which classes are compared, in a sentence.
    unit
        What a case is: breasts, ROIs, regions.

    Raises
    ------
    DataError
        A case has not one finite score per scorer, an id or a scorer occurs twice, or a fact is
        none of `FACTS`.
    """

    data: str
    contrast: str
    unit: str
    scorers: tuple[Scorer, ...]
    cases: tuple[ScoredCase, ...]
    schema_version: Literal[1] = 1

    def __post_init__(self) -> None:
        if len({s.spec for s in self.scorers}) < len(self.scorers):
            raise DataError("a scorer occurs twice")
        if len({c.id for c in self.cases}) < len(self.cases):
            raise DataError("a case occurs twice")
        for case in self.cases:
            if len(case.scores) != len(self.scorers) or not all(map(isfinite, case.scores)):
                raise DataError("every case needs one finite score of every scorer")
            if unknown := {name for name, _ in case.facts} - {*FACTS}:
                raise DataError(f"unknown facts of a case: {', '.join(sorted(unknown))}")

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def labels(self) -> NDArray[np.bool_]:
        """`(n,)`."""
        return np.array([c.label for c in self.cases], bool)

    @property
    def women(self) -> NDArray[np.str_]:
        """`(n,)` keys."""
        return np.array([c.woman for c in self.cases], np.str_)

    def scores(self, spec: str) -> NDArray[np.float64]:
        """`(n,)` scores of the scorer of that `spec` or name."""
        column = self._column(spec)
        return np.array([c.scores[column] for c in self.cases], np.float64)

    def scorer(self, spec: str) -> Scorer:
        """The scorer of that `spec` or name.

        Raises
        ------
        DataError
            There is none.
        """
        return self.scorers[self._column(spec)]

    def only(self, spec: str) -> "Scored":
        """The same cases with one scorer."""
        column = self._column(spec)
        cases = tuple(replace(c, scores=(c.scores[column],)) for c in self.cases)
        return replace(self, scorers=(self.scorers[column],), cases=cases)

    def stratum(self, name: str, value: str) -> NDArray[np.bool_]:
        """`(n,)`: the cases with that value of a fact.

        Of a lesion's fact that few negative cases state, the positives with that value and all
        negatives: most of those have no lesion to stratify by (Kim 2018, Table 5).
        """
        found = np.array([c.fact(name) == value for c in self.cases], bool)
        return found | ~self.labels if self._of_positives(name) else found

    def where(self, name: str, value: str) -> "Scored":
        """The cases of a `stratum`."""
        rows = self.stratum(name, value)
        return replace(
            self, cases=tuple(c for c, inside in zip(self.cases, rows, strict=True) if inside)
        )

    def values(self, name: str) -> tuple[str, ...]:
        """Values of a fact among the cases, in alphabetical order; empty when no case has it."""
        positives = self._of_positives(name)
        found = {c.fact(name) for c in self.cases if c.label or not positives}
        return () if found <= {NOT_STATED} else tuple(sorted(found))

    def _of_positives(self, name: str) -> bool:
        """Whether a fact is of lesions, and fewer than half of the negative cases state it."""
        negatives = [c.fact(name) != NOT_STATED for c in self.cases if not c.label]
        return name in OF_LESIONS and 2 * sum(negatives) < max(len(negatives), 1)

    def strata(self) -> dict[str, tuple[str, ...]]:
        """Facts with their values, of those that have at least two."""
        return {name: v for name in FACTS if len(v := self.values(name)) > 1}

    @property
    def what(self) -> str:
        """The data and the contrast, which may name the data itself."""
        named = self.contrast.startswith(f"{self.data}: ")
        return self.contrast if named else f"{self.data}: {self.contrast}"

    def _column(self, spec: str) -> int:
        for column, one in enumerate(self.scorers):
            if spec in (one.spec, one.name):
                return column
        known = ", ".join(s.spec for s in self.scorers)
        raise DataError(f"nothing was scored by {spec}; there are {known}")


def key(dataset: str, *parts: object) -> str:
    """The key of a woman (one part) or of a case (several): 16 hexadecimal digits."""
    return woman_key(dataset, "/".join(map(str, parts)))


def plain(value: str) -> str:
    """A stratum's name for readers: `fine linear branching`."""
    return value.replace("_", " ")


def cutoffs(roc: Roc, choices: Iterable[str] = CHOICES) -> tuple[Cutoff, ...]:
    """Cut-offs chosen on a card's curve, which is of its validation part."""
    points = {choice: roc.at(choice) for choice in choices}
    return tuple(Cutoff(choice, p.threshold, p.chosen) for choice, p in points.items())


def scored(
    head: tuple[str, str, str],
    scorers: Sequence[Scorer],
    columns: Mapping[str, Sequence[float] | NDArray[np.float64]],
    cases: Iterable[tuple[str, str, bool, Mapping[str, str]]],
) -> Scored:
    """Cases of `(id, woman, label, facts)` and columns of scores by the scorer's `spec`.

    `head` is (data, contrast, unit); facts without a value or out of `FACTS` are left out.

    Raises
    ------
    DataError
        As `Scored`; or columns differ in length from the cases.
    """
    rows = list(cases)
    if any(len(columns[s.spec]) != len(rows) for s in scorers):
        raise DataError("every scorer needs as many scores as there are cases")
    made = [
        ScoredCase(
            case, woman, bool(label), tuple(float(columns[s.spec][i]) for s in scorers),
            tuple((name, str(facts[name])) for name in FACTS if facts.get(name)),
        )
        for i, (case, woman, label, facts) in enumerate(rows)
    ]  # fmt: skip
    return Scored(*head, tuple(scorers), tuple(made))


def join(one: Scored, other: Scored) -> Scored:
    """Both scorers' scores of the same cases.

    Raises
    ------
    DataError
        The cases are not the same, or their labels differ.
    """
    theirs = {c.id: c for c in other.cases}
    if {c.id for c in one.cases} != theirs.keys():
        raise DataError("the two are not scores of the same cases")
    if any(c.label != theirs[c.id].label or c.woman != theirs[c.id].woman for c in one.cases):
        raise DataError("the two disagree on the truth of a case")
    cases = tuple(replace(c, scores=c.scores + theirs[c.id].scores) for c in one.cases)
    return replace(one, scorers=one.scorers + other.scorers, cases=cases)
