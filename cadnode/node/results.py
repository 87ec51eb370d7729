"""Results on disk: one folder per study and content, written atomically, found again after a crash.

RESULTS/<study_key>/<fingerprint>/reading.json   the result (an `ExamResult`)
                                  maps.npz       the heat maps' values
                                  made_at        when this reading was first reported
                                  result.json    the documented result, for machines
                                  *.dcm          the objects that destinations get
                                  report.html    the report as a page
                                  previews/      small pictures of the views, for the page
                                  report.pdf, fhir.json, oru.hl7   where a destination takes them
                                  inputs.json    names of the spool's files that were read
                                  shadow.json    the scores of versions in shadow mode
                                  deliveries.jsonl   what became of each try to deliver it
                                  not_in_time    there where it only reports what was not read

A study that holds images of several patients has the same in a folder `1`, `2` … for each; only
`inputs.json` stands above them, and no shadow reads it. Nobody else knows these names: a folder of
a content is asked for here (`Results`), and so is each file in it.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO, Final
from zipfile import BadZipFile

import numpy as np
from pydantic import TypeAdapter

from cadnode.domain import (
    Box,
    BreastScore,
    Correspondence,
    ExamResult,
    Finding,
    HeatMap,
    ImageAndAge,
    ImageEvidence,
    ModelUse,
    Skipped,
    SystemStatus,
    ViewScore,
)
from cadnode.files import sync_folder, write_whole, written_whole
from cadnode.log import hashed
from cadnode.registry import shadow_log
from cadnode.report.profiles import ObjectKind
from cadnode.report.uids import fingerprint

READING: Final = "reading.json"
MAPS: Final = "maps.npz"
INPUTS: Final = "inputs.json"
RESULT: Final = "result.json"
PAGE: Final = "report.html"
PDF: Final = "report.pdf"
BUNDLE: Final = "fhir.json"
MESSAGE: Final = "oru.hl7"
DOCUMENTS: Final = (BUNDLE, MESSAGE)  # beside the objects, what a destination may get
_READ_S: Final = "read_s"  # in reading.json, beside the result
MADE_AT: Final = "made_at"
ANSWER: Final = "not_in_time"

_AGE_SCORES: Final = TypeAdapter(ImageAndAge | None)
_TUPLES: Final[dict[str, type]] = {
    "breasts": BreastScore,
    "views": ViewScore,
    "findings": Finding,
    "skipped": Skipped,
    "models": ModelUse,
    "systems": SystemStatus,
    "correspondences": Correspondence,
    "evidence": ImageEvidence,
}


class Results:
    """The results of a node. Threads and processes may share them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def in_storage(cls, storage: Path) -> "Results":
        """The results of the node that stores in that folder (`storage.folder`)."""
        return cls(storage / "results")

    def of_study(self, study: str) -> Path:
        """Where the results of a study's contents are, or will be."""
        return self.folder / study

    def of_content(self, study: str, content: str) -> Path:
        """Where the results of one content are, or will be; "" is no content."""
        return self.of_study(study) / content

    def studies(self) -> Iterator[tuple[str, float]]:
        """Names of the studies' folders, and when the last content of each was begun."""
        if self.folder.is_dir():
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    yield entry.name, changed_at(entry)

    def remove(self, study: str) -> None:
        """Remove all results of a study, at once for every reader. Raises `OSError`.

        What `tombstones` must remember of them is written before. A crash leaves them whole, or in
        the trash, which `empty_trash` deletes.
        """
        folder = self.of_study(study)
        if folder.is_dir():
            self._trash.mkdir(exist_ok=True)
            folder.rename(self._trash / uuid.uuid4().hex)
            sync_folder(self.folder)
        self.empty_trash()

    def take_out(self, study: str, parts: Sequence[Path]) -> None:
        """Remove some exams of a study, and contents of which none is left. Raises `OSError`.

        Each goes at once for every reader; after a crash the call may be repeated.
        """
        self._trash.mkdir(parents=True, exist_ok=True)
        for part in parts:
            content = part if part.parent == self.of_study(study) else part.parent
            left = [one for one in exam_folders(content) if one not in parts and one != content]
            gone = part if left else content
            if gone.is_dir():
                gone.rename(self._trash / uuid.uuid4().hex)
                sync_folder(gone.parent)
        folder = self.of_study(study)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            sync_folder(self.folder)
        self.empty_trash()

    def empty_trash(self) -> None:
        """Delete what a removal, maybe of a process that was killed in it, has thrown away."""
        if self._trash.is_dir():
            for folder in self._trash.iterdir():
                shutil.rmtree(folder, ignore_errors=True)

    @property
    def _trash(self) -> Path:
        return self.folder / ".trash"

    def reported(self, study: str, but: str = "") -> list[Path]:
        """Folders of the study's contents that are reported, of all `but` one, in order."""
        contents = sorted(p for p in self.of_study(study).glob("*") if p.name != but)
        return [folder for folder in contents if has_result(folder)]

    def predecessor(self, study: str, content: str) -> str:
        """Fingerprint of the study's last content that was read and reported before, or ""."""
        read = [f for f in self.reported(study, but=content) if not is_answer(f)]
        newest = max(read, key=reported_at, default=None)
        return newest.name if newest else ""

    def answers(self, study: str, but: str = "") -> list[Path]:
        """Folders of what was reported of the study as not read in time, of all `but` one."""
        return [folder for folder in self.reported(study, but) if is_answer(folder)]

    def newest_pages(self, study: str) -> list[Path]:
        """The pages, one a patient, of the content whose page was written last."""
        found = [pages for folder in self.of_study(study).glob("*") if (pages := pages_in(folder))]
        return max(found, key=lambda pages: changed_at(pages[0]), default=[])

    def readings(self) -> Iterator[Path]:
        """Folders of the contents of one patient that were read."""
        yield from (file.parent for file in self.folder.glob(f"*/*/{READING}"))

    def shadows(self) -> list[Path]:
        """The last `shadow.json` of each study: one that grew was read again, and counts once."""
        newest: dict[Path, Path] = {}
        for file in self.folder.glob(f"*/*/{shadow_log.FILE}"):
            study = file.parent.parent
            if study not in newest or changed_at(newest[study]) < changed_at(file):
                newest[study] = file
        return list(newest.values())


def changed_at(path: Path | os.DirEntry[str]) -> float:
    """When a file or folder last changed; 0 when it does not exist (any more)."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def folders_for(folder: Path, n_exams: int) -> list[Path]:
    """Where the exams of one content are written, of `n_exams` patients."""
    return [folder] if n_exams == 1 else [folder / str(n) for n in range(1, n_exams + 1)]


def exam_folders(folder: Path) -> list[Path]:
    """Where the exams of one content are: the folder itself, or one in it for each patient."""
    parts = [p for p in folder.glob("[1-9]*") if p.name.isdecimal()]
    return sorted(parts, key=lambda p: int(p.name)) or [folder]


def answer_to(content: str) -> str:
    """The name under which it is reported that this content was not read in time."""
    return hashed(f"not in time {content}")


def mark_answer(folder: Path) -> None:
    """Note that the content in `folder` only reports what was not read in time."""
    write_whole(folder / ANSWER, b"")


def is_answer(folder: Path) -> bool:
    """Whether the content in `folder` only reports what was not read in time."""
    return (folder / ANSWER).exists()


def has_result(folder: Path) -> bool:
    """Whether this content is reported, of every patient."""
    return all((part / RESULT).exists() for part in exam_folders(folder))


def reported_at(folder: Path) -> float:
    """When a content was reported, in seconds since the epoch; 0 when it was not."""
    return max(changed_at(part / RESULT) for part in exam_folders(folder))


def documents(folder: Path) -> list[dict[str, Any]]:
    """`result.json` of every patient; empty while one is missing, or when one is damaged."""
    if not has_result(folder):
        return []
    found = [_json(part / RESULT) for part in exam_folders(folder)]
    return found if all(isinstance(document, dict) for document in found) else []


def pages_in(folder: Path) -> list[Path]:
    """The pages of one content, one a patient."""
    return [page for part in exam_folders(folder) if (page := part / PAGE).is_file()]


def objects_in(folder: Path) -> list[Path]:
    """The DICOM objects of one exam, in order of their names."""
    return sorted(folder.glob("*.dcm"))


def object_file(folder: Path, kind: ObjectKind) -> Path:
    """The path of an exam's object of a kind of which there is only one."""
    return folder / f"{kind}.dcm"


def has_outputs(folder: Path) -> bool:
    """Whether an exam's folder holds anything that a destination may get."""
    return any((folder / name).is_file() for name in DOCUMENTS) or bool(objects_in(folder))


def save_inputs(folder: Path, paths: Iterable[Path]) -> None:
    """Note which of the spool's files a content was read from."""
    write_whole(folder / INPUTS, json.dumps([p.name for p in paths]).encode())


def inputs_of(folder: Path) -> frozenset[str]:
    """Names of the spool's files that a content was read from. Raises `OSError`, `ValueError`."""
    return frozenset(json.loads((folder / INPUTS).read_bytes()))


def n_inputs(folder: Path) -> int:
    """Number of the spool's files that a content was read from; 0 when that is not known."""
    names = _json(folder / INPUTS)
    return len(names) if isinstance(names, list) else 0


def shadow_file(folder: Path) -> Path:
    """The path of `shadow.json` of one content."""
    return folder / shadow_log.FILE


def reported_before(folder: Path, instances: Set[str]) -> list[Path]:
    """The folders of an earlier content's exams that share an image with these instances.

    By SOP Instance UID, whichever patient was then assumed; a report of which no image is here
    is another patient's and is not replaced.
    """
    return [part for part in exam_folders(folder) if instances & instances_of(part)]


def instances_of(folder: Path) -> frozenset[str]:
    """SOP Instance UIDs of all that a reading scored or skipped."""
    try:
        document = json.loads((folder / READING).read_bytes())
    except OSError:
        return frozenset()
    return frozenset(
        item["sop_instance_uid"] for name in ("views", "skipped") for item in document[name]
    )


def keep_reading(folder: Path, result: ExamResult, read_s: float | None = None) -> bool:
    """Save a reading, unless `folder` holds one that differs only by rounding: the first stands.

    What was made of that one may be on its way already; made of another, the same objects would
    have other bytes under the same UIDs. Returns whether `result` was saved. `read_s` is how many
    seconds the reading took.
    """
    try:
        first = load_reading(folder)
    except (OSError, ValueError, LookupError, TypeError, EOFError, BadZipFile):
        first = None  # missing, or in the format of an older version
    if first is not None and fingerprint(first) == fingerprint(result):
        return False
    for name in (READING, MADE_AT):  # a crash now leaves no reading, not half of two
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir():  # or else a power cut may bring the old scores back beside new maps
        sync_folder(folder)
    save_reading(folder, result, read_s)
    return True


def first_made_at(folder: Path, made_at: str) -> str:
    """When the reading in `folder` was first reported: `made_at`, if it was not before.

    Reported again, be it after a crash, a reading keeps its time, and its objects their bytes.
    """
    path = folder / MADE_AT
    if not path.exists():
        write_whole(path, made_at.encode("ascii"))
    return path.read_text("ascii")


def made_at(folder: Path) -> str:
    """When the reading in `folder` was first reported, ISO 8601; "" when it was not."""
    try:
        return (folder / MADE_AT).read_text("ascii")
    except OSError:
        return ""


def save_reading(folder: Path, result: ExamResult, read_s: float | None = None) -> None:
    """Write `reading.json` and `maps.npz` into `folder`; `reading.json` last."""
    with written_whole(folder / MAPS) as file:
        arrays = {str(i): m.values for i, m in enumerate(result.heat_maps)}
        np.savez_compressed(file, allow_pickle=False, **arrays)
    document = asdict(replace(result, heat_maps=()))
    if result.image_and_age is None:
        del document["image_and_age"]
    document["heat_maps"] = [
        {"sop_instance_uid": m.sop_instance_uid, "box": list(m.box), "algorithm": m.algorithm}
        for m in result.heat_maps
    ]
    if read_s is not None:
        document[_READ_S] = round(read_s, 3)
    write_whole(folder / READING, json.dumps(document).encode())


def timings_of(folder: Path) -> dict[str, float]:
    """Seconds that the reading in `folder` took, by stage; {} where an older version read."""
    read_s = json.loads((folder / READING).read_bytes()).get(_READ_S)
    return {} if read_s is None else {"read": float(read_s)}


def load_reading(folder: Path) -> ExamResult:
    """The `ExamResult` that `save_reading` wrote into `folder`.

    Fields that an older version did not write yet have their defaults.
    """
    with (folder / MAPS).open("rb") as maps:
        return reading_of((folder / READING).read_bytes(), maps)


def reading_of(reading: bytes, maps: BinaryIO) -> ExamResult:
    """The `ExamResult` of the contents of both files."""
    document = json.loads(reading)
    with np.load(maps, allow_pickle=False) as values:
        heat_maps = tuple(
            HeatMap(values=values[str(i)], **{**m, "box": Box(*m["box"])})
            for i, m in enumerate(document["heat_maps"])
        )
    return _result_of(document, heat_maps)


def load_scores(folder: Path) -> ExamResult:
    """As `load_reading`, without the heat maps, whose file is not opened.

    Raises
    ------
    OSError, ValueError, LookupError, TypeError
        There is no reading in `folder`, or it is damaged or of an older version.
    """
    return _result_of(json.loads((folder / READING).read_bytes()), ())


def _result_of(document: dict[str, Any], heat_maps: tuple[HeatMap, ...]) -> ExamResult:
    parts = {name: _parts(kind, document.get(name, ())) for name, kind in _TUPLES.items()}
    return ExamResult(
        study_instance_uid=document["study_instance_uid"],
        exam_score=document["exam_score"],
        operating_point=document["operating_point"],
        heat_maps=heat_maps,
        read_with=document.get("read_with", ""),
        image_and_age=_AGE_SCORES.validate_python(document.get("image_and_age")),
        **parts,
    )


def _parts(kind: type, values: Sequence[Any]) -> tuple[Any, ...]:
    """The values as dataclasses of that kind, with their enumerations, boxes and tuples."""
    adapter: TypeAdapter[tuple[Any, ...]] = TypeAdapter(tuple[kind, ...])  # type: ignore[valid-type]
    return adapter.validate_python(values)


def _json(path: Path) -> Any:
    """A file's JSON value; None when the file is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
