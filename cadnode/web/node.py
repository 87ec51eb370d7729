"""What the HTTP side asks of the node behind it, bound by `node.web_server`."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cadnode.domain import ExamResult, Priority
from cadnode.errors import CadnodeError
from cadnode.exam.patient import Patient
from cadnode.log_files import LogFilter, LogPage
from cadnode.phrases import N_
from cadnode.quality.overview import DriftOverview
from cadnode.quality.performance import SystemPerformance
from cadnode.settings.provenance import SettingsShown
from cadnode.web.deliveries import Orders
from cadnode.web.destinations import Peers
from cadnode.web.models import Models
from cadnode.web.operating_points import RecentScore
from cadnode.web.prior_exams import PriorDesk
from cadnode.web.queue import StudyFilter, StudyPage
from cadnode.web.reader_verdicts import VerdictBook
from cadnode.web.regions import Regions
from cadnode.web.remote import RemoteReadings
from cadnode.web.study import StudyState
from cadnode.web.uploaded import Uploads
from cadnode.web.viewing import Viewing
from cadnode.web.way import Way

API_VERSION: Final = 1


class UnknownSource(CadnodeError):
    """A study was announced at a source that the configuration does not name."""

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__("no source of that name is configured")
        self.known = known


class Unavailable(CadnodeError):
    """Something that an answer needs is unavailable at the moment; `hint` names what to check."""

    def __init__(self, error: str, hint: str) -> None:
        super().__init__(error)
        self.hint = hint


def jobs_away() -> Unavailable:
    """The job database cannot be asked."""
    return Unavailable(
        N_("the job database does not answer"),
        N_("is jobs.database_url right, and the database running? `cadnode check` shows more"),
    )


@dataclass(frozen=True, slots=True)
class Notice:
    """A request to read a study that is at a source.

    `at_once`: the study is whole, do not wait for it to become quiet. `priority`: how soon it is to
    be read among others; None: urgent at once, else nothing is said.
    """

    study_instance_uid: str
    source: str
    orthanc_id: str
    at_once: bool
    priority: Priority | None = None


@dataclass(frozen=True, slots=True)
class HealthProblem:
    """Something that an admin should look at.

    A failing one keeps the node from its work; a lasting one is a fault of some results that stays
    until somebody deals with it. Both make the node degraded.
    """

    code: str
    meaning: str
    hint: str
    failing: bool = True
    lasting: bool = False

    @property
    def severity(self) -> str:
        """One of "failing", "degraded", "warning"."""
        return "failing" if self.failing else "degraded" if self.lasting else "warning"

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {
            "code": self.code,
            "meaning": self.meaning,
            "hint": self.hint,
            "severity": self.severity,
        }

    def as_outline(self) -> dict[str, str]:
        """The same without details of this machine and its peers: code and severity."""
        hint = "log in, or send a token, to see what is wrong and what to do"
        return {**self.as_dict(), "meaning": self.code.replace("_", " "), "hint": hint}


_BY_DESTINATION: Final = frozenset({"delivering", "undelivered", "committing"})


@dataclass(frozen=True, slots=True)
class Health:
    """How the node is: each role's state, what waits, and what is wrong."""

    version: str
    roles: dict[str, str]
    queue: dict[str, Any]
    problems: tuple[HealthProblem, ...]

    @property
    def is_ok(self) -> bool:
        """Whether nothing is failing, and nothing waits for somebody to deal with it."""
        return not any(problem.failing or problem.lasting for problem in self.problems)

    @property
    def is_able(self) -> bool:
        """Whether the node can do its work: nothing is failing."""
        return not any(problem.failing for problem in self.problems)

    def as_dict(self, *, with_details: bool = True) -> dict[str, Any]:
        """For JSON: no patient data in it; details are for those who may see more than health.

        Others learn what is wrong and how much waits, and no destination's name.
        """
        return {
            "status": "ok" if self.is_ok else "degraded",
            "version": self.version,
            "api": API_VERSION,
            "roles": self.roles,
            "queue": self.queue if with_details else _nameless(self.queue),
            "problems": [p.as_dict() if with_details else p.as_outline() for p in self.problems],
        }


def _nameless(queue: dict[str, Any]) -> dict[str, Any]:
    """The queue with all destinations as one, `*`."""
    return {key: _as_one(v) if key in _BY_DESTINATION else v for key, v in queue.items()}


def _as_one(by_destination: dict[str, Any]) -> dict[str, Any]:
    values = list(by_destination.values())
    if not values:
        return {}
    if isinstance(values[0], int):
        return {"*": sum(values)}
    how = {key: max if key == "oldest_s" else sum for key in values[0]}
    return {"*": {key: merge(value[key] for value in values) for key, merge in how.items()}}


@dataclass(frozen=True, slots=True)
class ReadyChecks:
    """Whether the node can take a study now, and read it; each check by itself.

    `models`: the worker reads with its models. `listener`: DICOM is listened for. `jobs`: the job
    database answers. `disk`: it is below its high mark, and has the room that is kept free.
    """

    models: bool
    listener: bool
    jobs: bool
    disk: bool

    @property
    def checks(self) -> dict[str, bool]:
        """Each check by name."""
        return asdict(self)

    @property
    def is_ready(self) -> bool:
        """Whether all of them pass."""
        return all(self.checks.values())


@dataclass(frozen=True, slots=True)
class StudyReport:
    """A rendered report; `is_current` when it was made of the study's present images.

    `others` are those of the study's other patients, where it holds images of several.
    """

    path: Path
    is_current: bool = True
    others: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyReading:
    """One patient's reading of a study: the content's fingerprint, her number in it (from 1).

    `result` has no heat maps. `is_current`: it is of the images that the study holds now.
    """

    content: str
    patient: int
    result: ExamResult
    is_current: bool = True


@dataclass(frozen=True, slots=True)
class Node:
    """The node behind the HTTP side.

    `state_of(name)`: the study of that Study Instance UID, or of that key (16 hex digits).
    `listed(filter)`: the studies that it lets pass, the one that changed last first.
    `notify(notice)`: fetch and read a study; the same notice twice does nothing twice.
    `patient_of(name)`: whose study it is, for the pages.
    `page_of(name)`: the study's rendered report, or that of an earlier reading; None without one.
    `readings_of(name)`: the scores of the study's newest result, one reading a patient.
    `recent_scores()`: those of the exams that were read last, the newest first.
    `health()`: how the node is. `ready()`: whether it can take a study now.
    `metrics()`: what it counts of itself, in Prometheus's text format; None where nothing is.
    `way_of(study)`: the way that a study in this state took so far.
    `verdicts`: what readers said of findings; None where it is not kept.
    `orders`: what may be ordered of studies and deliveries; None where nobody takes orders.
    `viewing`: the studies' images and layers; None where none are shown.
    `priors`: the prior exams of a study's woman; None where nobody looks for them.
    `regions`: what may be asked about regions of studies; None where nobody assesses any.
    `peers`, `models`: what may be asked about other machines, and about models.
    `settings()`: each setting, and where it comes from. `log(filter)`: lines of the log.
    `uploads`: takes files that a page brings; None where they are not taken.
    `quality()`: how scanners' scores were at the last look, None before the first. `outcomes()`:
    what became of the women, and the figures of each system; `outcomes_waiting()`: how many exams
    that have not come have outcomes. Both raise `Unavailable`.
    `remote`: what remote workers ask; None where there are none.

    `state_of` and `notify` raise `Unavailable` when the job database cannot be asked; `notify` also
    when the disk is full, and `UnknownSource`; `listed` when the list cannot be read.
    """

    state_of: Callable[[str], StudyState]
    listed: Callable[[StudyFilter], StudyPage]
    notify: Callable[[Notice], None]
    patient_of: Callable[[str], Patient]
    page_of: Callable[[str], StudyReport | None]
    health: Callable[[], Health]
    orders: Orders | None = None
    way_of: Callable[[StudyState], Way] = lambda study: Way()
    viewing: Viewing | None = None
    priors: PriorDesk | None = None
    regions: Regions | None = None
    readings_of: Callable[[str], Sequence[StudyReading]] = lambda name: ()
    recent_scores: Callable[[], Sequence[RecentScore]] = lambda: ()
    verdicts: VerdictBook | None = None
    peers: Peers | None = None
    models: Models | None = None
    settings: Callable[[], SettingsShown] | None = None
    log: Callable[[LogFilter], LogPage] | None = None
    uploads: Uploads | None = None
    ready: Callable[[], ReadyChecks] | None = None
    metrics: Callable[[], bytes] | None = None
    quality: Callable[[], DriftOverview | None] | None = None
    outcomes: Callable[[], Sequence[SystemPerformance]] | None = None
    outcomes_waiting: Callable[[], int] = lambda: 0
    remote: RemoteReadings | None = None
