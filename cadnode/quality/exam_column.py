"""The exams of a scanner by one system: a few bytes each, since they stay in memory for years."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isnan, nan
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import ViewPosition
from cadnode.quality.statistics import Scores

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY: Final = timedelta(days=1) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class ExamScores:
    """One exam by one system.

    `score` is the exam's, in [0, 1], None where the system found nothing to score; `of_views` has
    the mean of both sides' views by position: the two breasts of one woman are one observation.
    """

    at: datetime
    score: float | None
    is_called: bool
    of_views: tuple[tuple[ViewPosition, float], ...] = ()

    def in_view(self, position: ViewPosition) -> float | None:
        """The score in views of one position; None where there is none."""
        return next((score for view, score in self.of_views if view is position), None)


class ExamColumn(Sequence[ExamScores]):
    """Exams in the order of reading; as arrays, too, with NaN where there is no score."""

    def __init__(self, exams: Iterable[ExamScores] = ()) -> None:
        self._at = array("q")  # microseconds since 1970, UTC
        self._scores = array("d")
        self._called = bytearray()
        self._views: dict[ViewPosition, array[float]] = {}
        for exam in exams:
            self.append(exam)

    def append(self, exam: ExamScores) -> None:
        """One more, the newest."""
        for position, _ in exam.of_views:
            if position not in self._views:
                self._views[position] = array("d", [nan]) * len(self._at)
        for position, column in self._views.items():
            score = exam.in_view(position)
            column.append(nan if score is None else score)
        self._at.append((exam.at - _EPOCH) // _MICROSECOND)
        self._scores.append(nan if exam.score is None else exam.score)
        self._called.append(exam.is_called)

    def clear(self) -> None:
        """Leave none."""
        self.__init__()  # type: ignore[misc]

    def __len__(self) -> int:
        """Number of exams."""
        return len(self._at)

    @overload
    def __getitem__(self, at: int) -> ExamScores: ...
    @overload
    def __getitem__(self, at: slice) -> list[ExamScores]: ...
    def __getitem__(self, at: int | slice) -> ExamScores | list[ExamScores]:
        """One exam, or a list of several."""
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        views = ((view, column[at]) for view, column in self._views.items())
        score = self._scores[at]
        return ExamScores(
            _EPOCH + self._at[at] * _MICROSECOND,
            None if isnan(score) else score,
            bool(self._called[at]),
            tuple((view, found) for view, found in views if not isnan(found)),
        )

    @property
    def scores(self) -> Scores:
        """`(n,) float64`, NaN where nothing was scored."""
        return np.array(self._scores, np.float64)

    @property
    def called(self) -> NDArray[np.bool_]:
        """`(n,)`: which reach the operating point."""
        return np.frombuffer(bytes(self._called), np.bool_)

    @property
    def of_views(self) -> dict[ViewPosition, Scores]:
        """`(n,) float64` of each position that has scores, in the order of CID 4014."""
        return {
            view: np.array(self._views[view], np.float64)
            for view in ViewPosition
            if view in self._views
        }

    @property
    def days(self) -> NDArray[np.int64]:
        """`(n,)`: days (UTC) since 1970-01-01."""
        return np.array(self._at, np.int64) // _DAY
