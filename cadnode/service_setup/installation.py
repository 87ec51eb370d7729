"""What `cadnode service install` and `remove` do to a machine, step by step; and how it is now.

A step says what it does before it does it: a dry run is the same list, only not done. Below a
`root` (as `systemctl --root`) files alone are written: no user is made and nothing is started.
"""

import grp
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.errors import SettingsError
from cadnode.files import write_whole
from cadnode.node import job_database
from cadnode.service_setup.unit import NAME, STATE, UnitFacts, unit_text
from cadnode.settings import Settings, example, load

CONFIG: Final = Path("/etc/cadnode/cadnode.toml")
UNITS: Final = Path("/etc/systemd/system")
_NAME: Final = re.compile(r"[a-z_][a-z0-9_-]{0,30}")  # useradd(8)
_RUNNING: Final = Path("/run/systemd/system")  # sd_booted(3)
_BEFORE: Final = ".before-cadnode"
_ENVIRONMENT: Final = """\
# Environment of the cadnode service, one NAME=value a line. A CADNODE_SECTION__KEY overrides the
# configuration file; `systemctl restart cadnode` takes it up.
"""
_SHOWN: Final = ("LoadState", "UnitFileState", "ActiveState", "SubState", "MainPID", "NRestarts",
                 "ExecMainStartTimestamp")  # fmt: skip


@dataclass(frozen=True, slots=True)
class SetupStep:
    """One thing that is done to the machine. `shows` is the content of a file, "" otherwise."""

    words: str
    do: Callable[[], None]
    shows: str = ""


@dataclass(frozen=True, slots=True)
class ServiceWish:
    """What is wanted. `root` is where the machine's files are; `/` is this machine itself."""

    program: Path
    config: Path = CONFIG
    user: str = "cadnode"
    root: Path = Path("/")
    gpu: bool = False
    start: bool = False

    @property
    def is_elsewhere(self) -> bool:
        """Whether the files are not of the running machine."""
        return self.root != Path("/")

    def below(self, path: Path) -> Path:
        """Where a path of the machine is, seen from here.

        Raises
        ------
        SettingsError
            A link leads out of the root: what is written there is another machine's.
        """
        found = self.root / path.relative_to("/")
        if not found.resolve().is_relative_to(self.root.resolve()):
            raise SettingsError(f"{found} is a link, or below one, that leads out of {self.root}")
        return found


def refuse_unable(*, is_elsewhere: bool) -> None:
    """Return when this process may change the machine, and there is a systemd to change.

    Raises
    ------
    SettingsError
        It may not, or there is none; says what to do instead.
    """
    if is_elsewhere:
        return
    if not _RUNNING.is_dir():
        raise SettingsError(
            "systemd does not run here: run `cadnode serve` by what starts services on this "
            "machine, or write the files below a folder by --root DIR; --dry-run shows them"
        )
    if os.geteuid():
        raise SettingsError("this needs root: run it by sudo, or see what it does by --dry-run")


def install_steps(wish: ServiceWish) -> list[SetupStep]:
    """What an installation does. A file that says the same already is not written again.

    Raises
    ------
    SettingsError
        The user's name, a path or the configuration file cannot be used.
    """
    if not _NAME.fullmatch(wish.user):
        raise SettingsError(f"{wish.user!r} is no name for a system user: small letters, digits, -")
    config = wish.below(wish.config) if wish.config.is_absolute() else wish.config
    values = load(config) if config.is_file() else None
    writable = () if values is None else _writable(values)
    unit = unit_text(UnitFacts(wish.program, wish.config, wish.user, wish.gpu, writable))
    steps: list[SetupStep | None] = []
    if not (wish.is_elsewhere or _has_user(wish.user)):
        steps.append(_user_step(wish.user))
    for folder in (STATE, *writable):
        steps.append(_folder_step(wish, folder, owner=wish.user, mode=0o750))
    steps.append(_folder_step(wish, wish.config.parent, owner="root", mode=0o750))
    if values is None:
        text = example().replace('# folder = "cadnode-data"', f'folder = "{STATE}"', 1)
        steps.append(_file_step(wish, wish.config, text, shows="`cadnode check --example`, with "
                                f'storage.folder = "{STATE}"'))  # fmt: skip
    environment = wish.config.parent / "environment"
    if not wish.below(environment).exists():
        steps.append(_file_step(wish, environment, _ENVIRONMENT))
    steps.append(_file_step(wish, UNITS / NAME, unit, mode=0o644, group="root"))
    needed = [step for step in steps if step is not None]
    if wish.is_elsewhere:
        return needed
    enable = ["enable", "--now", NAME] if wish.start else ["enable", NAME]
    return [*needed, _systemctl("daemon-reload"), _systemctl(*enable)]


def remove_steps(root: Path = Path("/")) -> list[SetupStep]:
    """What takes the service away: it is stopped, and its unit goes. Data and settings stay."""
    path = ServiceWish(Path(), root=root).below(UNITS / NAME)
    steps = [SetupStep(f"remove {path}", path.unlink)] if path.exists() else []
    if root != Path("/") or not steps:
        return steps
    return [_systemctl("disable", "--now", NAME), *steps, _systemctl("daemon-reload")]


def run(steps: Sequence[SetupStep]) -> None:
    """Do all of it, in order.

    Raises
    ------
    SettingsError
        A step failed; names it, and those before it are done.
    """
    for step in steps:
        try:
            step.do()
        except (OSError, LookupError, subprocess.SubprocessError) as error:
            raise SettingsError(f"could not {step.words}: {_reason(error)}") from None


def state() -> dict[str, str]:
    """How systemd sees the unit: its properties by name.

    Raises
    ------
    SettingsError
        There is no systemd, or it does not answer.
    """
    if not _RUNNING.is_dir():
        raise SettingsError("systemd does not run here: there is no service to ask about")
    try:
        done = _run(["systemctl", "show", NAME, *(f"--property={name}" for name in _SHOWN)])
    except (OSError, subprocess.SubprocessError) as error:
        raise SettingsError(f"systemctl does not answer: {_reason(error)}") from None
    pairs = (line.partition("=") for line in done.splitlines())
    return {key: value for key, _, value in pairs if key in _SHOWN}


def _writable(values: Settings) -> tuple[Path, ...]:
    """Folders outside `STATE` that a node with these settings writes to; relative ones are in it.

    Each is named once, in the order of the settings.
    """
    named = [values.storage.folder, *(d.folder for d in values.destinations if d.folder)]
    if values.jobs.database_url and (jobs := job_database.file_of(values.database_url)):
        named.append(jobs.parent)
    found = (path for path in named if path.is_absolute() and not path.is_relative_to(STATE))
    return tuple(dict.fromkeys(found))


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _user_step(name: str) -> SetupStep:
    arguments = ["useradd", "--system", "--user-group", "--home-dir", str(STATE),
                 "--shell", "/usr/sbin/nologin", name]  # fmt: skip
    return SetupStep(f"run {' '.join(arguments)}", lambda: _run_quietly(arguments))


def _systemctl(*arguments: str) -> SetupStep:
    words = ["systemctl", *arguments]
    return SetupStep(f"run {' '.join(words)}", lambda: _run_quietly(words))


def _folder_step(wish: ServiceWish, folder: Path, *, owner: str, mode: int) -> SetupStep | None:
    """None where it is there: who made it has given it the rights that it has."""
    path = wish.below(folder)
    if path.is_dir():
        return None

    def make() -> None:
        path.mkdir(parents=True)
        path.chmod(mode)
        if not wish.is_elsewhere:
            os.chown(path, pwd.getpwnam(owner).pw_uid, grp.getgrnam(wish.user).gr_gid)

    return SetupStep(f"make folder {path} ({mode:04o} {owner}:{wish.user})", make)


def _file_step(
    wish: ServiceWish, file: Path, text: str, *, mode: int = 0o640, group: str = "", shows: str = ""
) -> SetupStep | None:
    """None where the file says this already; another one that is there is kept beside it."""
    path, group = wish.below(file), group or wish.user
    is_there = path.exists()
    if is_there and path.read_text(encoding="utf-8", errors="replace") == text:
        return None

    def write() -> None:
        if is_there:
            shutil.copy2(path, path.with_name(path.name + _BEFORE))
        write_whole(path, text.encode())
        path.chmod(mode)
        if not wish.is_elsewhere:
            os.chown(path, 0, grp.getgrnam(group).gr_gid)

    kept = f"; the one that is there becomes {path.name}{_BEFORE}" if is_there else ""
    return SetupStep(f"write {path} ({mode:04o} root:{group}){kept}", write, shows or text)


def _run_quietly(arguments: list[str]) -> None:
    _run(arguments)


def _run(arguments: list[str]) -> str:
    """What it printed. Raises `OSError`, or `SubprocessError` when it failed."""
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=180)
    return done.stdout


def _reason(error: BaseException) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = (error.stderr or "").strip().splitlines()
        return lines[-1] if lines else f"exit code {error.returncode}"
    return getattr(error, "strerror", "") or str(error) or type(error).__name__
