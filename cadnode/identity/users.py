"""The people of `web.users_file`: lines `name:role:argon2id-hash`."""

from pathlib import Path
from typing import Final

from cadnode.identity import accounts, passwords
from cadnode.identity.accounts import Account
from cadnode.identity.secret_file import Followed, read

KEY: Final = "web.users_file"


def users_in(path: Path) -> dict[str, Account]:
    """The people in a file, by name; none when there is no file.

    Raises
    ------
    SettingsError
        The file cannot be used; names the line.
    """
    if not path.exists():
        return {}
    return accounts.parsed(read(path, KEY)[0], path, passwords.is_hash)


class Users:
    """The people, as the file has them now. Raises `SettingsError` as `users_in`, at the start."""

    def __init__(self, path: Path) -> None:
        self._file = Followed(
            path, KEY, lambda lines: accounts.parsed(lines, path, passwords.is_hash)
        )

    def get(self, name: str) -> Account | None:
        """The user of that name."""
        return self._file.now().get(name)
