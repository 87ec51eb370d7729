"""A manifest's rows as views: one exam a woman, one woman a number, the manifest's own split."""

from pathlib import Path

import pytest

from cadnode.domain import Acquisition
from cadnode.errors import DataError
from cadnode_training.data.manifest import BENIGN, MALIGNANT, NORMAL, Manifest, ManifestRow
from cadnode_training.data.manifest_views import views
from cadnode_training.data.views import ViewSet, parts


def row(woman: str, exam: str, label: str, dataset: str = "own", split: str = "") -> ManifestRow:
    image = Path(f"{dataset}-{woman}-{exam}-{label}.png")
    return ManifestRow(
        image=image, dataset=dataset, woman=woman, exam=exam, exam_date=exam, laterality="L",
        view="CC", label=label, split=split,
    )  # fmt: skip


def read(*rows: ManifestRow) -> ViewSet:
    return views(Manifest(rows, ()), "manifest", Acquisition.DIGITAL)


def test_exams_of_one_woman_are_never_joined_across_years() -> None:
    found = read(
        row("1", "2015-01-01", NORMAL), row("1", "2017-01-01", MALIGNANT),
        row("1", "2019-01-01", NORMAL), row("2", "2015-01-01", BENIGN),
        row("2", "2018-01-01", BENIGN),
    )  # fmt: skip

    taken = {(r.woman, r.path.name.split("-")[2], r.cancer) for r in found.records}
    assert taken == {("1", "2017", True), ("2", "2018", False)}
    assert dict(found.left_out) == {"another exam of the same woman": 3}


def test_two_women_of_one_number_are_refused() -> None:
    with pytest.raises(DataError, match="same number"):
        read(row("1", "2020", MALIGNANT, "inbreast"), row("1", "2020", NORMAL, "cmmd"))


def test_the_manifests_own_split_is_kept_where_every_row_has_one() -> None:
    found = read(row("1", "2020", NORMAL, split="test"), row("2", "2020", MALIGNANT, split="train"))

    assert parts(found.records, ["00" * 32, "ff" * 32]) == ["test", "train"]


def test_without_a_split_of_its_own_the_womans_key_says_the_part() -> None:
    found = read(row("1", "2020", NORMAL, split="test"), row("2", "2020", MALIGNANT))

    assert parts(found.records, ["00" * 32, "ff" * 32]) == ["train", "test"]


def test_a_split_with_a_woman_in_two_parts_is_refused() -> None:
    found = read(row("1", "2020", NORMAL, split="test"), row("2", "2020", NORMAL, split="train"))

    with pytest.raises(DataError, match="two parts"):
        parts(found.records, ["aa" * 32, "aa" * 32])
