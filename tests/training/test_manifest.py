"""The manifest: its rows, its file, what is wrong with it, its splits, and the command line."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cadnode.cli_data import data_app
from cadnode.domain import Box
from cadnode.errors import DataError
from tests.synthetic import breast
from tests.training import layouts
from training.data import check, near_duplicates, splits
from training.data import manifest as m
from training.data.manifest import Manifest, ManifestRow
from training.data.manifest_file import COLUMNS, read_manifest, write_manifest
from training.data.splits import Shares

FULL = ManifestRow(
    image=Path("a.png"), dataset="set", woman="w1", exam="e1", exam_date="2017-03",
    laterality="L", view="MLO", box=Box(1, 2, 30, 40), mask=Path("a-mask.png"), label="malignant",
    pathology='IDC, "grade 2"', birads="4C", density="C", age=61, vendor="ge", lesion="1",
    lesion_kind="mass_and_calcification", calcification_type="amorphous", distribution="grouped",
    mass_shape="oval", mass_margin="indistinct", size_mm=11.5, spacing_mm=0.094, split="train",
)  # fmt: skip
SIMPLE = ManifestRow(image=Path("b.png"), dataset="set", woman="w2", label="normal")


def image(folder: Path, name: str, seed: int = 0, **options: object) -> Path:
    """A PNG of a synthetic breast."""
    pixels = breast(seed=seed, rows=96, columns=72, **options)  # type: ignore[arg-type]
    path = folder / name
    cv2.imwrite(str(path), np.round(255 * pixels).astype(np.uint8))
    return path


def kinds(report: check.Report) -> dict[str, int]:
    return dict(Counter(problem.kind for problem in report.problems))


# The row and its file


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


def test_parquet_holds_the_same_or_says_what_is_missing(tmp_path: Path) -> None:
    row = replace(FULL, image=tmp_path / "a.png", mask=None)
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        with pytest.raises(DataError, match="pip install pandas pyarrow"):
            write_manifest(tmp_path / "m.parquet", [row])
    else:
        write_manifest(tmp_path / "m.parquet", [row])
        assert read_manifest(tmp_path / "m.parquet").rows == (row,)


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


# Near-duplicates


def test_a_smaller_brighter_copy_is_near_and_another_breast_is_not() -> None:
    one, other = breast(seed=1, rows=400, columns=300), breast(seed=2, rows=400, columns=300)
    copy = np.clip(cv2.resize(one, (150, 200), interpolation=cv2.INTER_AREA) ** 0.7, 0, 1)

    hashes = [near_duplicates.perceptual_hash(x) for x in (one, other, copy)]

    assert [(a, b) for a, b, _ in near_duplicates.near_pairs(hashes)] == [(0, 2)]


def test_distance_is_the_number_of_bits_that_differ() -> None:
    zero = np.zeros(4, np.uint64)
    three = np.array([1, 0, 0, 2**63 + 4], np.uint64)

    assert near_duplicates.near_pairs([zero, three], threshold=3) == [(0, 1, 3)]
    assert near_duplicates.near_pairs([zero, three], threshold=2) == []


# What is wrong with a manifest


def test_a_sound_manifest_has_no_problems(tmp_path: Path) -> None:
    rows = [
        ManifestRow(image(tmp_path, f"{n}.png", n), "set", f"w{n}", "normal", split=split)
        for n, split in enumerate(("train", "train", "test"))
    ]

    report = check.check(Manifest(tuple(rows)))

    assert (report.problems, report.fatal) == ((), False)
    assert (report.rows, report.images, report.women) == (3, 3, 3)
    assert report.counts["split"] == {"train": 2, "test": 1}
    assert report.by_split["train"] == {
        "women": 2, "images": 2, "malignant": 0, "benign": 0, "normal": 2, "unknown": 0,
    }  # fmt: skip


def test_a_woman_in_two_splits_is_a_leak() -> None:
    rows = (replace(SIMPLE, split="train"), replace(SIMPLE, split="test", image=Path("c.png")))

    report = check.check(Manifest(rows), pixels=False)

    (leak,) = [p for p in report.problems if p.leak]
    assert (leak.kind, leak.rows, leak.detail) == (
        "woman_in_two_splits", (1, 2), "one woman in test and train",
    )  # fmt: skip
    assert report.fatal


def test_the_same_number_in_two_data_sets_is_two_women() -> None:
    rows = (replace(SIMPLE, split="train"), replace(SIMPLE, split="test", dataset="other"))

    found = kinds(check.check(Manifest(rows), pixels=False))

    assert "woman_in_two_splits" not in found


def test_copies_of_a_picture_are_leaks_across_women_and_harmless_within_one(
    tmp_path: Path,
) -> None:
    first = image(tmp_path, "a.png")
    copy = tmp_path / "copy.png"
    copy.write_bytes(first.read_bytes())
    darker = tmp_path / "darker.png"
    pixels = cv2.imread(str(first), cv2.IMREAD_GRAYSCALE).astype(np.float32)
    cv2.imwrite(str(darker), (0.8 * pixels).astype(np.uint8))
    rows = [ManifestRow(path, "set", "w1", "normal") for path in (first, copy, darker)]

    within = check.check(Manifest(tuple(rows)))
    across = check.check(Manifest((*rows[:2], replace(rows[2], woman="w2"))))

    assert kinds(within) == {"same_image": 1, "near_duplicate": 2}
    assert not within.fatal
    assert [p.kind for p in across.problems if p.leak] == ["near_duplicate", "near_duplicate"]
    assert across.fatal


def test_one_file_of_two_women_is_a_leak() -> None:
    rows = (SIMPLE, replace(SIMPLE, woman="w3"))

    report = check.check(Manifest(rows), pixels=False)

    assert [(p.kind, p.rows) for p in report.problems if p.leak] == [("same_image", (1, 2))]


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "text.dcm").write_text("no image")
    rows = (
        replace(SIMPLE, image=tmp_path / "gone.png"),
        replace(SIMPLE, image=tmp_path / "text.png", woman="w3", mask=tmp_path / "gone-too.png"),
        replace(SIMPLE, image=tmp_path / "text.dcm", woman="w4"),
    )

    report = check.check(Manifest(rows))

    assert [(p.kind, p.rows, p.detail) for p in report.problems] == [
        ("missing_file", (1,), "image is not there"),
        ("missing_file", (2,), "mask is not there"),
        ("unreadable_image", (2,), "not an 8- or 16-bit grey image"),
        ("unreadable_image", (3,), "not_dicom"),
    ]
    assert report.fatal


def test_one_lesion_with_two_labels_is_a_conflict_and_two_lesions_are_none() -> None:
    cc = replace(FULL, image=Path("cc.png"), mask=None, view="CC")
    mlo = replace(cc, image=Path("mlo.png"), view="MLO", label="benign")
    other = replace(mlo, image=Path("x.png"), lesion="2")

    same = check.check(Manifest((cc, mlo)), pixels=False)
    two = check.check(Manifest((cc, other)), pixels=False)

    assert [p.rows for p in same.problems if p.kind == "label_conflict"] == [(1, 2)]
    assert "label_conflict" not in kinds(two)


def test_unknown_contradicts_nothing_and_an_unproven_label_is_told() -> None:
    rows = (
        replace(SIMPLE, laterality="L", view="CC", label="malignant"),
        replace(SIMPLE, laterality="L", view="MLO", label="unknown", image=Path("c.png")),
    )

    found = check.check(Manifest(rows), pixels=False)

    assert [p.rows for p in found.problems if p.kind == "label_without_pathology"] == [(1,)]
    assert "label_conflict" not in kinds(found)


def test_boxes_and_masks_must_fit_their_image(tmp_path: Path) -> None:
    path = image(tmp_path, "a.png")
    small, empty = tmp_path / "small.png", tmp_path / "empty.png"
    cv2.imwrite(str(small), np.full((10, 10), 255, np.uint8))
    cv2.imwrite(str(empty), np.zeros((96, 72), np.uint8))
    base = replace(SIMPLE, image=path)
    rows = (
        replace(base, box=Box(0, 0, 96, 72)),
        replace(base, box=Box(0, 0, 97, 72)),
        replace(base, mask=small),
        replace(base, mask=empty),
    )

    report = check.check(Manifest(rows))

    assert [(p.kind, p.rows, p.detail) for p in report.problems] == [
        ("box_outside", (2,), "the image is 96 × 72"),
        ("mask_unfit", (3,), "the mask has another size than its image"),
        ("mask_unfit", (4,), "the mask is empty"),
    ]
    assert not report.fatal


# Splits


def women(n: int = 200) -> list[ManifestRow]:
    """Two rows a woman; a fifth malignant, by turns mass and calcification; a month each."""
    return [
        ManifestRow(
            Path(f"{n}-{view}.png"), "set", f"w{n}", "malignant" if n % 5 == 0 else "benign",
            lesion_kind="mass" if n % 2 else "calcification", view=view,
            exam_date=f"{2008 + n // 20}-{1 + n % 12:02d}",
        )
        for n in range(n) for view in ("CC", "MLO")
    ]  # fmt: skip


def parts(rows: tuple[ManifestRow, ...]) -> dict[str, str]:
    return {row.woman: row.split for row in rows}


def test_every_stratum_gives_its_share_to_within_one_woman() -> None:
    done = splits.split_by_woman(women(), Shares(0.2, 0.15), seed=0)

    of = parts(done)
    for malignant in (True, False):
        for odd in (0, 1):
            stratum = [n for n in range(200) if (n % 5 == 0) == malignant and n % 2 == odd]
            counts = Counter(of[f"w{n}"] for n in stratum)
            assert counts["test"] == pytest.approx(0.2 * len(stratum), abs=1)
            assert counts["validation"] == pytest.approx(0.15 * len(stratum), abs=1.2)
    assert Counter(of.values()) == {"train": 130, "test": 40, "validation": 30}


def test_a_woman_is_in_one_split_and_nothing_else_changes() -> None:
    before = women()

    done = splits.split_by_woman(before, Shares(), seed=3)

    assert all(len({r.split for r in done if r.woman == f"w{n}"}) == 1 for n in range(200))
    assert [replace(row, split="") for row in done] == before


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), order=st.randoms(use_true_random=False))
def test_the_split_depends_on_the_seed_only(seed: int, order: object) -> None:
    rows = women(40)
    shuffled = list(rows)
    order.shuffle(shuffled)  # type: ignore[attr-defined]

    assert parts(splits.split_by_woman(rows, Shares(), seed)) == parts(
        splits.split_by_woman(shuffled, Shares(), seed)
    )


def test_another_seed_is_another_split() -> None:
    of = [parts(splits.split_by_woman(women(), Shares(), seed)) for seed in (0, 1)]

    assert of[0] != of[1]


def test_the_sources_own_test_part_can_be_kept_whole() -> None:
    rows = [replace(row, split="test" if row.woman in ("w1", "w2") else "train") for row in women()]
    rows[2] = replace(rows[2], split="train")  # one view of w1 leaks into the source's own training

    of = parts(splits.split_by_woman(rows, Shares(validation=0.1), seed=0, keep_test=True))

    assert {woman for woman, part in of.items() if part == "test"} == {"w1", "w2"}
    assert Counter(of.values())["validation"] == 20


def test_by_date_nothing_that_trains_is_newer_than_the_test() -> None:
    done = splits.split_by_date(women(), Shares(0.2, 0.15))

    newest = {s: max(r.exam_date for r in done if r.split == s) for s in ("train", "validation")}
    oldest = {s: min(r.exam_date for r in done if r.split == s) for s in ("validation", "test")}
    assert newest["train"] < oldest["validation"]
    assert newest["validation"] < oldest["test"]
    assert Counter(parts(done).values())["test"] == pytest.approx(40, abs=2)


def test_a_woman_with_an_old_and_a_new_exam_is_new() -> None:
    rows = [*women(), replace(women()[0], exam_date="2019-12", image=Path("new.png"))]

    assert parts(splits.split_by_date(rows, Shares()))["w0"] == "test"


@pytest.mark.parametrize(
    ("rows", "message"),
    [([SIMPLE], "exam_date in every row"),
     ([replace(FULL, woman=f"w{n}") for n in range(9)], "none for"),
     ([FULL, replace(FULL, woman="w9", exam_date="2018-01-02")], "equally exact")],
)  # fmt: skip
def test_a_split_by_date_that_cannot_be_says_why(rows: list[ManifestRow], message: str) -> None:
    with pytest.raises(DataError, match=message):
        splits.split_by_date(rows, Shares())


def test_too_few_women_and_impossible_shares_are_refused() -> None:
    with pytest.raises(DataError, match="too few"):
        splits.split_by_woman([SIMPLE], Shares(), seed=0)
    with pytest.raises(DataError, match="something must train"):
        Shares(0.6, 0.4)


# The command line


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(data_app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_manifest_split_and_check_from_the_command_line(tmp_path: Path) -> None:
    source = layouts.rsna2022(tmp_path / "rsna")

    code, text = run("manifest", f"rsna2022:{source}", "-o", tmp_path / "m.csv", "--json")
    assert code == 0, text
    assert json.loads(text)["left_out"] == {"image missing": 1}
    code, text = run(
        "split", tmp_path / "m.csv", "-o", tmp_path / "s.csv", "--test", "0.34",
        "--validation", "0.33", "--json",
    )  # fmt: skip
    assert code == 0, text
    assert {split: n["women"] for split, n in json.loads(text)["by_split"].items()} == {
        "train": 1, "validation": 1, "test": 1,
    }  # fmt: skip
    code, text = run("check", f"manifest:{tmp_path / 's.csv'}", "--json")
    assert code == 0, text
    assert json.loads(text)["counts"]["label"] == {"normal": 1, "malignant": 1, "benign": 1}


def test_check_ends_with_2_on_a_leak_and_says_where(tmp_path: Path) -> None:
    path = image(tmp_path, "a.png")
    rows = [replace(SIMPLE, image=path, split=split) for split in ("train", "test")]
    write_manifest(tmp_path / "m.csv", rows)

    code, text = run("check", tmp_path / "m.csv")

    assert code == 2
    assert "woman_in_two_splits" in text


def test_check_ends_with_2_on_a_missing_file(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.csv", [replace(SIMPLE, image=tmp_path / "gone.png")])

    assert run("check", tmp_path / "m.csv", "--no-pixels")[0] == 2


def test_an_unknown_kind_ends_with_2_and_names_the_kinds(tmp_path: Path) -> None:
    code, text = run("manifest", "mammo:/x", "-o", tmp_path / "m.csv")

    assert code == 2
    assert "cbis-ddsm" in text


def test_all_kinds_are_listed() -> None:
    code, text = run("kinds", "--json")

    assert code == 0
    assert set(json.loads(text)) == {
        "cbis-ddsm", "inbreast", "vindr", "cmmd", "rsna2022", "rsna-views", "ddsm-exams",
        "mini-mias", "pisa-masses", "pisa-calcifications", "dicom-csv", "archive", "manifest",
    }  # fmt: skip
