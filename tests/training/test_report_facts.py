"""Facts of cases from manifests, and the strata that follow from them."""

from pathlib import Path

import pytest

from cadnode.domain import Laterality
from cadnode_training.data.manifest import ManifestRow
from cadnode_training.results import manifest_facts
from cadnode_training.results.scored import Scored, Scorer, key, scored
from tests.training import score_cases, toy


def row(**known: object) -> ManifestRow:
    head = {"image": Path("a.dcm"), "dataset": "toys", "woman": "7", "label": "malignant"}
    return ManifestRow(**{**head, **known})  # type: ignore[arg-type]


def test_the_malignant_lesion_and_the_highest_assessment_count() -> None:
    rows = [
        row(label="benign", lesion_kind="calcification", birads="3", size_mm=9.0, density="C"),
        row(lesion_kind="mass", birads="4C", size_mm=25.0, age=57, vendor="GE"),
        row(lesion_kind="mass", birads="4A", pathology="Invasive ductal carcinoma"),
    ]

    told = manifest_facts.of_rows(rows)

    assert told == {
        "vendor": "GE", "density": "C", "age": "50–59", "lesion": "mass",
        "size": "mass, 20 mm or more", "type": "", "distribution": "", "invasive": "invasive",
        "birads": "4C",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("DCIS", "not invasive"),
        ("cancer in situ", "not invasive"),
        ("non-invasive carcinoma in situ", "not invasive"),
        ("invasive cancer", "invasive"),
        ("malignant", ""),
    ],
)
def test_words_of_pathology_say_whether_a_cancer_is_invasive(words: str, expected: str) -> None:
    assert manifest_facts.of_rows([row(pathology=words)])["invasive"] == expected


def test_a_machines_number_is_no_vendor() -> None:
    assert manifest_facts.of_rows([row(vendor="machine 49")])["vendor"] == ""
    assert manifest_facts.of_rows([])["birads"] == ""


def test_facts_of_a_folder_reach_the_breasts_and_what_is_known_stays(tmp_path: Path) -> None:
    folder = toy.rsna_views(tmp_path / "rsna", 4)
    table = (folder / "views.csv").read_text().splitlines()
    place = table[0].split(",").index("BIRADS")
    lines = [line.split(",") for line in table[1:]]
    recalled = [",".join([*cells[:place], "0", *cells[place + 1 :]]) for cells in lines]
    (folder / "views.csv").write_text("\n".join([table[0], *recalled]) + "\n")
    breasts = [("0", Laterality.LEFT), ("1", Laterality.LEFT), ("1", Laterality.RIGHT)]
    rows = [
        (key("rsna-views", w, side), key("rsna-views", w), w == "0", {"density": "D"})
        for w, side in breasts
    ]
    cases = scored(("rsna-views", "", "breasts"), [Scorer("a")], {"a": [0.1] * 3}, rows)

    found = manifest_facts.enriched(cases, f"rsna-views:{folder}")

    assert [c.fact("birads") for c in found.cases] == ["0"] * 3
    assert [c.fact("age") for c in found.cases] == ["60–69"] * 3
    assert [c.fact("density") for c in found.cases] == ["D"] * 3
    assert found.cases[0].id == cases.cases[0].id


def test_cases_that_are_no_breasts_are_given_back_as_they_are() -> None:
    cases = score_cases.made([True, False], {"a": [0.1, 0.2]})

    assert manifest_facts.enriched(cases, "phantom:4") is cases


def lesions(*kinds: str) -> Scored:
    """Positives of these kinds, and as many negatives without a lesion."""
    known = [{"lesion": kind} for kind in kinds] + [{} for _ in kinds]
    labels = [True] * len(kinds) + [False] * len(kinds)
    return score_cases.made(labels, {"a": [0.5] * len(labels)}, facts=known)


def test_a_stratum_of_lesions_has_all_negatives_where_these_have_none() -> None:
    cases = lesions("mass", "mass", "calcification")

    assert cases.strata() == {"lesion": ("calcification", "mass")}
    part = cases.where("lesion", "mass")
    assert (int(part.labels.sum()), len(part)) == (2, 5)


def test_a_few_negatives_with_a_lesion_do_not_take_the_others_from_the_strata() -> None:
    kinds = ["mass", "calcification", "mass", "", ""]  # of two positives and three negatives
    cases = score_cases.made(
        [True, True, False, False, False], {"a": [0.5] * 5}, facts=[{"lesion": k} for k in kinds]
    )

    assert cases.strata() == {"lesion": ("calcification", "mass")}
    assert len(cases.where("lesion", "calcification")) == 1 + 3


def test_a_stratum_of_women_has_its_own_negatives_only() -> None:
    facts_of = [{"density": "A"}, {"density": "B"}, {"density": "A"}, {}]
    cases = score_cases.made([True, True, False, False], {"a": [0.5] * 4}, facts=facts_of)

    assert cases.strata() == {"density": ("A", "B", "not stated")}
    assert len(cases.where("density", "A")) == 2
