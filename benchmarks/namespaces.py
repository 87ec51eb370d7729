"""Network namespaces (ip-netns(8)) on a bridge of their own: machines, as far as TCP can tell.

Each has one address on the bridge and no loopback: what would go to localhost fails. Needs root.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

NETWORK = "10.77.0"


class Machines:
    """Namespaces by name, each with its address; with none, all is this machine."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = {name: f"cadnode-{os.getpid()}-{name}" for name in names}
        self._addresses = {name: f"{NETWORK}.{n}" for n, name in enumerate(names, 11)}
        self._bridge = f"cadnode-{os.getpid()}-bridge"

    def address(self, name: str) -> str:
        """Where a machine is reached."""
        return self._addresses.get(name, "127.0.0.1")

    def on(self, name: str, *command: str) -> list[str]:
        """A command that runs on that machine; it is the process itself that a signal reaches."""
        if name not in self._names:
            return [*command]
        return ["ip", "netns", "exec", self._names[name], *command]

    def make(self) -> None:
        """Make them, and the bridge between them in a namespace of its own."""
        _ip("netns", "add", self._bridge)
        _ip("-n", self._bridge, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._bridge, "link", "set", "bridge", "up")
        for number, (name, space) in enumerate(self._names.items()):
            _ip("netns", "add", space)
            ends = [f"port{number}", "netns", self._bridge]
            _ip("link", "add", "eth0", "netns", space, "type", "veth", "peer", "name", *ends)
            _ip("-n", self._bridge, "link", "set", f"port{number}", "master", "bridge", "up")
            _ip("-n", space, "addr", "add", f"{self._addresses[name]}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")

    def remove(self) -> None:
        """Remove them."""
        for space in (*self._names.values(), self._bridge):
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def machines(names: Sequence[str]) -> Iterator[Machines]:
    """Within the block there are these machines; without names, this one plays all."""
    made = Machines(names)
    try:
        if names:
            made.make()
        yield made
    finally:
        made.remove()
