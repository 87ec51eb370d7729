"""Regions that somebody asks about, as clients and pages see them, and what may be asked.

A region is drawn on one view: a box or a closed outline in pixels of the image as stored, x the
column and y the row, (0, 0) the outer corner of the first pixel.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from cadnode.errors import CadnodeError

MOST_POINTS: Final = 200  # of an outline: more than a hand draws
Points = tuple[tuple[float, float], ...]


class RegionRefused(CadnodeError):
    """A region that cannot be asked about; `status` is that of HTTP, `hint` what to do instead."""

    exit_code = 2

    def __init__(self, status: int, error: str, hint: str) -> None:
        super().__init__(f"{error}: {hint}")
        self.status, self.error, self.hint = status, error, hint


@dataclass(frozen=True, slots=True)
class RegionDraft:
    """What somebody has drawn: the view by its file's key, and the outline's (x, y) points."""

    view: str
    points: Points
    is_box: bool


@dataclass(frozen=True, slots=True)
class RegionScore:
    """One system's score of a region, in [0, 1]; `threshold`: from which on it is suspicious.

    `phantoms_only`: the system never saw a woman's mammogram.
    """

    system: str
    algorithm: str
    score: float
    threshold: float | None
    suspicious: bool
    phantoms_only: bool = False


@dataclass(frozen=True, slots=True)
class RegionState:
    """One region: asked about, and its answer as far as there is one.

    `state` is "waiting", "assessed" or "failed", then with a `code` and its `meaning`. `absent` has
    the systems without a score, and why. `is_from_object`: it was drawn in a viewer, and came in a
    DICOM object. Times are seconds since the epoch; `seconds` is how long the answer took.
    """

    identifier: str
    view: str
    view_name: str
    points: Points
    is_box: bool
    state: str
    asked_at: float
    answered_at: float | None = None
    scores: tuple[RegionScore, ...] = ()
    absent: tuple[tuple[str, str], ...] = ()
    code: str = ""
    meaning: str = ""
    is_from_object: bool = False
    deliveries: tuple[tuple[str, str], ...] = ()

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 around its points, in whole pixels."""
        xs, ys = [x for x, _ in self.points], [y for _, y in self.points]
        return int(min(xs)), int(min(ys)), int(-(-max(xs) // 1)), int(-(-max(ys) // 1))

    @property
    def asked_time(self) -> datetime:
        """When it was asked about."""
        return datetime.fromtimestamp(self.asked_at, UTC)

    @property
    def seconds(self) -> float | None:
        """From the question to the answer."""
        return None if self.answered_at is None else max(0.0, self.answered_at - self.asked_at)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, under the names that docs/web.md documents."""
        return {
            "id": self.identifier,
            "view": self.view,
            "view_name": self.view_name or None,
            "box": list(self.box),
            "outline": None if self.is_box else [list(point) for point in self.points],
            "state": self.state,
            "asked_at": _iso(self.asked_at),
            "answered_at": None if self.answered_at is None else _iso(self.answered_at),
            "seconds": None if self.seconds is None else round(self.seconds, 2),
            "scores": [
                {
                    "system": s.system, "algorithm": s.algorithm, "score": s.score,
                    "threshold": s.threshold, "suspicious": s.suspicious,
                    "phantoms_only": s.phantoms_only,
                }
                for s in self.scores
            ],
            "absent": dict(self.absent),
            "code": self.code or None,
            "meaning": self.meaning or None,
            "drawn_in": "viewer" if self.is_from_object else "page",
            "deliveries": dict(self.deliveries),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class AskedRegion:
    """A region that was asked about just now: `is_new`, or one that had been before."""

    region: RegionState
    is_new: bool
    is_running: bool = True


@dataclass(frozen=True, slots=True)
class RegionList:
    """All regions of a study, the newest first, and the views on which one may be drawn."""

    regions: tuple[RegionState, ...] = ()
    views: tuple[tuple[str, str], ...] = field(default=())

    @property
    def is_waiting(self) -> bool:
        """Whether one of them has no answer yet."""
        return any(region.state == "waiting" for region in self.regions)


@dataclass(frozen=True, slots=True)
class Regions:
    """What may be asked; studies are keys or UIDs.

    `ask(study, draft, by)` raises `RegionRefused`, and `Unavailable` without job database.
    `of_study(study)` is empty where the node knows no region, or no study of that name.
    """

    ask: Callable[[str, RegionDraft, str], AskedRegion]
    of_study: Callable[[str], RegionList]


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
