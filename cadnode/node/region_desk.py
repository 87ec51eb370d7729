"""Takes questions about regions by HTTP: checked, kept, and passed on to the worker."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from cadnode.errors import NotProcessable
from cadnode.exam.exam import Mammogram
from cadnode.exam.mammogram import read_instance
from cadnode.log import hashed
from cadnode.node import delivery_record, results, role_status
from cadnode.node.asked_regions import AskedRegions, RegionOrder, region_name
from cadnode.node.destination_profiles import takes_answers
from cadnode.node.job_database import client_of
from cadnode.node.jobs import REGIONS, JobLookup, JobsUnavailable, region_id
from cadnode.node.results import Results
from cadnode.node.study_gate import StudyGate
from cadnode.node.study_state import delivery_word
from cadnode.phrases import N_, phrase
from cadnode.receive.spool import Spool
from cadnode.settings import Settings
from cadnode.web.node import Unavailable, jobs_away
from cadnode.web.regions import (
    AskedRegion,
    RegionDraft,
    RegionList,
    RegionRefused,
    Regions,
    RegionState,
)
from cadnode.web.study import KEY, key_of

MOST_OF_STUDY: Final = 200
MOST_WAITING: Final = 40
MOST_A_MINUTE: Final = 30  # of one caller; a hand draws a box in two seconds
_MINUTE_S: Final = 60.0
_NOT_READ: Final = (
    "the study is not read yet",
    "wait until it is: a region is assessed with the reading of its exam",
)


class Pace:
    """How often each caller has asked within the last minute. Threads share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: dict[str, deque[float]] = {}

    def admit(self, who: str) -> None:
        """Count one; raises `RegionRefused` where it is one too many."""
        now = self._clock()
        with self._lock:
            self._asked = {
                name: times for name, times in self._asked.items() if now - times[-1] < _MINUTE_S
            }
            times = self._asked.setdefault(who, deque(maxlen=MOST_A_MINUTE))
            if len(times) == MOST_A_MINUTE and now - times[0] < _MINUTE_S:
                raise RegionRefused(
                    429,
                    phrase(
                        "more than %(n)s regions in a minute",
                        n=MOST_A_MINUTE,
                    ),
                    N_("go on in a minute"),
                )
            times.append(now)


class RegionDesk:
    """Takes questions about the regions of one node's studies. Threads may share it."""

    def __init__(self, settings: Settings, progress: JobLookup) -> None:
        self._settings = settings
        self._storage = settings.storage.folder
        self._results = Results.in_storage(self._storage)
        self._regions = AskedRegions(self._results)
        self._spool = Spool(self._storage / "spool", min_free_bytes=0)
        self._gate = StudyGate(self._storage)
        self._progress = progress
        self._pace = Pace()
        self._client = client_of(settings.database_url)

    def regions(self) -> Regions:
        """What may be asked, for those who pass it on."""
        return Regions(self.ask, self.of_study)

    def close(self) -> None:
        """Let go of the database."""
        self._client.destroy()

    def ask(self, name: str, draft: RegionDraft, by: str) -> AskedRegion:
        """Have a region assessed; the same region twice is one.

        Raises
        ------
        RegionRefused
            There is no such view, the region lies outside it, the study is not read, or too many
            wait already.
        Unavailable
            The job database does not answer, or the disk is full.
        """
        self._pace.admit(by)
        study = key_of(name)
        mammogram = self._mammogram(study, draft.view)
        points = _inside(draft, mammogram)
        with self._gate.passing(study):
            exam = self._exam_of(study, mammogram.sop_instance_uid)
            region = region_name(exam, draft.view, points)
            if self._regions.order(study, region) is None:
                self._refuse_too_many(study)
            wanted = RegionOrder(
                region, draft.view, f"{mammogram.laterality} {mammogram.view}", points,
                draft.is_box, exam, time.time(),
            )  # fmt: skip
            try:
                order, is_new = self._regions.put(study, wanted)
            except OSError as error:
                raise Unavailable(
                    N_("the region cannot be kept"), N_("is the disk full?")
                ) from error
        if is_new or self._is_without_job(study, order):
            self._enqueue(study, order)
        is_running = role_status.look(self._storage, "worker").is_up
        return AskedRegion(self._state(study, order), is_new, is_running)

    def of_study(self, name: str) -> RegionList:
        """All regions of a study, and the views that one may be drawn on."""
        study = key_of(name)
        if not KEY.fullmatch(study):
            return RegionList()
        found = [self._state(study, order) for order in self._regions.of_study(study)]
        return RegionList(tuple(found), self._views(study))

    def _views(self, study: str) -> tuple[tuple[str, str], ...]:
        newest = self._results.predecessor(study, "")
        documents = results.documents(self._results.of_content(study, newest)) if newest else []
        here = {path.stem for path in self._spool.instances(study)}
        views = {
            hashed(view["sop_instance_uid"]): f"{view['laterality']} {view['view']}"
            for document in documents
            for view in document["views"]
        }
        return tuple((key, words) for key, words in views.items() if key in here)

    def _mammogram(self, study: str, view: str) -> Mammogram:
        path = self._spool.folder_of(study) / f"{view}.dcm"
        if not KEY.fullmatch(view) or not path.is_file():
            raise RegionRefused(
                404, N_("the node has no such view of this study"),
                N_("its images may have been removed; name a view that the study's page shows"),
            )  # fmt: skip
        try:
            return read_instance(path, read_for_processing=self._settings.reading.for_processing)
        except (NotProcessable, OSError):
            hint = "draw on a mammogram that the result has a score of"
            raise RegionRefused(422, N_("this image is not read"), hint) from None

    def _exam_of(self, study: str, uid: str) -> str:
        """The newest exam that has that image, as a path below the study's results."""
        newest = self._results.predecessor(study, "")
        where = self._results.of_content(study, newest)
        for part in results.exam_folders(where) if newest else ():
            if uid in results.instances_of(part):
                return str(part.relative_to(self._results.of_study(study)))
        raise RegionRefused(409, *_NOT_READ)

    def _refuse_too_many(self, study: str) -> None:
        if len(self._regions.of_study(study)) >= MOST_OF_STUDY:
            raise RegionRefused(
                409, phrase("the study has %(n)s regions already", n=MOST_OF_STUDY),
                N_("look at these; further ones can be assessed with `cadnode read --roi`"),
            )  # fmt: skip
        try:
            n_waiting = len(self._progress.open_jobs("region"))
        except JobsUnavailable as error:
            raise jobs_away() from error
        if n_waiting >= MOST_WAITING:
            raise RegionRefused(
                429,
                phrase("%(n)s regions wait already", n=n_waiting),
                N_("try again when these are assessed"),
            )

    def _is_without_job(self, study: str, order: RegionOrder) -> bool:
        """Whether nobody works on an order: who kept it may have died before the job was made."""
        if self._regions.answer(study, order.region) is not None:
            return False
        job = region_id(study, order.region, order.tries)
        try:
            return job not in self._progress.find([job])
        except JobsUnavailable as error:
            raise jobs_away() from error

    def _enqueue(self, study: str, order: RegionOrder) -> None:
        options: Any = {
            "workflow_name": "region",
            "queue_name": REGIONS,
            "workflow_id": region_id(study, order.region, order.tries),
        }
        try:
            self._client.enqueue(options, study, order.region, order.tries)
        except SQLAlchemyError as error:
            self._regions.withdraw(study, order.region)
            raise jobs_away() from error

    def _state(self, study: str, order: RegionOrder) -> RegionState:
        answer = self._regions.answer(study, order.region)
        known = RegionState(
            order.region, order.view, order.view_name, order.points, order.is_box, "waiting",
            order.asked_at, is_from_object=bool(order.source),
        )  # fmt: skip
        if answer is None:
            return known
        return RegionState(
            order.region, order.view, order.view_name, order.points, order.is_box,
            "failed" if answer.code else "assessed", order.asked_at, answer.answered_at,
            answer.scores, answer.absent, answer.code, answer.meaning, bool(order.source),
            () if answer.code else self._deliveries(study, order.region),
        )  # fmt: skip

    def _deliveries(self, study: str, region: str) -> tuple[tuple[str, str], ...]:
        last = delivery_record.last_tries(self._regions.folder(study, region))
        names = [d.name for d in self._settings.destinations if takes_answers(self._settings, d)]
        return tuple((n, delivery_word(None, last.get(n)) or "waiting") for n in names)


def _inside(draft: RegionDraft, mammogram: Mammogram) -> tuple[tuple[float, float], ...]:
    """The points clipped to the image; raises `RegionRefused` where no area is left."""
    width, height = mammogram.columns, mammogram.rows
    points = tuple(
        (min(max(round(x, 2), 0.0), float(width)), min(max(round(y, 2), 0.0), float(height)))
        for x, y in draft.points
    )
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if not points or max(xs) - min(xs) < 1 or max(ys) - min(ys) < 1 or not _area(points):
        raise RegionRefused(
            422,
            phrase(
                "the region has no area in this view of %(width)s × %(height)s pixels",
                width=width,
                height=height,
            ),
            N_("give two opposite corners in it, or the points of a closed outline"),
        )
    return points


def _area(points: tuple[tuple[float, float], ...]) -> bool:
    """Whether an outline encloses anything."""
    after = (*points[1:], points[0])
    twice = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(points, after, strict=True))
    return math.fabs(twice) >= 2.0
