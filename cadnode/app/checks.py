"""`cadnode check`: is this node able to work? Each line says what was looked at and what to do."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from cadnode.app import node_state
from cadnode.errors import CadnodeError
from cadnode.settings import Destination, Settings


class Verdict(StrEnum):
    """How a check ended; only `FAILED` makes `cadnode check` exit non-zero."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


def run(settings: Settings, echo: Callable[[Destination], None]) -> Iterator[Check]:
    """Checks in the order in which an admin would look: disk, port, device, models, peers."""
    yield _disk(settings)
    yield _port(settings)
    yield from _reading(settings)
    yield from _shadow(settings)
    yield from _worker(settings)
    if not settings.destinations:
        yield Check(
            "destinations", Verdict.WARNING, "none configured",
            "results stay in the storage folder; add a [[destinations]] block to send them on",
        )  # fmt: skip
    for destination in settings.destinations:
        yield _destination(destination, echo)


def _disk(settings: Settings) -> Check:
    folder = settings.storage.folder
    existing = next(p for p in [folder.absolute(), *folder.absolute().parents] if p.exists())
    if not os.access(existing, os.W_OK):
        return Check(
            "storage", Verdict.FAILED, f"{folder} cannot be written",
            "give the node's user the right to write there, or change storage.folder",
        )  # fmt: skip
    free_gb = shutil.disk_usage(existing).free / 1e9
    if free_gb < settings.storage.min_free_gb:
        return Check(
            "storage", Verdict.FAILED, f"{free_gb:.1f} GB free in {folder}",
            f"the listener refuses images below {settings.storage.min_free_gb} GB: make room",
        )  # fmt: skip
    return Check("storage", Verdict.OK, f"{free_gb:.1f} GB free in {folder}")


def _port(settings: Settings) -> Check:
    where = (settings.listener.host, settings.listener.port)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(where)
        except OSError as error:
            return Check(
                "listener", Verdict.WARNING, f"port {where[1]}: {os.strerror(error.errno or 0)}",
                "fine if this node is already running; else choose another listener.port",
            )  # fmt: skip
    return Check("listener", Verdict.OK, f"{settings.listener.ae_title} can listen on {where[1]}")


def _reading(settings: Settings) -> Iterator[Check]:
    # torch takes seconds to import: only here, not for `cadnode check --help`
    from cadnode.app.models import verify
    from cadnode.app.reading import choose_device, load_readers

    try:
        device = choose_device(settings.reading.device)
        yield Check("device", Verdict.OK, device)
        for damaged in (v for v in verify(settings) if v.problem):
            yield Check(
                "model", Verdict.WARNING, damaged.problem, "`cadnode models verify` tells more"
            )
        readers = load_readers(settings, device)
        for card in (model.card for model in readers):
            kinds = ", ".join(card.applies_to)
            yield Check(
                "model", Verdict.OK,
                f"{card.name} {card.version} reads {kinds} ({card.weights_sha256[:12]})",
            )  # fmt: skip
        for system in readers.systems:
            verdict = Verdict.OK if system.active else Verdict.WARNING
            found = "active" if system.active else "not active"
            yield Check(f"system {system.system}", verdict, found, system.reason)
    except CadnodeError as error:
        yield Check("models", Verdict.FAILED, str(error), "see reading.* in the configuration")


def _shadow(settings: Settings) -> Iterator[Check]:
    from cadnode.app.shadow_process import chosen

    try:
        now = chosen(settings)
    except CadnodeError:  # `active.json` is damaged: the models' check says so
        return
    if now.specs:
        yield Check("shadow", Verdict.OK, f"{', '.join(now.specs)} reads in shadow mode")
    for problem in now.problems:
        yield Check(
            "shadow", Verdict.WARNING, problem,
            "`cadnode models shadow start | stop`, or reading.shadow in the configuration",
        )  # fmt: skip


def _worker(settings: Settings) -> Iterator[Check]:
    """What a running worker says of its models: a change that it refused is not in force."""
    state = node_state.read(settings.storage.folder)
    if state is None or not state.runs:
        return
    used = ", ".join(f"{m.name} {m.version}" for m in state.models)
    if state.problem is None:
        yield Check("running node", Verdict.OK, f"reads with {used}")
        return
    yield Check(
        "running node", Verdict.FAILED,
        f"refused the models that are active now ({state.problem.code}): {state.problem.message}",
        f"it still reads with {used}; mend the model or `cadnode models rollback NAME`",
    )  # fmt: skip


def _destination(destination: Destination, echo: Callable[[Destination], None]) -> Check:
    name = f"destination {destination.name}"
    if destination.kind == "folder":
        folder = Path(destination.folder or ".")
        writable = folder.is_dir() and os.access(folder, os.W_OK)
        return Check(
            name, Verdict.OK if writable else Verdict.FAILED, str(folder),
            "" if writable else "make the folder and give the node's user the right to write",
        )  # fmt: skip
    where = f"{destination.ae_title} at {destination.host}:{destination.port}"
    try:
        echo(destination)
    except CadnodeError as error:
        return Check(
            name, Verdict.FAILED, f"{where}: {error}",
            "is it running, is the port right, and does it know this node's AE title?",
        )  # fmt: skip
    return Check(name, Verdict.OK, f"{where} answered C-ECHO")
