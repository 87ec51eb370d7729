"""Which studies a faulty version read, who got its results, and who has corrected ones since.

Answered from the results on the disk (`node.results`) and the record of their deliveries beside
them, so that it holds with a new job database, too. What retention has removed is not known any
more: the reports in the archives name the versions that made them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cadnode.errors import SettingsError
from cadnode.node import delivery_record, results
from cadnode.node.results import Results

SOFTWARE: Final = "cadnode"
"""The name that stands for the software itself; every other is a model's."""


class RecallState(StrEnum):
    """How far the recall of one study is."""

    FAULTY = "faulty"
    UNDER_WAY = "under_way"
    CORRECTED = "corrected"

    @property
    def meaning(self) -> str:
        """For people."""
        return {
            RecallState.FAULTY: "its newest result is by the faulty version",
            RecallState.UNDER_WAY: "read by another version since; not everywhere yet",
            RecallState.CORRECTED: "who got the faulty result has a corrected one",
        }[self]


@dataclass(frozen=True, slots=True)
class FaultyVersion:
    """A model's version, or with the name `SOFTWARE` one of cadnode."""

    name: str
    version: str

    def has_made(self, document: dict[str, Any]) -> bool:
        """Whether it took part in a reading, by its `result.json`."""
        software, models = [document.get("software")], document.get("models") or []
        return any(
            isinstance(one, dict)
            and (one.get("name"), one.get("version")) == (self.name, self.version)
            for one in (software if self.name == SOFTWARE else models)
        )


@dataclass(frozen=True, slots=True)
class RecalledDelivery:
    """A destination that got a faulty result, and a corrected one; seconds since the epoch."""

    destination: str
    faulty_at: float
    corrected_at: float | None = None


@dataclass(frozen=True, slots=True)
class RecalledStudy:
    """A study that the faulty version read.

    Parameters
    ----------
    study
        Its key.
    read_at
        When the first faulty result was reported, in seconds since the epoch.
    n_results
        Faulty results of it.
    was_called
        Whether one of them reached the operating point of exams; None where none had one.
    """

    study: str
    state: RecallState
    read_at: float
    n_results: int
    was_called: bool | None
    deliveries: tuple[RecalledDelivery, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "state": self.state.value}


def version_of(text: str) -> FaultyVersion:
    """The version that NAME@VERSION names.

    Raises
    ------
    SettingsError
        It names none.
    """
    name, _, version = text.partition("@")
    if not name or not version:
        raise SettingsError(
            f"{text!r} is no NAME@VERSION: say which version, for example dib-mg-film@1.0.1, or "
            f"{SOFTWARE}@VERSION for the software itself"
        )
    return FaultyVersion(name, version)


def recalled(
    storage: Path, faulty: FaultyVersion, since: float = 0.0, until: float = float("inf")
) -> Iterator[RecalledStudy]:
    """The studies that it read, between two moments (seconds since the epoch), in no order."""
    kept = Results.in_storage(storage)
    for study, _ in kept.studies():
        found = _of_study(study, kept.reported(study), faulty)
        if found is not None and since <= found.read_at < until:
            yield found


def _of_study(study: str, contents: Sequence[Path], faulty: FaultyVersion) -> RecalledStudy | None:
    read = sorted((c for c in contents if not results.is_answer(c)), key=results.reported_at)
    documents = {content: results.documents(content) for content in read}
    by_it = [c for c in read if any(map(faulty.has_made, documents[c]))]
    if not by_it:
        return None
    later = read[read.index(by_it[-1]) + 1 :]
    deliveries = _deliveries(by_it, later)
    calls = [call for c in by_it for d in documents[c] if (call := _call(d)) is not None]
    return RecalledStudy(
        study, _state(later, deliveries), results.reported_at(by_it[0]), len(by_it),
        any(calls) if calls else None, deliveries,
    )  # fmt: skip


def _state(later: Sequence[Path], deliveries: Sequence[RecalledDelivery]) -> RecallState:
    if not later:
        return RecallState.FAULTY
    everywhere = all(one.corrected_at is not None for one in deliveries)
    return RecallState.CORRECTED if everywhere else RecallState.UNDER_WAY


def _deliveries(by_it: Sequence[Path], later: Sequence[Path]) -> tuple[RecalledDelivery, ...]:
    had, has = _arrivals(by_it), _arrivals(later)
    return tuple(RecalledDelivery(name, at, has.get(name)) for name, at in sorted(had.items()))


def _arrivals(contents: Sequence[Path]) -> dict[str, float]:
    """When each destination got one of these results, the last of them."""
    arrived = [
        one for content in contents for one in delivery_record.tries(content)
        if one.status.has_arrived
    ]  # fmt: skip
    return {one.destination: one.at for one in sorted(arrived, key=lambda one: one.at)}


def _call(document: dict[str, Any]) -> bool | None:
    """Whether the exam's score reached its operating point; None where there is no score."""
    exam = document.get("exam")
    score, point = (exam or {}).get("score"), (exam or {}).get("operating_point")
    return None if score is None or point is None else bool(score >= point)
