"""The summary of many exams' `shadow.json`: who calls what, how far scores lie apart.

The files are checked: they come from a folder that others can write to.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy import stats

from cadnode.domain import System
from cadnode.registry.shadow_log import EXAM, Failure, Pair, ShadowStatus, agreement

BINS: Final = 21
_Z95: Final = 1.959963984540054
_Floats = NDArray[np.float64]
Interval = tuple[float, float]
_Score = Annotated[float, Field(ge=0, le=1)] | None


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Version(_Frozen):
    """A model of one of the two sides."""

    name: str
    version: str
    sha256: str

    @property
    def spec(self) -> str:
        """`NAME@VERSION`."""
        return f"{self.name}@{self.version}"


class Score(_Frozen):
    """See `shadow.Pair`."""

    system: System
    what: Literal["exam", "R", "L"]
    active: _Score
    shadow: _Score
    active_called: bool | None
    shadow_called: bool | None

    @property
    def pair(self) -> Pair:
        """As it was before it was written."""
        return Pair(**dict(self))


class Marks(_Frozen):
    """Regions that each side's detection marked."""

    active: Annotated[int, Field(ge=0)]
    shadow: Annotated[int, Field(ge=0)]


class ShadowDocument(_Frozen):
    """Content of a `shadow.json`."""

    schema_version: Literal[2]
    status: ShadowStatus
    reason: Failure | Literal[""] = ""
    wanted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    active: tuple[Version, ...] = ()
    shadow: tuple[Version, ...] = ()
    scores: tuple[Score, ...] = ()
    marks: Marks = Marks(active=0, shadow=0)
    seconds: Annotated[float, Field(ge=0)] = 0.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the exams' scores of one system agree, shadow against active.

    Parameters
    ----------
    system, active, shadow
        The system, and the versions whose scores these are.
    counts
        Exams by who called them (`shadow.agreement`).
    n
        Exams that both scored; the numbers below are of these and None where they are too few.
    correlation, correlation_ci
        Pearson's, and its interval by Fisher's transformation.
    mean_difference, mean_difference_ci, limits
        Shadow less active: the mean with its interval by Student's t, and the limits of agreement
        (mean ± 1.96 standard deviations; Bland and Altman, Lancet 1986;327:307–310).
    histogram, histogram_to
        Differences in `BINS` equal bins from -`histogram_to` to +`histogram_to`.
    """

    system: System
    active: tuple[str, ...]
    shadow: tuple[str, ...]
    counts: dict[str, int]
    n: int
    correlation: float | None
    correlation_ci: Interval | None
    mean_difference: float | None
    mean_difference_ci: Interval | None
    limits: Interval | None
    histogram: tuple[int, ...]
    histogram_to: float


@dataclass(frozen=True, slots=True)
class Summary:
    """All readings in shadow mode: `n_read`, those with nothing to compare, failures by code.

    An exam that some shadows read while another is not installed counts among both.
    """

    n_read: int
    n_unaffected: int
    failures: dict[str, int]
    rows: tuple[Agreement, ...]
    pairs: tuple[tuple[tuple[float, float], ...], ...] = ()
    """Of each row the (active, shadow) scores of its exams."""

    @property
    def n_failed(self) -> int:
        """Readings that failed."""
        return sum(self.failures.values())


def parse(content: bytes) -> ShadowDocument | None:
    """A `shadow.json`; None when it is damaged or of another version."""
    try:
        return ShadowDocument.model_validate_json(content)
    except ValidationError:
        return None


def summarize(files: Iterable[ShadowDocument]) -> Summary:
    """The summary of exams, one file each; each pair of version sets has rows of its own."""
    readings = list(files)
    groups: dict[tuple[System, tuple[str, ...], tuple[str, ...]], list[Pair]] = {}
    for one in readings:
        for score in one.scores:
            key = (score.system, _specs(one.active), _specs(one.shadow))
            if score.what == EXAM:
                groups.setdefault(key, []).append(score.pair)
    order = sorted(groups, key=lambda key: (key[2], key[1], key[0]))
    failed = Counter(str(t.reason) for t in readings if t.status is ShadowStatus.FAILED)
    failed += Counter(
        Failure.SETTINGS.value
        for t in readings
        if t.missing and not (t.status is ShadowStatus.FAILED and t.reason is Failure.SETTINGS)
    )
    return Summary(
        n_read=sum(t.status is ShadowStatus.READ for t in readings),
        n_unaffected=sum(t.status is ShadowStatus.UNAFFECTED for t in readings),
        failures=dict(sorted(failed.items())),
        rows=tuple(agree(*key, groups[key]) for key in order),
        pairs=tuple(_both(groups[key]) for key in order),
    )


def agree(
    system: System, active: tuple[str, ...], shadow: tuple[str, ...], exams: Sequence[Pair]
) -> Agreement:
    """The agreement of exams that the same versions read."""
    scored = np.array(_both(exams), np.float64).reshape(-1, 2)
    difference = scored[:, 1] - scored[:, 0]
    mean, ci, limits = _bland_altman(difference)
    r, r_ci = _correlation(scored)
    edge = _edge(difference)
    counts, _ = np.histogram(difference, bins=BINS, range=(-edge, edge))
    return Agreement(
        system=system,
        active=active,
        shadow=shadow,
        counts=agreement(exams),
        n=len(scored),
        correlation=r,
        correlation_ci=r_ci,
        mean_difference=mean,
        mean_difference_ci=ci,
        limits=limits,
        histogram=tuple(int(c) for c in counts),
        histogram_to=edge,
    )


def _both(exams: Sequence[Pair]) -> tuple[tuple[float, float], ...]:
    return tuple(
        (p.active, p.shadow) for p in exams if p.active is not None and p.shadow is not None
    )


def _bland_altman(
    difference: _Floats,
) -> tuple[float | None, Interval | None, Interval | None]:
    n = len(difference)
    if n == 0:
        return None, None, None
    mean = float(difference.mean())
    if n == 1:
        return mean, None, None
    sd = float(difference.std(ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * sd / sqrt(n)
    return mean, (mean - half, mean + half), (mean - _Z95 * sd, mean + _Z95 * sd)


def _correlation(scored: _Floats) -> tuple[float | None, Interval | None]:
    """Pearson's r needs three exams and scores that vary; its interval four."""
    n = len(scored)
    if n < 3 or not np.all(np.ptp(scored, axis=0) > 0):
        return None, None
    r = float(stats.pearsonr(scored[:, 0], scored[:, 1]).statistic)
    if n < 4 or abs(r) == 1.0:
        return r, None
    half = _Z95 / sqrt(n - 3)
    return r, (tanh(atanh(r) - half), tanh(atanh(r) + half))


def _edge(difference: _Floats) -> float:
    """The first of 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1 that no difference exceeds."""
    largest = float(np.abs(difference).max(initial=0.0))
    return next((e for e in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if largest <= e), 1.0)


def _specs(versions: Sequence[Version]) -> tuple[str, ...]:
    return tuple(v.spec for v in versions)
