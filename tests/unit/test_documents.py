"""Every file that a document names exists, and every relative link leads somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "orthanc" / "README.md",
    ROOT / "deploy" / "recipes" / "README.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
# Not of this repository: a bundle's files, and the plugin's queue in Orthanc's storage folder.
ELSEWHERE = {"docs/README.md", "docs/data_license.txt", "cadnode/queue.sqlite"}


def named_paths(text: str) -> Iterator[str]:
    """Paths from the repository's root, in code marks."""
    for quoted in re.findall(r"`([^`\n]+)`", text):
        yield from re.findall(
            r"(?<![\w./-])((?:cadnode|training|tests|docs|deploy|orthanc|benchmarks)/[\w./*-]*)",
            quoted,
        )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_and_link_of_a_document_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    paths = {path.rstrip("/") for path in named_paths(text)} - ELSEWHERE
    links = {link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link}

    missing = [path for path in sorted(paths) if not any(ROOT.glob(path))]
    broken = [link for link in sorted(links) if not (document.parent / link).exists()]

    assert (missing, broken) == ([], [])
