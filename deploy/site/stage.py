"""Copies the documents and every file that they link to into a folder, for MkDocs.

    python deploy/site/stage.py FOLDER

Places stay as in the repository, so that links hold; only what is linked is copied.
"""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"\]\(([^)#\s]+)")


def linked(page: Path) -> set[Path]:
    """Files of the repository that a page links to."""
    if page.suffix != ".md":
        return set()
    found = {page.parent / link for link in _LINK.findall(page.read_text()) if ":" not in link}
    return {path.resolve() for path in found if path.is_file()}


def main(folder: Path) -> None:
    """Copy the root's, docs/ and training/'s pages, until no link leads to a further file."""
    waiting = {path for place in ("", "docs", "training") for path in (ROOT / place).glob("*.md")}
    done: set[Path] = set()
    while waiting:
        path = waiting.pop()
        done.add(path)
        waiting |= {other for other in linked(path) if ROOT in other.parents} - done
    for path in done:
        place = folder / "source" / path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    shutil.copyfile(Path(__file__).with_name("mkdocs.yml"), folder / "mkdocs.yml")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
