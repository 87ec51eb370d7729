"""Adapters on the exact layouts of the public data sets (tests/training/layouts.py)."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from cadnode.domain import Box
from cadnode.errors import DataError
from cadnode_training.data import birads, sources
from cadnode_training.data.manifest import ManifestRow
from cadnode_training.data.sets import cbis_ddsm, cmmd, inbreast, rsna2022, vindr
from tests.training import layouts


@pytest.fixture(scope="module")
def cbis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layouts.cbis_ddsm(tmp_path_factory.mktemp("cbis"))


@pytest.fixture(scope="module")
def breasts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layouts.inbreast(tmp_path_factory.mktemp("inbreast"))


def by_view(rows: tuple[ManifestRow, ...]) -> dict[str, ManifestRow]:
    return {f"{row.laterality} {row.view}": row for row in rows}


def test_cbis_boxes_come_from_the_mask_also_where_mask_and_cut_out_are_swapped(cbis: Path) -> None:
    rows = cbis_ddsm.read(cbis).rows

    assert [(row.woman, row.view, row.box) for row in rows] == [
        ("P_00001", "CC", Box(20, 10, 29, 17)),
        ("P_00001", "MLO", Box(40, 30, 49, 37)),
        ("P_00005", "CC", Box(5, 6, 14, 13)),
    ]
    for row in rows:
        assert row.mask is not None
        assert layouts.header_of(row.mask).SeriesDescription == "ROI mask images"
        assert layouts.header_of(row.image).SeriesDescription == "full mammogram images"


def test_cbis_words_become_the_manifests(cbis: Path) -> None:
    mass, _, calcification = cbis_ddsm.read(cbis).rows

    assert (mass.label, mass.pathology, mass.birads) == ("malignant", "MALIGNANT", "4")
    assert (mass.lesion, mass.lesion_kind, mass.density) == ("mass 1", "mass", "C")
    assert (mass.mass_shape, mass.mass_margin) == ("irregular", "spiculated")
    assert (mass.split, calcification.split) == ("train", "test")
    assert (calcification.label, calcification.pathology) == ("benign", "BENIGN_WITHOUT_CALLBACK")
    assert calcification.calcification_type == "fine_pleomorphic"
    assert (calcification.distribution, calcification.density) == ("grouped", "B")


def test_cbis_lesions_without_files_are_counted(cbis: Path) -> None:
    assert dict(cbis_ddsm.read(cbis).left_out) == {"image missing": 1}


def test_a_cbis_mask_of_another_size_is_not_used(cbis: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(cbis, tmp_path / "x")
    for path in sorted(folder.rglob("Mass-Training_P_00001_LEFT_CC_1/**/1-2.dcm")):
        path.unlink()

    found = cbis_ddsm.read(folder)

    assert [row.view for row in found.rows] == ["MLO", "CC"]
    assert dict(found.left_out) == {"image missing": 1, "mask does not fit the image": 1}


def test_cbis_without_any_of_its_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mass_case_description_train_set"):
        cbis_ddsm.read(tmp_path)


def test_the_box_of_a_mask_is_tight_and_half_open() -> None:
    mask = np.zeros((5, 6), bool)
    assert cbis_ddsm.box_of(mask) is None

    mask[1, 2] = mask[3, 5] = True

    assert cbis_ddsm.box_of(mask) == Box(1, 2, 4, 6)


def test_inbreast_contours_become_boxes(breasts: Path) -> None:
    rows = inbreast.read(breasts).rows

    masses = [row for row in rows if row.box is not None]
    assert len(rows) == 5
    assert [row.box for row in masses] == [Box(20, 10, 32, 19)]
    assert masses[0].lesion_kind == "mass"
    assert masses[0].size_mm == pytest.approx(12 * 0.07)


def test_inbreast_women_dates_and_labels(breasts: Path) -> None:
    found = inbreast.read(breasts)
    rows = by_view(found.rows[:4])

    assert {row.woman for row in found.rows} == {"61b13c59bcba149e", "6c613a14b80a8591"}
    assert {row.exam_date for row in found.rows} == {"2010-01"}
    assert (rows["R CC"].label, rows["R CC"].birads, rows["R CC"].density) == ("normal", "1", "D")
    assert (rows["L CC"].label, rows["L CC"].birads) == ("malignant", "4C")
    assert all(not row.pathology for row in found.rows)
    assert dict(found.left_out) == {"image missing": 1}


def test_a_view_with_single_calcifications_only_is_a_whole_view(breasts: Path) -> None:
    (last,) = [row for row in inbreast.read(breasts).rows if row.woman == "6c613a14b80a8591"]

    assert (last.box, last.lesion_kind, last.label) == (None, "calcification", "benign")


def test_damaged_contours_are_counted(breasts: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(breasts, tmp_path / "x")
    (folder / "AllXML" / "22678646.xml").write_text("<plist><dict><key>Images</key>")

    assert dict(inbreast.read(folder).left_out)["contours cannot be read"] == 1


def test_the_old_excel_file_of_inbreast_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "INbreast.xls").write_bytes(b"\xd0\xcf\x11\xe0")

    with pytest.raises(DataError, match=r"save it as INbreast\.csv"):
        inbreast.read(tmp_path)


def test_vindr_findings_are_cut_at_the_edge_and_rounded_outwards(tmp_path: Path) -> None:
    rows = vindr.read(layouts.vindr(tmp_path)).rows

    assert [row.box for row in rows] == [
        Box(11, 0, 30, 21), Box(2, 1, 4, 3), Box(6, 5, 34, 60), None,
    ]  # fmt: skip
    assert [row.lesion_kind for row in rows] == ["mass", "other", "mass_and_calcification", ""]
    assert [row.label for row in rows] == ["malignant", "unknown", "malignant", "normal"]


def test_vindr_facts(tmp_path: Path) -> None:
    found = vindr.read(layouts.vindr(tmp_path))
    mass, whole = found.rows[0], found.rows[-1]

    assert (mass.laterality, mass.view, mass.density, mass.birads) == ("R", "CC", "C", "4")
    assert (mass.vendor, mass.split, whole.vendor) == ("siemens", "train", "")
    assert (whole.laterality, whole.label, whole.birads) == ("L", "normal", "1")
    assert dict(found.left_out) == {"image missing": 1}


@pytest.mark.parametrize("excel", [True, False])
def test_cmmd_sides_and_views_come_from_the_headers(tmp_path: Path, *, excel: bool) -> None:
    found = cmmd.read(layouts.cmmd(tmp_path, excel=excel))
    rows = by_view(found.rows)

    assert sorted(rows) == ["L CC", "L MLO", "R CC", "R MLO"]
    assert (rows["R CC"].label, rows["R CC"].pathology) == ("benign", "Benign")
    assert (rows["R CC"].woman, rows["R CC"].age) == ("D1-0001", 44)
    assert (rows["L CC"].label, rows["L CC"].pathology) == ("unknown", "")
    assert (rows["L MLO"].label, rows["L MLO"].pathology) == ("malignant", "Malignant, Luminal A")
    assert rows["L MLO"].lesion_kind == "mass_and_calcification"
    assert rows["L MLO"].spacing_mm == pytest.approx(0.4)
    assert dict(found.left_out) == {"woman's folder missing": 1}


def test_a_damaged_excel_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "CMMD_clinicaldata_revision.xlsx").write_bytes(b"PK nothing")

    with pytest.raises(DataError, match="save it as CSV"):
        cmmd.read(tmp_path)


def test_rsna_labels_and_facts(tmp_path: Path) -> None:
    found = rsna2022.read(layouts.rsna2022(tmp_path))

    assert [(r.woman, r.label, r.pathology) for r in found.rows] == [
        ("10006", "normal", "no cancer"),
        ("10011", "malignant", "invasive cancer"),
        ("10025", "benign", "biopsy without cancer"),
    ]
    cancer = found.rows[1]
    assert cancer.image == tmp_path / "train_images" / "10011" / "541722628.dcm"
    assert (cancer.age, cancer.birads, cancer.density) == (55, "0", "C")
    assert cancer.vendor == "machine 49"
    assert dict(found.left_out) == {"image missing": 1}


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    folder = layouts.rsna2022(tmp_path)
    text = (folder / "train.csv").read_text()
    (folder / "train.csv").write_text(text.replace("machine_id", "scanner"))

    with pytest.raises(DataError, match="machine_id"):
        rsna2022.read(folder)


def test_dicom_sets_are_read_as_exams_too(tmp_path: Path) -> None:
    data = sources.open_source(f"rsna2022:{layouts.rsna2022(tmp_path)}")

    assert [(r.woman, r.cancer, r.exam_class) for r in data.records] == [
        ("10006", False, "normal"), ("10011", True, "cancer"), ("10025", False, "benign"),
    ]  # fmt: skip
    image = sources.load(data.records[0])
    assert image is not None
    assert image.shape == (layouts.ROWS, layouts.COLUMNS)


@pytest.mark.parametrize(
    ("words", "expected"),
    [("PLEOMORPHIC", "fine_pleomorphic"), ("ROUND_AND_REGULAR-LUCENT_CENTER", "round"),
     ("AMORPHOUS-PLEOMORPHIC", "fine_pleomorphic"), ("VASCULAR", "typically_benign"), ("N/A", "")],
)  # fmt: skip
def test_the_most_suspicious_calcification_word_counts(words: str, expected: str) -> None:
    assert birads.calcification_type(words) == expected


@pytest.mark.parametrize(
    ("shape", "kind"),
    [("OVAL", "mass"), ("IRREGULAR-ARCHITECTURAL_DISTORTION", "mass"), ("", "mass"),
     ("ARCHITECTURAL_DISTORTION", "distortion"), ("FOCAL_ASYMMETRIC_DENSITY", "asymmetry"),
     ("LYMPH_NODE", "other")],
)  # fmt: skip
def test_what_ddsm_calls_a_mass_is_distinguished(shape: str, kind: str) -> None:
    assert birads.mass_kind(shape) == kind


@pytest.mark.parametrize(
    ("category", "label"),
    [("", "unknown"), ("0", "unknown"), ("1", "normal"), ("2", "benign"), ("3", "benign"),
     ("4A", "malignant"), ("6", "malignant")],
)  # fmt: skip
def test_a_surrogate_label_follows_birads(category: str, label: str) -> None:
    assert birads.surrogate(category) == label
