"""What the tests of this room share: a clock, cheap hashes, files of people and programs."""

from pathlib import Path

from argon2 import PasswordHasher

from cadnode.identity.passwords import Passwords
from cadnode.identity.tokens import hash_of

PASSWORD = "four green horses run"
TOKEN = "cadnode_0123456789abcdefghijklmnopqrstuvwxyzABCDEF"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def cheap() -> Passwords:
    return Passwords(CHEAP)


def secret_file(path: Path, *lines: str, mode: int = 0o640) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(mode)
    return path


def user(name: str, role: str = "viewer", password: str = PASSWORD) -> str:
    return f"{name}:{role}:{CHEAP.hash(password)}"


def program(name: str, role: str = "operator", token: str = TOKEN) -> str:
    return f"{name}:{role}:{hash_of(token)}"
