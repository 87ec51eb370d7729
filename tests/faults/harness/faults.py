"""Every fault: of which kind it is, how it begins, how long it lasts, how it ends.

| kind     | faults                                                                        |
|----------|-------------------------------------------------------------------------------|
| kill     | `kill -9` of supervisor, worker, listener, web, a child, or all; stopped roles  |
| hang     | a role that is stopped until the node replaces it                               |
| archive  | every mode of `archive`, by share; and its death                                |
| network  | every way of `proxy`, before the node and behind it, at a random byte           |
| disk     | full, slow, failing                                                             |
| clock    | an hour forwards or backwards, and back                                        |
| power    | all processes gone, and what was not synced with them                          |
| database | the job database removed, or an older one restored                              |
"""

import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.faults.harness.node import ROLES
from tests.faults.harness.proxy import Condition, Proxy, Way
from tests.faults.harness.wait import comes_true, until

if TYPE_CHECKING:
    from tests.faults.harness.site import Site

HUNG_WITHIN_S: Final = 150.0
BACK_WITHIN_S: Final = 600.0
HEALTH_IS_GOOD_FOR_S: Final = 2.5
HOUR_S: Final = 3600
DATABASE_FILES: Final = ("jobs.sqlite", "jobs.sqlite-wal", "jobs.sqlite-shm")


class NothingThere(Exception):
    """What a fault is about is not there now: it did not happen."""


def nothing(_site: "Site") -> None:
    """What a fault does that ends by itself."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `end` heals what `begin` broke, after `lasts_s` seconds."""

    kind: str
    name: str
    begin: Callable[["Site"], None]
    end: Callable[["Site"], None] = nothing
    lasts_s: float = 0.0


Draw = Callable[[random.Random], Fault]


# kill, hang


def kill(name: str) -> Fault:
    """`kill -9` of a role: the supervisor starts it again, or the admin the supervisor."""
    return Fault(
        "kill", f"kill_{name}", lambda site: _kill(site, name), lambda site: _replaced(site, name)
    )


def _kill(site: "Site", name: str) -> None:
    if not site.node.kill(name):
        raise NothingThere
    if name == "supervisor":
        if not site.node.orphans_end():
            site.defect("orphans", "roles live on without their supervisor")
            site.node.kill_all()
        site.node.start(wait=False)


def _kill_all(site: "Site") -> None:
    site.node.kill_all()
    site.node.start(wait=False)


def _replaced(site: "Site", name: str) -> None:
    if name in ROLES:
        until(lambda: site.node.pids(name), f"another {name} is started", BACK_WITHIN_S)
    time.sleep(HEALTH_IS_GOOD_FOR_S)  # an answer may be of the process that is dead
    _back(site)


def _back(site: "Site") -> None:
    until(site.node.is_up, "the node is up again", BACK_WITHIN_S)


def _draw_kill(rng: random.Random) -> Fault:
    name = rng.choice(["supervisor", "worker", "worker", "listener", "listener", "web", "child",
                       "all", "pause", "pause"])  # fmt: skip
    if name == "all":
        return Fault("kill", "kill_all", _kill_all, _back)
    if name == "pause":
        return pause(rng.choice([*ROLES, "supervisor"]), rng.uniform(1, 12))
    return kill(name)


def pause(name: str, seconds: float) -> Fault:
    """SIGSTOP, and SIGCONT after a while."""
    return Fault(
        "kill", f"pause_{name}",
        lambda site: site.node.signal(name, signal.SIGSTOP),
        lambda site: site.node.signal(name, signal.SIGCONT),
        seconds,
    )  # fmt: skip


def hang(name: str) -> Fault:
    """A role that does nothing any more: the supervisor is to replace it."""
    return Fault("hang", f"hang_{name}", lambda site: _hang(site, name), _back)


def _hang(site: "Site", name: str) -> None:
    hung = site.node.pids(name)
    site.node.signal(name, signal.SIGSTOP)
    if not comes_true(lambda: not set(hung) & set(site.node.pids(name)), HUNG_WITHIN_S, 0.5):
        site.defect("hung", f"a hung {name} is not replaced within {HUNG_WITHIN_S:.0f} s")
        site.node.signal(name, signal.SIGCONT)


# archive


def archive(mode: str, seconds: float, share: float = 1.0) -> Fault:
    """The archive behaves so for a while."""
    takes_s = {"slow": 3.0, "hang": 9.0}.get(mode, 0.0)
    return Fault(
        "archive", f"archive_{mode}",
        lambda site: site.archive.behave(mode, share=share, seconds=takes_s),
        lambda site: site.archive.behave("ok"),
        seconds,
    )  # fmt: skip


def kill_archive(seconds: float) -> Fault:
    """It is killed, and started again after a while."""
    return Fault(
        "archive", "archive_killed",
        lambda site: site.archive.kill(),
        lambda site: site.archive.start(),
        seconds,
    )  # fmt: skip


MODES: Final = ("slow", "hang", "a700", "a900", "c000", "0110", "0122", "0124", "b000", "0111",
                "drop", "drop_stored", "lie", "reject", "busy")  # fmt: skip


def _draw_archive(rng: random.Random) -> Fault:
    mode, seconds = rng.choice([*MODES, "killed", "killed"]), rng.uniform(2, 15)
    if mode == "killed":
        return kill_archive(seconds)
    return archive(mode, seconds, rng.choice([1.0, 0.5, 0.2]))


# network


def network(where: str, condition: Condition, seconds: float) -> Fault:
    """The network before the node ("front") or behind it ("back") is so for a while."""
    return Fault(
        "network", f"network_{where}_{condition.way}",
        lambda site: _proxy(site, where).become(condition),
        lambda site: _proxy(site, where).become(Condition()),
        seconds,
    )  # fmt: skip


def _proxy(site: "Site", where: str) -> Proxy:
    return site.front if where == "front" else site.back


def _draw_network(rng: random.Random) -> Fault:
    where = rng.choice(["front", "back"])
    ways: list[Way] = ["refuse", "stall", "delay", "cut", "cut", "cut", "close", "close"]
    way = rng.choice(ways)
    # Where a connection may break: before the request, in it, in a command, in a data set,
    # before the response, in the response.
    up = rng.choice([0, rng.randint(1, 200), rng.randint(200, 1500), rng.randint(1500, 120_000)])
    down = rng.choice([0, rng.randint(1, 180), rng.randint(180, 400)])
    is_up = rng.random() < 0.6
    condition = Condition(
        way, up if is_up else down, "up" if is_up else "down", rng.uniform(0.01, 0.3)
    )
    if rng.random() < 0.2:
        return Fault("network", f"network_{where}_sever", lambda s: _proxy(s, where).sever())
    return network(where, condition, rng.uniform(1, 12))


# disk, clock, power, database


def disk_full(seconds: float) -> Fault:
    """No room for a while."""
    return Fault("disk", "disk_full", lambda s: s.disk.fill(), lambda s: s.disk.restore(), seconds)


def _draw_disk(rng: random.Random) -> Fault:
    seconds = rng.uniform(3, 20)
    name = rng.choice(["disk_full", "disk_full", "disk_slow", "disk_failing"])
    if name == "disk_full":
        return disk_full(seconds)
    begin = (lambda s: s.disk.slow(400)) if name == "disk_slow" else (lambda s: s.disk.fail())
    return Fault("disk", name, begin, lambda s: s.disk.restore(), seconds)


def _draw_clock(rng: random.Random) -> Fault:
    hours = rng.choice([-1, 1])
    name = "clock_forwards" if hours > 0 else "clock_backwards"
    return Fault(
        "clock", name,
        lambda site: site.set_clock(hours * HOUR_S),
        lambda site: site.set_clock(0),
        rng.uniform(5, 25),
    )  # fmt: skip


def _draw_power(rng: random.Random) -> Fault:
    seed = rng.random()
    return Fault("power", "power_loss", lambda site: _power_loss(site, seed), _back)


def _power_loss(site: "Site", seed: float) -> None:
    site.node.kill_all()
    lost = site.disk.lose_unsynced(random.Random(seed))
    site.note(f"power cut: lost {lost['data']} files' unsynced data, {lost['names']} names")
    site.node.start(wait=False)


def _draw_database(rng: random.Random) -> Fault:
    if rng.random() < 0.5:
        return Fault("database", "database_removed", _remove_database, _back)
    return Fault("database", "database_older", _restore_database, _back)


def _remove_database(site: "Site") -> None:
    site.node.stop()
    for name in DATABASE_FILES:
        (site.node.storage / name).unlink(missing_ok=True)
    site.node.start(wait=False)


def _restore_database(site: "Site") -> None:
    """Put back the copy made the last time, and keep one for the next."""
    site.node.stop()
    copies = site.work / "database"
    kept = {p.name: p.read_bytes() for p in copies.glob("*")} if copies.is_dir() else {}
    copies.mkdir(exist_ok=True)
    for name in DATABASE_FILES:
        place = site.node.storage / name
        if place.exists():
            shutil.copy(place, copies / name)
        if kept:
            place.unlink(missing_ok=True)
        if name in kept:
            place.write_bytes(kept[name])
    site.node.start(wait=False)


NEAR: Final[dict[str, Draw]] = {
    "kill": _draw_kill,
    "hang": lambda rng: hang(rng.choice(ROLES)),
    "disk": _draw_disk,
    "clock": _draw_clock,
    "power": _draw_power,
    "database": _draw_database,
}
"""Kinds that happen to the node itself: one at a time."""

FAR: Final[dict[str, Draw]] = {"archive": _draw_archive, "network": _draw_network}
"""Kinds that happen around it, while those of `NEAR` do."""

WEIGHTS: Final = {"kill": 6, "hang": 1, "disk": 3, "clock": 2, "power": 2, "database": 1,
                  "archive": 3, "network": 3}  # fmt: skip
KINDS: Final = (*NEAR, *FAR)
