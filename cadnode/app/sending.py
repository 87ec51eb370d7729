"""`cadnode send`, and C-ECHO to a configured destination."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from cadnode.app.peers import dicom_values
from cadnode.deliver import cstore
from cadnode.errors import SettingsError
from cadnode.settings import Destination, Settings

PEER = re.compile(r"(?P<ae>[^@]{1,16})@(?P<host>[^:]+):(?P<port>\d{1,5})")


def parse_peer(text: str, calling_ae_title: str) -> cstore.Destination:
    """Peer written as `AE@HOST:PORT`. Raises `SettingsError` when it is not."""
    match = PEER.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise SettingsError(
            f"a peer is written AE@HOST:PORT, such as CADNODE@127.0.0.1:11112, not {text!r}"
        )
    return cstore.Destination(
        name="peer",
        host=match["host"],
        port=int(match["port"]),
        ae_title=match["ae"],
        calling_ae_title=calling_ae_title,
    )


def echo(settings: Settings, destination: Destination) -> None:
    """C-ECHO; raises `DeliveryError` when the destination does not answer it."""
    cstore.echo(dicom_values(destination, settings.listener.ae_title))


def dicom_files(paths: Sequence[Path]) -> list[Path]:
    """Every file in `paths`, folders searched through. Raises `SettingsError` for a missing one."""
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise SettingsError(f"there is no {path}")
        files += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return files


def send_files(files: Sequence[Path], peer: cstore.Destination, on_file: Callable[[], None]) -> int:
    """Number of files that the peer took."""
    return cstore.send(files, peer, on_file=lambda _path: on_file()).n_sent
