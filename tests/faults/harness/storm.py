"""Faults at random moments, one after the other, until it is stopped."""

import random
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.faults.harness.faults import WEIGHTS, Draw, Fault, NothingThere
from tests.faults.harness.wait import NotReached

if TYPE_CHECKING:
    from tests.faults.harness.site import Site


class Storm:
    """Draws from some kinds of fault. The sequence follows from the seed, the moments do not."""

    def __init__(
        self, site: "Site", kinds: Mapping[str, Draw], seed: int, *, calm_s: float, skip: int = 0
    ) -> None:
        self._site, self._kinds, self._calm_s = site, kinds, calm_s
        self._rng = random.Random(seed)
        for _ in range(skip):  # those that an earlier part of the run has had
            self._next()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._blow, name="storm", daemon=True)

    def start(self) -> None:
        if self._kinds:
            self._thread.start()

    def stop(self) -> None:
        """Let the fault under way end, and no other begin."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _next(self) -> tuple[float, Fault]:
        pause = self._rng.expovariate(1 / self._calm_s)
        names = list(self._kinds)
        kind = self._rng.choices(names, weights=[WEIGHTS[name] for name in names])[0]
        return pause, self._kinds[kind](self._rng)

    def _blow(self) -> None:
        while not self._stop.is_set():
            pause, fault = self._next()
            if not self._stop.wait(pause):
                happen(self._site, fault, self._stop)


def happen(site: "Site", fault: Fault, stop: threading.Event | None = None) -> None:
    """One fault from its begin to its end. A node that is not up after it is a defect."""
    if site.is_missing(fault):
        return
    began = time.monotonic()
    try:
        fault.begin(site)
        (stop or threading.Event()).wait(fault.lasts_s)
        fault.end(site)
    except NothingThere:
        return
    except NotReached as error:
        site.defect("not_back", f"after {fault.name}: {error}")
        site.disk.restore()
        site.node.kill_all()
        site.node.start(wait=False)
    site.happened(fault, time.monotonic() - began)
