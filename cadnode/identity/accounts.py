"""Lines of people and of programs: `name:role:secret`, read, checked and written.

Both files have this form. Empty lines and those that begin with # are kept, and mean nothing.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cadnode import files
from cadnode.errors import SettingsError
from cadnode.identity.role import LOCAL, Role
from cadnode.identity.secret_file import SecretFileError, read

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
SHARED: Final = "token"
"""The name of whoever shows the one token of `web.token_file`."""
_RESERVED: Final = frozenset({SHARED, LOCAL.name})
_MODE: Final = 0o640


@dataclass(frozen=True, slots=True)
class Account:
    """A person or a program; `secret` is what the file keeps of a password or token: its hash."""

    name: str
    role: Role
    secret: str = field(repr=False)

    @property
    def line(self) -> str:
        """As it stands in the file."""
        return f"{self.name}:{self.role.word}:{self.secret}"


def name_of(text: str) -> str:
    """The name as it is kept: lower-case.

    Raises
    ------
    SettingsError
        It cannot be a name, or is one of the node's own.
    """
    name = text.strip().lower()
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"{text!r} is no name: 1 to 64 of a-z, 0-9 and . _ @ + -, a letter or digit first"
        )
    if name in _RESERVED:
        raise SettingsError(f"{name!r} is what the node itself calls somebody: choose another name")
    return name


def role_of(word: str) -> Role:
    """The role of a word. Raises `SettingsError` when there is none."""
    try:
        return Role.of(word)
    except ValueError as error:
        raise SettingsError(f"there is no role {word!r}: {error}") from None


def role_of_person(word: str) -> Role:
    """As `role_of`; raises `SettingsError` for one that programs alone have, too."""
    role = role_of(word)
    if role.is_of_programs:
        raise SettingsError(
            f"{word} is a program's role, no person's: `cadnode users token NAME --role {word}`"
        )
    return role


def parsed(
    lines: Sequence[str],
    path: Path,
    is_secret: Callable[[str], bool],
    *,
    of_programs: bool = False,
) -> dict[str, Account]:
    """The accounts in these lines, by name; of people, or of programs.

    Raises
    ------
    SecretFileError
        A line has another form; it is named by its number, never quoted.
    """
    found: dict[str, Account] = {}
    roles = {one.word: one for one in Role if of_programs or not one.is_of_programs}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, role, secret = (*line.strip().split(":", 2), "", "")[:3]
        problem = ""
        if not NAME.fullmatch(name) or name in _RESERVED:
            problem = "does not begin with a name"
        elif role not in roles:
            problem = f"has no role: {', '.join(roles)}"
        elif not is_secret(secret):
            problem = "does not end with a hash that `cadnode users` has written"
        elif name in found:
            problem = "repeats a name"
        if problem:
            raise SecretFileError("content", f"{path} line {number} {problem}")
        found[name] = Account(name, roles[role], secret)
    return found


def put(path: Path, key: str, account: Account) -> None:
    """Write an account into the file: in the place of its old line, or as the last one.

    Raises
    ------
    SettingsError
        The file cannot be read or written.
    """
    _rewrite(path, key, account.name, account.line)


def remove(path: Path, key: str, name: str) -> None:
    """Take an account out of the file. Raises `SettingsError` as `put`."""
    _rewrite(path, key, name, None)


def _rewrite(path: Path, key: str, name: str, line: str | None) -> None:
    """The file with that line instead; whole or not at all, one writer after the other."""
    path = path.resolve()
    try:
        with _locked(path.parent):
            old = path.stat() if path.exists() else None
            lines = read(path, key)[0] if old else []
            at = [n for n, one in enumerate(lines) if one.strip().split(":")[0] == name]
            kept = [one for n, one in enumerate(lines) if n not in at[1:]]
            if line is None:
                kept = [one for n, one in enumerate(lines) if n not in at]
            elif at:
                kept[at[0]] = line
            else:
                kept.append(line)
            _write(path, "".join(f"{one}\n" for one in kept).encode(), old or path.parent.stat())
    except OSError as error:
        raise SettingsError(
            f"{key} {path} cannot be written: {os.strerror(error.errno or 0)}"
        ) from None


def _write(path: Path, content: bytes, owner: os.stat_result) -> None:
    """Before anything stands in it, the file is its owner's, and closed to others."""
    with files.written_whole(path) as file:
        os.fchmod(file.fileno(), _MODE)
        with suppress(PermissionError):  # who is not root writes as themselves
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(content)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    files.make_folder(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        files.lock(descriptor)
        yield
    finally:
        os.close(descriptor)
