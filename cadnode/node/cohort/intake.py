"""Where exams are fetched to before their identities are taken out: a folder that does not stay."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cadnode.errors import DataError
from cadnode.files import is_locked, locked
from cadnode.log import hashed
from cadnode.node import source_kinds
from cadnode.node.scp_config import scp_config
from cadnode.receive import scp
from cadnode.receive.fetch.dimse import DimseSource
from cadnode.receive.fetch.fetch import fetch
from cadnode.receive.fetch.moving import moved
from cadnode.receive.fetch.requests import Request
from cadnode.receive.fetch.studies import ListedStudy
from cadnode.receive.identity import InstanceIdentity
from cadnode.receive.spool import Incoming, Spool, StoredInstance
from cadnode.settings import Settings, Source

SUFFIX: Final = ".incoming"
_LEAST_FREE_BYTES: Final = 500_000_000  # an exam has some 200 MB, and is there twice for a moment


@dataclass(frozen=True, slots=True)
class OwnListener:
    """By which AE title and port an archive knows us, where the node's own are not meant."""

    ae_title: str = ""
    port: int | None = None


class AskedSource:
    """A source that is asked which studies it has."""

    def __init__(self, source: Source, settings: Settings, own: OwnListener) -> None:
        self._source = source
        self._ae_title = own.ae_title or settings.listener.ae_title

    def studies(self, keyword: str, value: str) -> Sequence[ListedStudy]:
        """The studies that the source lists. Raises `FetchFailure`."""
        with source_kinds.opened(self._source, self._ae_title) as opened:
            return opened.studies_of(value, keyword)


class Intake(AskedSource):
    """Studies of one source, fetched one after the other."""

    def __init__(
        self, source: Source, settings: Settings, own: OwnListener, spool: "AwaitedStudies"
    ) -> None:
        super().__init__(source, settings, own)
        self._spool = spool

    def fetched(self, study_instance_uid: str, source_id: str) -> list[Path]:
        """The files of a study's mammograms and of what speaks of them. Raises `FetchFailure`."""
        request = Request(study_instance_uid, self._source.name, source_id)
        with (
            self._spool.awaiting(study_instance_uid),
            source_kinds.opened(self._source, self._ae_title) as opened,
        ):
            if isinstance(opened, DimseSource):
                moved(request, opened, self._spool)
            else:
                fetch(request, opened, self._spool)
        return self._spool.instances(hashed(study_instance_uid))

    def discard(self, study_instance_uid: str) -> None:
        """Remove what was fetched of a study."""
        self._spool.discard(hashed(study_instance_uid))


class AwaitedStudies(Spool):
    """A spool that takes the study that is awaited, and nothing that somebody else sends."""

    _awaited: str = ""

    @contextmanager
    def awaiting(self, study_instance_uid: str) -> Iterator[None]:
        """Within the block this study is taken."""
        self._awaited = study_instance_uid
        try:
            yield
        finally:
            self._awaited = ""

    def publish(self, incoming: Incoming, identity: InstanceIdentity) -> StoredInstance:
        """As the spool. Raises `OSError` for another study: its sender is to keep it."""
        if identity.study_instance_uid != self._awaited:
            incoming.drop()
            raise PermissionError("not awaited")
        return super().publish(incoming, identity)


@contextmanager
def opened(source: Source, settings: Settings, own: OwnListener, out: Path) -> Iterator[Intake]:
    """An intake beside the folder `out`; at the end nothing that was fetched is left.

    For a source that is asked by C-MOVE it listens as the node does (`listener` of the settings).

    Raises
    ------
    DataError
        Another run collects into the same folder, or the disk takes no files.
    SettingsError
        The port cannot be listened on.
    """
    folder = out.with_name(out.name + SUFFIX)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = folder / "lock"
        if is_locked(lock, when_missing=False):
            raise DataError(f"another run collects into {out.name}")
        with locked(lock, mode=0o600):
            _clear(folder, lock)
            try:
                with _listening(source, settings, own, folder) as intake:
                    yield intake
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise DataError(f"{folder.name} cannot be written ({type(error).__name__})") from None


@contextmanager
def _listening(
    source: Source, settings: Settings, own: OwnListener, folder: Path
) -> Iterator[Intake]:
    spool = AwaitedStudies(folder, min_free_bytes=_LEAST_FREE_BYTES)
    intake = Intake(source, settings, own, spool)
    if source.kind != "dicom":
        yield intake
        return
    config = replace(scp_config(settings), ae_title=own.ae_title or settings.listener.ae_title)
    if own.port is not None:
        config = replace(config, port=own.port)
    with scp.serve(config, spool, lambda stored: None):
        yield intake


def _clear(folder: Path, lock: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path != lock:
            path.unlink(missing_ok=True)
