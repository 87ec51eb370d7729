"""How phantom exams become DICOM: Digital Mammography X-Ray – For Presentation (PS3.3 A.26)."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    generate_uid,
)

from cadnode.domain import Acquisition, FindingKind, Laterality, ViewPosition
from cadnode_training.phantom.descriptors import PlantedLesion
from cadnode_training.phantom.exam import Lesions, PhantomExam, PhantomView, exam
from cadnode_training.phantom.view import PhantomSpec

BITS: Final = 12
# DICOM PS3.16 CID 4014.
_VIEW_CODES: Final = {
    ViewPosition.CC: ("399162004", "cranio-caudal"),
    ViewPosition.MLO: ("399368009", "medio-lateral oblique"),
}
# DICOM PS3.3 C.7.6.1.1.1: the direction of rows and columns. A right breast is stored with its
# chest wall on the right, as it is hung.
_ORIENTATION: Final = {
    (Laterality.LEFT, ViewPosition.CC): ["A", "R"],
    (Laterality.RIGHT, ViewPosition.CC): ["P", "L"],
    (Laterality.LEFT, ViewPosition.MLO): ["A", "FR"],
    (Laterality.RIGHT, ViewPosition.MLO): ["P", "FL"],
}
_TRUTH_COLUMNS: Final = (
    "exam", "seed", "laterality", "view", "lesion", "kind", "descriptors", "malignant",
    "p_malignant", "row", "column", "row0", "col0", "row1", "col1", "calcifications",
)  # fmt: skip
_OUTCOME_COLUMNS: Final = (
    "image", "label", "pathology", "lesion_kind", "row0", "col0", "row1", "col1",
)  # fmt: skip
_OUTCOME_KINDS: Final = {
    FindingKind.CALCIFICATION_CLUSTER: "calcification",
    FindingKind.MASS: "mass",
}


def write_dicom(phantom: PhantomExam, folder: Path, *, compressed: bool = False) -> list[Path]:
    """The four files of the exam in `folder`; what was planted, in `<folder>.truth.json` beside it.

    Every byte is decided by the exam: UIDs come from its seed and spec, dates are fixed. When
    `compressed`, the pixels are in JPEG-LS lossless, about a third of the size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, view in enumerate(phantom.views, 1):
        path = folder / f"{view.laterality}{view.view}.dcm"
        ds = dataset(phantom, view, number)
        if compressed:
            ds.compress(JPEGLSLossless, generate_instance_uid=False)
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    truth = json.dumps(truth_of(phantom), indent=1)
    truth_path(folder).write_text(truth + "\n", encoding="utf-8")
    return paths


def truth_path(folder: Path) -> Path:
    """Beside the exam's folder, so that the folder holds DICOM files only."""
    return folder.parent / f"{folder.name}.truth.json"


def write_exams(
    folder: Path,
    n: int,
    seed: int = 0,
    spec: PhantomSpec | None = None,
    on_progress: Callable[[], None] | None = None,
    *,
    lesions: Lesions | None = None,
    compressed: bool = True,
) -> Path:
    """The `truth.csv` over `n` exams of the seeds from `seed` on, each in a folder beside it.

    It has a line for each lesion in each view, and one for each exam without any. `pathology.csv`
    has the same as outcomes, so that the folder is data of the kind `dicom-csv`. `on_progress` is
    called after each exam.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth = folder / "truth.csv"
    with (
        truth.open("w", newline="", encoding="utf-8") as stream,
        (folder / "pathology.csv").open("w", newline="", encoding="utf-8") as also,
    ):
        table = csv.DictWriter(stream, _TRUTH_COLUMNS, lineterminator="\n")
        outcomes = csv.DictWriter(also, _OUTCOME_COLUMNS, lineterminator="\n")
        table.writeheader()
        outcomes.writeheader()
        for number in range(n):
            phantom = exam(seed + number, spec, lesions=lesions)
            name = f"phantom-{phantom.seed:06d}"
            write_dicom(phantom, folder / name, compressed=compressed)
            table.writerows(_rows(phantom, name))
            outcomes.writerows(_outcomes(phantom, name))
            if on_progress is not None:
                on_progress()
    return truth


def dataset(phantom: PhantomExam, view: PhantomView, number: int) -> Dataset:
    """One view, native, explicit little endian; `number` is its instance number."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.file_meta.MediaStorageSOPInstanceUID = sop_instance_uid(phantom, view)
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    _patient_and_study(ds, phantom)
    _series_and_equipment(ds, phantom, view, number)
    _acquisition(ds, phantom.spec, view)
    _pixels(ds, view)
    return ds


def study_instance_uid(phantom: PhantomExam) -> UID:
    """Decided by seed and spec."""
    return _uid(phantom, "study")


def sop_instance_uid(phantom: PhantomExam, view: PhantomView) -> UID:
    """Decided by seed, spec and the planted lesions."""
    return _uid(phantom, "instance", view.laterality, view.view)


def truth_of(phantom: PhantomExam) -> dict[str, Any]:
    """What was planted where, for `<folder>.truth.json`; masks are left out."""
    return {
        "seed": phantom.seed,
        "spec": asdict(phantom.spec),
        "study_instance_uid": study_instance_uid(phantom),
        "breast_density": phantom.density,
        "malignant": phantom.malignant,
        "views": [
            {
                "laterality": view.laterality,
                "view": view.view,
                "sop_instance_uid": sop_instance_uid(phantom, view),
                "lesions": [_lesion(lesion) for lesion in view.lesions],
            }
            for view in phantom.views
        ],
    }


def _lesion(lesion: PlantedLesion) -> dict[str, Any]:
    return {
        "number": lesion.number,
        "kind": lesion.kind,
        "descriptors": asdict(lesion.descriptors),
        "malignant": lesion.malignant,
        "p_malignant": round(lesion.p_malignant, 6),
        "centre": [round(value, 2) for value in lesion.centre],
        "box": list(lesion.box),
        "calcifications": lesion.calcifications.round(2).tolist(),
    }


def _rows(phantom: PhantomExam, name: str) -> Iterator[dict[str, Any]]:
    if not any(view.lesions for view in phantom.views):
        yield {"exam": name, "seed": phantom.seed}
    for view in phantom.views:
        for lesion in view.lesions:
            box = lesion.box
            yield {
                "exam": name,
                "seed": phantom.seed,
                "laterality": view.laterality,
                "view": view.view,
                "lesion": lesion.number,
                "kind": lesion.kind,
                "descriptors": " ".join(asdict(lesion.descriptors).values()),
                "malignant": int(lesion.malignant),
                "p_malignant": round(lesion.p_malignant, 6),
                "row": round(lesion.centre[0], 2),
                "column": round(lesion.centre[1], 2),
                "row0": box.row0,
                "col0": box.col0,
                "row1": box.row1,
                "col1": box.col1,
                "calcifications": len(lesion.calcifications),
            }


def _outcomes(phantom: PhantomExam, name: str) -> Iterator[dict[str, Any]]:
    """Lines of `pathology.csv`: one a lesion in a view, one a view without any."""
    for view in phantom.views:
        image = {"image": f"{name}/{view.laterality}{view.view}.dcm", "pathology": "planted"}
        if not view.lesions:
            yield image | {"label": "normal"}
        for lesion in view.lesions:
            box = lesion.box
            yield image | {
                "label": "malignant" if lesion.malignant else "benign",
                "lesion_kind": _OUTCOME_KINDS[lesion.kind],
                "row0": box.row0,
                "col0": box.col0,
                "row1": box.row1,
                "col1": box.col1,
            }


def _uid(phantom: PhantomExam, *parts: str) -> UID:
    planted = [_lesion(lesion) for view in phantom.views for lesion in view.lesions]
    sources = ["phantom", phantom.seed, asdict(phantom.spec), planted, *parts]
    return generate_uid(entropy_srcs=[json.dumps(sources, sort_keys=True)])


def _patient_and_study(ds: Dataset, phantom: PhantomExam) -> None:
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientName, ds.PatientID = f"Phantom^{phantom.seed}", f"PHANTOM-{phantom.seed}"
    ds.PatientBirthDate, ds.PatientSex = "19700101", "F"
    ds.StudyInstanceUID = study_instance_uid(phantom)
    ds.StudyID, ds.AccessionNumber = f"P{phantom.seed}", f"PHANTOM{phantom.seed}"[:16]
    ds.StudyDate, ds.StudyTime = "20250101", "080000"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "Simulated screening mammography"


def _series_and_equipment(
    ds: Dataset, phantom: PhantomExam, view: PhantomView, number: int
) -> None:
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.SOPInstanceUID = sop_instance_uid(phantom, view)
    ds.SeriesInstanceUID = _uid(phantom, "series")
    ds.Modality, ds.PresentationIntentType = "MG", "FOR PRESENTATION"
    ds.SeriesNumber, ds.InstanceNumber = 1, number
    ds.SeriesDescription = f"Simulated {phantom.spec.acquisition} mammogram"
    ds.ImageType = ["DERIVED", "PRIMARY", ""]
    ds.Manufacturer, ds.ManufacturerModelName = "Phantom", "Phantom"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "1", "1"
    ds.AcquisitionDate = ds.ContentDate = ds.SeriesDate = ds.StudyDate
    ds.AcquisitionTime = ds.ContentTime = ds.SeriesTime = f"0800{number:02d}"
    ds.SeriesTime = "080000"
    ds.PatientOrientation = _ORIENTATION[view.laterality, view.view]


def _acquisition(ds: Dataset, spec: PhantomSpec, view: PhantomView) -> None:
    """The pixel size is that in the plane of the breast: the magnification is 1."""
    film = spec.acquisition == Acquisition.FILM
    ds.ImageLaterality, ds.ViewPosition = view.laterality, view.view
    ds.ViewCodeSequence = [_code(*_VIEW_CODES[view.view])]
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([])
    ds.AnatomicRegionSequence = [_code("76752008", "Breast")]
    ds.AcquisitionContextSequence = Sequence([])
    ds.BodyPartExamined, ds.OrganExposed = "BREAST", "BREAST"
    ds.PositionerType = "MAMMOGRAPHIC"
    ds.PositionerPrimaryAngle = "0" if view.view == ViewPosition.CC else "45"
    ds.ImagerPixelSpacing = [f"{spec.spacing_mm:g}", f"{spec.spacing_mm:g}"]
    ds.EstimatedRadiographicMagnificationFactor = "1"
    ds.DetectorType = "FILM" if film else "DIRECT"
    ds.DetectorConfiguration, ds.FieldOfViewShape = "AREA", "RECTANGLE"
    ds.BreastImplantPresent, ds.PartialView, ds.QualityControlImage = "NO", "NO", "NO"
    ds.BurnedInAnnotation = "YES" if film else "NO"


def _pixels(ds: Dataset, view: PhantomView) -> None:
    """12 bits; the window shows the stored values as they are (PS3.3 C.11.2.1.2)."""
    top = 2**BITS - 1
    stored = np.round(view.image * top).astype("<u2")
    ds.Rows, ds.Columns = stored.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, BITS, BITS - 1, 0
    ds.PresentationLUTShape, ds.LossyImageCompression = "IDENTITY", "00"
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "1", "0", "US"
    ds.WindowCenter, ds.WindowWidth = str(2 ** (BITS - 1)), str(2**BITS)
    ds.PixelData = stored.tobytes()
    ds["PixelData"].VR = "OW"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item
