"""The content of a collected cohort: a sha256 for each file, and one of them all.

`SHA256SUMS` lies beside the manifest, as `sha256sum` writes and checks it; its own sha256 is the
content's. A model's card keeps that of each cohort that it was trained on.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from cadnode.errors import DataError
from cadnode.files import file_sha256, write_whole
from cadnode_training.data.sources import MANIFEST, is_manifest

SUMS: Final = "SHA256SUMS"
_LINE: Final = re.compile(r"([0-9a-f]{64})  (\S.*)")


def write_sums(folder: Path, sums: Mapping[str, str]) -> str:
    """The content's sha256, once `SHA256SUMS` has the sha256 of each file (by relative path).

    Raises
    ------
    OSError
        The disk is full.
    """
    text = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()
    write_whole(folder / SUMS, text)
    return hashlib.sha256(text).hexdigest()


def content_hashes(texts: Iterable[str]) -> tuple[str, ...]:
    """The content's sha256 of each `manifest:FILE` that belongs to a collected cohort.

    `texts` are `KIND:PATH`, `STAGE=KIND:PATH`, or several with commas; others have none.
    """
    found = {file_sha256(path.parent / SUMS) for path in _manifests(texts)}
    return tuple(sorted(found))


def require_unchanged(texts: Iterable[str]) -> None:
    """Refuse a cohort whose files are not what was collected.

    Raises
    ------
    DataError
        A file is missing or another; the message counts them.
    """
    for path in _manifests(texts):
        sums = _read(path.parent / SUMS)
        wrong = [name for name, sha256 in sums.items() if _sha256(path.parent / name) != sha256]
        if wrong:
            raise DataError(
                f"{len(wrong)} of the {len(sums)} files in {path.parent.name} are not what was "
                f"collected: `sha256sum -c {SUMS}` names them. Collect again, or remove {SUMS} "
                "if you have changed them on purpose"
            )


def _manifests(texts: Iterable[str]) -> list[Path]:
    """Manifests that `SHA256SUMS` beside them lists."""
    found: dict[Path, None] = {}
    for one in (one for text in texts for one in text.split(",")):
        kind, colon, where = one.partition(":")
        if colon and kind.rpartition("=")[2] == MANIFEST:
            path = Path(where).expanduser()
        elif is_manifest(one):
            path = Path(one).expanduser()
        else:
            continue
        sums = path.parent / SUMS
        if sums.is_file() and path.name in _read(sums):
            found[path] = None
    return list(found)


def _read(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path.name} cannot be read") from None
    matches = [_LINE.fullmatch(line) for line in lines]
    return {match[2]: match[1] for match in matches if match}


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError:
        return ""
