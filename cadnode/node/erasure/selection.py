"""What there is of a patient: her images and results, study by study, as headers name her.

Images may be gone by retention, and results tell whose they are as well. In a study that holds
images of several patients only hers are selected. Nothing is changed here.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from cadnode.exam.mammogram import Instance
from cadnode.exam.partition import Stated, by_patient
from cadnode.log import hashed
from cadnode.node import results, tombstones
from cadnode.node.asked_regions import RegionOrder, order_in
from cadnode.node.erasure import traces
from cadnode.node.erasure.contents import dicom_values
from cadnode.node.erasure.patient import (
    ErasureRefused,
    FileFacts,
    IdentifierKind,
    Identifiers,
    WantedPatient,
    facts_of,
    patient_of_bundle,
)
from cadnode.node.results import Results
from cadnode.receive.prior_store import PriorStore
from cadnode.receive.spool import Spool
from cadnode.web.study import KEY


@dataclass(frozen=True, slots=True)
class StudyShare:
    """What a study holds of the patient, and how much of others.

    `images` are names of the spool's files; `parts` the folders of her exams in the results.
    `n_unclear`: files and exams of which nobody can say whose they are.
    """

    study: str
    images: tuple[str, ...] = ()
    parts: tuple[Path, ...] = field(default=(), repr=False)
    n_other_images: int = 0
    n_other_parts: int = 0
    n_unclear: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the study is, or may be, another patient's."""
        return not (self.n_other_images or self.n_other_parts or self.n_unclear)


@dataclass(slots=True)
class Selection:
    """All that is selected, and what of it identifies her; `n_unclear`: see `StudyShare`."""

    shares: list[StudyShare] = field(default_factory=list)
    identifiers: Identifiers = field(default_factory=Identifiers)
    n_unclear: int = 0

    @property
    def n_images(self) -> int:
        """Files in the spool."""
        return sum(len(share.images) for share in self.shares)

    @property
    def n_parts(self) -> int:
        """Exams with results."""
        return sum(len(share.parts) for share in self.shares)


@dataclass(slots=True)
class _Found:
    """What one study's files say: hers, others', and those of nobody known."""

    hers: list[FileFacts] = field(default_factory=list)
    others: list[FileFacts] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    parts: list[Path] = field(default_factory=list)
    n_other_images: int = 0
    other_parts: list[Path] = field(default_factory=list)
    unclear_images: list[str] = field(default_factory=list)
    unclear_parts: list[Path] = field(default_factory=list)
    has_priors: bool = False  # of hers, beside it


def studies_here(storage: Path, spool: Spool) -> list[str]:
    """Keys of all studies of which there are images, results or prior exams, in order."""
    kept = (name for name, _ in Results.in_storage(storage).studies() if KEY.fullmatch(name))
    return sorted({*spool.studies(), *kept, *PriorStore(storage).studies()})


def select(
    storage: Path,
    spool: Spool,
    wanted: WantedPatient,
    tick: Callable[[], None] = lambda: None,
) -> Selection:
    """What there is of the patient; `tick` after each study.

    Raises
    ------
    ErasureRefused
        Several patients have that ID.
    OSError
        The disk fails.
    """
    selection, others, hers = Selection(), list[FileFacts](), list[FileFacts]()
    named_by_others = set[str]()  # a corrected patient's report names the one that it replaces
    for study in sorted({*studies_here(storage, spool), *wanted.studies}):
        found = _looked(storage, spool, wanted, study)
        is_named = bool(found.images or found.parts or found.has_priors)
        if not is_named and study in wanted.studies and not found.others:
            # Named on purpose, and nobody else's: what is left of it says no patient.
            found.images, found.parts = found.unclear_images, found.unclear_parts
            found.unclear_images, found.unclear_parts = [], []
            is_named = bool(found.images or found.parts) or traces.has_any(storage, study)
        n_unclear = len(found.unclear_images) + len(found.unclear_parts)
        others += found.others
        if is_named and wanted.is_meant_in(study):
            hers += found.hers
            share = StudyShare(
                study, tuple(found.images), tuple(found.parts),
                found.n_other_images, len(found.other_parts), n_unclear,
            )  # fmt: skip
            selection.shares.append(share)
            _identify(selection.identifiers, storage, share, found.hers)
            named_by_others |= _uids_in(found.other_parts)
        else:
            others += found.hers
            selection.n_unclear += n_unclear
        tick()
    _refuse_several(facts.stated for facts in hers)
    selection.identifiers.values.add((IdentifierKind.PATIENT_ID, wanted.patient_id))
    selection.identifiers.add_uids(wanted.study_uids)
    selection.identifiers.leave_out(others, named_by_others)
    return selection


def _looked(storage: Path, spool: Spool, wanted: WantedPatient, study: str) -> _Found:
    found = _Found()
    _look_at_images(found, spool, wanted, study)
    _look_at_priors(found, storage, wanted, study)
    kept = Results.in_storage(storage).of_study(study)
    regions: list[tuple[Path, RegionOrder]] = []
    by_key = {Path(name).stem.split(".")[0] for name in found.images}
    for content in sorted(p for p in kept.glob("*") if p.is_dir()):
        for part in results.exam_folders(content):
            if (order := order_in(part)) is None:
                _look_at_part(found, wanted, part, by_key)
            else:
                regions.append((part, order))
    for part, order in regions:
        _look_at_region(found, part, kept / order.exam, order.view in by_key)
    return found


def _look_at_images(found: _Found, spool: Spool, wanted: WantedPatient, study: str) -> None:
    """Parted by patient as a reading does it; a file that another replaced speaks for itself."""
    files = spool.instances(study)
    known = {path: facts_of(path) for path in (*files, *spool.replaced(study))}
    current = {path: facts for path in files if (facts := known[path]) is not None}
    shares = by_patient([Instance(p, facts.header, None, None) for p, facts in current.items()])
    for share in shares:
        paths = [instance.path for instance in share.instances]
        of_share = [current[path] for path in paths]
        if any(wanted.is_named_by(facts.stated) for facts in of_share):
            found.hers += of_share
            found.images += [path.name for path in paths]
        elif share.is_known and any(facts.stated != Stated() for facts in of_share):
            found.others += of_share
            found.n_other_images += len(paths)
        else:
            found.unclear_images += [path.name for path in paths]
    nameless = []
    for path in known.keys() - current.keys():  # what another replaced, and what is damaged
        facts = known[path]
        if facts is None or not facts.stated.patient_id:
            nameless.append(path.name)
        elif wanted.is_named_by(facts.stated):
            found.hers.append(facts)
            found.images.append(path.name)
        else:
            found.others.append(facts)
            found.n_other_images += 1
    keys = {name.split(".")[0] for name in found.images}
    is_hers_alone = bool(found.images) and not found.n_other_images
    for name in sorted(nameless):
        mine = is_hers_alone or name.split(".")[0] in keys
        (found.images if mine else found.unclear_images).append(name)


def _look_at_priors(found: _Found, storage: Path, wanted: WantedPatient, study: str) -> None:
    """Prior exams that were fetched beside the study: copies, which go whoever has others."""
    for path in PriorStore(storage).files(study):
        facts = facts_of(path)
        if facts is not None and wanted.is_named_by(facts.stated):
            found.hers.append(facts)
            found.has_priors = True
        elif facts is not None:
            found.others.append(facts)


def _look_at_part(found: _Found, wanted: WantedPatient, part: Path, keys: set[str]) -> None:
    """Whose an exam is: by its objects, its bundle, or else the images that it was made of."""
    objects = [facts for path in results.objects_in(part) if (facts := facts_of(path)) is not None]
    stated = [f.stated for f in objects if f.stated.patient_id]
    bundled = patient_of_bundle(part / results.BUNDLE)
    if not stated and bundled is not None:
        stated = [bundled]
    sources = _instances_of(part)
    by_images = bool(sources) and {hashed(uid) for uid in sources} <= keys
    if any(map(wanted.is_named_by, stated)) or (not stated and by_images):
        found.hers += objects
        found.parts.append(part)
    elif stated:
        found.others += objects
        found.other_parts.append(part)
    else:
        found.unclear_parts.append(part)


def _look_at_region(found: _Found, part: Path, exam: Path, is_on_hers: bool) -> None:
    """Whose a region is that somebody asked about: as the image or the exam that it is of."""
    if is_on_hers or exam in found.parts:
        objects = (facts_of(path) for path in results.objects_in(part))
        found.hers += [facts for facts in objects if facts is not None]
        found.parts.append(part)
    elif exam in found.other_parts:
        found.other_parts.append(part)
    else:
        found.unclear_parts.append(part)


def _instances_of(part: Path) -> frozenset[str]:
    with suppress(OSError, ValueError, TypeError, KeyError):
        return results.instances_of(part)
    return frozenset()


def _identify(
    known: Identifiers, storage: Path, share: StudyShare, hers: Sequence[FileFacts]
) -> None:
    """All of a share by which she could be found again."""
    for facts in hers:
        known.add(facts)
    for part in share.parts:
        known.add_uids(_instances_of(part))
    known.add_keys(Path(name).stem.split(".")[0] for name in share.images)
    if share.is_whole:
        known.add_keys([share.study])
        kept = Results.in_storage(storage).of_study(share.study)
        known.add_keys(path.name for path in kept.glob("*") if KEY.fullmatch(path.name))
        for content in tombstones.of_study(storage, share.study).contents:
            for exam in content.exams:
                known.add_uids([*exam.instances, *exam.objects])


def _uids_in(parts: Iterable[Path]) -> set[str]:
    """Every UID, and every other value, in the objects of others' exams."""
    objects = (path for part in parts for path in results.objects_in(part))
    return {value for path in objects for _, value in dicom_values(path.read_bytes())}


def _refuse_several(all_stated: Iterable[Stated]) -> None:
    distinct = set(all_stated)
    if any(a.contradicts(b) for a, b in combinations(sorted(distinct, key=repr), 2)):
        issuers = sorted({s.issuer for s in distinct} - {""})
        hint = f"give one issuer by --issuer: {', '.join(issuers)}" if len(issuers) > 1 else (
            "name the studies that are meant by --study"
        )  # fmt: skip
        raise ErasureRefused(f"that Patient ID is of several patients here: {hint}")
