"""What is wrong with a manifest: leaks, gaps, contradictions; and the command line."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from typer.testing import CliRunner

from cadnode.cli.data import data_app
from cadnode.domain import Box
from cadnode_training.data import check, near_duplicates
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.manifest_file import write_manifest
from tests.synthetic import breast
from tests.training import layouts

SIMPLE = ManifestRow(image=Path("b.png"), dataset="set", woman="w2", label="normal")


LESION = replace(
    SIMPLE, label="malignant", laterality="L", view="CC", box=Box(1, 2, 30, 40), lesion="1"
)


def image(folder: Path, name: str, seed: int = 0, **options: object) -> Path:
    """A PNG of a synthetic breast."""
    pixels = breast(seed=seed, rows=96, columns=72, **options)  # type: ignore[arg-type]
    path = folder / name
    cv2.imwrite(str(path), np.round(255 * pixels).astype(np.uint8))
    return path


def kinds(report: check.ManifestReport) -> dict[str, int]:
    return dict(Counter(problem.kind for problem in report.problems))


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
    cc = replace(LESION, image=Path("cc.png"))
    mlo = replace(cc, image=Path("mlo.png"), view="MLO", label="benign")
    other = replace(mlo, image=Path("x.png"), lesion="2")

    same = check.check(Manifest((cc, mlo)), pixels=False)
    two = check.check(Manifest((cc, other)), pixels=False)

    assert [p.rows for p in same.problems if p.kind == "label_conflict"] == [(1, 2)]
    assert "label_conflict" not in kinds(two)


def test_unknown_contradicts_nothing_and_an_unproven_label_is_reported() -> None:
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
        "mini-mias", "cbis-mass-rois", "cbis-mass-views", "pisa-masses", "pisa-calcifications",
        "dicom-csv", "archive", "manifest",
    }  # fmt: skip
