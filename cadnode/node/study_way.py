"""The way that a study took: gathered from what was noted of it, its results and its deliveries."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cadnode.node import delivery_record, readiness, results
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.jobs import DeliveryStatus
from cadnode.node.poison import SetAsideCode
from cadnode.node.readiness import Rules
from cadnode.node.results import Results
from cadnode.node.study_index import Studies
from cadnode.node.undelivered import UndeliveredIndex
from cadnode.node.way_ahead import coming_of
from cadnode.phrases import N_, phrase
from cadnode.receive.fetch.requests import FetchCode
from cadnode.receive.way_log import Passed, WayEntry, WayLog
from cadnode.report.profiles import kind_of
from cadnode.settings import Settings
from cadnode.web.study import StudyState
from cadnode.web.way import MOST_ATTEMPTS, Arrival, Arrived, Attempt, ReadOnce, Way

_MOST_READINGS: Final = 20
_WAITING: Final = ("waiting_for_views", "waiting_for_quiet")
_WORDS: Final = {
    Passed.ARRIVED: "receive",
    Passed.FETCH: "fetch",
    Passed.READ: "read",
    Passed.REPORT: "report",
    Passed.REREAD: "reread",
    Passed.DROPPED: "drop",
}
_CAUSES: Final = {
    **{code.value: code.meaning for code in FetchCode},
    **{code.value: code.meaning for code in SetAsideCode},
    "WorkerDied": N_("the worker ended while it read the study"),
    "MemoryError": N_("the memory did not suffice"),
    "ReportError": N_("the report could not be made of these images"),
}


class StudyWays:
    """The ways of one node's studies. Threads may share it; it only reads."""

    def __init__(self, settings: Settings, studies: Studies) -> None:
        self._studies = studies
        self._results = Results.in_storage(settings.storage.folder)
        self._log = WayLog(settings.storage.folder)
        self._undelivered = UndeliveredIndex(settings.storage.folder)
        self._rule = rule_of(readiness.rules_of(settings))

    def of(self, study: StudyState) -> Way:
        """The way so far of a study that is in this state."""
        entries, n_left_out = self._log.entries(study.key)
        current = self._studies.content_of(study.key)
        folders = sorted(self._results.reported(study.key), key=results.reported_at)
        newest = next((f for f in folders if f.name == current), folders[-1] if folders else None)
        recorded = [(folder, delivery_record.tries(folder)) for folder in folders]
        attempts = [*_attempts(entries), *_deliveries(one for _, some in recorded for one in some)]
        attempts.sort(key=lambda one: one.at, reverse=True)
        n_left_out += sum(one.n_left_out for _, some in recorded for one in some)
        deliveries = self._arrived(study, newest)
        return Way(
            arrivals=arrivals_of(entries),
            n_images=study.n_instances,
            rule=self._rule,
            waiting=next((r.meaning for r in study.reasons if r.code in _WAITING), ""),
            readings=tuple(_read_once(f, current) for f in folders[-_MOST_READINGS:]),
            deliveries=deliveries,
            attempts=tuple(attempts[:MOST_ATTEMPTS]),
            n_left_out=n_left_out + max(0, len(attempts) - MOST_ATTEMPTS),
            coming=coming_of(study, deliveries),
        )

    def _arrived(self, study: StudyState, folder: Path | None) -> tuple[Arrived, ...]:
        """How the newest reading's deliveries stand, those that were tried and those that wait."""
        if folder is None:
            return ()
        tries = delivery_record.tries(folder)
        owed = {
            e.destination: e for e in self._undelivered.of_study(study.key)
            if e.content == folder.name
        }  # fmt: skip
        words = {one.destination: _word(one) for one in tries} | dict(study.deliveries)
        found = []
        for name, word in words.items():
            ours = [one for one in tries if one.destination == name]
            last, entry = ours[-1] if ours else None, owed.get(name)
            found.append(
                Arrived(
                    name, word, _moment(last.at if last else None),
                    _n_tries(ours), last.reason if last else "",
                    _moment(entry.next_at if entry else None),
                )
            )  # fmt: skip
        return tuple(found)


def _n_tries(found: Sequence[DeliveryTry]) -> int:
    """How often it was tried: that it was given up is a line of the record, and no try."""
    decisions = (DeliveryStatus.GIVEN_UP, DeliveryStatus.DROPPED)
    return sum((one.status not in decisions) + one.n_left_out for one in found)


def rule_of(rules: Rules) -> str:
    """When a study is read, in words."""
    quiet_s, settle_s = f"{rules.quiet_s:g}", f"{rules.settle_s:g}"
    otherwise = phrase("A study is read once nothing has come for %(quiet_s)s s.", quiet_s=quiet_s)
    if not rules.wanted:
        return otherwise
    views = ", ".join(f"{side} {view}" for side, view in sorted(rules.wanted))
    return phrase(
        "A study is read %(settle_s)s s after its views are here (%(views)s). Where "
        "one does not come, it is read once nothing has come for %(quiet_s)s s.",
        settle_s=settle_s,
        views=views,
        quiet_s=quiet_s,
    )


def arrivals_of(entries: Sequence[WayEntry]) -> tuple[Arrival, ...]:
    """Who brought images, the first one first; an association that began and ended is one."""
    found: list[Arrival] = []
    coming: dict[str, list[float]] = {}
    for one in entries:
        if one.what is Passed.ARRIVING:
            coming.setdefault(one.who, []).append(one.at)
        elif one.what is Passed.ARRIVED:
            begun = coming.get(one.who)
            began_at = begun.pop(0) if begun else None
            found.append(Arrival(one.who, _at(one.at), _moment(began_at), one.n))
        elif one.what is Passed.FETCH and (one.n or not one.how):
            found.append(Arrival(one.who, _at(one.at), n_images=one.n, is_fetched=True))
    still = [Arrival(who, _at(at), _at(at)) for who, begun in coming.items() for at in begun]
    return tuple(sorted([*found, *still], key=lambda one: one.at))


def _attempts(entries: Iterable[WayEntry]) -> list[Attempt]:
    return [
        Attempt(
            _at(one.at), _WORDS[one.what], "failed" if one.how else "done", one.who,
            _cause(one.how), one.n, one.seconds,
        )
        for one in entries
        if one.what in _WORDS
    ]  # fmt: skip


def _cause(how: str) -> str:
    """Why a try failed: our sentence where there is one, else the kind of the error."""
    return _CAUSES.get(how) or (_unknown(how) if how else "")


def _unknown(how: str) -> str:
    return phrase("%(error)s; the node's log says more", error=how)


def _deliveries(tries: Iterable[DeliveryTry]) -> list[Attempt]:
    return [
        Attempt(_at(one.at), "deliver", _word(one), one.destination, one.reason) for one in tries
    ]


def _word(one: DeliveryTry) -> str:
    return "waiting" if one.status is DeliveryStatus.RETRY else one.status.value


def _read_once(folder: Path, current: str) -> ReadOnce:
    """What became of one content, all its patients together."""
    parts = results.exam_folders(folder)
    documents = [_document(part) for part in parts]
    models = dict.fromkeys(
        f"{m['name']} {m['version']}" for d in documents for m in d.get("models", ())
    )
    seconds = [s for part in parts if (s := _read_s(part)) is not None]
    objects = Counter(
        str(kind) for part in parts for p in results.objects_in(part) if (kind := kind_of(p))
    )
    n_bundles = sum((part / results.BUNDLE).is_file() for part in parts)
    return ReadOnce(
        _at(results.reported_at(folder)),
        tuple(models),
        results.n_inputs(folder),
        round(sum(seconds), 1) if seconds else None,
        (*objects.items(), *((("fhir", n_bundles),) if n_bundles else ())),
        is_current=folder.name == current,
        is_answer=results.is_answer(folder),
    )


def _document(folder: Path) -> dict[str, Any]:
    """`reading.json` of one patient; {} where it is missing or damaged."""
    try:
        document = json.loads((folder / results.READING).read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _read_s(folder: Path) -> float | None:
    try:
        return results.timings_of(folder).get("read")
    except (OSError, ValueError, AttributeError):
        return None


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else _at(seconds)
