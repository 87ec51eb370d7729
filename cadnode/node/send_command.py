"""`cadnode send`, and C-ECHO to a configured destination."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import MediaStorageDirectoryStorage

from cadnode.deliver import dicom
from cadnode.deliver.associations import item_of
from cadnode.errors import NotProcessable, PermanentDeliveryError, SettingsError
from cadnode.exam.dicom_file import open_file
from cadnode.exam.kind import is_own_output
from cadnode.settings import Destination, Settings

PEER = re.compile(r"(?P<ae>[^@]{1,16})@(?P<host>[^:]+):(?P<port>\d{1,5})")


def parse_peer(text: str, calling_ae_title: str) -> dicom.DicomPeer:
    """Peer written as `AE@HOST:PORT`. Raises `SettingsError` when it is not."""
    match = PEER.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise SettingsError(
            f"a peer is written AE@HOST:PORT, such as CADNODE@127.0.0.1:11112, not {text!r}"
        )
    return dicom.DicomPeer(
        name="peer",
        host=match["host"],
        port=int(match["port"]),
        ae_title=match["ae"],
        calling_ae_title=calling_ae_title,
    )


def echo(settings: Settings, destination: Destination) -> None:
    """C-ECHO; raises `DeliveryError` when the destination does not answer it."""
    dicom.echo(dicom.peer_of(destination, settings.listener.ae_title))


def dicom_files(paths: Sequence[Path]) -> list[Path]:
    """Every file in `paths`, folders searched through. Raises `SettingsError` for a missing one."""
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise SettingsError(f"there is no {path}")
        files += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return files


@dataclass(frozen=True, slots=True)
class NotSent:
    """A file that was not sent, or not taken, and why."""

    path: Path
    reason: str


def sift(files: Sequence[Path], *, own: bool = False) -> tuple[list[Path], list[NotSent]]:
    """(files to send, files left out).

    What cadnode made is sent only if `own`: an exam's folder may hold the results of an earlier
    reading, and a node that gets them back has no use for them.
    """
    reasons = {path: _why_not(path, own=own) for path in files}
    left_out = [NotSent(path, reason) for path, reason in reasons.items() if reason]
    return [path for path, reason in reasons.items() if not reason], left_out


def _why_not(path: Path, *, own: bool) -> str:
    item = item_of(path)
    if item is None:
        return "is not DICOM, or cannot be read"
    if item.sop_class_uid == MediaStorageDirectoryStorage:
        return "is a DICOMDIR, which lists other files"
    try:
        is_own = is_own_output(open_file(path).header)
    except NotProcessable:
        return ""  # a damaged file is its reader's to judge: it is sent as it is
    return "was made by cadnode: --own sends it too" if is_own and not own else ""


def send_files(
    files: Sequence[Path], peer: dicom.DicomPeer, on_file: Callable[[], None]
) -> tuple[int, list[NotSent]]:
    """(number of files that the peer took, those that it refused).

    Raises
    ------
    DeliveryError
        The peer cannot be reached, went away, or refuses the association: nothing is known of
        what it would have refused.
    """
    taken: list[Path] = []
    refused: list[NotSent] = []

    def on_taken(path: Path) -> None:
        taken.append(path)
        on_file()

    try:
        dicom.send(files, peer, on_taken, lambda *failure: refused.append(NotSent(*failure)))
    except PermanentDeliveryError:
        if not refused:
            raise
    return len(taken), refused
