"""Adapters: the layouts of the data folders, and what is wrong with a folder that lacks them."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cadnode.domain import Acquisition, Box, Laterality
from cadnode.errors import DataError
from cadnode.files import locked
from cadnode.imaging import view_chain
from cadnode.imaging.view_chain import PreprocessSpec
from cadnode.models import store
from cadnode_training.data import sources
from cadnode_training.data.boxes import boxes_in_tensor
from cadnode_training.data.sets import ddsm_exams, rsna_views
from cadnode_training.data.tensors import TensorCache, tensors
from cadnode_training.data.views import part_of
from tests.training import toy

SPEC = PreprocessSpec(height=64, width=48, stretch_to=96)


@pytest.fixture(scope="module")
def rsna(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.rsna_views(tmp_path_factory.mktemp("rsna") / "views", women=8)


@pytest.fixture(scope="module")
def ddsm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.ddsm_exams(tmp_path_factory.mktemp("ddsm") / "exams", exams=6)


def edit(folder: Path, to: Path, table: str, old: str, new: str) -> Path:
    """A copy of a folder with its table changed."""
    shutil.copytree(folder, to)
    text = (to / table).read_text()
    assert old in text
    (to / table).write_text(text.replace(old, new))
    return to


def test_rsna_views_are_read(rsna: Path) -> None:
    data = sources.open_source(f"rsna-views:{rsna}")

    assert data.acquisition == Acquisition.DIGITAL
    assert len(data.records) == 4 * 2 + 4 * 4
    assert {r.woman for r in data.records if r.cancer} == {"0", "2", "4", "6"}
    assert {r.stratum for r in data.records} == {"21", "29"}


def test_ddsm_exams_are_read(ddsm: Path) -> None:
    data = sources.open_source(f"ddsm-exams:{ddsm}")

    assert data.acquisition == Acquisition.FILM
    assert len(data.records) == 24
    malignant = {r.breast for r in data.records if r.cancer}
    assert ("E0000", Laterality.LEFT) in malignant
    assert ("E0001", Laterality.RIGHT) in malignant
    assert len(malignant) == 4


def test_an_exam_listed_twice_with_two_labels_is_left_out(ddsm: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ddsm, tmp_path / "x")
    lines = (folder / "exams.csv").read_text().splitlines()
    again = lines[1].replace("cancer", "benign")
    (folder / "exams.csv").write_text("\n".join([*lines, lines[2], again]) + "\n")

    data = ddsm_exams.read(folder)

    assert dict(data.left_out) == {"exam listed twice with different labels": 8}
    assert "E0000" not in {r.woman for r in data.records}
    assert sum(r.woman == "E0001" for r in data.records) == 4


def test_a_white_background_is_turned_round(rsna: Path) -> None:
    records = rsna_views.read(rsna).records
    images = {r.stratum: rsna_views.load(r) for r in records}

    assert all(image is not None and np.median(image) < 0.3 for image in images.values())


def test_axillary_tail_views_and_missing_files_are_left_out(rsna: Path, tmp_path: Path) -> None:
    folder = edit(rsna, tmp_path / "x", "views.csv", "0_L_CC.png,0,1,21,L,CC", "a,0,1,21,L,AT")
    (folder / "images" / "2_L_CC.png").unlink()

    data = rsna_views.read(folder)

    assert dict(data.left_out) == {"neither CC nor MLO": 1, "file missing": 1}


def test_a_file_that_is_no_image_is_left_out_with_its_reason(ddsm: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ddsm, tmp_path / "x")
    (folder / "images" / "E0000_l_cc.png").write_bytes(b"nothing")

    reasons = [reason for _, _, reason in tensors(ddsm_exams.read(folder).records, SPEC)]

    assert reasons.count("file cannot be read") == 1
    assert reasons.count("") == 23


def test_a_blank_view_is_left_out_with_its_reason(rsna: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(rsna, tmp_path / "x")
    toy.cv2.imwrite(str(folder / "images" / "0_L_CC.png"), np.zeros((96, 96), np.uint8))

    reasons = [reason for _, _, reason in tensors(rsna_views.read(folder).records, SPEC)]

    assert reasons.count("no_breast_found") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [("nothing", "must be"), ("cbis:/x", "must be"), ("rsna-views:", "must be"),
     ("rsna-views:/nowhere", "views.csv is missing"),
     ("ddsm-exams:/nowhere", "exams.csv is missing")],
)  # fmt: skip
def test_what_is_wrong_with_a_source_is_said(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        sources.open_source(text)


def test_missing_columns_are_named(rsna: Path, tmp_path: Path) -> None:
    folder = edit(rsna, tmp_path / "x", "views.csv", "machine_id", "scanner")

    with pytest.raises(DataError, match="machine_id"):
        rsna_views.read(folder)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "exams.csv").write_text(",".join(toy.DDSM_COLUMNS) + "\n")

    with pytest.raises(DataError, match="no rows"):
        ddsm_exams.read(tmp_path)


def test_a_table_whose_files_are_all_missing_is_refused(ddsm: Path, tmp_path: Path) -> None:
    shutil.copy(ddsm / "exams.csv", tmp_path)

    with pytest.raises(DataError, match="no usable view"):
        ddsm_exams.read(tmp_path)


@pytest.mark.parametrize("kind", ["rsna-views", "ddsm-exams"])
def test_training_and_serving_see_the_same_tensor(
    kind: str, rsna: Path, ddsm: Path, tmp_path: Path
) -> None:
    records = sources.open_source(f"{kind}:{rsna if kind == 'rsna-views' else ddsm}").records
    cache = TensorCache(records, SPEC, tmp_path)
    chain = view_chain.build(SPEC)

    for index, (record, tensor, _) in enumerate(tensors(records, SPEC)):
        image = sources.load(record)
        assert image is not None
        served = chain(view_chain.start(image, record.laterality)).image
        assert tensor is not None
        np.testing.assert_array_equal(tensor, served)
        assert np.abs(cache.image(index) - served[0]).max() <= 0.5 / 255 + 1e-6


def test_boxes_of_malignant_breasts_alone_are_taken_and_placed_as_the_view_is(
    ddsm: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(ddsm, tmp_path / "x")
    (folder / "boxes.csv").write_text(
        "image,row0,col0,row1,col1,kind\n"
        "images/E0000_l_cc.png,0.25,0.5,0.5,0.75,malignant\n"
        "images/E0000_l_cc.png,0.5,0.5,0.6,0.6,benign\n"
        "images/E0000_r_cc.png,0.25,0.5,0.5,0.75,malignant\n"
        "images/E0001_r_cc.png,0.25,0.25,0.5,0.5,malignant\n"
        "images/missing.png,0.25,0.25,0.5,0.5,malignant\n"
    )

    records = ddsm_exams.read(folder).records
    cache = TensorCache(records, SPEC, tmp_path / "cache")

    boxed = {r.path.stem: r.boxes for r in records if r.boxes}
    assert boxed == {"E0000_l_cc": (Box(24, 48, 48, 72),), "E0001_r_cc": (Box(24, 24, 48, 48),)}
    chain = view_chain.build(SPEC)
    for index, record in enumerate(cache.records):
        image = sources.load(record)
        assert image is not None
        placement = chain(view_chain.start(image, record.laterality)).placement
        np.testing.assert_array_equal(cache.boxes(index), boxes_in_tensor(record.boxes, placement))


@pytest.mark.parametrize("edges", ["0.5,0.5,0.25,0.75", "a,0,1,1", "0,0,1,1.5"])
def test_a_box_that_encloses_nothing_is_named_by_its_line(
    ddsm: Path, tmp_path: Path, edges: str
) -> None:
    folder = shutil.copytree(ddsm, tmp_path / "x")
    (folder / "boxes.csv").write_text(
        f"image,row0,col0,row1,col1,kind\nimages/E0000_l_cc.png,{edges},malignant\n"
    )

    with pytest.raises(DataError, match=r"boxes\.csv, line 2"):
        ddsm_exams.read(folder)


def test_the_cache_is_made_once(rsna: Path, tmp_path: Path) -> None:
    records = rsna_views.read(rsna).records
    first = TensorCache(records, SPEC, tmp_path)
    written = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}

    again = TensorCache(records, SPEC, tmp_path)

    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == written
    names = {"".join(file.suffixes) for file in written}
    assert names == {".npy", ".rows.npy", ".boxes.npy"}
    for index in range(len(records)):
        np.testing.assert_array_equal(first.image(index), again.image(index))


def test_a_view_that_cannot_be_read_leaves_its_place_in_the_cache_empty(
    rsna: Path, tmp_path: Path
) -> None:
    one, other, *_ = rsna_views.read(rsna).records
    blind = tmp_path / "blind.png"
    blind.write_bytes(b"no image")

    both = TensorCache([replace(one, path=blind), other], SPEC, tmp_path / "both")
    alone = TensorCache([other], SPEC, tmp_path / "alone")

    assert both.records == (other,)
    np.testing.assert_array_equal(both.image(0), alone.image(0))
    with pytest.raises(DataError, match="no view"):
        TensorCache([replace(one, path=blind)], SPEC, tmp_path / "none")
    assert not any(file.is_file() for file in (tmp_path / "none").rglob("*"))


def test_a_full_disk_ends_the_cache_with_an_error_and_leaves_no_image(
    rsna: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        TensorCache(rsna_views.read(rsna).records[:1], SPEC, tmp_path)

    assert not list(tmp_path.iterdir())


def test_what_a_killed_training_left_of_a_cache_is_made_again_but_not_anothers(
    rsna: Path, tmp_path: Path
) -> None:
    records = rsna_views.read(rsna).records[:2]
    whole = TensorCache(records, SPEC, tmp_path / "whole")
    (made,) = (tmp_path / "whole").glob("*.rows.npy")
    left = tmp_path / "killed" / made.name.replace(".rows.npy", ".partial")
    left.parent.mkdir()
    left.write_bytes(b"half an image")

    with locked(left), pytest.raises(DataError, match="another training"):
        TensorCache(records, SPEC, left.parent)
    again = TensorCache(records, SPEC, left.parent)

    np.testing.assert_array_equal(again.image(1), whole.image(1))
    assert not left.exists()


def test_the_parts_have_their_shares_and_women_stay_in_theirs() -> None:
    keys = [store.woman_key("set", str(n)) for n in range(2000)]
    parts = [part_of(key) for key in keys]

    shares = [parts.count(p) / 2000 for p in ("train", "validation", "test")]
    assert shares == pytest.approx([0.65, 0.15, 0.2], abs=0.03)
    assert parts == [part_of(key) for key in keys]


def as_excel_saves(text: str) -> bytes:
    """With a byte order mark, semicolons and CRLF."""
    return b"\xef\xbb\xbf" + text.replace(",", ";").replace("\n", "\r\n").encode()


@pytest.mark.parametrize(
    ("kind", "table"), [("rsna-views", "views.csv"), ("ddsm-exams", "exams.csv")]
)
def test_a_table_that_a_spreadsheet_has_saved_is_read_as_well(
    kind: str, table: str, rsna: Path, ddsm: Path, tmp_path: Path
) -> None:
    source = rsna if kind == "rsna-views" else ddsm
    folder = shutil.copytree(source, tmp_path / "x")
    (folder / table).write_bytes(as_excel_saves((source / table).read_text()))

    found, expected = (sources.open_source(f"{kind}:{place}") for place in (folder, source))

    assert [(r.breast, r.cancer) for r in found.records] == [
        (r.breast, r.cancer) for r in expected.records
    ]


@pytest.mark.parametrize(
    ("kind", "table"), [("rsna-views", "views.csv"), ("ddsm-exams", "exams.csv")]
)
def test_a_line_that_breaks_off_is_left_out(
    kind: str, table: str, rsna: Path, ddsm: Path, tmp_path: Path
) -> None:
    source = rsna if kind == "rsna-views" else ddsm
    folder = shutil.copytree(source, tmp_path / "x")
    with (folder / table).open("a") as lines:
        lines.write("images/one.png\n")

    found, expected = (sources.open_source(f"{kind}:{place}") for place in (folder, source))

    assert len(found.records) == len(expected.records)
    assert sum(n for _, n in found.left_out) > 0


@pytest.mark.parametrize(
    ("kind", "table", "old", "new"),
    [("rsna-views", "views.csv", ".png,0,", ".png,,"), ("ddsm-exams", "exams.csv", "E0000,", ",")],
)
def test_views_of_nobody_are_left_out(
    kind: str, table: str, old: str, new: str, rsna: Path, ddsm: Path, tmp_path: Path
) -> None:
    source = rsna if kind == "rsna-views" else ddsm
    folder = edit(source, tmp_path / "x", table, old, new)

    data = sources.open_source(f"{kind}:{folder}")

    assert dict(data.left_out)["woman unknown"] > 0
    assert all(record.woman for record in data.records)


@pytest.mark.parametrize(("kind", "label"), [("pisa-masses", "benign"), ("pisa-calcifications", 1)])
def test_regions_of_nobody_are_left_out(kind: str, label: str | int, tmp_path: Path) -> None:
    toy.cv2.imwrite(str(tmp_path / "a.png"), np.full((60, 60), 99, np.uint8))
    (tmp_path / "rois.csv").write_text(f"image,woman,label\na.png,w1,{label}\na.png,,{label}\n")

    found = sources.open_manifest(f"{kind}:{tmp_path}")

    assert [row.woman for row in found.rows] == ["w1"]
    assert dict(found.left_out) == {"woman unknown": 1}
