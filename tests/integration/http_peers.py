"""An Orthanc with DICOMweb, a password if wanted, and a line to it that can be cut."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pynetdicom.dsutils import split_dataset

from cadnode.http import HttpPeerValues
from tests.peers import Orthanc, orthanc

DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "cadnode", "ZZQ-pass-ü"
KINDS = ("orthanc", "dicomweb")


@contextmanager
def web_orthanc(folder: Path, *, password: str = "", **settings: Any) -> Iterator[Orthanc]:
    """An Orthanc with its DICOMweb plugin; with a password it is for `USER` alone."""
    user = (USER, password) if password else None
    with orthanc(folder, user=user, Plugins=[str(DICOMWEB_PLUGIN)], **settings) as peer:
        yield peer


def values_of(peer: Orthanc, kind: str, *, port: int = 0, **more: Any) -> HttpPeerValues:
    """How a node reaches the Orthanc by that kind of interface, perhaps by another port."""
    root = "" if kind == "orthanc" else "/dicom-web"
    url = f"http://127.0.0.1:{port or peer.http_port}{root}"
    return HttpPeerValues("archive", url, **more)


def data_set(path: Path) -> bytes:
    """What follows the file meta information."""
    return path.read_bytes()[split_dataset(path)[1] :]


class CutLine:
    """A TCP proxy on loopback.

    The first `n_cuts` connections on which more than `after` bytes of answers come are cut there;
    while `is_open` is clear, answers stop there without being cut.
    """

    def __init__(self, to_port: int) -> None:
        self.to_port = to_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.after = 0
        self.n_cuts = 0
        self.n_cut = 0
        self.is_open = threading.Event()
        self.is_open.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self.to_port))
                except OSError:
                    near.close()
                    continue
                for target, args in ((self._ask, (near, far)), (self._answer, (far, near))):
                    threading.Thread(target=target, args=args, daemon=True).start()

    def _ask(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while data := near.recv(65536):
                far.sendall(data)
        with suppress(OSError):
            far.shutdown(socket.SHUT_RDWR)

    def _answer(self, far: socket.socket, near: socket.socket) -> None:
        n_bytes = 0
        with suppress(OSError), near, far:
            while data := far.recv(65536):
                n_bytes += len(data)
                if self.n_cut < self.n_cuts and n_bytes > self.after:
                    self.n_cut += 1
                    near.sendall(data[: len(data) // 2])
                    near.shutdown(socket.SHUT_RDWR)
                    return
                if n_bytes > self.after:
                    self.is_open.wait()
                near.sendall(data)


@contextmanager
def cut_line(to_port: int) -> Iterator[CutLine]:
    """A proxy before a port of this machine."""
    line = CutLine(to_port)
    try:
        yield line
    finally:
        line.is_open.set()
        line.close()
