"""The text of the systemd unit for one machine (systemd.unit(5), systemd.exec(5))."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from cadnode.errors import SettingsError

NAME: Final = "cadnode.service"
STATE: Final = Path("/var/lib/cadnode")
_HIDDEN: Final = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))
"""What the unit's ProtectHome and PrivateTmp take away."""


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """What differs from machine to machine. `writable` are folders outside `STATE`."""

    program: Path
    config: Path
    user: str = "cadnode"
    gpu: bool = False
    writable: tuple[Path, ...] = ()


def packaged() -> str:
    """The unit as it comes with cadnode, for /opt/cadnode and the user cadnode."""
    return files("cadnode.service_setup").joinpath(NAME).read_text(encoding="utf-8")


def unit_text(facts: UnitFacts) -> str:
    """The unit for this machine.

    Raises
    ------
    SettingsError
        A path is relative, cannot be written in a unit, or is one that the service cannot see.
    """
    for named, path in (("cadnode is installed in", facts.program), ("--config is", facts.config)):
        _check(named, path)
    for path in facts.writable:
        _check("the node writes to", path)
    places = " ".join(map(str, (STATE, *facts.writable)))
    environment = facts.config.parent / "environment"
    replaced = {
        "User=": facts.user,
        "Group=": facts.user,
        "ExecStart=": f"{facts.program} serve --config {facts.config}",
        "EnvironmentFile=": f"-{environment}",
        "ReadWritePaths=": places,
        "PrivateDevices=": str(not facts.gpu).lower(),
    }
    lines = []
    for line in packaged().splitlines():
        key = line[: line.find("=") + 1]
        lines.append(f"{key}{replaced[key]}" if key in replaced else line)
    return "\n".join(lines) + "\n"


def _check(named: str, path: Path) -> None:
    if not path.is_absolute():
        raise SettingsError(f"{named} {path}: a unit needs an absolute path")
    if set(str(path)) & set(" \t\n\"'\\%$;"):
        raise SettingsError(f"{named} {path}: a path without spaces, quotes, % and $ is needed")
    if hidden := next((one for one in _HIDDEN if path.is_relative_to(one)), None):
        raise SettingsError(
            f"{named} {path}, which the service cannot see ({hidden} is closed to it): use "
            "/opt/cadnode for the program, /etc/cadnode for its files, /var/lib/cadnode for data"
        )
