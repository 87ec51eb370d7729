"""What is remembered of results that were removed, so that a later report can name theirs.

    STORAGE/removed/<study_key>.json   of each content that was reported: when, of which instances,
                                       and the UIDs of what was made

A later report finds in it the documents that it replaces. A study that is read once more on
request, after its result was removed, makes objects under new UIDs (`times_removed`): the old ones
may be in an archive, and their bytes are not here any more to be the same.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from cadnode.files import write_whole
from cadnode.node import results
from cadnode.node.results import Results
from cadnode.report.profiles import STRUCTURED, ObjectKind

FOLDER: Final = "removed"
_TAGS: Final = ["StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID"]


@dataclass(frozen=True, slots=True)
class RemovedExam:
    """One patient's part of a removed content.

    `instances` are the SOP Instance UIDs that were read or skipped; `objects` those of all that was
    made; `reports` the structured reports by kind: Study, Series, SOP Class and SOP Instance UID.
    """

    made_at: str
    instances: tuple[str, ...]
    objects: tuple[str, ...]
    reports: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class RemovedContent:
    """A content whose result was removed; `reported_at` is in seconds since the epoch."""

    content: str
    reported_at: float
    exams: tuple[RemovedExam, ...]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is remembered of a study's removed results.

    `times_removed` counts also how often it was read once more on request: each time the objects
    have new UIDs.
    """

    times_removed: int = 0
    contents: tuple[RemovedContent, ...] = ()

    def newest(self) -> str:
        """Fingerprint of the content that was reported last, or ""."""
        last = max(self.contents, key=lambda one: one.reported_at, default=None)
        return last.content if last else ""

    def has(self, content: str) -> bool:
        """Whether this content was once reported."""
        return any(one.content == content for one in self.contents)

    def reports(self, content: str, instances: Set[str]) -> dict[ObjectKind, list[Dataset]]:
        """The reports of a content that share an image with these instances, by kind.

        Each has the four UIDs by which another document names it.
        """
        found: dict[ObjectKind, list[Dataset]] = {}
        for exam in self._exams(content):
            if instances & set(exam.instances):
                for kind, uids in exam.reports.items():
                    found.setdefault(ObjectKind(kind), []).append(_reference(uids))
        return found

    def _exams(self, content: str) -> Iterator[RemovedExam]:
        for one in self.contents:
            if one.content == content:
                yield from one.exams


def of_study(storage: Path, study: str) -> Tombstone:
    """What is remembered of the study; an empty one when nothing was removed of it."""
    try:
        document = json.loads((storage / FOLDER / f"{study}.json").read_bytes())
        contents = tuple(_content(one) for one in document["contents"])
        return Tombstone(int(document["times_removed"]), contents)
    except (OSError, ValueError, TypeError, KeyError):
        return Tombstone()


def bury(storage: Path, study: str) -> None:
    """Remember durably what the results of a study hold, before they are removed.

    Raises
    ------
    OSError
        The disk is full; nothing may be removed.
    """
    before = of_study(storage, study)
    now = [_described(folder) for folder in Results.in_storage(storage).reported(study)]
    names = {one.content for one in now}
    kept = [one for one in before.contents if one.content not in names]
    document = {
        "times_removed": before.times_removed + 1,
        "contents": [asdict(one) for one in (*kept, *now)],
    }
    (storage / FOLDER).mkdir(exist_ok=True)
    write_whole(storage / FOLDER / f"{study}.json", json.dumps(document).encode())


def renew(storage: Path, study: str) -> None:
    """Have what is made of a study from now on be new objects. Raises `OSError`."""
    before = of_study(storage, study)
    document = {
        "times_removed": before.times_removed + 1,
        "contents": [asdict(one) for one in before.contents],
    }
    (storage / FOLDER).mkdir(exist_ok=True)
    write_whole(storage / FOLDER / f"{study}.json", json.dumps(document).encode())


def _described(folder: Path) -> RemovedContent:
    exams = tuple(_exam(part) for part in results.exam_folders(folder))
    return RemovedContent(folder.name, results.reported_at(folder), exams)


def _exam(folder: Path) -> RemovedExam:
    made = dict(_made(results.objects_in(folder)))
    of_kind = {results.object_file(folder, kind): kind.value for kind in STRUCTURED}
    return RemovedExam(
        results.made_at(folder),
        tuple(sorted(results.instances_of(folder))),
        tuple(uids[-1] for uids in made.values()),
        {of_kind[path]: uids for path, uids in made.items() if path in of_kind},
    )


def _made(paths: Iterable[Path]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The four UIDs of each object; one that cannot be read was never sent as it is."""
    for path in paths:
        with suppress(InvalidDicomError, OSError, ValueError, AttributeError):
            ds = pydicom.dcmread(path, specific_tags=list(_TAGS))
            yield path, tuple(str(ds[name].value) for name in _TAGS)


def _reference(uids: Sequence[str]) -> Dataset:
    ds = Dataset()
    for name, uid in zip(_TAGS, uids, strict=True):
        setattr(ds, name, uid)
    return ds


def _content(document: dict[str, Any]) -> RemovedContent:
    exams = tuple(
        RemovedExam(
            str(exam["made_at"]),
            tuple(exam["instances"]),
            tuple(exam["objects"]),
            {kind: tuple(uids) for kind, uids in exam["reports"].items()},
        )
        for exam in document["exams"]
    )
    return RemovedContent(str(document["content"]), float(document["reported_at"]), exams)
