"""Files become exams: each image used or skipped, every skip with its coded reason.

An exam is one patient's images of one study. Images that a rejection note names, and different
images that share a UID, are out before any is chosen.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from pathlib import Path

from pydicom import Dataset

from cadnode.domain import Evidence, Skipped, SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.cbis_ddsm import parse_name
from cadnode.exam.content import data_set_digest
from cadnode.exam.dicom_file import read_pixel_data
from cadnode.exam.eligibility import choose
from cadnode.exam.exam import Exam, Mammogram
from cadnode.exam.mammogram import (
    NOT_THE_FILES_FAULT,
    Instance,
    inspect,
    read_instance,
    unusable,
)
from cadnode.exam.markings.regions import find_regions
from cadnode.exam.partition import PatientShare, by_patient, stated_by
from cadnode.exam.pixel_checks import BYTES, PixelChecks
from cadnode.exam.rejection import rejected_by, rejections

__all__ = ["exam_of", "read_exams", "read_instance", "read_study"]


def exam_of(
    paths: Iterable[Path],
    *,
    read_for_processing: bool = False,
    checks: PixelChecks = BYTES,
) -> Exam:
    """The exam that the files of one patient's study make; folders are searched for files.

    Of a study with several patients it is the first one's (`read_study` has all). What cannot be
    read is in `skipped`; no content of a file makes this raise.
    """
    exams = read_study(paths, read_for_processing=read_for_processing, checks=checks)
    return exams[0] if exams else Exam("", (), (), None, {})


def read_study(
    paths: Iterable[Path],
    *,
    replaced: Iterable[Path] = (),
    read_for_processing: bool = False,
    checks: PixelChecks = BYTES,
) -> tuple[Exam, ...]:
    """The exams that the files of one study make: one a patient.

    `replaced` are files whose SOP Instance UID occurs again in `paths`: where they hold the same
    image its header was corrected, where they hold another one neither is used.
    """
    instances = [inspect(p, read_for_processing=read_for_processing) for p in _files(paths)]
    earlier = [inspect(p, read_for_processing=read_for_processing) for p in replaced]
    return _exams_without_harm(instances, earlier, checks)


def read_exams(
    paths: Iterable[Path],
    *,
    read_for_processing: bool = False,
    checks: PixelChecks = BYTES,
) -> tuple[Exam, ...]:
    """The exams in any files and folders, sorted by Study Instance UID.

    Instances are grouped by study and patient; CBIS-DDSM, where each view is its own study, by
    woman and collection. Files that are no DICOM belong to no study: they go to the only exam there
    is, otherwise into one of their own, whose Study Instance UID is "".
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
    exams = [exam for group in groups.values() for exam in _exams_without_harm(group, (), checks)]
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


def _exams_without_harm(
    instances: Sequence[Instance], earlier: Sequence[Instance], checks: PixelChecks
) -> tuple[Exam, ...]:
    """As `_exams`; an instance whose header makes that fail is out, with a reason, and no other.

    The harmful are found by halves, images being let in before what lies beside them.
    """
    try:
        return _exams(instances, earlier, checks)
    except NOT_THE_FILES_FAULT:
        raise
    except Exception:
        ranked = sorted(instances, key=lambda i: (i.mammogram is None, not i.evidence))
    harmless: list[Instance] = []
    harmful: dict[Path, Exception] = {}

    def let_in(more: Sequence[Instance]) -> None:
        together = {i.path for i in (*harmless, *more)}
        try:
            # Files that were replaced come with what replaced them.
            uids = {i.sop_instance_uid for i in (*harmless, *more)}
            older = [i for i in earlier if i.sop_instance_uid in uids]
            _exams([i for i in instances if i.path in together], older, checks)
        except NOT_THE_FILES_FAULT:
            raise
        except Exception as error:
            if len(more) == 1:
                harmful[more[0].path] = error
                return
            let_in(more[: len(more) // 2])
            let_in(more[len(more) // 2 :])
        else:
            harmless.extend(more)

    let_in(ranked)
    left = [unusable(i, harmful[i.path]) if i.path in harmful else i for i in instances]
    uids = {i.sop_instance_uid for i in harmless}
    return _exams(left, [i for i in earlier if i.sop_instance_uid in uids], checks)


def _exams(
    instances: Sequence[Instance], earlier: Sequence[Instance], checks: PixelChecks
) -> tuple[Exam, ...]:
    """The exams of one study's instances, one a patient; a share without an image makes none.

    Unless no share has an image: everything is then one exam.
    """
    shares = by_patient(_without_conflicts(instances, earlier, checks))
    shown = [s for s in shares if any(i.evidence for i in s.instances)]
    if not shown:
        everything = tuple(i for share in shares for i in share.instances)
        evidence = {uid: e for share in shares for uid, e in share.evidence.items()}
        shown = [PatientShare(everything, evidence)] if everything else []
    return tuple(_exam(share, checks) for share in shown)


def _without_conflicts(
    instances: Sequence[Instance], earlier: Sequence[Instance], checks: PixelChecks
) -> list[Instance]:
    """The instances, those of a UID that different images have with that as their reason."""
    by_uid: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        by_uid[instance.sop_instance_uid].append(instance)
    by_uid.pop("", None)
    conflicts: set[str] = set()
    for uid, (first, *others) in by_uid.items():
        if any(
            not _is_same_image(first, other, checks) or _contradicts(first, other)
            for other in others
        ):
            conflicts.add(uid)
    older: list[Instance] = []
    for instance in earlier:
        uid = instance.sop_instance_uid
        if uid in by_uid and not _is_same_image(by_uid[uid][0], instance, checks):
            conflicts.add(uid)
            older.append(instance)
    return [
        _in_conflict(i) if i.sop_instance_uid in conflicts and i.evidence else i
        for i in (*instances, *older)
    ]


def _is_same_image(one: Instance, other: Instance, checks: PixelChecks) -> bool:
    """Whether two files of one UID are one image; one that cannot be read contradicts nothing."""
    if not (one.evidence and other.evidence):  # not both are images
        return bool(one.evidence) == bool(other.evidence)
    if one.mammogram is None or other.mammogram is None:
        return _is_damaged(one) or _is_damaged(other) or _bytes_of(one) == _bytes_of(other)
    matrices = {(m.rows, m.columns) for m in (one.mammogram, other.mammogram)}
    return len(matrices) == 1 and checks.same(one.mammogram, other.mammogram)


def _is_damaged(instance: Instance) -> bool:
    reasons = (SkipReason.TRUNCATED, SkipReason.PIXELS_CORRUPT, SkipReason.NO_PIXELS)
    return instance.skipped is not None and instance.skipped.reason in reasons


def _bytes_of(instance: Instance) -> bytes | str | None:
    """Its pixel data; of more than are ever in memory, the digest of its whole data set."""
    try:
        return read_pixel_data(instance.path)
    except NotProcessable as error:
        too_large = error.reason is SkipReason.PIXELS_UNSUPPORTED
        return data_set_digest(instance.path) if too_large else None


def _contradicts(one: Instance, other: Instance) -> bool:
    """Whether two copies of an image name different patients, sides or views.

    It is unknown which is right: files in a folder have no order of arrival.
    """
    if one.header is None or other.header is None:
        return False
    if stated_by(one.header).contradicts(stated_by(other.header)):
        return True
    if one.mammogram is None or other.mammogram is None:
        return False
    seen = {(m.laterality, m.view) for m in (one.mammogram, other.mammogram)}
    return len(seen) > 1


def _is_ambiguous(instance: Instance) -> bool:
    """Whether its UID names several images: no report may refer to it, it could be another's."""
    return instance.skipped is not None and instance.skipped.reason is SkipReason.UID_CONFLICT


def _in_conflict(instance: Instance) -> Instance:
    skipped = Skipped(instance.sop_instance_uid, SkipReason.UID_CONFLICT)
    return replace(instance, mammogram=None, skipped=skipped)


def _exam(share: PatientShare, checks: PixelChecks) -> Exam:
    rejected = rejections(i.header for i in share.instances)
    instances = [_judged(i, share, rejected) for i in share.instances]
    mammograms, skipped = choose(
        [i.mammogram for i in instances if i.mammogram is not None], checks
    )
    marked = find_regions([i for i in instances if i.sop_instance_uid not in rejected], mammograms)
    used = marked.objects | {
        i.sop_instance_uid for i in instances if i.header and rejected_by(i.header)
    }
    unreadable = [
        i.skipped for i in instances if i.skipped is not None and not _is_used(i.skipped, used)
    ]
    headers = {
        uid: i.header
        for i in instances
        if i.header is not None and (uid := i.sop_instance_uid) and not _is_ambiguous(i)
    }
    reference = _reference(mammograms, instances) if share.is_known else None
    study_instance_uid = "" if reference is None else str(reference.get("StudyInstanceUID") or "")
    return Exam(
        study_instance_uid=study_instance_uid,
        mammograms=mammograms,
        skipped=_sorted((*unreadable, *skipped, *marked.skipped)),
        reference=reference,
        headers=headers,
        regions=marked.regions,
        evidence=_evidence(instances, share),
        files=tuple(i.path for i in instances if i.header is not None),
    )


def _judged(instance: Instance, share: PatientShare, rejected: Set[str]) -> Instance:
    """The instance, out of use where its patient is unclear or a note of hers rejects it."""
    if instance.mammogram is None:
        return instance
    uid = instance.mammogram.sop_instance_uid
    if not share.is_known:
        reason = SkipReason.PATIENT_UNKNOWN
    elif uid in rejected:
        reason = SkipReason.REJECTED
    else:
        return instance
    return replace(instance, mammogram=None, skipped=Skipped(uid, reason))


def _evidence(
    instances: Sequence[Instance], share: PatientShare
) -> dict[str, tuple[Evidence, ...]]:
    """What speaks about each image, by SOP Instance UID."""
    found: dict[str, tuple[Evidence, ...]] = {}
    for instance in instances:
        uid = instance.sop_instance_uid
        if uid and instance.evidence:
            whose = () if uid in found or uid not in share.evidence else (share.evidence[uid],)
            found[uid] = (*found.get(uid, ()), *whose, *instance.evidence)
    return found


def _is_used(skipped: Skipped, used: Set[str]) -> bool:
    """Whether an object is no image, but marks or rejects images."""
    return skipped.reason is SkipReason.NOT_AN_IMAGE and skipped.sop_instance_uid in used


def _reference(mammograms: Sequence[Mammogram], instances: Sequence[Instance]) -> Dataset | None:
    """The first eligible mammogram's header, else any mammogram's, else any with a study."""
    if mammograms:
        return mammograms[0].header
    ranked = sorted(
        (i for i in instances if i.header is not None),
        key=lambda i: (i.mammogram is None, not i.study_instance_uid, i.sop_instance_uid),
    )
    return ranked[0].header if ranked else None


def _sorted(skipped: Iterable[Skipped]) -> tuple[Skipped, ...]:
    return tuple(sorted(skipped, key=lambda s: (s.sop_instance_uid, s.reason, s.detail)))
