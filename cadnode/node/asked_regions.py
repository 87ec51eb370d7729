"""Regions that somebody asked about, on disk beside the results of their study.

RESULTS/<study_key>/<region>/order.json          the view, the outline, the exam that it belongs to
                             answer.json         the scores, or why there are none
                             region-answer.dcm   the answer as an SR, for the destinations
                             deliveries.jsonl    what became of each try to deliver it

A region is named like a content (16 hexadecimal digits), so that it is delivered, counted and
erased as one. It is no reading: it has no `result.json`, replaces nothing, and nothing replaces it.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from cadnode.files import write_whole
from cadnode.log import hashed
from cadnode.node.results import Results
from cadnode.report.profiles import ANSWER
from cadnode.web.regions import Points, RegionScore

ORDER: Final = "order.json"
_ANSWER: Final = "answer.json"


@dataclass(frozen=True, slots=True)
class RegionOrder:
    """A region to be assessed. `view` is the key of its image's file.

    `exam` is the folder of the exam that it belongs to, below that of its study's results.
    `source` is the key of the object that it was drawn in, "" of one drawn on the page. `tries`
    counts how often it was asked about again because the answer had failed.
    """

    region: str
    view: str
    view_name: str
    points: Points
    is_box: bool
    exam: str
    asked_at: float
    source: str = ""
    tries: int = 0


@dataclass(frozen=True, slots=True)
class RegionAnswer:
    """How the assessment of a region ended: with `scores`, or with a `code` and its `meaning`."""

    answered_at: float
    scores: tuple[RegionScore, ...] = ()
    absent: tuple[tuple[str, str], ...] = ()
    code: str = ""
    meaning: str = ""


def region_name(exam: str, view: str, points: Points, source: str = "") -> str:
    """The name of a region: the same for the same outline on the same images."""
    drawn = " ".join(f"{x:g},{y:g}" for x, y in points)
    return hashed(f"region {exam} {view} {drawn} {source}")


def is_region(folder: Path) -> bool:
    """Whether a folder of a study's results holds a region, not a content."""
    return (folder / ORDER).is_file()


class AskedRegions:
    """The regions of a node. Threads and processes may share them."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._lock = threading.Lock()

    def folder(self, study: str, region: str) -> Path:
        """Where a region is, or will be."""
        return self._results.of_content(study, region)

    def put(self, study: str, order: RegionOrder) -> tuple[RegionOrder, bool]:
        """Keep an order, and whether it is to be carried out: not where it waits or has scores.

        One whose answer had failed is tried again. Raises `OSError`.
        """
        with self._lock:
            known = self.order(study, order.region)
            if known is not None:
                answer = self.answer(study, order.region)
                if answer is None or not answer.code:
                    return known, False
                order = replace(order, tries=known.tries + 1)
                (self.folder(study, order.region) / _ANSWER).unlink(missing_ok=True)
            document = json.dumps(asdict(order)).encode()
            write_whole(self.folder(study, order.region) / ORDER, document)
        return order, True

    def withdraw(self, study: str, region: str) -> None:
        """Forget an order that nobody carries out."""
        folder = self.folder(study, region)
        (folder / ORDER).unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()

    def order(self, study: str, region: str) -> RegionOrder | None:
        """What was asked; None where there is no such region."""
        return order_in(self.folder(study, region))

    def answer(self, study: str, region: str) -> RegionAnswer | None:
        """How it was answered; None while it waits."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            found = json.loads((self.folder(study, region) / _ANSWER).read_bytes())
            scores = tuple(RegionScore(**score) for score in found.pop("scores"))
            absent = tuple((str(name), str(why)) for name, why in found.pop("absent"))
            return RegionAnswer(scores=scores, absent=absent, **found)
        return None

    def keep_answer(self, study: str, region: str, answer: RegionAnswer) -> None:
        """Keep how it was answered, unless the order is gone with its patient. Raises `OSError`."""
        folder = self.folder(study, region)
        if is_region(folder):
            write_whole(folder / _ANSWER, json.dumps(asdict(answer)).encode())

    def of_study(self, study: str) -> list[RegionOrder]:
        """All regions of a study, the newest first."""
        found = map(order_in, self._results.of_study(study).glob("*"))
        orders = [order for order in found if order is not None]
        return sorted(orders, key=lambda order: (-order.asked_at, order.region))

    def all(self) -> Iterator[tuple[str, RegionOrder]]:
        """Every region of every study, with its study."""
        for file in self._results.folder.glob(f"[!.]*/*/{ORDER}"):
            if (order := order_in(file.parent)) is not None:
                yield file.parent.parent.name, order

    def has_object(self, study: str, region: str) -> bool:
        """Whether there is an SR of the answer."""
        return (self.folder(study, region) / ANSWER).is_file()


def order_in(folder: Path) -> RegionOrder | None:
    """The order in a folder; None where there is none, or a damaged one."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        found: dict[str, Any] = json.loads((folder / ORDER).read_bytes())
        points = tuple((float(x), float(y)) for x, y in found.pop("points"))
        return RegionOrder(points=points, **found)
    return None
