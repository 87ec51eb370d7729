"""The small files that follow a study: taken away with it, or rid of one patient's UIDs.

A study that is hers alone takes its notes, pins, requests and records with it. Of one that others
share, only what names her instances goes.
"""

import json
import os
from collections.abc import Callable, Iterable, Set
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cadnode import log_files
from cadnode.files import sync_folder, write_whole
from cadnode.log import hashed
from cadnode.node import (
    commitments,
    failed_readings,
    pins,
    poison,
    priority,
    reader_verdicts,
    results,
    study_table,
    tombstones,
    undelivered,
    waiting_outcomes,
)
from cadnode.node.erasure.search import PatientSearch
from cadnode.node.remote import machines as remote_machines
from cadnode.node.results import Results
from cadnode.quality.journal import Journal
from cadnode.quality.outcomes import OutcomeBook
from cadnode.receive import way_log
from cadnode.receive.fetch import requests
from cadnode.receive.prior_store import PriorStore

_OF_STUDY: Final = (
    ("spool/headers", "{study}.jsonl"),
    ("spool/removed", "{study}.json"),
    (f"{tombstones.FOLDER}", "{study}.json"),
    (f"{undelivered.FOLDER}", "{study}.*.json"),
    (f"{pins.FOLDER}", "{study}.json"),
    (f"{reader_verdicts.FOLDER}", "{study}.jsonl"),
    (f"{priority.FOLDER}", "{study}.json"),
    ("set_aside", "{study}-*.json"),
    (remote_machines.FOLDER, "{study}-*.*"),
    (failed_readings.FOLDER, "{study}.json"),
    (way_log.FOLDER, "{study}.jsonl"),
    ("spool/requests", "unreadable-{study}*"),
    ("spool/requests", "{study}.*"),
)


def has_any(storage: Path, study: str) -> bool:
    """Whether there is a note of this study."""
    if PriorStore(storage).priors(study):
        return True
    if Journal(storage).has(study) or any(book.has(study) for book in _outcomes(storage)):
        return True
    return study_table.has_any(storage, study) or any(
        any((storage / folder).glob(pattern.format(study=study))) for folder, pattern in _OF_STUDY
    )


def remove_of_study(storage: Path, study: str) -> int:
    """Number of files removed that are about this study. Raises `OSError`."""
    if any((storage / "spool" / "requests").glob(f"{study}.*")):
        requests.remove(storage / "spool", study)
    n_removed = study_table.forget(storage, [study]) + PriorStore(storage).remove(study)
    for folder, pattern in _OF_STUDY:
        n_removed += _unlink((storage / folder).glob(pattern.format(study=study)))
    asked = storage / commitments.FOLDER / "asked"
    n_removed += _unlink(p for p in asked.glob("*.json") if _field(p, "study") == study)
    answered = storage / commitments.FOLDER / "answered"
    n_removed += _unlink(p for p in answered.glob("*.json") if not (asked / p.name).exists())
    n_removed += Journal(storage).remove(study)
    n_removed += sum(book.remove(study) for book in _outcomes(storage))
    _forget_deaths(storage, study)
    return n_removed


def remove_of_content(storage: Path, study: str, content: str) -> None:
    """Remove what waits for a delivery of one content of a study. Raises `OSError`."""
    _unlink((storage / undelivered.FOLDER).glob(f"{study}.{content}.*.json"))
    asked = (storage / commitments.FOLDER / "asked").glob("*.json")
    wanted = {"study": study, "content": content}
    _unlink(p for p in asked if all(_field(p, name) == wanted[name] for name in wanted))


def strip_journal(storage: Path, study: str, gone: Iterable[Path]) -> int:
    """Number of lines taken out of the journal of scores, of a study that others share.

    Those stay whose result is here and is not among `gone`, one patient's: whose reading any other
    line is of, nobody can tell. Raises `OSError`.
    """
    hers = {*gone}
    kept = set()
    for content in Results.in_storage(storage).of_study(study).glob("*"):
        for part in results.exam_folders(content):
            if part not in hers:
                kept.add((content.name, 1 if part == content else int(part.name)))
    for book in _outcomes(storage):
        book.remove(study)  # whose they are is not stated
    return Journal(storage).remove(study, kept)


def strip_commitments(storage: Path, uids: Set[str]) -> int:
    """Number of files of storage commitment that named her instances. Raises `OSError`."""
    place = storage / commitments.FOLDER
    n_changed = 0
    for path in [*(place / "answered").glob("*.json"), *(place / "requested").glob("*.json")]:
        changed = _strip(path, uids)
        n_changed += changed
        if changed and not _field(path, "references", [0]) and path.parent.name == "requested":
            _unlink([path])
    return n_changed


def strip_shared_study(storage: Path, study: str, names: Iterable[str], uids: Set[str]) -> None:
    """Rid what stays of a study of one patient's instances. Raises `OSError`.

    `names` are those of her files in the spool.
    """
    _unlink((storage / "spool" / "headers").glob(f"{study}.jsonl"))  # made again when asked for
    study_table.forget(storage, [study])  # so is its line
    _unlink((storage / remote_machines.FOLDER).glob(f"{study}-*.*"))  # offered again without hers
    keys = {hashed(uid) for uid in uids}
    gone = {*names, *(f"{key}.dcm" for key in keys)}
    reader_verdicts.strip(storage, study, keys)
    for content in Results.in_storage(storage).of_study(study).glob("*"):
        _strip(content / results.INPUTS, gone)
        for path in content.glob("commitment.*.json"):
            _strip(path, uids)
    _strip(storage / "spool" / "removed" / f"{study}.json", {*keys, *gone})
    _strip(storage / tombstones.FOLDER / f"{study}.json", uids)


def remove_leftovers(storage: Path, has_hers: Callable[[Path], bool]) -> int:
    """Number of files removed that a writer, dead or late, has left half written and hold hers."""
    own = (path for path in storage.rglob(".*.part") if path.is_file())
    return _unlink(path for path in own if has_hers(path))


def blank_log(storage: Path, search: PatientSearch) -> int:
    """Number of lines of the kept log that named what is hers, and are empty now. Raises `OSError`.

    A process that writes the log goes on meanwhile.
    """
    files = [path for path in log_files.segments(storage / log_files.FOLDER) if search.holds(path)]
    count = 0
    for path in files:
        with suppress(FileNotFoundError):  # its turn to go had come
            count += log_files.blank(path, search.in_text)
    return count


def without(document: Any, values: Set[str]) -> Any:
    """A JSON document without these strings: in lists, as keys, and pairs that end in one."""
    if isinstance(document, dict):
        kept = {k: without(v, values) for k, v in document.items() if k not in values}
        return kept
    if isinstance(document, list):
        return [
            without(one, values)
            for one in document
            if not (isinstance(one, str) and one in values)
            and not (isinstance(one, list) and len(one) == 2 and one[-1] in values)
        ]
    return document


def _strip(path: Path, values: Set[str]) -> bool:
    """Whether a file named one of these values; now it does not."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    kept = without(document, values)
    if path.parent.name == tombstones.FOLDER:
        kept = _without_empty_exams(kept)
    if kept == document:
        return False
    write_whole(path, json.dumps(kept).encode())
    return True


def _without_empty_exams(document: Any) -> Any:
    """A tombstone of which an exam has no instance any more loses the exam, its reports with it."""
    with suppress(TypeError, KeyError):
        contents = [
            {**one, "exams": [exam for exam in one["exams"] if exam["instances"]]}
            for one in document["contents"]
        ]
        return {**document, "contents": contents}
    return document


def _outcomes(storage: Path) -> tuple[OutcomeBook, OutcomeBook]:
    return OutcomeBook(storage), OutcomeBook(storage, waiting_outcomes.NAME)


def _forget_deaths(storage: Path, study: str) -> None:
    """What stands against a study whose reading ended the worker, and what it had in hand."""
    casualties = poison.Casualties(storage)
    for death in casualties.deaths():
        of_study, _, content = death.hand.partition("-")
        if of_study == study:
            casualties.forgive(study, content)
    for hand in (storage / "roles").glob("worker*.hand"):
        with suppress(OSError):
            if hand.read_bytes().startswith(study.encode()):
                poison.Casualties(storage, hand.stem).let_go()


def _field(path: Path, name: str, default: Any = None) -> Any:
    with suppress(OSError, ValueError, AttributeError):
        return json.loads(path.read_bytes()).get(name, default)
    return default


def _unlink(paths: Iterable[Path]) -> int:
    """Number of files removed; their folders are synced."""
    folders: set[Path] = set()
    count = 0
    for path in list(paths):
        with suppress(FileNotFoundError):
            os.unlink(path)
            count += 1
            folders.add(path.parent)
    for folder in folders:
        sync_folder(folder)
    return count
