"""Values of `cadnode orthanc`: what the admin asks for, what would be written, which Orthanc."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cadnode.settings import Destination, WebSection
from cadnode.settings.section import is_loopback
from cadnode.settings.sections import reached_at


@dataclass(frozen=True)
class Wanted:
    """What the admin asks for."""

    place: Path  # Orthanc's configuration: a folder, or one file
    mode: Literal["pull", "store"] = "pull"
    node_url: str = ""  # of the node's HTTP side, as Orthanc reaches it; "": by its own settings
    orthanc_url: str = "http://127.0.0.1:8042"
    node_toml: Path | None = None
    username: str = ""
    password_file: Path | None = None
    force: bool = False


def url_of(web: WebSection) -> str:
    """The node's HTTP side as a program on the same machine reaches it."""
    scheme = "http" if web.certificate_file is None else "https"
    host = reached_at(web.host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{web.port}"


@dataclass(frozen=True)
class PlannedChange:
    """A file that is made or changed; `before` is None for a new one."""

    path: Path
    before: str | None
    after: str
    secret: bool = False
    words: str = "a new token, readable for its owner only"  # of a secret, which is not shown
    mode: int = 0o600  # of a new secret; its group is that of the folder

    def diff(self) -> str:
        """Unified diff; a secret is not shown."""
        if self.secret:
            return f"+++ {self.path}  ({self.words})\n"
        old = (self.before or "").splitlines(keepends=True)
        new = self.after.splitlines(keepends=True)
        name = "/dev/null" if self.before is None else str(self.path)
        return "".join(difflib.unified_diff(old, new, name, str(self.path)))


@dataclass(frozen=True)
class SetupPlan:
    """Files to write, lines for the node's configuration that are left to the admin, and hints."""

    changes: tuple[PlannedChange, ...]
    node_lines: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Reached:
    """An Orthanc by the addresses at which the node reaches it: HTTP and DICOM."""

    url: str
    ae_title: str = "ORTHANC"  # Orthanc's defaults
    port: int = 4242

    def is_at(self, url: str | None) -> bool:
        """Whether something of this Orthanc, such as its DICOMweb, is at that URL."""
        return url is not None and _are_one(_place(url), _place(self.url))

    def gets(self, destination: Destination) -> bool:
        """Whether the address of the destination is this Orthanc."""
        if destination.kind == "dicom":
            here = (_place(self.url)[0], self.port)
            there = (destination.host, destination.port or 0)
            return _are_one(there, here) and destination.ae_title == self.ae_title
        return destination.kind in ("orthanc", "stow") and self.is_at(destination.url)


def _place(url: str) -> tuple[str, int]:
    """Host and port."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _are_one(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Whether two pairs of host and port are the same, by whatever name of this machine."""
    hosts = one[0].lower(), other[0].lower()
    return one[1] == other[1] and (hosts[0] == hosts[1] or all(map(is_loopback, hosts)))
