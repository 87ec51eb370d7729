"""Files become exams: each image used or skipped, every skip with its coded reason."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydicom import Dataset

from cadnode.domain import Skipped, SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.cbis_ddsm import parse_name
from cadnode.exam.dicom_file import read_pixel_data
from cadnode.exam.eligibility import choose
from cadnode.exam.mammogram import Instance, inspect, read_instance
from cadnode.exam.model import Exam, Mammogram
from cadnode.exam.regions import find_regions

__all__ = ["read_exam", "read_exams", "read_instance"]


def read_exam(paths: Iterable[Path], *, read_for_processing: bool = False) -> Exam:
    """The exam that the files of one study make; folders are searched for files.

    What cannot be read is in `skipped`; no content of a file makes this raise.
    """
    return _exam([inspect(p, read_for_processing=read_for_processing) for p in _files(paths)])


def read_exams(paths: Iterable[Path], *, read_for_processing: bool = False) -> tuple[Exam, ...]:
    """The exams in any files and folders, sorted by Study Instance UID.

    Instances are grouped by study; CBIS-DDSM, where each view is its own study, by woman and
    collection. Files that are no DICOM belong to no study: they go to the only exam there is,
    otherwise into one of their own, whose Study Instance UID is "".
    """
    groups: dict[str, list[Instance]] = defaultdict(list)
    for path in _files(paths):
        instance = inspect(path, read_for_processing=read_for_processing)
        groups[_exam_key(instance)].append(instance)
    strays = groups.pop("", [])
    if strays and len(groups) == 1:
        next(iter(groups.values())).extend(strays)
    elif strays:
        groups[""] = strays
    exams = [_exam(group) for group in groups.values()]
    return tuple(sorted(exams, key=lambda exam: exam.study_instance_uid))


def _files(paths: Iterable[Path]) -> list[Path]:
    """Every regular file in `paths`, once, sorted within a folder; a missing one stays in."""
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            found |= dict.fromkeys(sorted(p for p in path.rglob("*") if p.is_file()))
        else:
            found[path] = None
    return list(found)


def _exam_key(instance: Instance) -> str:
    """What instances of one exam have in common; "" for what is no DICOM.

    Instances that lack a Study Instance UID are kept apart by patient and series.
    """
    header = instance.header
    if header is None:
        return ""
    name = parse_name(header)
    if name is not None:
        return f"woman {name.woman}"
    if instance.study_instance_uid:
        return f"study {instance.study_instance_uid}"
    return f"series {header.get('PatientID', '')} {header.get('SeriesInstanceUID', '')}"


def _exam(instances: Sequence[Instance]) -> Exam:
    mammograms, skipped = choose(
        [i.mammogram for i in instances if i.mammogram is not None], _same_pixels
    )
    marked = find_regions(instances, mammograms)
    unreadable = [
        i.skipped
        for i in instances
        if i.skipped is not None and not _is_marked(i.skipped, marked.objects)
    ]
    headers = {
        str(i.header.SOPInstanceUID): i.header
        for i in instances
        if i.header is not None and i.header.get("SOPInstanceUID")
    }
    reference = _reference(mammograms, instances)
    study_instance_uid = "" if reference is None else str(reference.get("StudyInstanceUID") or "")
    return Exam(
        study_instance_uid=study_instance_uid,
        mammograms=mammograms,
        skipped=_sorted((*unreadable, *skipped, *marked.skipped)),
        reference=reference,
        headers=headers,
        regions=marked.regions,
        files=tuple(i.path for i in instances if i.header is not None),
    )


def _is_marked(skipped: Skipped, objects: frozenset[str]) -> bool:
    """Whether an object is no image, but holds regions that people marked."""
    return skipped.reason is SkipReason.NOT_AN_IMAGE and skipped.sop_instance_uid in objects


def _reference(mammograms: Sequence[Mammogram], instances: Sequence[Instance]) -> Dataset | None:
    """The first eligible mammogram's header, else any mammogram's, else any with a study."""
    if mammograms:
        return mammograms[0].header
    ranked = sorted(
        (i for i in instances if i.header is not None),
        key=lambda i: (i.mammogram is None, not i.study_instance_uid, _uid(i)),
    )
    return ranked[0].header if ranked else None


def _uid(instance: Instance) -> str:
    """SOP Instance UID: which header is the reference does not depend on names of files."""
    return "" if instance.header is None else str(instance.header.get("SOPInstanceUID") or "")


def _sorted(skipped: Iterable[Skipped]) -> tuple[Skipped, ...]:
    return tuple(sorted(skipped, key=lambda s: (s.sop_instance_uid, s.reason, s.detail)))


def _same_pixels(one: Mammogram, other: Mammogram) -> bool:
    """Whether two files hold the very same pixel data bytes."""
    try:
        return read_pixel_data(one.path) == read_pixel_data(other.path)
    except NotProcessable:
        return False
