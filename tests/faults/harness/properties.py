"""What must be true of the ledger and the spool, whatever happened. Nothing here asks the node.

A content is a set of images, each in one version of its header. It is known from outside by what a
report names: its images, and the accession number, which differs in each version.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.faults.harness.ledger import Answer, Arrived
from tests.faults.harness.studies import SentStudy, dataset_digest

STRUCTURED_REPORT: Final = "1.2.840.10008.5.1.4.1.1.88."
MOST_NAMED: Final = 10
TORCH_CACHE: Final = "torchinductor_"  # one folder a user, made on import

Content = tuple[str, tuple[str, ...], str]  # study, its images, accession number


@dataclass
class Findings:
    """Defects as (property, what was seen), and figures for the record."""

    defects: list[tuple[str, str]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def note(self, name: str, found: Sequence[object]) -> None:
        """One defect for all that was found of a kind."""
        self.figures[name] = len(found)
        if found:
            self.defects.append((name, f"{len(found)}: {list(found)[:MOST_NAMED]}"))


def check(
    studies: Sequence[SentStudy], taken: Sequence[Answer], arrived: Sequence[Arrived], storage: Path
) -> Findings:
    """Every property of ledger and spool."""
    held = [one for one in arrived if one.is_held]
    findings = Findings()
    findings.figures |= {
        "files_taken": len(taken),
        "objects_sent_to_archive": len(arrived),
        "objects_held": len({one.sop_instance_uid for one in held}),
    }
    spool = spooled(storage)
    findings.note("lost", list(lost(studies, taken, by_study(held), set(spool.values()))))
    findings.note("torn", list(torn(studies, spool)))
    check_objects(studies, arrived, findings)
    return findings


def check_objects(
    studies: Sequence[SentStudy], arrived: Sequence[Arrived], findings: Findings
) -> None:
    """What must be true of the archive's objects at any moment."""
    findings.note("doubled", list(doubled(arrived)))
    findings.note("rewritten", list(rewritten(arrived)))
    findings.note("mixed", list(mixed(studies, arrived)))
    findings.note("not_parsed", [f"{o.sop_class_uid}: {o.problem}" for o in arrived if o.problem])


def is_report(one: Arrived) -> bool:
    """Whether an object is a structured report."""
    return one.sop_class_uid.startswith(STRUCTURED_REPORT)


def by_study(arrived: Iterable[Arrived]) -> dict[str, list[Arrived]]:
    """Objects by the study that they say they belong to."""
    found: dict[str, list[Arrived]] = defaultdict(list)
    for one in arrived:
        found[one.study_instance_uid].append(one)
    return found


def has_result(study: SentStudy, held: Mapping[str, Sequence[Arrived]]) -> bool:
    """Whether a report on the study's last content, and a heat map of each image, are held."""
    images = tuple(sorted(f.sop_instance_uid for f in study.final))
    accession = study.final[0].accession
    ours = held.get(study.study_instance_uid, ())
    is_reported = any(
        is_report(o) and o.refers_to == images and o.accession == accession for o in ours
    )
    mapped = {uid for o in ours if not is_report(o) for uid in o.refers_to}
    return is_reported and set(images) <= mapped


def lost(
    studies: Sequence[SentStudy],
    taken: Sequence[Answer],
    held: Mapping[str, Sequence[Arrived]],
    spool: set[str],
) -> Iterator[str]:
    """Files answered Success that are neither in the spool nor in a result that was delivered."""
    of = {file.digest: study for study in studies for file in study.files}
    for answer in taken:
        if answer.digest not in spool and not has_result(of[answer.digest], held):
            yield f"study {of[answer.digest].number}"


def torn(studies: Sequence[SentStudy], spool: dict[Path, str]) -> Iterator[str]:
    """Files in the spool that nobody has sent: cut short, or mixed."""
    known = {file.digest for study in studies for file in study.files}
    yield from (path.name for path, digest in spool.items() if digest not in known)


def spooled(storage: Path) -> dict[Path, str]:
    """Every received file, and the digest of its data set."""
    found = {}
    for pattern in ("*.dcm", "*.old"):
        for path in (storage / "spool" / "studies").rglob(pattern):
            found[path] = dataset_digest(path)
    return found


def content_of(one: Arrived) -> Content:
    """What a report reports on."""
    return one.study_instance_uid, one.refers_to, one.accession


def doubled(arrived: Sequence[Arrived]) -> Iterator[str]:
    """Contents with two reports, and images with more heat maps than contents that hold them."""
    reports: dict[Content, set[str]] = defaultdict(set)
    maps: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for one in arrived:
        if is_report(one):
            reports[content_of(one)].add(f"{one.sop_class_uid} {one.sop_instance_uid}")
        else:
            for image in one.refers_to:
                key = (one.study_instance_uid, image, one.accession)
                maps[key].add(one.sop_instance_uid)
    for (_, images, accession), uids in reports.items():
        if len(uids) > len({uid.split()[0] for uid in uids}):
            yield f"{accession}: {len(uids)} reports on {len(images)} images"
    contents: dict[str, list[Content]] = defaultdict(list)
    for content in reports:
        contents[content[0]].append(content)
    for (study, image, accession), found in maps.items():
        n_contents = sum(a == accession and image in images for _, images, a in contents[study])
        if len(found) > max(1, n_contents):
            yield f"{accession}: {len(found)} heat maps of one image, {n_contents} contents"


def rewritten(arrived: Sequence[Arrived]) -> Iterator[str]:
    """UIDs under which different bytes were sent."""
    bytes_of: dict[str, set[str]] = defaultdict(set)
    for one in arrived:
        bytes_of[one.sop_instance_uid].add(one.digest)
    accession = {one.sop_instance_uid: one.accession for one in arrived}
    yield from (accession[uid] for uid, digests in bytes_of.items() if len(digests) > 1)


def mixed(studies: Sequence[SentStudy], arrived: Sequence[Arrived]) -> Iterator[str]:
    """Objects that name another study's patient, study or images."""
    owner = {f.sop_instance_uid: s.study_instance_uid for s in studies for f in s.files}
    owner |= {s.study_instance_uid: s.study_instance_uid for s in studies}
    patients = {s.study_instance_uid: s.patient_id for s in studies}
    for one in arrived:
        study = one.study_instance_uid
        if one.problem:
            continue
        if study not in patients:
            yield f"{one.accession}: a study that nobody sent"
        elif one.patient_id != patients[study]:
            yield f"{one.accession}: another patient"
        elif others := {owner[u] for u in one.uids if u in owner} - {study}:
            yield f"{one.accession}: names {len(others)} other studies"


def leftovers(storage: Path, temporary: Path) -> Iterator[tuple[str, str]]:
    """What a stopped node has left lying about."""
    halves = [p for p in storage.rglob("*") if p.name.endswith((".part", ".discarded"))]
    halves += list((storage / "spool" / "incoming").glob("*"))
    if halves:
        yield "leftovers", f"half-written files: {sorted({p.name for p in halves})[:MOST_NAMED]}"
    if left := [p for p in temporary.iterdir() if not p.name.startswith(TORCH_CACHE)]:
        yield "leftovers", f"temporary files: {[p.name for p in left][:MOST_NAMED]}"
