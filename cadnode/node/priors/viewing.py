"""The views of a prior exam: which there are, where each lies, and its pixels."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cadnode.exam.exam import Mammogram
from cadnode.exam.identification import Identification, identify
from cadnode.exam.mammogram import inspect
from cadnode.exam.partition import Stated, stated_by
from cadnode.node.priors.finding import PriorFinder
from cadnode.node.view_pixels import PixelCache
from cadnode.receive.prior_store import PriorStore
from cadnode.receive.spool import Spool
from cadnode.web.study import KEY
from cadnode.web.viewing import PixelsOf

_HANGING: Final = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
_STUDIES: Final = 32


@dataclass(frozen=True, slots=True)
class ShownPrior:
    """A prior's views as they hang, by key (that of the file), and how many cannot be shown."""

    views: dict[str, Mammogram] = field(default_factory=dict, repr=False)
    n_not_shown: int = 0


class PriorViews:
    """The views of priors. Threads may share it."""

    def __init__(
        self, spool: Spool, store: PriorStore, finder: PriorFinder, cache: PixelCache | None = None
    ) -> None:
        self._cache = cache or PixelCache()
        self._spool = spool
        self._store = store
        self._finder = finder
        self._lock = threading.Lock()
        self._shown: OrderedDict[tuple[object, ...], ShownPrior] = OrderedDict()

    def files(self, study: str, prior: str) -> list[Path]:
        """Files of a prior: those that were fetched beside the study, else those in the spool."""
        if not KEY.fullmatch(prior) or prior == study:
            return []
        return self._store.images(study, prior) or self._spool.instances(prior)

    def shown(self, study: str, prior: str) -> ShownPrior:
        """The views of a prior of the same woman, as both studies' files state it at this moment.

        None of any other study, and none of a file that names another woman.
        """
        facts = self._finder.studies.facts(study)
        files = self.files(study, prior)
        if facts is None or facts.stated is None or not files:
            return ShownPrior()
        stamp = (study, prior, facts, *((p, _mtime(p)) for p in files))
        with self._lock:
            if (known := self._shown.get(stamp)) is not None:
                return known
        found = _looked(facts.stated, files)
        with self._lock:
            self._shown[stamp] = found
            while len(self._shown) > _STUDIES:
                self._shown.popitem(last=False)
        return found

    def file_of(self, study: str, prior: str, view: str) -> Path | None:
        """Where a view's file lies; None where there is no such view to be shown."""
        found = self.shown(study, prior).views.get(view)
        return None if found is None else found.path

    def pixels(self, study: str, prior: str, view: str) -> PixelsOf | None:
        """The pixels of a view, None where there is none. Raises `NotShown`."""
        path = self.file_of(study, prior, view)
        return None if path is None else self._cache.pixels(path)


def _looked(stated: Stated, files: list[Path]) -> ShownPrior:
    found: list[tuple[str, Mammogram]] = []
    n_not_shown = 0
    for path in files:
        instance = inspect(path)
        if instance.header is None or instance.mammogram is None:
            n_not_shown += instance.header is None or bool(instance.evidence)
        elif identify(stated, stated_by(instance.header)) is Identification.SAME:
            found.append((path.stem, instance.mammogram))
        else:
            n_not_shown += 1
    found.sort(key=lambda one: (_place(one[1]), one[0]))
    return ShownPrior(dict(found), n_not_shown)


def _place(mammogram: Mammogram) -> int:
    """As views hang: RCC, LCC, RMLO, LMLO, then others."""
    view = (str(mammogram.laterality), str(mammogram.view))
    return _HANGING.index(view) if view in _HANGING else len(_HANGING)


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
