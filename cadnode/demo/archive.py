"""An archive for the demo: Orthanc when it is installed, else the node's own listener and spool."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cadnode.demo import orthanc
from cadnode.receive import scp
from cadnode.receive.spool import Spool

AE_TITLE = "ARCHIVE"


@dataclass(frozen=True, slots=True)
class DemoArchive:
    """A running archive. `instances()` gives the bytes of every object it holds, Part 10 files."""

    name: str
    ae_title: str
    port: int
    count: Callable[[], int]
    instances: Callable[[], Iterator[bytes]]


@contextmanager
def start(executable: str | None, folder: Path) -> Iterator[DemoArchive]:
    """Orthanc if `executable` names it, else the embedded archive, storing under `folder`."""
    with with_orthanc(executable, folder) if executable else embedded(folder) as archive:
        yield archive


@contextmanager
def with_orthanc(executable: str, folder: Path) -> Iterator[DemoArchive]:
    """A fresh Orthanc."""
    with orthanc.orthanc(folder, executable=executable, aet=AE_TITLE) as peer:
        yield DemoArchive(
            "Orthanc",
            peer.aet,
            peer.dicom_port,
            count=lambda: len(peer.get("/instances")),
            instances=lambda: (
                peer.get_bytes(f"/instances/{i}/file") for i in peer.get("/instances")
            ),
        )


@contextmanager
def embedded(folder: Path) -> Iterator[DemoArchive]:
    """The node's own listener and spool as an archive: stores what it gets, shows nothing."""
    spool = Spool(folder / "spool")
    config = scp.ScpConfig(ae_title=AE_TITLE, host="127.0.0.1", port=0)

    def paths() -> list[Path]:
        return [path for study in spool.studies() for path in spool.instances(study)]

    with scp.serve(config, spool, lambda stored: None) as server:
        yield DemoArchive(
            "the embedded archive",
            AE_TITLE,
            server.port,
            count=lambda: len(paths()),
            instances=lambda: (path.read_bytes() for path in paths()),
        )
