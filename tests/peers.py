"""Real peers on loopback: Orthanc and DCMTK's tools, each on a port free at the moment."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cadnode.demo.archive import Orthanc, find_orthanc, free_port, is_listening, orthanc

__all__ = [
    "Orthanc",
    "StoreScp",
    "find_orthanc",
    "free_port",
    "orthanc",
    "storescp",
    "wait_for_port",
    "wait_until",
]


def wait_until(condition: Callable[[], Any], within_s: float = 30.0) -> Any:
    """The first true value of `condition`; fails the test when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError("the condition did not come true in time")
        time.sleep(0.02)
    return value


def wait_for_port(port: int, within_s: float = 30.0) -> None:
    """Return once somebody listens on `port`."""
    wait_until(lambda: is_listening(port), within_s)


@dataclass(frozen=True)
class StoreScp:
    """A running DCMTK `storescp`."""

    aet: str
    port: int
    pid: int


@contextmanager
def storescp(
    folder: Path, *options: str, aet: str = "DCMTK", env: Mapping[str, str] | None = None
) -> Iterator[StoreScp]:
    """DCMTK's `storescp`, storing into `folder`, with further command line options."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    process = subprocess.Popen(
        ["storescp", "+xa", "-aet", aet, "-od", str(folder), *options, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env,
    )  # fmt: skip
    try:
        wait_for_port(port)
        yield StoreScp(aet, port, process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def is_cut_while_dripping(peer: socket.socket, within_s: float, *, every_s: float) -> bool:
    """Whether the other side ends the connection while a byte comes every so many seconds."""
    peer.settimeout(every_s)
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            peer.sendall(b"\0")
            if not peer.recv(64):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False
