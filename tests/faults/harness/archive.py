"""An archive that misbehaves as it is bid: a Storage SCP in a process of its own.

    python -m tests.faults.harness.archive PORT FOLDER

It looks into FOLDER/mode.json before each answer: {"mode": "a700", "share": 0.5} answers A700 to
half of what it is sent. Each object is in FOLDER/archive.jsonl before it is answered.

| mode         | what it does                                                        |
|--------------|---------------------------------------------------------------------|
| ok           | stores and answers Success                                           |
| slow         | waits for `seconds` first                                            |
| hang         | answers nothing for `seconds`, then goes on                          |
| a700 … 0124  | answers that status and stores nothing                               |
| b000         | stores and answers the warning Coercion of Data Elements             |
| 0111         | answers Duplicate SOP Instance for what it holds, else as `ok`        |
| drop         | aborts the association before it stores                              |
| drop_stored  | stores, and aborts the association instead of an answer              |
| lie          | answers Success and stores nothing                                   |
| reject       | rejects associations for good: calling AE title not recognised       |
| busy         | rejects associations for now: too many of them                       |
"""

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset, dcmread
from pynetdicom import (
    AE,
    ALL_TRANSFER_SYNTAXES,
    AllStoragePresentationContexts,
    _config,
    evt,
)
from pynetdicom.sop_class import Verification

from tests.faults.harness.ledger import Archived, Arrived, now
from tests.faults.harness.wait import is_listening, until

STATUSES: Final = {"a700": 0xA700, "a900": 0xA900, "c000": 0xC000, "0110": 0x0110,
                   "0122": 0x0122, "0124": 0x0124}  # fmt: skip
SILENT: Final = ("drop", "drop_stored", "hang")
RECORD: Final = "archive.jsonl"
MODE: Final = "mode.json"


class Archive:
    """The process, seen from the test: started, killed, given a mode."""

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, port
        self.record = Archived(folder / RECORD)
        self.process: subprocess.Popen[bytes] | None = None
        self.behave("ok")

    def behave(self, mode: str, *, share: float = 1.0, seconds: float = 0.0) -> None:
        """From now on it behaves so, for that `share` of what it is sent."""
        whole = self.folder / ".mode"
        whole.write_text(json.dumps({"mode": mode, "share": share, "seconds": seconds}))
        whole.replace(self.folder / MODE)

    def start(self) -> None:
        with (self.folder / "archive.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.harness.archive", str(self.port),
                 str(self.folder)],
                stdout=log, stderr=log,
            )  # fmt: skip
        until(lambda: is_listening(self.port), "the archive listens", 60)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def run(port: int, folder: Path) -> None:
    """Serve until killed."""
    _config.LOG_HANDLER_LEVEL = "none"
    ae = AE("ARCHIVE")
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
    ae.add_supported_context(Verification)
    store = _Store(folder)
    ae.start_server(
        ("127.0.0.1", port),
        evt_handlers=[(evt.EVT_C_STORE, store), (evt.EVT_REQUESTED, _admit, [folder])],
    )


def _mode(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / MODE).read_text())
    return found if random.random() < found["share"] else {"mode": "ok", "seconds": 0.0}


def _admit(event: Any, folder: Path) -> None:
    mode = _mode(folder)["mode"]
    ae = event.assoc.ae
    ae.require_calling_aet = ["NOBODY"] if mode == "reject" else []
    ae.maximum_associations = 0 if mode == "busy" else 100


class _Store:
    """The handler of C-STORE requests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = (folder / RECORD).open("a")
        self._held = {one.sop_instance_uid for one in Archived(folder / RECORD).held()}

    def __call__(self, event: Any) -> int:
        mode = _mode(self._folder)
        name = mode["mode"]
        if name in ("slow", "hang"):
            time.sleep(mode["seconds"])
        uid = str(event.request.AffectedSOPInstanceUID)
        status = STATUSES.get(name, 0xB000 if name == "b000" else 0)
        if name == "0111" and uid in self._held:
            status = 0x0111
        keeps = status in (0, 0xB000) and name not in ("drop", "lie")
        self._note(event, status if name not in SILENT else -1, keeps)
        if name in ("drop", "drop_stored"):
            event.assoc.abort()
        return status

    def _note(self, event: Any, status: int, keeps: bool) -> None:
        data = event.request.DataSet.getvalue()
        entry = _describe(data, event, status, keeps)
        if keeps:
            self._held.add(entry.sop_instance_uid)
            (self._folder / f"{entry.digest[:16]}.bin").write_bytes(data)
        self._file.write(json.dumps(asdict(entry)) + "\n")
        self._file.flush()


def _describe(data: bytes, event: Any, status: int, is_held: bool) -> Arrived:
    uid = str(event.request.AffectedSOPInstanceUID)
    ds, problem = Dataset(), ""
    try:
        syntax = event.context.transfer_syntax
        ds = dcmread(_part10(data, syntax), force=True)
        found = tuple(_uids(ds))
        if str(ds.get("SOPInstanceUID", "")) != uid:
            problem = "its UID is not that of the command"
    except Exception as error:
        found, problem = (), type(error).__name__
    return Arrived(
        sop_instance_uid=uid,
        sop_class_uid=str(event.request.AffectedSOPClassUID),
        study_instance_uid=str(ds.get("StudyInstanceUID", "")),
        patient_id=str(ds.get("PatientID", "")),
        accession=str(ds.get("AccessionNumber", "")),
        digest=hashlib.sha256(data).hexdigest(),
        status=status,
        is_held=is_held,
        at=now(),
        refers_to=tuple(sorted(set(_references(ds)))),
        uids=tuple(sorted(set(found))),
        problem=problem,
    )


def _part10(data: bytes, transfer_syntax_uid: str) -> BytesIO:
    value = transfer_syntax_uid.encode()
    value += b"\0" * (len(value) % 2)
    element = b"\x02\x00\x10\x00UI" + len(value).to_bytes(2, "little") + value
    length = b"\x02\x00\x00\x00UL\x04\x00" + len(element).to_bytes(4, "little")
    return BytesIO(bytes(128) + b"DICM" + length + element + data)


def _uids(ds: Dataset) -> Iterator[str]:
    for element in ds.iterall():
        if element.VR == "UI":
            value = element.value
            yield from (map(str, value) if isinstance(value, list) else [str(value)])


def _references(ds: Dataset) -> Iterator[str]:
    """The images that an object is made of: not the earlier reports that it replaces."""
    for element in ds:
        if element.keyword == "ReferencedSOPInstanceUID":
            yield str(element.value)
        elif element.VR == "SQ" and element.keyword != "PredecessorDocumentsSequence":
            for item in element.value:
                yield from _references(item)


if __name__ == "__main__":
    os.umask(0o077)
    run(int(sys.argv[1]), Path(sys.argv[2]))
