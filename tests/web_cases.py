"""The HTTP side served on a loopback port, with a node behind it that answers what a test says."""

import atexit
import logging
import re
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import requests
import uvicorn
from argon2 import PasswordHasher

from cadnode.audit.event import Event, Recorder
from cadnode.exam.patient import Patient
from cadnode.identity.identities import Identities
from cadnode.identity.passwords import Passwords
from cadnode.identity.tokens import hash_of
from cadnode.log_files import LogFilter, LogPage
from cadnode.quality.overview import DriftOverview
from cadnode.quality.performance import SystemPerformance
from cadnode.settings.provenance import SettingsShown
from cadnode.settings.sections import WebSection
from cadnode.web.access import Access
from cadnode.web.api import create
from cadnode.web.deliveries import Act, Delivery, DeliveryFilter, Ordered, OrderRefused, Orders
from cadnode.web.destinations import Echo, Owed, Peer, PeerGroup, Peers, Protection, UnknownPeer
from cadnode.web.models import ModelDone, ModelOrder, Models, ModelsShown
from cadnode.web.node import (
    Health,
    HealthProblem,
    Node,
    Notice,
    ReadyChecks,
    StudyReading,
    StudyReport,
)
from cadnode.web.operating_points import RecentScore
from cadnode.web.queue import StudyFilter, StudyPage, StudyRow
from cadnode.web.reader_verdicts import ReaderVerdict, VerdictBook
from cadnode.web.regions import (
    AskedRegion,
    RegionDraft,
    RegionList,
    Regions,
    RegionScore,
    RegionState,
)
from cadnode.web.study import Reason, State, StudyState
from cadnode.web.viewing import Viewing
from cadnode.web.way import Way

UID = "1.2.840.99.1"
KEY = "aaaabbbbccccdddd"
TOKEN = "a-token-of-enough-characters"
VIEWERS_TOKEN = "a-token-for-looking-alone"
OPERATORS_TOKEN = "a-token-for-ordering-too"
REMOTE_TOKENS = {"box": "a-token-for-reading-exams", "strange-box": "a-token-of-another-box"}
PASSWORDS: Final = {
    "vera": "walnut tide 41 lanterns",
    "otto": "copper moss 52 violins",
    "anna": "silver fern 63 harbours",
}
_CHEAP: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
_ROLES: Final = {"vera": "viewer", "otto": "operator", "anna": "admin"}
DONE = StudyState(
    key=KEY,
    study_instance_uid=UID,
    state=State.DONE,
    outcome="findings",
    is_complete=True,
    n_findings=2,
    exam_score=0.75,
    reasons=(Reason("implant", "The breast has an implant that was not displaced"),),
    deliveries=(("archive", "delivered"),),
    n_instances=4,
    updated_at=datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC),
)
VIEW = "1111222233334444"
SQUARE: Final = ((100.0, 200.0), (180.0, 200.0), (180.0, 260.0), (100.0, 260.0))
ASKED = RegionState(
    "5555666677778888", VIEW, "L CC", SQUARE, True, "waiting", DONE.updated_at.timestamp()
)
ASSESSED = replace(
    ASKED,
    state="assessed",
    answered_at=ASKED.asked_at + 1.9,
    scores=(
        RegionScore("kim2018", "dib-mg-digital", 0.34, 0.51, suspicious=False),
        RegionScore("kang2021", "kang2021", 0.81, 0.47, suspicious=True, phantoms_only=True),
    ),
    absent=(("wang2016", "it found nothing in the region that it reads"),),
    deliveries=(("archive", "delivered"),),
)
WELL = Health("0.1.0", {"listener": "up", "worker": "up", "web": "up"}, {}, ())
ILL = Health("0.1.0", {"listener": "down"}, {}, (HealthProblem("role_down", "It is down", "look"),))


NOT_READY = ReadyChecks(models=False, listener=False, jobs=False, disk=False)
ARCHIVE = Peer(
    PeerGroup.DESTINATIONS, "archive", "dicom", "ORTHANC at 10.0.0.5:4242", Protection.TLS,
    profile="standard", owed=Owed(waiting=2, refused=1, today=7, week=30),
)  # fmt: skip


@cache
def _accounts() -> Path:
    """A folder with the files of users and tokens, hashed once."""
    folder = Path(tempfile.mkdtemp(prefix="cadnode-accounts-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    hashing = Passwords(_CHEAP)
    people = [f"{name}:{_ROLES[name]}:{hashing.hash(word)}" for name, word in PASSWORDS.items()]
    programs = {"looker": ("viewer", VIEWERS_TOKEN), "doer": ("operator", OPERATORS_TOKEN)}
    programs |= {name: ("remote-worker", word) for name, word in REMOTE_TOKENS.items()}
    for file, lines in (
        ("users", people),
        ("tokens", [f"{name}:{role}:{hash_of(word)}" for name, (role, word) in programs.items()]),
        ("token", [TOKEN]),
    ):
        (folder / file).write_text("".join(f"{line}\n" for line in lines))
        (folder / file).chmod(0o600)
    return folder


def nobody_known() -> Access:
    """A node without identities: for this machine only."""
    return Access(Identities.of(WebSection(), time.time), metrics_from=WebSection().metrics_from)


def known(*, is_secure: bool = False, clock: Callable[[], float] = time.time, **web: Any) -> Access:
    """A node that knows the people of `PASSWORDS`, the programs `looker` and `doer`, the token.

    And the remote workers of `REMOTE_TOKENS`.
    """
    folder = _accounts()
    files = {f"{kind}_file": folder / kind for kind in ("users", "tokens", "token")}
    section = WebSection(**{**files, **web})
    return Access(Identities(section, clock, Passwords(_CHEAP)), is_secure, section.metrics_from)


@dataclass
class Trail:
    """What was recorded."""

    events: list[Event] = field(default_factory=list)

    def record(self, event: Event) -> None:
        self.events.append(event)

    @property
    def lines(self) -> list[tuple[str, str, str, str | None]]:
        """Action, outcome, who, study."""
        return [(e.action, e.outcome, e.actor.name, e.study) for e in self.events]


@dataclass
class Told:
    """What the node behind says, and what it was told."""

    states: dict[str, StudyState] = field(default_factory=lambda: {UID: DONE})
    patient: Patient = field(default_factory=lambda: Patient(names=("Roe, Jane",)))
    page: Path | None = None
    is_page_current: bool = True
    health: Health = WELL
    error: Exception | None = None
    refusal: Exception | None = None  # of a notice or an order
    notices: list[Notice] = field(default_factory=list)
    orders: list[tuple[str, ...]] = field(default_factory=list)
    regions: RegionList = field(default_factory=lambda: RegionList((), ((VIEW, "L CC"),)))
    asked: list[tuple[str, RegionDraft, str]] = field(default_factory=list)
    filters: list[StudyFilter] = field(default_factory=list)
    way: Way = field(default_factory=Way)
    readings: tuple[StudyReading, ...] = ()
    recent: tuple[RecentScore, ...] = ()
    said: list[ReaderVerdict] = field(default_factory=list)
    after: str = ""  # of the page, where more follow
    is_complete: bool = True
    viewing: Viewing | None = None
    peers: tuple[Peer, ...] = (ARCHIVE,)
    echo: Echo = field(default_factory=lambda: Echo(1.0, "ok", "answered C-ECHO"))
    echoed: list[tuple[str, str]] = field(default_factory=list)
    models: ModelsShown | None = None
    are_models_known: bool = True
    model_done: ModelDone | Exception = field(default_factory=lambda: ModelDone(is_done=True))
    settings: SettingsShown = field(default_factory=lambda: SettingsShown(()))
    log: LogPage = field(default_factory=lambda: LogPage(()))
    log_filters: list[LogFilter] = field(default_factory=list)
    outcomes: tuple[SystemPerformance, ...] | None = None
    n_waiting: int = 0
    model_orders: list[ModelOrder] = field(default_factory=list)
    metrics: bytes | None = None
    ready: ReadyChecks | None = None
    quality: DriftOverview | None = None

    def _page(self, wanted: StudyFilter) -> StudyPage:
        self.filters.append(wanted)
        rows = [StudyRow(state, self.patient) for state in self.states.values()][: wanted.limit]
        needing = sum(row.study.needs_you for row in rows)
        counts = Counter(row.study.state for row in rows)
        n_found = len(self.states) if wanted.counted else None
        return StudyPage(tuple(rows), self.after, counts, needing, self.is_complete, n_found)

    def ask(self, group: PeerGroup, name: str) -> Echo:
        if (group, name) not in {(peer.group, peer.name) for peer in self.peers}:
            raise UnknownPeer("there is no such peer", "look")
        self.echoed.append((group, name))
        return self.echo

    def read_log(self, wanted: LogFilter) -> LogPage:
        self.log_filters.append(wanted)
        return self.log

    def look_at_models(self) -> ModelsShown:
        if self.error is not None:
            raise self.error
        assert self.models is not None
        return self.models

    def change_model(self, order: ModelOrder) -> ModelDone:
        self.model_orders.append(order)
        if isinstance(self.model_done, Exception):
            raise self.model_done
        return self.model_done

    def node(self) -> Node:
        def raising(value: Any) -> Any:
            if self.error is not None:
                raise self.error
            return value

        def notify(notice: Notice) -> None:
            raising(None)
            if self.refusal is not None:
                raise self.refusal
            self.notices.append(notice)

        def order(*words: str) -> Ordered:
            raising(None)
            if self.refusal is not None:
                raise self.refusal
            self.orders.append(words)
            return Ordered(())

        def several(act: str, keys: Sequence[str], *words: str) -> list[Act]:
            raising(None)
            refusal = self.refusal if isinstance(self.refusal, OrderRefused) else None
            if refusal is None:
                self.orders += [(act, key, *words) for key in keys]
            return [Act(key, refusal) for key in keys]

        def ask(name: str, draft: RegionDraft, by: str) -> AskedRegion:
            raising(None)
            if self.refusal is not None:
                raise self.refusal
            is_new = (name, draft) not in [(n, d) for n, d, _ in self.asked]
            self.asked.append((name, draft, by))
            state = replace(ASKED, view=draft.view, points=draft.points, is_box=draft.is_box)
            if is_new:
                self.regions = replace(self.regions, regions=(state, *self.regions.regions))
            return AskedRegion(state, is_new)

        def listed(_wanted: DeliveryFilter) -> list[Delivery]:
            return []

        unknown = StudyState(KEY, "", State.UNKNOWN)
        return Node(
            state_of=lambda name: raising(self.states.get(name, unknown)),
            listed=lambda wanted: raising(self._page(wanted)),
            notify=notify,
            patient_of=lambda name: self.patient,
            page_of=lambda name: (
                StudyReport(self.page, self.is_page_current) if self.page else None
            ),
            readings_of=lambda name: self.readings,
            recent_scores=lambda: self.recent,
            verdicts=VerdictBook(lambda name: self.said, lambda name, one: self.said.append(one)),
            health=lambda: self.health,
            viewing=self.viewing,
            orders=Orders(
                lambda *words: order("retry", *words),
                lambda *words: order("redeliver", *words),
                lambda *words: order("drop", *words),
                listed,
                lambda *words: order("reread", *words),
                partial(several, "retry"),
                partial(several, "drop"),
                partial(several, "redeliver"),
                partial(several, "reread"),
            ),
            way_of=lambda study: self.way,
            regions=Regions(ask, lambda name: raising(self.regions)),
            peers=Peers(lambda: self.peers, self.ask),
            settings=lambda: self.settings,
            log=self.read_log,
            outcomes=None if self.outcomes is None else lambda: self.outcomes or (),
            outcomes_waiting=lambda: self.n_waiting,
            quality=lambda: self.quality,
            metrics=None if self.metrics is None else lambda: self.metrics or b"",
            ready=None if self.ready is None else lambda: self.ready or NOT_READY,
            models=Models(
                self.look_at_models,
                self.change_model,
                lambda: self.look_at_models() if self.are_models_known else None,
            ),
        )


@dataclass(frozen=True)
class Client:
    """Asks a served node; keeps no cookies unless told, and follows no redirect."""

    url: str
    session: requests.Session

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.session.get(
            self.url + path, headers=_named(headers), allow_redirects=False, timeout=10
        )

    def post(self, path: str, body: Any, **headers: str) -> requests.Response:
        return self.session.post(self.url + path, json=body, headers=_named(headers), timeout=10)

    def send(self, path: str, fields: dict[str, str], **headers: str) -> requests.Response:
        """A form, as a page of this node would send it."""
        named = {"Origin": self.url, "Sec-Fetch-Site": "same-origin", **_named(headers)}
        return self.session.post(
            self.url + path, data=fields, headers=named, allow_redirects=False, timeout=10
        )

    def log_in(self, name: str, password: str = "", wanted: str = "/") -> requests.Response:
        """By name; with the password that belongs to it where no other is given."""
        fields = {"name": name, "password": password or PASSWORDS[name], "next": wanted}
        return self.send("/login", fields, Accept="text/html")

    def csrf(self, path: str = "/") -> str:
        """The secret in the forms of a page."""
        return self.fields(self.get(path).text, "csrf")[0]

    @staticmethod
    def fields(page: str, name: str) -> list[str]:
        """The values of the hidden fields of that name in a page's forms."""
        return re.findall(rf'name="{name}" value="([^"]+)"', page)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def served(
    told: Told, access: Access | None = None, recorder: Recorder | None = None
) -> Iterator[Client]:
    """The HTTP side of `told.node()`, listening."""
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        create(told.node(), access or nobody_known(), recorder),
        access_log=False, log_config=None, lifespan="off",
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    session = requests.Session()
    session.trust_env = False
    try:
        yield Client(f"http://127.0.0.1:{listening.getsockname()[1]}", session)
    finally:
        session.close()
        server.should_exit = True
        thread.join()
        listening.close()
