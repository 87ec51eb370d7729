"""Objects copied into a folder, each there whole or not at all."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from cadnode.deliver.answers import of_os_error
from cadnode.deliver.held import ANOTHER, PeerCopy, compared, from_file, sent
from cadnode.deliver.outcome import Delivered, RefusedObject, all_taken
from cadnode.deliver.outgoing import Outgoing, Takes
from cadnode.errors import DeliveryError, PermanentDeliveryError, not_taken
from cadnode.files import make_folder, written_whole
from cadnode.settings import Destination


class FolderKind:
    """Destinations of kind `folder`: a folder of this machine, a mounted share."""

    takes = Takes.OBJECTS
    serial = False
    needs = ("folder",)
    advice = "make the folder and give the node's user the right to write"

    def where(self, destination: Destination) -> str:
        """Its path."""
        return str(destination.folder)

    def check(self, destination: Destination, calling_ae_title: str) -> str:
        """That it can be written."""
        folder = _folder_of(destination)
        if not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise PermanentDeliveryError("it is no folder, or may not be written")
        return "can be written"

    def send(
        self, outgoing: Outgoing, destination: Destination, calling_ae_title: str
    ) -> Delivered:
        """The exam's objects, in its place in the folder."""
        there = _folder_of(destination) / outgoing.place
        return Delivered(deliver(outgoing.files, there, outgoing.is_ours), 0)


def deliver(
    files: Sequence[Path], folder: Path, ours: Callable[[Path], bool] = lambda path: False
) -> int:
    """Number of files that are in `folder` now, which is made if need be.

    Each is written under a hidden name, fsynced and renamed. A file of the same name is an earlier
    reading's and is replaced; unless it holds another object under the same UID, or one of another
    study: that one stays, ours is refused, and the others are written. Then the files
    of an earlier reading (`ours`) that this one no longer has are removed.

    Raises
    ------
    TransientDeliveryError
        The disk is full or the folder is away.
    PermanentDeliveryError
        The folder may not be written, or holds another object where ours should be.
    """
    refusals = []
    try:
        make_folder(folder)
        for file in files:
            if _is_anothers(folder / file.name, file):
                refusals.append(RefusedObject(ANOTHER))
                continue
            with file.open("rb") as read, written_whole(folder / file.name) as written:
                shutil.copyfileobj(read, written, 1 << 20)
        kept = {file.name for file in files}
        for old in folder.iterdir():
            if old.name not in kept and ours(old):
                old.unlink(missing_ok=True)
    except OSError as error:
        raise _mapped(error) from error
    return all_taken(len(files) - len(refusals), 0, refusals, "the folder").n_sent


def _folder_of(destination: Destination) -> Path:
    return Path(destination.folder or ".")


def _is_anothers(there: Path, file: Path) -> bool:
    """Whether what is there is another's: of the same UID but not ours, or of another study."""
    if not there.is_file():
        return False
    with there.open("rb") as opened:
        theirs = from_file(opened)
    if theirs is None or not theirs.get("StudyInstanceUID"):  # no DICOM, or half of it
        return False
    ours = sent(file)
    if theirs.get("SOPInstanceUID") == ours.get("SOPInstanceUID"):
        return compared(ours, theirs) is PeerCopy.ANOTHER
    return bool(theirs.get("StudyInstanceUID") != ours.get("StudyInstanceUID"))


def _mapped(error: OSError) -> DeliveryError:
    reason = os.strerror(error.errno or 0)
    text = f"the folder destination cannot be written: {reason}"
    return not_taken(of_os_error(error), text)
