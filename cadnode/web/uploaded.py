"""What becomes of files that a page brings, and what the HTTP side asks of whoever takes them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from cadnode.errors import CadnodeError
from cadnode.phrases import N_

MOST_NAME: Final = 300  # characters of a file's name that are told back


class UploadWord(StrEnum):
    """Why a file was not taken."""

    NOT_DICOM = "not_dicom"
    DIRECTORY = "dicomdir"
    OWN = "own"
    OTHER_KIND = "other_kind"
    NO_UIDS = "no_uids"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    ENCRYPTED = "encrypted"
    DAMAGED = "damaged"

    @property
    def meaning(self) -> str:
        """The word in a sentence that follows the file's name."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    UploadWord.NOT_DICOM: N_("is not DICOM, such as a viewer's program or a picture"),
    UploadWord.DIRECTORY: N_("is a DICOMDIR: it lists the other files, and is not needed"),
    UploadWord.OWN: N_("was made by cadnode"),
    UploadWord.OTHER_KIND: N_("is a kind of object that this node does not take"),
    UploadWord.NO_UIDS: N_("states no study, or no identifier of its own"),
    UploadWord.TOO_LARGE: N_("is larger than any mammogram"),
    UploadWord.TOO_MANY: N_("the archive holds more files than a study has"),
    UploadWord.ENCRYPTED: N_("is locked by a password: unpack the archive first"),
    UploadWord.DAMAGED: N_("is damaged, or packed in a way that cannot be unpacked here"),
}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that was not taken; `name` is as it came, "" for an archive itself."""

    name: str
    why: UploadWord


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of one file, or of all in an archive.

    `studies` are keys; `n_new` files were taken, `n_here` were here before. `n_listed` is how many
    files a DICOMDIR lists.
    """

    studies: tuple[str, ...] = ()
    n_new: int = 0
    n_here: int = 0
    left_out: tuple[LeftOut, ...] = ()
    n_listed: int = 0

    def plus(self, other: "Uploaded") -> "Uploaded":
        """Both together."""
        return Uploaded(
            tuple(dict.fromkeys((*self.studies, *other.studies))),
            self.n_new + other.n_new,
            self.n_here + other.n_here,
            (*self.left_out, *other.left_out),
            self.n_listed + other.n_listed,
        )

    def as_dict(self, name: str) -> dict[str, Any]:
        """For JSON; a file without a name of its own has that of the upload."""
        return {
            "studies": list(self.studies),
            "new": self.n_new,
            "already_here": self.n_here,
            "listed": self.n_listed,
            "left_out": [
                {"name": (one.name or name)[-MOST_NAME:], "code": one.why.value,
                 "meaning": one.why.meaning}
                for one in self.left_out
            ],
        }  # fmt: skip


class NoRoom(CadnodeError):
    """The disk has no room for more images, or fails."""


class Upload(Protocol):
    """One file on its way."""

    def write(self, data: bytes) -> None:
        """Append what has come. Raises `NoRoom`."""

    def finish(self, name: str) -> Uploaded:
        """What became of the whole file. Raises `NoRoom`."""

    def drop(self) -> None:
        """Let go of it; may be called again."""


class Uploads(Protocol):
    """Takes files."""

    def begin(self) -> Upload:
        """A file on its way. Raises `NoRoom`."""
