"""Inputs on disk: what reached something new, and a reproducer of every open finding.

corpus/TARGET/DIGEST        an input to begin with
corpus/findings/NAME        a reproducer; `corpus/findings.json` has its target and signature
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.oracles import Finding

FOLDER = Path(__file__).parent / "corpus"
MOST_BYTES = 48 << 10  # of one target


@dataclass(frozen=True)
class Reproducer:
    """An input that is known to cause a finding which is not mended yet, and whose it is."""

    path: Path
    target: str
    signature: str
    note: str


def inputs_of(target: str, folder: Path = FOLDER) -> list[bytes]:
    """The inputs of a target, in the same order everywhere."""
    return [path.read_bytes() for path in sorted((folder / target).glob("*"))]


def reproducers(folder: Path = FOLDER) -> list[Reproducer]:
    """Every finding that is known and open."""
    index = folder / "findings.json"
    listed = json.loads(index.read_text()) if index.exists() else {}
    return [
        Reproducer(folder / "findings" / name, one["target"], one["signature"], one["note"])
        for name, one in sorted(listed.items())
    ]


def keep(target: str, inputs: Iterable[bytes], folder: Path = FOLDER) -> int:
    """Write a target's inputs in place of those that were there; returns their bytes."""
    place = folder / target
    place.mkdir(parents=True, exist_ok=True)
    for old in place.glob("*"):
        old.unlink()
    n_bytes = 0
    for data in inputs:
        n_bytes += (place / _name(data)).write_bytes(data)
    return n_bytes


def keep_findings(findings: Sequence[Finding], folder: Path = FOLDER) -> list[Path]:
    """Write a reproducer for each finding that has none yet."""
    known = {one.signature: one for one in reproducers(folder)}
    index = folder / "findings.json"
    listed = json.loads(index.read_text()) if index.exists() else {}
    (folder / "findings").mkdir(parents=True, exist_ok=True)
    written = []
    for finding in findings:
        if finding.signature in known or not finding.data:
            continue
        path = folder / "findings" / f"{finding.target}-{_name(finding.data)}"
        path.write_bytes(finding.data)
        listed[path.name] = {
            "target": finding.target, "signature": finding.signature, "note": "",
        }  # fmt: skip
        written.append(path)
    index.write_text(json.dumps(listed, indent=1, sort_keys=True) + "\n")
    return written


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]
