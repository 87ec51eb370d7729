"""Every file that a document names exists, and every relative link and anchor leads somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "orthanc" / "README.md",
    ROOT / "deploy" / "recipes" / "README.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
# Not of this repository: a bundle's files, and the plugin's queue in Orthanc's storage folder.
ELSEWHERE = {"docs/README.md", "docs/data_license.txt", "cadnode/queue.sqlite"}
NAVIGATION = ROOT / "deploy" / "site" / "mkdocs.yml"
_FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2 *$", re.MULTILINE | re.DOTALL)


def named_paths(text: str) -> Iterator[str]:
    """Paths from the repository's root, in code marks."""
    for quoted in re.findall(r"`([^`\n]+)`", text):
        yield from re.findall(
            r"(?<![\w./-])((?:cadnode|training|tests|docs|deploy|orthanc|benchmarks)/[\w./*-]*)",
            quoted,
        )


def links(text: str) -> Iterator[tuple[str, str]]:
    """(path, anchor) of the links within the repository; what stands in code is none."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))
    for link in re.findall(r"\]\(([^)\s]+)", prose):
        if ":" not in link:
            path, _, anchor = link.partition("#")
            yield path, anchor


def anchors(text: str) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    found: list[str] = []
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", _FENCE.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.append(f"{slug}-{again}" if (again := found.count(slug)) else slug)
    return {*found}


def broken(document: Path) -> list[str]:
    """Links that lead nowhere."""
    found = []
    for path, anchor in links(document.read_text(encoding="utf-8")):
        target = document.parent / path if path else document
        if not target.exists():
            found.append(path)
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            found.append(f"{path}#{anchor}")
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_link_and_anchor_of_a_document_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    paths = {path.rstrip("/") for path in named_paths(text)} - ELSEWHERE

    missing = [path for path in sorted(paths) if not any(ROOT.glob(path))]

    assert (missing, broken(document)) == ([], [])


def test_a_broken_link_and_a_broken_anchor_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One, two\n[a](#one-two) [b](#one--two) [c](gone.md) [d](page.md#three)\n"
        "```\n[e](in-code.md)\n# three\n```\n"
    )

    assert broken(page) == ["#one--two", "gone.md", "page.md#three"]


def test_every_page_of_the_documents_is_in_the_sites_navigation() -> None:
    named = re.findall(r": ((?:\w+/)*[\w-]+\.md)$", NAVIGATION.read_text(), re.MULTILINE)

    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= {*named}
    assert [path for path in named if not (ROOT / path).is_file()] == []
    assert len({*named}) == len(named)


def test_no_row_of_a_table_was_joined_with_another() -> None:
    # Given rows whose cells end in code, as a merge joins them: the code is followed by a word
    joined = [
        f"{path.name}: {line[:60]}"
        for path in DOCUMENTS
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("|") and re.search(r"^(?:[^`]|`[^`]*`)*?[^`\w]`[^`]+`[a-z]{3,}", line)
    ]

    assert joined == []
