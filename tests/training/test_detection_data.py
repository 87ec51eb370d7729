"""Data for detection: mini-MIAS, regions of pisa-calcifications, implants, hits."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cadnode.detect.frame import whole_frame
from cadnode.detect.regions import Region
from cadnode.domain import Box, FindingKind, Laterality
from cadnode.errors import DataError
from cadnode_training.data.sets import mini_mias, pisa_calcifications
from cadnode_training.papers.detection.cases import CLUSTER, MASS, Target, mias_cases, open_cases
from cadnode_training.papers.detection.implants import implant
from tests.unit.detect_cases import add_specks, breast, group

HEADER = "image,patient,side,tissue,abnormality,severity,col,row,radius_px\n"


def write_mias(folder: Path, *, women: int = 1) -> Path:
    """Per woman a right breast with a cluster at row 300, column 120 and a normal left one."""
    (folder / "images").mkdir(parents=True)
    lines = [HEADER]
    for w in range(women):
        right, left, woman = f"mdb{2 * w + 1:03d}", f"mdb{2 * w + 2:03d}", f"p{w:03d}"
        image = add_specks(breast(seed=w), group(300, 120, seed=w + 1), sigma=1.2, contrast=0.15)
        for name, pixels in ((right, image), (left, breast(seed=100 + w))):
            cv2.imwrite(str(folder / "images" / f"{name}.png"), (pixels * 255).astype(np.uint8))
        lines += [f"{right},{woman},R,G,CALC,M,120,300,40\n", f"{left},{woman},L,G,NORM,,,,\n"]
    (folder / "findings.csv").write_text("".join(lines))
    return folder


def write_pisa(folder: Path, *, women: int = 3) -> Path:
    """Per woman one region with specks and one without."""
    (folder / "images").mkdir(parents=True)
    lines = ["image,woman,label\n"]
    rng = np.random.default_rng(0)
    for w in range(women):
        for label in (0, 1):
            image = (0.5 + 0.02 * rng.normal(0, 1, (60, 60))).astype(np.float32)
            if label:
                image = add_specks(
                    image, group(30, 30, n=6, spread=9, seed=w), sigma=1.5, contrast=0.3
                )
            cv2.imwrite(str(folder / "images" / f"{w}_{label}.png"), (image * 255).astype(np.uint8))
            lines.append(f"images/{w}_{label}.png,w{w},{label}\n")
    (folder / "rois.csv").write_text("".join(lines))
    return folder


def region(box: Box) -> Region:
    return Region(CLUSTER, box, (), 0.5)


def test_circles_are_read_in_rows_from_the_top(tmp_path: Path) -> None:
    right, left = mini_mias.read(write_mias(tmp_path))

    assert right.circles == (mini_mias.Circle("CALC", "M", 300, 120, 40),)
    assert (right.laterality, left.laterality) == (Laterality.RIGHT, Laterality.LEFT)
    assert right.woman == left.woman
    assert left.circles == ()


@pytest.mark.parametrize("place", ["inf,300,40", "120,nan,40", "120,-5,40", "120,300,1e9", "x,y,z"])
def test_a_place_that_is_none_in_the_image_is_no_circle(place: str, tmp_path: Path) -> None:
    folder = write_mias(tmp_path)
    (folder / "findings.csv").write_text(HEADER + f"mdb001,p000,R,G,CALC,M,{place}\n")

    (view,) = mini_mias.read(folder)

    assert (view.circles, view.kinds) == ((), ("CALC",))


def test_lines_that_do_not_say_whose_breast_it_is_are_left_out(tmp_path: Path) -> None:
    folder = write_mias(tmp_path, women=2)
    text = (folder / "findings.csv").read_text()
    text = text.replace("mdb001,p000", "mdb001,").replace("mdb003,p001,R", "mdb003,p001,?")
    (folder / "findings.csv").write_text(text + "mdb009,p009,R,G,NORM,,,,\n")

    views, reasons = mini_mias.read_all(folder)

    assert [view.name for view in views] == ["mdb002", "mdb004"]
    assert dict(reasons) == {"woman unknown": 1, "side unknown": 1, "file missing": 1}


def test_a_finding_without_a_position_keeps_its_kind(tmp_path: Path) -> None:
    folder = write_mias(tmp_path)
    (folder / "findings.csv").write_text(HEADER + "mdb001,p000,R,G,CALC,M,,,\n")

    (view,) = mini_mias.read(folder)

    assert view.kinds == ("CALC",)
    assert view.circles == ()


def test_pgm_images_are_read_too(tmp_path: Path) -> None:
    folder = write_mias(tmp_path)
    for path in list((folder / "images").iterdir()):
        cv2.imwrite(str(path.with_suffix(".pgm")), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        path.unlink()

    views = mini_mias.read(folder)

    assert [v.path.suffix for v in views] == [".pgm", ".pgm"]
    image = mini_mias.load(views[0])
    assert image is not None
    assert image.shape == (600, 420)


def test_a_folder_without_images_or_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing"):
        mini_mias.read(tmp_path)
    (tmp_path / "findings.csv").write_text(HEADER + "mdb001,p000,R,G,NORM,,,,\n")
    with pytest.raises(DataError, match="no image"):
        mini_mias.read(tmp_path)


def test_regions_of_unknown_label_are_left_out(tmp_path: Path) -> None:
    folder = write_pisa(tmp_path, women=1)
    with (folder / "rois.csv").open("a") as table:
        table.write("images/0_1.png,w0,?\n")

    rois = pisa_calcifications.read(folder)

    assert [r.positive for r in rois] == [False, True]


def test_only_images_without_a_calcification_count_for_false_clusters(tmp_path: Path) -> None:
    right, left = mias_cases(mini_mias.read(write_mias(tmp_path))).read()

    assert CLUSTER not in right.free_of
    assert MASS not in right.free_of
    assert left.free_of == {CLUSTER, MASS}
    assert right.targets == (Target(CLUSTER, 300, 120, 40),)


def test_a_mark_hits_by_its_centre_within_the_circle_and_its_margin() -> None:
    target = Target(FindingKind.CALCIFICATION_CLUSTER, 100, 100, 10)

    # The margin is 2 mm, ten pixels of 0.2 mm.
    assert target.hit_by(region(Box(95, 114, 105, 124)), 0.2)
    assert not target.hit_by(region(Box(95, 118, 105, 128)), 0.2)
    assert not target.hit_by(region(Box(95, 114, 105, 124)), 0.5)


def test_a_mark_hits_by_overlap_where_its_centre_lies_outside() -> None:
    target = Target(FindingKind.MASS, 100, 100, 40)

    # 80 × 55 shared of 80 × (80 + 80 − 55): 0.52.
    assert target.hit_by(region(Box(60, 85, 140, 165)), 10.0)
    # Centre 95 away, boxes apart.
    assert not target.hit_by(region(Box(60, 175, 140, 215)), 10.0)


@pytest.mark.parametrize("text", ["phantom:none", "phantom:0", "mini-mias:", "rsna-views:x"])
def test_other_data_is_refused(text: str) -> None:
    kind, _, where = text.partition(":")
    with pytest.raises(DataError):
        open_cases(kind, where)


def test_drawn_clusters_are_brighter_where_they_were_drawn_and_nowhere_else() -> None:
    frame = whole_frame(breast()[100:500, :250], 0.2)

    image, clusters, singles = implant(np.random.default_rng(0), frame, clusters=3, distractors=2)

    changed = image - frame.image
    near = np.zeros(image.shape, np.bool_)
    for one in (*clusters, *singles):
        for row, col in one.points.astype(int):
            near[max(row - 20, 0) : row + 21, max(col - 20, 0) : col + 21] = True
    assert len(clusters) >= 2
    assert all(len(one.points) >= 3 for one in clusters)
    assert changed[near].max() > 0.02
    assert np.abs(changed[~near]).max() < 1e-6


def test_the_same_seed_draws_the_same_clusters() -> None:
    frame = whole_frame(breast()[100:500, :250], 0.2)

    one, other = (
        implant(np.random.default_rng(7), frame, clusters=2, distractors=1)[0] for _ in range(2)
    )

    np.testing.assert_array_equal(one, other)
