"""A remote worker's line to its node: what it may read, the images, and back what was read."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cadnode import __version__
from cadnode.errors import CadnodeError
from cadnode.http import HttpFailure, HttpPeerValues, connected

_OVER: Final = (404, 409, 410)
_NO_RIGHT: Final = 403
_OTHER_ROLE: Final = (
    "the node lets this token read no exams (403): it has another role, make one there by "
    "`cadnode users token NAME --role remote-worker`"
)
_DAMAGED: Final = 422
_BLOCK: Final = 1 << 20
_TRIES: Final = 3
_MOST_FILES: Final = 20_000
_AT: Final = "/api/remote"
_SHA256: Final = "X-Content-SHA256"


class ClaimOver(CadnodeError):
    """The reading is not this machine's any more."""


class ImageDamaged(CadnodeError):
    """An image did not arrive as the node has it, each time that it was fetched."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


AnswerT = TypeVar("AnswerT", bound=_Answer)


class OpenAnswer(_Answer):
    """What this machine may read: names of readings; `refused`: why it gets none."""

    readings: tuple[str, ...] = Field(max_length=_MOST_FILES)
    refused: str | None = None


class FileAnswer(_Answer):
    """A file of a reading; names are keys, and lead out of no folder."""

    name: str = Field(pattern=r"^[0-9a-f]{16}(\.[0-9a-f]{1,64})?\.(dcm|old)$")
    bytes: int = Field(ge=0)
    mtime_ns: int
    replaced: bool


class ClaimAnswer(_Answer):
    """A reading that this machine has."""

    claim: str = Field(pattern=r"^[0-9a-f]{32}$")
    for_processing: bool
    files: tuple[FileAnswer, ...] = Field(max_length=_MOST_FILES)


class NodeLine:
    """Asks a node in the name of this machine. Threads may share it: each call has its session.

    Each call raises `HttpFailure` where the node does not answer as a node does.
    """

    def __init__(self, values: HttpPeerValues, machine: str) -> None:
        self._values, self._machine = values, machine

    def readings(self, digest: str) -> OpenAnswer:
        """What a worker with these models may read (`Readers.digest`)."""
        path, who = f"{_AT}/readings", self._who(digest)
        with (
            connected(self._values) as node,
            node.request("POST", path, json=who, also=(_NO_RIGHT,)) as response,
        ):
            if response.status_code == _NO_RIGHT:
                raise HttpFailure(_OTHER_ROLE, retryable=True, status=_NO_RIGHT)
            return _parsed(OpenAnswer, node.json_of(response))

    def claim(self, reading: str, digest: str) -> ClaimAnswer | None:
        """A reading; None where somebody else has it by now."""
        path = f"{_AT}/readings/{reading}/claim"
        with (
            connected(self._values) as node,
            node.request("POST", path, json=self._who(digest), also=_OVER) as response,
        ):
            if response.status_code in _OVER:
                return None
            return _parsed(ClaimAnswer, node.json_of(response))

    def keep(self, claim: str) -> None:
        """Say that the reading goes on. Raises `ClaimOver`."""
        with self._asked("PUT", f"{_AT}/claims/{claim}"):
            return

    def image(self, claim: str, file: FileAnswer, folder: Path) -> Path:
        """A file of the reading, as the node has it.

        Raises
        ------
        ClaimOver
            The reading is another's by now.
        ImageDamaged
            It was fetched `_TRIES` times, and never was what the node says that it is.
        """
        path = folder / file.name
        for _ in range(_TRIES):
            if self._is_fetched(f"{_AT}/claims/{claim}/images/{file.name}", path):
                os.utime(path, ns=(file.mtime_ns, file.mtime_ns))
                return path
        raise ImageDamaged

    def result(self, claim: str, parcel: bytes) -> None:
        """Bring what was read (`node.remote.parcel`). Raises `ClaimOver`."""
        headers = {
            _SHA256: hashlib.sha256(parcel).hexdigest(),
            "Content-Type": "application/zip",
        }
        path = f"{_AT}/claims/{claim}/result"
        for left in reversed(range(_TRIES)):
            also = (_DAMAGED,) if left else ()
            with self._asked("POST", path, also, data=parcel, headers=headers) as status:
                if status != _DAMAGED:
                    return

    def give_up(self, claim: str, *, has_failed: bool) -> None:
        """Give a reading back: it failed here, or this machine stops. Raises `ClaimOver`."""
        why = {"has_failed": has_failed}
        with self._asked("POST", f"{_AT}/claims/{claim}/failure", json=why):
            return

    @contextmanager
    def _asked(
        self, method: str, path: str, also: tuple[int, ...] = (), **how: Any
    ) -> Iterator[int]:
        with (
            connected(self._values) as node,
            node.request(method, path, also=(*_OVER, *also), **how) as response,
        ):
            if response.status_code in _OVER:
                raise ClaimOver
            yield response.status_code

    def _is_fetched(self, path: str, to: Path) -> bool:
        """Whether what came has the SHA-256 that the node states with it."""
        digest = hashlib.sha256()
        with (
            connected(self._values) as node,
            node.request("GET", path, also=_OVER) as response,
            to.open("wb") as file,
        ):
            if response.status_code in _OVER:
                raise ClaimOver
            for block in response.iter_content(_BLOCK):
                digest.update(block)
                file.write(block)
        return digest.hexdigest() == response.headers.get(_SHA256, "")

    def _who(self, digest: str) -> dict[str, str]:
        return {"machine": self._machine, "version": __version__, "digest": digest}


def _parsed(model: type[AnswerT], answer: object) -> AnswerT:
    """Raises `HttpFailure` where it is no such answer."""
    try:
        return model.model_validate(answer)
    except ValidationError:
        raise HttpFailure(
            "the node does not answer as one with remote workers: has it the same version?",
            retryable=True,
        ) from None
