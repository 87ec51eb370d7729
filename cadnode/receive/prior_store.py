"""Prior exams that were fetched to be shown beside a study: never read, never sent anywhere.

    STORAGE/priors/<study_key>/<prior_key>/<instance_key>.dcm   the prior's images
                                           note.json            how its last fetch ended
    STORAGE/priors/expected/<prior_key>.json   a C-MOVE is under way: for whom which images

A prior belongs to the study for which it was fetched and goes with it. Keys are those of the
spool (`hashed(uid)`). A file is written in the spool's `incoming/`, synced and renamed, as the
spool's own files are. An archive that was asked by C-MOVE sends to the listener, another process;
`expected` tells it apart from a study that somebody sends to be read.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.files import lock, make_folder, sync_folder, write_whole
from cadnode.log import hashed
from cadnode.receive.command import DimseRequest
from cadnode.receive.identity import InstanceIdentity
from cadnode.receive.spool import Incoming, Received, Spool, StoredInstance

FOLDER: Final = "priors"
NOTE: Final = "note.json"
_EXPECTED: Final = "expected"
_KEY: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class PriorNote:
    """How the last fetch of a prior ended: a `FetchCode`, the source's name, when (epoch, s)."""

    code: str
    source: str
    at: float


class PriorStore:
    """The prior exams in one storage folder. Threads and processes may share it."""

    def __init__(self, storage: Path) -> None:
        self._folder = storage / FOLDER

    def studies(self) -> list[str]:
        """Keys of the studies that have priors here, in order."""
        return _keys_in(self._folder)

    def priors(self, study: str) -> list[str]:
        """Keys of a study's priors, in order; also of such as could not be fetched."""
        return _keys_in(self._folder / study)

    def images(self, study: str, prior: str) -> list[Path]:
        """Files of a prior in order of their names."""
        return sorted((self._folder / study / prior).glob("*.dcm"))

    def files(self, study: str) -> list[Path]:
        """Files of all priors of a study, in order."""
        return [path for prior in self.priors(study) for path in self.images(study, prior)]

    def publish(
        self, incoming: Incoming, study: str, prior: str, identity: InstanceIdentity
    ) -> StoredInstance:
        """A file in its place, durably; one of the same instance gives way to it.

        Raises
        ------
        OSError
            The disk is full or failing; the store is as it was before.
        """
        folder = self._folder / study / prior
        path = folder / f"{hashed(identity.sop_instance_uid)}.dcm"
        try:
            incoming.sync()
            make_folder(folder)
            incoming.path.replace(path)
            sync_folder(folder)
            return StoredInstance(prior, path.stem, path, Received.ASIDE, incoming.n_bytes)
        finally:
            incoming.drop()

    def note(self, study: str, prior: str, note: PriorNote) -> None:
        """Keep how a fetch ended. Raises `OSError`."""
        document = {"code": note.code, "source": note.source, "at": note.at}
        write_whole(self._folder / study / prior / NOTE, json.dumps(document).encode())

    def note_of(self, study: str, prior: str) -> PriorNote | None:
        """How the last fetch ended; None when there was none that is known."""
        try:
            document = json.loads((self._folder / study / prior / NOTE).read_bytes())
            return PriorNote(str(document["code"]), str(document["source"]), float(document["at"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    @contextmanager
    def fetching(self, study: str, prior: str) -> Iterator[bool]:
        """Within the block no other process or thread fetches the prior; False where one does."""
        folder = self._folder / study / prior
        make_folder(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield _locked_soon(descriptor)
        finally:
            os.close(descriptor)

    def is_fetching(self, study: str, prior: str) -> bool:
        """Whether somebody fetches the prior now."""
        try:
            descriptor = os.open(self._folder / study / prior, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return False
        try:
            return not lock(descriptor, shared=True, wait=False)
        finally:
            os.close(descriptor)

    def expect(self, study: str, prior: str, for_s: float, instances: Collection[str]) -> None:
        """Have the listener take these instances of the prior (their keys) for this study's.

        Of none nothing is expected any more. Raises `OSError`.
        """
        file = self._folder / _EXPECTED / f"{prior}.json"
        if not instances:
            file.unlink(missing_ok=True)
            return
        document = {"study": study, "until": time.time() + for_s, "instances": sorted(instances)}
        write_whole(file, json.dumps(document).encode())

    def expected_by(self, prior: str) -> str | None:
        """The study for which a prior is being moved here; None: nobody waits for it."""
        found = self._expected(prior)
        return None if found is None else found[0]

    def awaited_by(self, prior: str, instance: str) -> str | None:
        """The study for which this very instance was asked for, and is not here yet."""
        study, instances = self._expected(prior) or ("", frozenset[str]())
        if instance not in instances or (self._folder / study / prior / f"{instance}.dcm").exists():
            return None
        return study

    def _expected(self, prior: str) -> tuple[str, frozenset[str]] | None:
        try:
            document = json.loads((self._folder / _EXPECTED / f"{prior}.json").read_bytes())
            study, until = str(document["study"]), float(document["until"])
            instances = frozenset(map(str, document["instances"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return (study, instances) if _KEY.fullmatch(study) and time.time() < until else None

    def remove_prior(self, study: str, prior: str) -> None:
        """Remove one prior of a study."""
        shutil.rmtree(self._folder / study / prior, ignore_errors=True)

    def remove(self, study: str) -> int:
        """Number of files that went with all priors of a study; nobody waits for any of hers now.

        Raises
        ------
        OSError
            The disk fails.
        """
        folder = self._folder / study
        count = len(self.files(study))
        for path in (self._folder / _EXPECTED).glob("*.json"):
            if self.expected_by(path.stem) in (study, None):
                path.unlink(missing_ok=True)
        if folder.is_dir():
            shutil.rmtree(folder)
            sync_folder(self._folder)
        return count


class PriorShelf:
    """Takes the fetched files of one prior in the spool's place (`fetch.fetch.Receiver`)."""

    def __init__(self, store: PriorStore, spool: Spool, study: str, prior: str) -> None:
        self._store, self._spool = store, spool
        self._study, self._prior = study, prior

    def instances(self, study_key: str) -> list[Path]:
        """Files of the prior that are here."""
        return self._store.images(self._study, self._prior)

    def has_room(self) -> bool:
        """As the spool."""
        return self._spool.has_room()

    def open(self) -> Incoming:
        """As the spool."""
        return self._spool.open()

    def publish(self, incoming: Incoming, identity: InstanceIdentity) -> StoredInstance:
        """The file beside the study. Raises `OSError`."""
        return self._store.publish(incoming, self._study, self._prior, identity)


class AwaitedPriors:
    """Which C-STOREs belong to a prior that this node asked for; the listener asks of each."""

    def __init__(self, store: PriorStore, ae_title: str) -> None:
        self._store = store
        self._ae_title = ae_title

    def __call__(
        self, request: DimseRequest, identity: InstanceIdentity, incoming: Incoming
    ) -> StoredInstance | None:
        """Take an instance of an expected prior; None, nothing touched, for all others.

        An archive names in each C-STORE whose C-MOVE it serves (PS3.7 9.3.1.1), but not every one
        does. So only what was asked for by name counts, and each instance once: what else anybody
        sends of the same study, or sends again, is to be read.
        """
        if request.move_originator not in ("", self._ae_title):
            return None
        prior = hashed(identity.study_instance_uid)
        study = self._store.awaited_by(prior, hashed(identity.sop_instance_uid))
        if study is None:
            return None
        return self._store.publish(incoming, study, prior, identity)


def _locked_soon(descriptor: int) -> bool:
    """Whether it is ours: a look (`is_fetching`) holds it for a moment, a fetch for longer."""
    for _ in range(10):
        if lock(descriptor, wait=False):
            return True
        time.sleep(0.02)
    return False


def _keys_in(folder: Path) -> list[str]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(p.name for p in folder.iterdir() if _KEY.fullmatch(p.name) and p.is_dir())
    return []
