"""The manifest: its rows and its file."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cadnode.domain import Box
from cadnode.errors import DataError
from cadnode_training.data import manifest as m
from cadnode_training.data.manifest import ManifestRow
from cadnode_training.data.manifest_file import COLUMNS, read_manifest, write_manifest

FULL = ManifestRow(
    image=Path("a.png"), dataset="set", woman="w1", exam="e1", exam_date="2017-03",
    laterality="L", view="MLO", box=Box(1, 2, 30, 40), mask=Path("a-mask.png"), label="malignant",
    pathology='IDC, "grade 2"', birads="4C", density="C", age=61, vendor="ge", lesion="1",
    lesion_kind="mass_and_calcification", calcification_type="amorphous", distribution="grouped",
    mass_shape="oval", mass_margin="indistinct", size_mm=11.5, spacing_mm=0.094, split="train",
)  # fmt: skip
SIMPLE = ManifestRow(image=Path("b.png"), dataset="set", woman="w2", label="normal")


@pytest.mark.parametrize(
    ("column", "value"),
    [("label", "cancer"), ("label", ""), ("laterality", "left"), ("view", "CCC"), ("birads", "7"),
     ("density", "3"), ("lesion_kind", "tumour"), ("exam_date", "03/2017"), ("age", 0),
     ("age", 121), ("size_mm", 0.0), ("spacing_mm", -1.0), ("split", "dev"), ("woman", ""),
     ("mass_margin", "ill-defined"), ("calcification_type", "vascular")],
)  # fmt: skip
def test_a_value_outside_its_vocabulary_is_refused_by_column(column: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"column {column}"):
        replace(FULL, **{column: value})


def test_a_box_without_area_is_refused() -> None:
    with pytest.raises(ValueError, match="no area"):
        replace(FULL, box=Box(5, 5, 5, 9))


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    rows = tuple(
        replace(row, image=tmp_path / row.image, mask=row.mask and tmp_path / row.mask)
        for row in (FULL, SIMPLE)
    )

    write_manifest(tmp_path / "m.csv", rows)

    assert read_manifest(tmp_path / "m.csv").rows == rows


@settings(deadline=None, max_examples=40)
@given(
    pathology=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20),
    age=st.none() | st.integers(1, 120),
    size=st.none() | st.floats(0.001, 999),
)
def test_free_text_and_numbers_survive_the_file(
    tmp_path_factory: pytest.TempPathFactory, pathology: str, age: int | None, size: float | None
) -> None:
    path = tmp_path_factory.mktemp("m") / "m.csv"

    write_manifest(path, [replace(FULL, pathology=pathology.strip(), age=age, size_mm=size)])

    (row,) = read_manifest(path).rows
    assert (row.pathology, row.age) == (pathology.strip(), age)
    assert row.size_mm == (None if size is None else pytest.approx(size, rel=1e-5))


def test_a_manifest_can_be_moved_with_its_images(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    write_manifest(tmp_path / "one" / "m.csv", [replace(SIMPLE, image=tmp_path / "one" / "b.png")])

    (tmp_path / "one").rename(tmp_path / "two")

    assert read_manifest(tmp_path / "two" / "m.csv").rows[0].image == tmp_path / "two" / "b.png"


def test_columns_may_come_in_any_order_and_empty_ones_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("label,woman,dataset,image\nbenign,w,d,x/y.png\n")

    (row,) = read_manifest(tmp_path / "m.csv").rows

    assert row == ManifestRow(tmp_path / "x" / "y.png", "d", "w", "benign")


@pytest.mark.parametrize(
    ("text", "message"),
    [("image,dataset,woman\na,b,c\n", "lacks the columns label"),
     ("image,dataset,woman,label,colour\na,b,c,benign,red\n", "no such column: colour"),
     ("image,dataset,woman,label\n", "no rows"),
     ("image,dataset,woman,label\na,b,c,benign\na,b,c,evil\n", "line 3, column label"),
     ("image,dataset,woman,label\na,b,,benign\n", "line 2, column woman"),
     ("image,dataset,woman,label\na,b,c\n", "line 2: as many cells"),
     ("image,dataset,woman,label,age\na,b,c,benign,old\n", "line 2, column age: a whole number"),
     ("image,dataset,woman,label,row0\na,b,c,benign,3\n", "all four or none"),
     ("image,dataset,woman,label,label\na,b,c,benign,benign\n", "twice")],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_with_line_and_column(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "m.csv").write_text(text)

    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path / "m.csv")


def test_a_message_never_repeats_a_cell(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("image,dataset,woman,label\na,b,c,ZZQNAME\n")

    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path / "m.csv")

    assert "ZZQ" not in str(caught.value)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.csv or \.parquet"):
        write_manifest(tmp_path / "m.tsv", [SIMPLE])


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    row = replace(FULL, image=tmp_path / "a.png", mask=None)

    write_manifest(tmp_path / "m.parquet", [row])

    assert read_manifest(tmp_path / "m.parquet").rows == (row,)


def test_parquet_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(DataError, match=r"cadnode\[parquet\]"):
        write_manifest(tmp_path / "m.parquet", [FULL])


def test_the_documentation_has_every_column_and_word() -> None:
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text()

    assert [column for column in COLUMNS if f"`{column}`" not in text] == []
    words = {word for vocabulary in m.VOCABULARIES.values() for word in vocabulary}
    assert sorted(word for word in words if word not in text) == []


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(["benign", "malignant", "unknown"], "malignant"), (["benign", "unknown"], "unknown"),
     (["normal", "benign"], "benign"), (["normal"], "normal")],
)  # fmt: skip
def test_the_worst_label_of_a_breast(labels: list[str], expected: str) -> None:
    assert m.worst(labels) == expected
