#!/usr/bin/env python3
"""Does a known vulnerability affect what is installed? Answered offline, from a saved OSV export.

    deploy/supply/audit.py --osv pypi-all.zip deploy/supply/requirements/py3.11.txt …

An export is the file `PyPI/all.zip` of the OSV project, or a folder of its JSON documents (OSV
schema 1.x): fetch it where there is a network, carry it in. The audit fails closed: a dependency
that it cannot decide about is a failure like a vulnerable one. It cannot decide where a line is no
`name==version` with a hash, where a version is none of PEP 440, where an advisory states neither
versions nor ranges that can be compared, and where the export is old, empty or damaged.

Exit codes: 0 nothing found · 1 vulnerable, or not decided · 2 wrong arguments or files.
"""

import argparse
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ECOSYSTEM: Final = "PyPI"
OLDEST: Final = timedelta(days=30)
LARGEST_DOCUMENT: Final = 16 << 20  # bytes; the largest advisory has some hundred KiB
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)(.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Dependency:
    """A package that is installed, by its normalized name (PEP 503) and version."""

    name: str
    version: Version


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the audit fails: an advisory that affects a dependency, or what could not be decided."""

    what: str
    why: str
    advisory: str = ""

    @property
    def is_undecided(self) -> bool:
        """Whether it is no vulnerability, but a question left open."""
        return not self.advisory


@dataclass(frozen=True, slots=True)
class Accepted:
    """An advisory that somebody has judged: until a day, for a reason that is written down."""

    advisory: str
    until: date
    reason: str


class AuditError(Exception):
    """Arguments or files are not what they should be."""


def dependencies(text: str) -> tuple[list[Dependency], list[Problem]]:
    """The pinned packages of a requirements file, and the lines that pin none."""
    found, problems = [], []
    for line in _logical_lines(text):
        pinned = _PINNED.match(line)
        if pinned is None:
            problems.append(Problem(line.split()[0], "is not pinned as name==version"))
            continue
        name, version, rest = pinned.groups()
        if "--hash=sha256:" not in rest:
            problems.append(Problem(name, "has no hash: what is installed is not known"))
            continue
        try:
            found.append(Dependency(canonicalize_name(name), Version(version)))
        except InvalidVersion:
            problems.append(Problem(name, f"its version {version} is none of PEP 440"))
    return found, problems


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without comments and options, those that end with a backslash joined."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*$", "", line).strip()
        if line and not line.startswith("--"):
            yield line


def advisories(export: Path) -> Iterator[dict[str, Any]]:
    """Each document of an export, a zip file or a folder. Raises `AuditError`."""
    try:
        yield from (_document(name, data) for name, data in _files(export))
    except (OSError, zipfile.BadZipFile) as error:
        raise AuditError(f"{export} cannot be read as an OSV export: {error}") from None


def _files(export: Path) -> Iterator[tuple[str, bytes]]:
    if export.is_dir():
        for path in sorted(export.rglob("*.json")):
            yield path.name, path.read_bytes()
        return
    with zipfile.ZipFile(export) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".json"):
                continue
            if member.file_size > LARGEST_DOCUMENT:
                raise AuditError(f"{member.filename} is too large for an advisory")
            yield member.filename, archive.read(member)


def _document(name: str, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except ValueError:
        raise AuditError(f"{name} of the export is damaged: it is no JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("id"), str):
        raise AuditError(f"{name} of the export is no OSV document: it has no id")
    return document


def audit(
    wanted: Iterable[Dependency],
    export: Iterable[Mapping[str, Any]],
    *,
    now: datetime,
    accepted: Iterable[Accepted] = (),
) -> list[Problem]:
    """Everything that speaks against these dependencies, by this export.

    An export without a document that was modified in the `OLDEST` time before `now` decides
    nothing: it is old, or no export of the ecosystem.
    """
    by_name: dict[str, list[Dependency]] = {}
    for one in wanted:
        by_name.setdefault(one.name, []).append(one)
    judged = {one.advisory for one in accepted if one.until >= now.date()}
    newest, problems = datetime.min.replace(tzinfo=UTC), dict[tuple[str, str], Problem]()
    for document in export:
        newest = max(newest, _moment(document.get("modified")))
        names = {document["id"], *document.get("aliases", ())}
        if document.get("withdrawn") or names & judged:
            continue
        for affected in document.get("affected", ()):
            package = affected.get("package", {})
            if package.get("ecosystem") != ECOSYSTEM:
                continue
            for one in by_name.get(canonicalize_name(str(package.get("name"))), ()):
                if problem := _affects(one, affected, document):
                    problems[one.name, document["id"]] = problem
    found = list(problems.values())
    if now - newest > OLDEST:
        age = "holds no dated advisory" if newest.year == 1 else f"ends on {newest:%Y-%m-%d}"
        found.append(Problem("the export", f"{age}: fetch a newer one"))
    return found


def _affects(
    one: Dependency, affected: Mapping[str, Any], document: Mapping[str, Any]
) -> Problem | None:
    """The problem with a dependency by one advisory's statement about its package."""
    what, name = f"{one.name} {one.version}", str(document["id"])
    public = Version(one.version.public)  # 2.9+cu128 is 2.9
    summary = str(document.get("summary") or "no summary")[:200]
    ranges = [r for r in affected.get("ranges", ()) if r.get("type") in ("ECOSYSTEM", "SEMVER")]
    versions = affected.get("versions") or ()
    if not ranges and not versions:
        return Problem(what, f"{name} states no version that can be compared")
    try:
        hit = public in {Version(v) for v in versions if _is_version(v)} or any(
            _in_range(public, one_range.get("events", ())) for one_range in ranges
        )
    except InvalidVersion:
        return Problem(what, f"{name} has a range that cannot be compared")
    if not hit:
        return None
    fixed = sorted({e["fixed"] for r in ranges for e in r.get("events", ()) if "fixed" in e})
    return Problem(what, f"{summary} (fixed in {', '.join(fixed) or 'no version'})", name)


def _is_version(text: str) -> bool:
    """Whether it can be compared; old packages have versions that no tool installs any more."""
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _in_range(version: Version, events: Iterable[Mapping[str, str]]) -> bool:
    """Whether a version is between an `introduced` and the next `fixed` or `last_affected`.

    OSV schema, "evaluation": events are taken in order of their versions. Raises InvalidVersion.
    """
    order = {"introduced": 0, "fixed": 1, "last_affected": 2}
    steps = sorted(
        (Version("0.dev0") if text == "0" else Version(text), order[kind])
        for event in events
        for kind, text in event.items()
        if kind in order
    )
    inside = False
    for at, kind in steps:
        if kind == order["introduced"] and version >= at:
            inside = True
        elif (kind == order["fixed"] and version >= at) or (
            kind == order["last_affected"] and version > at
        ):
            inside = False
    return inside


def _moment(text: object) -> datetime:
    try:
        found = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def accepted_in(path: Path) -> list[Accepted]:
    """Advisories that were judged: lines of `ID UNTIL REASON`. Raises `AuditError`."""
    found = []
    for line in _logical_lines(path.read_text("utf-8")):
        try:
            advisory, until, reason = line.split(maxsplit=2)
            found.append(Accepted(advisory, date.fromisoformat(until), reason))
        except ValueError:
            raise AuditError(f"{path}: a line is written 'ID 2027-01-31 why'") from None
    return found


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description="Look pinned packages up in a saved OSV export; what cannot be decided fails."
    )
    parser.add_argument("requirements", nargs="+", type=Path, help="hashed requirement files")
    parser.add_argument("--osv", required=True, type=Path, help="OSV's PyPI all.zip or a folder")
    parser.add_argument("--accept", type=Path, help="judged advisories: lines of ID UNTIL REASON")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    options = parser.parse_args(arguments)
    try:
        wanted, problems = dict[Dependency, None](), list[Problem]()
        for path in options.requirements:
            pinned, unclear = dependencies(path.read_text("utf-8"))
            if not pinned:
                raise AuditError(f"{path} pins nothing")
            wanted.update(dict.fromkeys(pinned))
            problems += unclear
        accepted = accepted_in(options.accept) if options.accept else []
        problems += audit(wanted, advisories(options.osv), now=datetime.now(UTC), accepted=accepted)
    except (AuditError, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"audit: {error}\n")
        return 2
    _show(problems, len(wanted), as_json=options.json)
    return 1 if problems else 0


def _show(problems: list[Problem], n_wanted: int, *, as_json: bool) -> None:
    if as_json:
        found = [
            {"what": p.what, "advisory": p.advisory, "why": p.why, "undecided": p.is_undecided}
            for p in problems
        ]
        lines = [json.dumps({"dependencies": n_wanted, "problems": found}, indent=2)]
    else:
        lines = [
            f"{'?' if p.is_undecided else '!'} {p.what}  {p.advisory or 'not decided'}  {p.why}"
            for p in problems
        ]
        n_open = sum(p.is_undecided for p in problems)
        n_known = len(problems) - n_open
        lines.append(f"{n_wanted} dependencies: {n_known} advisories, {n_open} not decided")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
