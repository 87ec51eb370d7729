"""The sets of digitized film, and the reduced RSNA views, as manifests."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cadnode.domain import Acquisition, Box
from cadnode.errors import DataError
from cadnode_training.data import sources
from cadnode_training.data.manifest_file import write_manifest
from cadnode_training.data.sets import film, rsna2022
from tests.training import toy
from tests.training.layouts import table


def picture(path: Path, size: int = 16) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size, size), 99, np.uint8))
    return f"images/{path.name}"


def ddsm(folder: Path, *exams: tuple[str, str, int, int, str, str]) -> Path:
    """Exams of (id, class, left and right malignant, left and right lesions)."""
    lines = []
    for exam, exam_class, left, right, left_words, right_words in exams:
        views = [picture(folder / "images" / f"{exam}_{v}.png") for v in
                 ("l_cc", "l_mlo", "r_cc", "r_mlo")]  # fmt: skip
        lines.append(
            (exam, exam_class, "A", left, right, left_words, right_words, "5", "4", *views)
        )
    table(folder / "exams.csv", toy.DDSM_COLUMNS, lines)
    return folder


def test_ddsm_words_of_the_malignant_lesion_describe_the_breast(tmp_path: Path) -> None:
    words = (
        "MASS SHAPE OVAL MARGINS CIRCUMSCRIBED [BENIGN]; "
        "CALCIFICATION TYPE PLEOMORPHIC DISTRIBUTION CLUSTERED+MASS SHAPE IRREGULAR "
        "MARGINS ILL_DEFINED [MALIGNANT]"
    )
    rows = film.read_ddsm_exams(ddsm(tmp_path, ("C0001", "cancer", 1, 0, words, ""))).rows

    left, right = rows[0], rows[2]
    assert (left.laterality, left.view, left.label, left.birads) == ("L", "CC", "malignant", "5")
    assert left.pathology == "MALIGNANT"
    assert left.lesion_kind == "mass_and_calcification"
    assert (left.calcification_type, left.distribution) == ("fine_pleomorphic", "grouped")
    assert (left.mass_shape, left.mass_margin) == ("irregular", "indistinct")
    assert (right.laterality, right.label, right.lesion_kind) == ("R", "normal", "")
    assert (right.birads, right.vendor) == ("", "digitizer A")


def test_ddsm_labels_of_breasts(tmp_path: Path) -> None:
    folder = ddsm(
        tmp_path,
        ("N1", "normal", 0, 0, "", ""),
        ("B1", "benign_without_callback", 0, 0, "", ""),
        ("C1", "cancer", 0, 1, "MASS SHAPE OVAL MARGINS OBSCURED [UNPROVEN]",
         "MASS SHAPE ROUND MARGINS SPICULATED [MALIGNANT]"),
    )  # fmt: skip

    rows = film.read_ddsm_exams(folder).rows

    assert {(row.woman, row.laterality): row.label for row in rows} == {
        ("N1", "L"): "normal", ("N1", "R"): "normal", ("B1", "L"): "benign",
        ("B1", "R"): "benign", ("C1", "L"): "unknown", ("C1", "R"): "malignant",
    }  # fmt: skip


def test_an_exam_that_is_listed_in_two_classes_is_left_out(tmp_path: Path) -> None:
    words = "MASS SHAPE ROUND MARGINS SPICULATED [MALIGNANT]"
    folder = ddsm(
        tmp_path,
        ("A1", "cancer", 1, 0, words, ""),
        ("A1", "benign", 0, 0, "", ""),
        ("A2", "cancer", 1, 0, words, ""),
    )

    manifest = film.read_ddsm_exams(folder)

    assert {row.exam for row in manifest.rows} == {"A2"}
    assert dict(manifest.left_out) == {"exam listed twice with different labels": 8}


def test_mini_mias_circles_become_boxes_cut_at_the_edge(tmp_path: Path) -> None:
    for name in ("mdb001", "mdb002", "mdb003"):
        picture(tmp_path / "images" / f"{name}.png")
    table(
        tmp_path / "findings.csv",
        ("image", "patient", "side", "tissue", "abnormality", "severity", "col", "row",
         "radius_px"),
        [("mdb001", "p001", "R", "G", "CIRC", "B", 100, 30, 40),
         ("mdb001", "p001", "R", "G", "CALC", "M", 500, 600, 10),
         ("mdb002", "p001", "L", "G", "CALC", "M", "", "", ""),
         ("mdb003", "p002", "R", "D", "NORM", "", "", "", "")],
    )  # fmt: skip

    rows = film.read_mini_mias(tmp_path).rows

    assert [(row.box, row.label, row.lesion_kind, row.size_mm) for row in rows] == [
        (Box(0, 60, 70, 140), "benign", "mass", 16.0),
        (Box(590, 490, 610, 510), "malignant", "calcification", 4.0),
        (None, "malignant", "calcification", None),
        (None, "normal", "", None),
    ]
    assert [row.woman for row in rows] == ["p001", "p001", "p001", "p002"]
    assert {row.view for row in rows} == {"MLO"}


def test_pisa_regions_are_images_of_their_own(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        picture(tmp_path / "images" / f"{name}.png")
    lines = [("images/a.png", "1", "benign"), ("images/b.png", "2", "malignant"),
             ("images/gone.png", "3", "benign")]  # fmt: skip
    table(tmp_path / "rois.csv", ("image", "woman", "label"), lines)

    found = film.read_pisa_masses(tmp_path)

    assert [(r.woman, r.label, r.box, r.lesion_kind) for r in found.rows] == [
        ("1", "benign", None, "mass"), ("2", "malignant", None, "mass"),
    ]  # fmt: skip
    assert dict(found.left_out) == {"file missing": 1}


def test_pisa_calcifications_are_of_unknown_malignancy(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / "images" / f"{name}.png")
    lines = [("images/a.png", "1", 0), ("images/b.png", "2", 1)]
    table(tmp_path / "rois.csv", ("image", "woman", "label"), lines)

    rows = film.read_pisa_calcifications(tmp_path).rows

    assert [(row.label, row.lesion_kind) for row in rows] == [
        ("normal", ""), ("unknown", "calcification"),
    ]  # fmt: skip


def test_the_reduced_rsna_views_keep_what_their_table_says(tmp_path: Path) -> None:
    rows = rsna2022.read_reduced(toy.rsna_views(tmp_path / "v", women=4)).rows

    assert len(rows) == 2 * 2 + 2 * 4
    assert {(row.woman, row.label) for row in rows} == {
        ("0", "malignant"), ("1", "normal"), ("2", "malignant"), ("3", "normal"),
    }  # fmt: skip
    assert {(row.age, row.density) for row in rows} == {(60, "B")}


def test_a_split_manifest_is_read_as_exams_with_the_sets_own_loader(tmp_path: Path) -> None:
    folder = toy.rsna_views(tmp_path / "v", women=4)
    write_manifest(tmp_path / "m.csv", sources.open_manifest(f"rsna-views:{folder}").rows)

    data = sources.open_source(f"manifest:{tmp_path / 'm.csv'}")

    direct = {r.path: r.cancer for r in sources.open_source(f"rsna-views:{folder}").records}
    assert {record.path: record.cancer for record in data.records} == direct
    assert data.acquisition == Acquisition.DIGITAL
    white = next(r for r in data.records if r.stratum == "machine 29")
    image = sources.load(white)
    assert image is not None
    assert np.median(image) < 0.3


def test_film_and_digital_images_are_not_read_as_one(tmp_path: Path) -> None:
    digital = toy.rsna_views(tmp_path / "v", women=2)
    analogue = toy.ddsm_exams(tmp_path / "d", exams=3)
    manifests = [sources.open_manifest(text) for text in
                 (f"rsna-views:{digital}", f"ddsm-exams:{analogue}")]  # fmt: skip
    write_manifest(tmp_path / "m.csv", [row for found in manifests for row in found.rows])

    with pytest.raises(DataError, match="split the manifest"):
        sources.open_source(f"manifest:{tmp_path / 'm.csv'}")


def test_regions_without_a_side_are_no_exams(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    table(tmp_path / "rois.csv", ("image", "woman", "label"), [("images/a.png", "1", "benign")])

    with pytest.raises(DataError, match="no view"):
        sources.open_source(f"pisa-masses:{tmp_path}")


def test_a_finding_of_mini_mias_without_a_severity_is_neither_benign_nor_normal(
    tmp_path: Path,
) -> None:
    for name in ("mdb001", "mdb002", "mdb003"):
        picture(tmp_path / "images" / f"{name}.png")
    table(
        tmp_path / "findings.csv",
        ("image", "patient", "side", "tissue", "abnormality", "severity", "col", "row",
         "radius_px"),
        [("mdb001", "p1", "R", "G", "CALC", "", 200, 300, 20),
         ("mdb002", "p1", "L", "G", "CALC", "?", "", "", ""),
         ("mdb003", "p2", "R", "G", "NORM", "", "", "", "")],
    )  # fmt: skip

    labels = [row.label for row in film.read_mini_mias(tmp_path).rows]

    assert labels == ["unknown", "unknown", "normal"]
