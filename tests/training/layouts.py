"""Public data sets in miniature: their folders, file names, tables and columns, made-up content."""

import csv
import plistlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from tests.encoding import uid
from tests.synthetic import MARK, set_pixels, view_dataset, write

ROWS, COLUMNS = 80, 60
FIRST, SECOND = f"{MARK}-ACC-1", f"{MARK}-ACC-2"  # accession numbers

CBIS_MASS = (
    "patient_id", "breast_density", "left or right breast", "image view", "abnormality id",
    "abnormality type", "mass shape", "mass margins", "assessment", "pathology", "subtlety",
    "image file path", "cropped image file path", "ROI mask file path",
)  # fmt: skip
CBIS_CALC = (
    "patient_id", "breast density", "left or right breast", "image view", "abnormality id",
    "abnormality type", "calc type", "calc distribution", "assessment", "pathology", "subtlety",
    "image file path", "cropped image file path", "ROI mask file path",
)  # fmt: skip
RSNA = (
    "site_id", "patient_id", "image_id", "laterality", "view", "age", "cancer", "biopsy",
    "invasive", "BIRADS", "implant", "density", "machine_id", "difficult_negative_case",
)  # fmt: skip
INBREAST = (
    "Patient ID", "Patient age", "Laterality", "View", "Acquisition date", "File Name", "ACR",
    "Bi-Rads",
)  # fmt: skip
CMMD = ("ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype")
VINDR_BREAST = (
    "study_id", "series_id", "image_id", "laterality", "view_position", "height", "width",
    "breast_birads", "breast_density", "split",
)  # fmt: skip
VINDR_FINDING = (
    "study_id", "series_id", "image_id", "laterality", "view_position", "height", "width",
    "breast_birads", "breast_density", "finding_categories", "finding_birads", "xmin", "ymin",
    "xmax", "ymax", "split",
)  # fmt: skip


def table(
    path: Path, columns: Sequence[str], lines: Sequence[Sequence[object]], delimiter: str = ","
) -> Path:
    """A CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(lines)
    return path


def xlsx(path: Path, lines: Sequence[Sequence[object]]) -> Path:
    """An Excel workbook of one sheet, text as shared strings as Excel writes it."""
    shared: list[str] = []

    def cell(column: int, row: int, value: object) -> str:
        reference = f'r="{chr(ord("A") + column)}{row}"'
        if value == "":
            return ""  # Excel leaves empty cells out
        if isinstance(value, int):
            return f"<c {reference}><v>{value}</v></c>"
        shared.append(f"<si><t>{escape(str(value))}</t></si>")
        return f'<c {reference} t="s"><v>{len(shared) - 1}</v></c>'

    rows = "".join(
        f'<row r="{n}">{"".join(cell(i, n, v) for i, v in enumerate(line))}</row>'
        for n, line in enumerate(lines, 1)
    )
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as parts:
        sheet = f"<worksheet {space}><sheetData>{rows}</sheetData></worksheet>"
        parts.writestr("xl/worksheets/sheet1.xml", sheet)
        parts.writestr("xl/sharedStrings.xml", f"<sst {space}>{''.join(shared)}</sst>")
    return path


def mammogram(path: Path, laterality: str, view: str, **overrides: Any) -> Path:
    """A small digital view; its content follows from its path's name."""
    seed = overrides.pop("seed", sum(path.as_posix()[-40:].encode()))
    ds = view_dataset(laterality, view, rows=ROWS, columns=COLUMNS, seed=seed, **overrides)
    return write(ds, path)


def _capture(path: Path, patient: str, pixels: NDArray[Any], series: str) -> Path:
    """A Secondary Capture as CBIS-DDSM has it: film, woman, side and view in Patient ID."""
    ds = view_dataset("L", "CC", rows=8, columns=8, SOPClassUID=SecondaryCaptureImageStorage)
    for keyword in ("ImageLaterality", "ViewPosition", "ViewCodeSequence", "ImagerPixelSpacing"):
        delattr(ds, keyword)
    ds.PatientID, ds.SeriesDescription, ds.ConversionType = patient, series, "WSD"
    ds.SOPInstanceUID = uid("capture", path.as_posix())
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    set_pixels(ds, pixels, 8 * pixels.dtype.itemsize)
    return write(ds, path)


def cbis_ddsm(folder: Path) -> Path:
    """Two women as the NBIA data retriever leaves them.

    P_00001: a mass in both views; the CC view's mask is named as the cut-out and the other way
    round, and files are `1-1.dcm`. P_00005: calcifications, mask and cut-out in series of their
    own, files named as in the table, in the test part.
    """
    rng = np.random.default_rng(0)
    for view, (row, column) in {"CC": (20, 10), "MLO": (40, 30)}.items():
        case = f"Mass-Training_P_00001_LEFT_{view}"
        _cbis_case(
            rng, f"{folder}/CBIS-DDSM/{case}/07-20-2016-DDSM-NA-74994",
            case, (row, column), mask="1-2.dcm", crop="1-1.dcm", together=True,
        )  # fmt: skip
    case = "Calc-Test_P_00005_RIGHT_CC"
    _cbis_case(
        rng, f"{folder}/CBIS-DDSM/{case}/1.3.6.1.4.1.9590.100.1.2.4089",
        case, (5, 6), mask="000000.dcm", crop="000000.dcm", together=False,
    )  # fmt: skip
    mass = [
        ("P_00001", 3, "LEFT", view, 1, "mass", "IRREGULAR-ARCHITECTURAL_DISTORTION",
         "SPICULATED", 4, "MALIGNANT", 4, *_cbis_paths(f"Mass-Training_P_00001_LEFT_{view}"))
        for view in ("CC", "MLO")
    ]  # fmt: skip
    absent = ("P_00009", 2, "RIGHT", "CC", 1, "mass", "OVAL", "OBSCURED", 3, "BENIGN", 4,
              *_cbis_paths("Mass-Training_P_00009_RIGHT_CC"))  # fmt: skip
    table(folder / "mass_case_description_train_set.csv", CBIS_MASS, [*mass, absent])
    calc = ("P_00005", 2, "RIGHT", "CC", 1, "calcification", "PUNCTATE-PLEOMORPHIC",
            "CLUSTERED", 2, "BENIGN_WITHOUT_CALLBACK", 3, *_cbis_paths(case))  # fmt: skip
    table(folder / "calc_case_description_test_set.csv", CBIS_CALC, [calc])
    return folder


def _cbis_paths(case: str) -> tuple[str, str, str]:
    """The paths as the tables have them: none of them is right but for its first part."""
    series = "1.3.6.1.4.1.9590.100.1.2.1/1.3.6.1.4.1.9590.100.1.2.2"
    return (
        f"{case}/{series}/000000.dcm",
        f"{case}_1/{series}/000000.dcm",
        f"{case}_1/{series}/000001.dcm\n",
    )


def _cbis_case(
    rng: np.random.Generator, folder: str, case: str, corner: tuple[int, int], *,
    mask: str, crop: str, together: bool,
) -> None:  # fmt: skip
    image = rng.integers(0, 2**16, (ROWS, COLUMNS), np.uint16)
    lesion = np.zeros((ROWS, COLUMNS), np.uint8)
    row, column = corner
    lesion[row : row + 9, column : column + 7] = 255
    full = Path(folder) / "1.000000-full mammogram images-24515" / "1-1.dcm"
    _capture(full, case, image, "full mammogram images")
    region = Path(str(Path(folder).parent) + "_1") / Path(folder).name
    masks = region / "1.000000-ROI mask images-05398"
    crops = masks if together else region / "1.000000-cropped images-31267"
    _capture(masks / mask, f"{case}_1", lesion, "ROI mask images")
    cut = image[row : row + 9, column : column + 7]
    _capture(crops / crop, f"{case}_1", cut, "cropped images")


def inbreast(folder: Path) -> Path:
    """Four views of one woman and one of another, contours of two of them."""
    first, second = "61b13c59bcba149e", "6c613a14b80a8591"
    views = (
        ("22678622", first, "R", "CC", "4", "1"), ("22678646", first, "L", "CC", "4", "4c"),
        ("22678670", first, "R", "MLO", "4", "1"), ("22678694", first, "L", "MLO", "4", "4c"),
        ("20586908", second, "R", "CC", "2", "2"),
    )  # fmt: skip
    for name, woman, side, view, _, _ in views:
        mammogram(folder / "AllDICOMs" / f"{name}_{woman}_MG_{side}_{view}_ANON.dcm", side, view)
    lines = [
        ("removed", "removed", side, view, "201001", name, acr, birads)
        for name, _, side, view, acr, birads in views
    ]
    lines.append(("removed", "removed", "L", "CC", "201001", "22999999", "1", "2"))
    table(folder / "INbreast.csv", INBREAST, [*lines, ("", "", "", "", "", "", "", "5")], ";")
    mass = [(10.2, 20.0), (18.9, 20.5), (14.0, 31.7)]
    _osirix(folder / "AllXML" / "22678646.xml", {"Mass": mass, "Calcification": [(3.0, 4.0)]})
    _osirix(folder / "AllXML" / "20586908.xml", {"Calcification": [(3.0, 4.0)]})
    return folder


def _osirix(path: Path, rois: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """A property list as OsiriX exports it: points (x, y) as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [
        {"Area": 0.1, "Name": name, "NumberOfPoints": len(points), "Type": 15,
         "Point_mm": [f"({x}, {y}, 0.000000)" for x, y in points],
         "Point_px": [f"({x:f}, {y:f})" for x, y in points]}
        for name, points in rois.items()
    ]  # fmt: skip
    image = {"ImageIndex": 0, "NumberOfROIs": len(found), "ROIs": found}
    path.write_bytes(plistlib.dumps({"Images": [image]}))


def vindr(folder: Path) -> Path:
    """One exam: a mass that begins beyond the edge, a whole view, a view that is missing."""
    study, series = "48575a27b7c992427041a82fa750d3fa", "26de4993fa6b8ae50a91c8baf49b92b0"
    images = {"CC": "4e3a578fe535ea4f5258d3f7f4419db8", "MLO": "dac39351b0f3a8c670b7f8dc88029364"}
    for side, names in {"R": images, "L": {"CC": "f" * 32}}.items():
        for view, name in names.items():
            mammogram(folder / "images" / study / f"{name}.dicom", side, view)

    def breast(image: str, side: str, view: str, birads: str) -> tuple[object, ...]:
        return (study, series, image, side, view, ROWS, COLUMNS, birads, "DENSITY C")

    right = [breast(name, "R", view, "BI-RADS 4") for view, name in images.items()]
    left = breast("f" * 32, "L", "CC", "BI-RADS 1")
    gone = breast("e" * 32, "L", "MLO", "BI-RADS 1")
    every = [(*line, "training") for line in (*right, left, gone)]
    table(folder / "breast-level_annotations.csv", VINDR_BREAST, every)
    none = ("['No Finding']", "", "", "", "", "", "training")
    table(
        folder / "finding_annotations.csv", VINDR_FINDING,
        [(*right[0], "['Mass']", "BI-RADS 4", -6.25, 11.4, 20.5, 30.0, "training"),
         (*right[0], "['Skin Thickening']", "", 1.0, 2.0, 3.0, 4.0, "training"),
         (*right[1], "['Suspicious Calcification', 'Mass']", "BI-RADS 5", 5.0, 6.0, 70.2, 33.3,
          "training"),
         (*left, *none), (*gone, *none)],
    )  # fmt: skip
    table(
        folder / "metadata.csv", ("SOP Instance UID", "Series Instance UID", "Manufacturer"),
        [(images["CC"], series, "SIEMENS")],
    )  # fmt: skip
    return folder


def cmmd(folder: Path, *, excel: bool = True) -> Path:
    """D1-0001 with a benign right breast, and the other breast; D2-0002 with a malignant one."""
    lines = [
        ("D1-0001", "R", 44, 2, "calcification", "Benign", ""),
        ("D2-0002", "L", 61, 2, "both", "Malignant", "Luminal A"),
        ("D1-0777", "L", 50, 2, "mass", "Benign", ""),
    ]
    if excel:
        xlsx(folder / "CMMD_clinicaldata_revision.xlsx", [CMMD, *lines])
    else:
        table(folder / "CMMD_clinicaldata_revision.csv", CMMD, lines, ";")
    first = folder / "CMMD" / "D1-0001" / "07-18-2010-NA-NA-79377" / "1.000000-NA-70244"
    second = folder / "CMMD" / "D2-0002" / "07-18-2011-NA-NA-14914" / "1.000000-NA-08000"
    for number, (side, view) in enumerate((("R", "CC"), ("R", "MLO"), ("L", "CC")), 1):
        # CMMD's headers have the view as a code only.
        mammogram(first / f"1-{number}.dcm", side, view, ViewPosition=None)
    mammogram(second / "1-1.dcm", "L", "MLO", ViewPosition=None, PatientAge="060Y")
    return folder


def rsna2022(folder: Path) -> Path:
    """Three women of Kaggle's training part: a cancer, a biopsy without cancer, neither."""
    lines = [
        (2, 10006, 462822612, "L", "CC", 61.0, 0, 0, 0, "", 0, "", 29, False),
        (1, 10011, 541722628, "R", "MLO", 55.0, 1, 1, 1, 0.0, 0, "C", 49, False),
        (1, 10025, 288394860, "R", "CC", 75.0, 0, 1, 0, 2.0, 0, "B", 49, True),
        (1, 10025, 999999999, "R", "AT", 75.0, 0, 1, 0, 2.0, 0, "B", 49, True),
    ]
    for line in lines[:3]:
        name = folder / "train_images" / str(line[1]) / f"{line[2]}.dcm"
        mammogram(name, str(line[3]), str(line[4]))
    table(folder / "train.csv", RSNA, lines)
    return folder


def two_exams(folder: Path) -> list[Path]:
    """Both CC views of two women's exams, a document beside them."""
    paths = []
    for number, accession in enumerate((FIRST, SECOND), 1):
        for side in "LR":
            paths.append(
                mammogram(
                    folder / f"{number}{side}.dcm", side, "CC", study_uid=f"1.2.3.{number}",
                    seed=number, PatientID=f"{MARK}-{number}", AccessionNumber=accession,
                    StudyDate=f"2017030{number}", PatientAge="061Y", Manufacturer="HOLOGIC, Inc.",
                )
            )  # fmt: skip
    return paths


def write_csv(folder: Path, text: str) -> Path:
    """`pathology.csv`."""
    path = folder / "pathology.csv"
    path.write_text(text)
    return path


def header_of(path: Path) -> Dataset:
    """A file's header."""
    from pydicom import dcmread

    return dcmread(path, stop_before_pixels=True)
