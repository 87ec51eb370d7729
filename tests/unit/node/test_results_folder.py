"""Where the results of a study's contents are, and which of them count."""

import os
from pathlib import Path

import pytest

from cadnode.node import results
from cadnode.node.results import Results

STUDY = "0123456789abcdef"


@pytest.fixture
def node(tmp_path: Path) -> Results:
    return Results.in_storage(tmp_path)


def write(path: Path, at: float, text: str = "{}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))
    return path


def test_results_of_an_older_version_are_found(tmp_path: Path, node: Results) -> None:
    old = write(tmp_path / "results" / STUDY / "c1" / "result.json", 1.0).parent
    assert node.of_content(STUDY, "c1") == old
    assert results.has_result(old)
    assert node.reported(STUDY) == [old]
    assert [name for name, _ in node.studies()] == [STUDY]


def test_the_predecessor_is_the_other_content_that_was_reported_last(node: Results) -> None:
    for content, at in (("a", 30.0), ("b", 10.0), ("c", 20.0)):
        write(node.of_content(STUDY, content) / "result.json", at)
    write(node.of_content(STUDY, "d") / "reading.json", 40.0)  # read, not reported
    assert node.predecessor(STUDY, "a") == "c"
    assert node.predecessor(STUDY, "new") == "a"
    assert node.predecessor("f" * 16, "new") == ""


def test_of_several_patients_one_without_a_result_keeps_the_content_unreported(
    node: Results,
) -> None:
    folder = node.of_content(STUDY, "c")
    first, second = results.folders_for(folder, 2)
    write(first / "result.json", 1.0, '{"n": 1}')
    second.mkdir()
    assert results.documents(folder) == []
    write(second / "result.json", 9.0, '{"n": 2}')
    assert results.documents(folder) == [{"n": 1}, {"n": 2}]
    assert results.reported_at(folder) == 9.0


def test_a_damaged_document_is_none(node: Results) -> None:
    folder = node.of_content(STUDY, "c")
    write(folder / "result.json", 1.0, "{")
    assert results.documents(folder) == []


def test_the_files_that_were_read_are_kept_by_name(node: Results) -> None:
    folder = node.of_content(STUDY, "c")
    assert results.n_inputs(folder) == 0
    results.save_inputs(folder, [Path("/spool/b.dcm"), Path("/spool/a.dcm")])
    assert results.inputs_of(folder) == {"a.dcm", "b.dcm"}
    assert results.n_inputs(folder) == 2


def test_the_newest_page_of_any_content_is_shown_where_the_present_one_has_none(
    node: Results,
) -> None:
    for content, at in (("a", 10.0), ("b", 20.0)):
        write(node.of_content(STUDY, content) / "report.html", at)
    assert node.newest_pages(STUDY) == [node.of_content(STUDY, "b") / "report.html"]
    assert node.newest_pages("f" * 16) == []


def test_a_study_that_was_read_twice_has_one_shadow_the_last(node: Results) -> None:
    for content, at in (("a", 20.0), ("b", 10.0)):
        write(results.shadow_file(node.of_content(STUDY, content)), at)
    assert node.shadows() == [node.of_content(STUDY, "a") / "shadow.json"]


def test_a_node_that_has_read_nothing_has_no_studies(node: Results) -> None:
    assert list(node.studies()) == []
    assert list(node.readings()) == []
    assert node.shadows() == []
