"""The worker's look at the journal of scores: a scanner that drifts is named within the hour.

Of several workers each looks, and writes the same. Nothing waits for it: what fails is logged, and
the next look comes.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from functools import partial
from typing import Final

from cadnode.beside import kept_running
from cadnode.errors import CadnodeError
from cadnode.log import get_logger
from cadnode.phrases import N_, phrase
from cadnode.quality import store
from cadnode.quality.drift import DriftRule, DriftState
from cadnode.quality.followed import FollowedJournal
from cadnode.quality.overview import DriftOverview
from cadnode.quality.vendors import vendors_named
from cadnode.settings import Settings
from cadnode.web.node import HealthProblem

_CARD: Final = "card.json"

log = get_logger("worker")


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Within the block the journal is looked through, every `quality.every_s`, in a thread."""
    with kept_running(partial(_run, settings), "drift"):
        yield


def look(
    settings: Settings,
    now: datetime,
    until: date | None = None,
    followed: FollowedJournal | None = None,
) -> DriftOverview:
    """What the journal of a node says now, or said before a day (UTC). Raises `OSError`."""
    storage, rule = settings.storage.folder, rule_of(settings)
    return store.look(storage, rule, now, _named(settings), until, followed)


def look_and_keep(
    settings: Settings, now: datetime, followed: FollowedJournal | None = None
) -> DriftOverview:
    """The same, kept for those who show it; a scanner that has begun to drift is logged."""
    storage = settings.storage.folder
    before = store.read(storage)
    drifted = {one.key for one in before.scanners if _drifts(one.state)} if before else set()
    found = look(settings, now, followed=followed)
    if found.scanners or before is not None:
        store.write(storage, found)
    for one in found.scanners:
        if _drifts(one.state) and one.key not in drifted:
            log.warning("scanner_drifts", where=one.name, count=one.n_exams)
    return found


def rule_of(settings: Settings) -> DriftRule:
    """How many exams are compared with how many."""
    return DriftRule(settings.quality.baseline_exams, settings.quality.window_exams)


def drift_problems(settings: Settings) -> Iterator[HealthProblem]:
    """Scanners that drift."""
    overview = store.read(settings.storage.folder)
    for one in overview.scanners if overview is not None else ():
        if _drifts(one.state):
            systems = ", ".join(s.system for s in one.systems if _drifts(s.state))
            yield HealthProblem(
                "scanner_drifts",
                phrase(
                    "Scores of %(systems)s drift on the scanner %(scanner)s",
                    systems=systems,
                    scanner=one.name,
                ),
                N_("the page Quality shows since when, and what to do"),
                failing=False,
                lasting=True,
            )


def _drifts(state: DriftState) -> bool:
    return state is DriftState.DRIFTS


def _named(settings: Settings) -> dict[str, frozenset[str]]:
    """The vendors that each installed model's card names, by `name@version`."""
    # Models bring torch; the HTTP side, which asks for what was found, starts without.
    from cadnode.node.model_overview import stores

    found = {}
    with suppress(CadnodeError, OSError):
        for entry in stores(settings).catalogue().entries:
            with suppress(OSError, ValueError, AttributeError):  # a damaged card names none
                card = json.loads((entry.folder / _CARD).read_text("utf-8"))
                card.pop("scanners", None)
                found[entry.spec] = vendors_named(json.dumps(card))
    return found


def _run(settings: Settings, stopping: threading.Event) -> None:
    followed = FollowedJournal(settings.storage.folder)
    while not stopping.is_set():
        try:
            look_and_keep(settings, datetime.now(UTC), followed)
        except OSError as error:
            log.warning("journal_not_read", error=error)
        except Exception as error:
            # A thread's loop: the node goes on reading, and the next look may succeed.
            log.error("journal_not_read", error=error, reason="unexpected")
        stopping.wait(settings.quality.every_s)
