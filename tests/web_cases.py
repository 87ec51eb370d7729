"""The HTTP side served on a loopback port, with a node behind it that answers what a test says."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
import uvicorn

from cadnode.exam.patient import Patient
from cadnode.web.access import Access
from cadnode.web.api import create
from cadnode.web.node import Health, HealthProblem, Node, Notice, StudyReport
from cadnode.web.study import Reason, State, StudyState

UID = "1.2.840.99.1"
KEY = "aaaabbbbccccdddd"
TOKEN = "a-token-of-enough-characters"
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
WELL = Health("0.1.0", {"listener": "up", "worker": "up", "web": "up"}, {}, ())
ILL = Health("0.1.0", {"listener": "down"}, {}, (HealthProblem("role_down", "It is down", "look"),))


@dataclass
class Told:
    """What the node behind says, and what it was told."""

    states: dict[str, StudyState] = field(default_factory=lambda: {UID: DONE})
    patient: Patient = field(default_factory=lambda: Patient(names=("Roe, Jane",)))
    page: Path | None = None
    is_page_current: bool = True
    health: Health = WELL
    error: Exception | None = None
    refusal: Exception | None = None  # of a notice: nothing else can be refused
    notices: list[Notice] = field(default_factory=list)

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

        unknown = StudyState(KEY, "", State.UNKNOWN)
        return Node(
            state_of=lambda name: raising(self.states.get(name, unknown)),
            recent=lambda limit: raising(list(self.states.values())[:limit]),
            notify=notify,
            patient_of=lambda name: self.patient,
            page_of=lambda name: (
                StudyReport(self.page, self.is_page_current) if self.page else None
            ),
            health=lambda: self.health,
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

    def log_in(self, token: str, wanted: str = "/") -> requests.Response:
        form = {"token": token, "next": wanted}
        return self.session.post(self.url + "/login", data=form, allow_redirects=False, timeout=10)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def served(told: Told, access: Access | None = None) -> Iterator[Client]:
    """The HTTP side of `told.node()`, listening."""
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        create(told.node(), access or Access()), access_log=False, log_config=None, lifespan="off"
    )
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
