"""Every byte that the node sends is what it was: objects, `result.json`, FHIR bundles.

A mismatch that is meant: see `tests.golden.update`.
"""

from pathlib import Path

import pytest

from tests.golden import documents, objects
from tests.golden.objects import EXAMS, GoldenObject, outcomes_of
from tests.golden.update import kept_json, kept_text, made_with

CASES = [(name, outcome) for name in EXAMS for outcome in outcomes_of(name)]
TOLD = [case for case in CASES if case[1] != objects.REPLACED]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[Path]]]:
    """The files of all objects, by exam and outcome."""
    return {
        name: objects.made_objects(name, tmp_path_factory.mktemp(name) / name) for name in EXAMS
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> documents.Documents:
    return documents.documents_of_all(tmp_path_factory.mktemp("documents"))


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "outcome"), CASES)
def test_every_object_of_an_outcome_has_the_bytes_that_it_had(
    made: dict[str, dict[str, list[Path]]], name: str, outcome: str
) -> None:
    kept = kept_json("objects.json")

    now = {path.name: objects.described(path) for path in made[name][outcome]}

    found = objects.differences(objects.unpacked(kept, name, outcome), now)
    others = objects.other_versions(kept["made_with"], made_with())
    assert not found, "\n".join([f"{name}, {outcome}:", *found, *others])


def test_no_outcome_and_no_kind_of_object_is_left_out() -> None:
    exams = kept_json("objects.json")["exams"]

    kinds = {o["kind"] for outcomes in exams.values() for files in outcomes.values()
             for o in files.values()}  # fmt: skip
    assert {name: tuple(outcomes) for name, outcomes in exams.items()} == {
        name: outcomes_of(name) for name in EXAMS
    }
    assert kinds == {kind.value for kind in objects.ObjectKind}


@pytest.mark.parametrize(("name", "outcome"), TOLD)
def test_result_json_and_the_fhir_bundle_are_what_they_were(
    told: documents.Documents, name: str, outcome: str
) -> None:
    kept = kept_json("documents.json")

    now = {"result": documents.hashes(told.results), "fhir": documents.hashes(told.bundles)}

    for kind in ("result", "fhir"):
        assert now[kind][name][outcome] == kept[kind][name][outcome], (kind, name, outcome)


@pytest.mark.parametrize(("name", "outcome"), documents.WHOLE)
def test_the_text_of_two_results_is_what_it_was(
    told: documents.Documents, name: str, outcome: str
) -> None:
    result, bundle = told.results[name][outcome], told.bundles[name][outcome]

    assert result.decode() == kept_text(documents.text_file("result", name, outcome))
    assert bundle.decode() == kept_text(documents.text_file("fhir", name, outcome))


def test_a_difference_names_kind_attributes_and_what_became_of_them() -> None:
    old = GoldenObject("sr", "1", "2", "aa", {"PatientName": "0", "Modality": "1", "Rows": "2"})
    new = GoldenObject("sr", "1", "2", "bb", {"PatientName": "5", "Modality": "1", "Columns": "2"})
    again = GoldenObject("sr", "1", "2", "cc", old.attributes)

    assert objects.differences({"sr.dcm": old}, {"sr.dcm": old}) == []
    assert objects.differences({"sr.dcm": old}, {"sr.dcm": new}) == [
        "sr.dcm (sr): changed: PatientName; added: Columns; gone: Rows"
    ]
    assert objects.differences({"sr.dcm": old}, {"sr.dcm": again}) == [
        "sr.dcm (sr): the same attributes, encoded in another way"
    ]
    assert objects.differences({"sr.dcm": old}, {"sr-2.dcm": new}) == [
        "sr-2.dcm: was not made before (sr)",
        "sr.dcm: is not made any more (sr)",
    ]


def test_a_changed_attribute_of_a_file_is_found(
    made: dict[str, dict[str, list[Path]]], tmp_path: Path
) -> None:
    path = next(p for p in made["digital"]["none"] if p.name == "sr.dcm")
    changed = tmp_path / path.name
    changed.write_bytes(path.read_bytes().replace(b"cadnode ", b"Cadnode ", 1))

    (line,) = objects.differences(
        {path.name: objects.described(path)}, {path.name: objects.described(changed)}
    )

    assert line.startswith("sr.dcm (sr): changed: ")
