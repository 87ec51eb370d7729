"""Which exams Kim's protocol takes, how it shares them out, and how even the parts are."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from cadnode.domain import Laterality
from cadnode.errors import DataError
from cadnode_training.data.sources import open_source
from cadnode_training.data.views import ViewRecord
from cadnode_training.papers.kim2018 import config, exam_split
from cadnode_training.papers.kim2018.exam_split import LabelledExam
from cadnode_training.papers.kim2018.prepared import prepare
from tests.training import paper_toy, toy


def exam(number: int, *, cancer: bool, **columns: str) -> LabelledExam:
    stated = dict.fromkeys(exam_split.OF_CANCERS, "") | columns
    return LabelledExam(f"w{number}", (0, 1, 2, 3), (cancer, False), stated)


def test_the_papers_numbers_of_exams_are_split_as_the_papers() -> None:
    """Data sets: 3,101 / 619 / 619 cancers; 619 normals each to validate and test."""
    rng = np.random.default_rng(0)
    values = {exam_split.AGE: ("under 50", "50 or older"), exam_split.DENSITY: tuple("ABCD"),
              exam_split.MANUFACTURER: ("x", "y", "z"), exam_split.MASS: ("yes", "no")}  # fmt: skip
    exams = [
        exam(n, cancer=n < 4339, **{c: str(rng.choice(of)) for c, of in values.items()})
        for n in range(4339 + 2 * 619 + 3200)
    ]

    parts = exam_split.split(exams)

    counted = Counter((e.has_cancer, part) for e, part in zip(exams, parts, strict=True))
    assert [counted[True, part] for part in exam_split.PARTS] == [3101, 619, 619]
    assert [counted[False, part] for part in exam_split.PARTS] == [3200, 619, 619]
    assert exam_split.split(exams) == parts
    assert exam_split.split(exams, seed=1) != parts
    for cancer in (True, False):
        for column in exam_split.evenness(exams, parts, cancer=cancer):
            assert column.p is None or column.p > 0.9


def test_a_tables_test_is_the_chi_square_of_its_counts() -> None:
    exams = [exam(n, cancer=True, density="AB"[n % 3 == 0]) for n in range(30)]
    parts = ["train" if n < 16 else "validation" if n < 22 else "test" for n in range(30)]

    column = next(
        c for c in exam_split.evenness(exams, parts, cancer=True) if c.name == exam_split.DENSITY
    )

    assert column.counts == {"A": (10, 4, 6), "B": (6, 2, 2)}
    expected = chi2_contingency([[10, 4, 6], [6, 2, 2]], correction=False).pvalue
    assert column.p == pytest.approx(expected)


def test_exams_without_four_views_benign_ones_and_implants_are_left_out(tmp_path: Path) -> None:
    def views(woman: str, *, kind: str = "normal", cut: int = 4, **change: Any) -> list[ViewRecord]:
        return [
            ViewRecord("set", woman, side, view, tmp_path, kind == "cancer" and side == "L", kind,
                       "x", **change)
            for side in Laterality for view in ("CC", "MLO")
        ][:cut]  # fmt: skip

    records = [
        *views("whole"), *views("ill", kind="cancer"), *views("half", cut=3),
        *views("benign", kind="benign_without_callback"), *views("implant", trainable=False),
        # A manifest's class is the breast's.
        *views("one", cut=2), *(replace(v, exam_class="benign") for v in views("one")[2:]),
    ]  # fmt: skip

    exams, reasons = exam_split.exams_of(records)

    assert [(e.woman, e.has_cancer) for e in exams] == [("set:whole", False), ("set:ill", True)]
    assert [records[row].view for row in exams[0].rows] == ["CC", "MLO"] * 2
    assert reasons == {
        "exam of fewer than four views": 1, "benign exam": 2, "exam with an implant": 1
    }  # fmt: skip


def test_what_the_data_state_of_a_cancer_becomes_its_columns(tmp_path: Path) -> None:
    facts = (
        ("age", "49.0"), ("density", "C"), ("lesion", "mass_and_calcification"),
        ("pathology", "invasive ductal carcinoma"), ("size_mm", "20"),
    )  # fmt: skip
    records = [
        ViewRecord("set", "1", side, view, tmp_path, True, "cancer", "Vendor", facts)
        for side in Laterality for view in ("CC", "MLO")
    ]  # fmt: skip

    (found,), _ = exam_split.exams_of(records)

    assert found.columns == {
        "age": "under 50", "density": "C", "manufacturer": "Vendor", "cancer type": "invasive",
        "mass": "yes", "microcalcification": "yes", "size": "20 mm or more",
    }  # fmt: skip


def test_a_manifests_own_split_is_kept() -> None:
    own = [replace(exam(n, cancer=n % 2 == 0), split="test") for n in range(6)]

    assert exam_split.split(own) == ["test"] * 6
    with pytest.raises(DataError, match="too few"):
        exam_split.split([replace(e, split="") for e in own[:3]])


@pytest.mark.parametrize("second", ["train", "test"])
def test_a_split_without_a_validation_part_is_refused_before_training(
    tmp_path: Path, second: str
) -> None:
    found = open_source(f"ddsm-exams:{toy.ddsm_exams(tmp_path / 'ddsm', 12, size=64)}")
    own = [replace(r, split=("train", second)[int(r.woman[1:]) % 2]) for r in found.records]
    recipe = config.load(paper_toy.kim_recipe(tmp_path))

    with pytest.raises(DataError, match="its split must leave exams"):
        prepare(replace(found, records=tuple(own)), recipe, tmp_path, 0)
