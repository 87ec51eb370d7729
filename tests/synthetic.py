"""Synthetic mammograms: seeded, small, valid DICOM, in every transfer syntax the node takes.

Every identifier is fake and marked with `MARK`, so that a test can look for leaks of it.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
)
from scipy import ndimage

from tests.encoding import (
    LOSSLESS,
    LOSSY,
    NATIVE,
    TRANSFER_SYNTAXES,
    encode,
    stored_values,
    uid,
)

__all__ = [
    "IDENTIFIERS",
    "LOSSLESS",
    "LOSSY",
    "MARK",
    "NATIVE",
    "STANDARD_VIEWS",
    "TRANSFER_SYNTAXES",
    "breast",
    "code",
    "encode",
    "set_pixels",
    "stored_values",
    "uid",
    "view_dataset",
    "write",
    "write_exam",
]

MARK = "ZZQ"
IDENTIFIERS = (f"{MARK}NAME", f"{MARK}-ID-0001", f"{MARK}-ACC-0001", f"{MARK}STUDY", "19010203")

STANDARD_VIEWS = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))
_VIEW_CODES = {  # DICOM PS3.16 CID 4014
    "CC": ("399162004", "cranio-caudal"),
    "MLO": ("399368009", "medio-lateral oblique"),
    "ML": ("399260004", "medio-lateral"),
    "LM": ("399352003", "latero-medial"),
    "XCCL": ("399192008", "cranio-caudal exaggerated laterally"),
}


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """One code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def breast(
    laterality: str = "L",
    view: str = "CC",
    *,
    seed: int = 0,
    rows: int = 512,
    columns: int = 400,
    mass: tuple[float, float, float] | None = None,
    label: bool = False,
) -> NDArray[np.float32]:
    """`(rows, columns) float32 in [0, 1]`: a breast on black; a left one's chest wall is left.

    `mass` is (row, column, radius) in pixels; `label` adds a bright plate outside the breast.
    """
    rng = np.random.default_rng([seed, *laterality.encode(), *view.encode()])
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, columns, dtype=np.float32)[None, :]
    depth = 1 - (x / 0.72) ** 2 - ((y + (0.1 if view == "CC" else 0.0)) / 0.78) ** 2
    inside = depth > 0
    noise = np.fft.rfft2(rng.standard_normal((rows, columns)))
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    frequency[0, 0] = np.inf
    texture = np.fft.irfft2(noise / frequency**1.5, s=(rows, columns)).astype(np.float32)
    texture /= texture.std()
    skin_to_chest = 0.25 + 0.25 * np.sqrt(depth.clip(0, None))
    image = np.where(inside, skin_to_chest + 0.08 * texture, 0.0)
    if view != "CC":  # pectoral muscle: a bright wedge at the upper chest wall
        image = np.where((x < 0.28 * (0.2 - y)) & inside, image + 0.2, image)
    if label:
        image[rows // 20 : rows // 8, columns - columns // 5 : columns - columns // 20] = 0.9
    if laterality == "R":
        image = image[:, ::-1]
    if mass is not None:
        distance = np.hypot(*np.ogrid[-mass[0] : rows - mass[0], -mass[1] : columns - mass[1]])
        image = image + 0.35 * np.exp(-((distance / mass[2]) ** 4))
    blurred = ndimage.gaussian_filter(image, 0.7) + 0.01 * rng.random((rows, columns))
    return blurred.clip(0, 1).astype(np.float32)


def view_dataset(
    laterality: str = "L",
    view: str = "CC",
    *,
    study_uid: str | None = None,
    seed: int = 0,
    photometric: str = "MONOCHROME2",
    bits_stored: int = 12,
    signed: bool = False,
    intent: str = "FOR PRESENTATION",
    rows: int = 512,
    columns: int = 400,
    mass: tuple[float, float, float] | None = None,
    label: bool = False,
    **overrides: Any,
) -> Dataset:
    """A Digital Mammography X-Ray Image (PS3.3 A.26) in explicit little endian, not lossy.

    MONOCHROME1 stores the image inverted and signed data are shifted by half the range, so that
    the image shown is the same. `overrides` set attributes by keyword; None deletes one.
    """
    image = breast(laterality, view, seed=seed, rows=rows, columns=columns, mass=mass, label=label)
    top = 2**bits_stored - 1
    stored = np.round(image * top).astype(np.int64)
    if photometric == "MONOCHROME1":
        stored = top - stored
    offset = 2 ** (bits_stored - 1) if signed else 0
    dtype = np.dtype(f"<{'i' if signed else 'u'}{1 if bits_stored <= 8 else 2}")
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    _patient_and_study(ds, study_uid or uid("study", seed), seed)
    _series_and_equipment(ds, laterality, view, seed, intent)
    _acquisition(ds, laterality, view)
    _display(ds, photometric, bits_stored, offset)
    set_pixels(ds, (stored - offset).astype(dtype), bits_stored)
    for keyword, value in overrides.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", "")
    ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", "")
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _patient_and_study(ds: Dataset, study_uid: str, seed: int) -> None:
    ds.PatientName = f"{MARK}NAME^SYNTHETIC"
    ds.PatientID = f"{MARK}-ID-0001"
    ds.PatientBirthDate = "19010203"
    ds.PatientSex = "F"
    ds.StudyInstanceUID = study_uid
    ds.StudyID = f"{MARK}STUDY"
    ds.StudyDate, ds.StudyTime = "20200102", "030405"
    ds.AccessionNumber = f"{MARK}-ACC-0001"
    ds.ReferringPhysicianName = f"{MARK}DOCTOR"
    ds.StudyDescription = "Synthetic screening mammography"


def _series_and_equipment(ds: Dataset, laterality: str, view: str, seed: int, intent: str) -> None:
    presentation = intent == "FOR PRESENTATION"
    ds.SOPClassUID = (
        DigitalMammographyXRayImageStorageForPresentation
        if presentation
        else DigitalMammographyXRayImageStorageForProcessing
    )
    ds.SeriesInstanceUID = uid("series", ds.StudyInstanceUID, intent)
    ds.SOPInstanceUID = uid("instance", ds.StudyInstanceUID, laterality, view, seed, intent)
    ds.Modality = "MG"
    standard = (laterality, view) in STANDARD_VIEWS
    ds.SeriesNumber = 1
    ds.InstanceNumber = 1 + STANDARD_VIEWS.index((laterality, view)) if standard else 9
    ds.PresentationIntentType = intent
    ds.ImageType = ["DERIVED" if presentation else "ORIGINAL", "PRIMARY", ""]
    ds.Manufacturer = "Synthetic Imaging"
    ds.ManufacturerModelName = "Phantom 1"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "1", "1"
    ds.AcquisitionDate = ds.ContentDate = ds.SeriesDate = "20200102"
    ds.AcquisitionTime = ds.ContentTime = ds.SeriesTime = "030405"
    ds.PatientOrientation = {
        ("L", "CC"): ["A", "R"],
        ("R", "CC"): ["P", "L"],
    }.get((laterality, view), ["A", "FR"] if laterality == "L" else ["P", "FL"])


def _acquisition(ds: Dataset, laterality: str, view: str) -> None:
    ds.ImageLaterality = laterality
    ds.ViewPosition = view
    view_code = code(*_VIEW_CODES[view][:1], "SCT", _VIEW_CODES[view][1])
    view_code.ViewModifierCodeSequence = Sequence([])
    ds.ViewCodeSequence = [view_code]
    ds.AnatomicRegionSequence = [code("76752008", "SCT", "Breast")]
    ds.AcquisitionContextSequence = Sequence([])
    ds.BodyPartExamined, ds.OrganExposed = "BREAST", "BREAST"
    ds.PositionerType = "MAMMOGRAPHIC"
    ds.PositionerPrimaryAngle = "0" if view == "CC" else "45"
    ds.ImagerPixelSpacing = ["0.4", "0.4"]
    ds.EstimatedRadiographicMagnificationFactor = "1"
    ds.PaddleDescription = "24x30"
    ds.DetectorType, ds.DetectorConfiguration = "DIRECT", "AREA"
    ds.FieldOfViewShape = "RECTANGLE"
    ds.BreastImplantPresent = "NO"
    ds.PartialView = "NO"
    ds.QualityControlImage = "NO"


def _display(ds: Dataset, photometric: str, bits_stored: int, offset: int) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = photometric
    ds.PresentationLUTShape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "1", str(offset), "US"
    ds.WindowCenter = str(2 ** (bits_stored - 1))
    ds.WindowWidth = str(2**bits_stored)


def set_pixels(ds: Dataset, stored: NDArray[Any], bits_stored: int) -> None:
    """Put an integer array into `ds` as native little endian pixel data."""
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated = 8 * stored.dtype.itemsize
    ds.BitsStored, ds.HighBit = bits_stored, bits_stored - 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    raw = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    ds.PixelData = raw + b"\0" * (len(raw) % 2)
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 else "OW"


def write(ds: Dataset, path: Path) -> Path:
    """`path`, holding `ds` as a DICOM file (PS3.10) in its own transfer syntax."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def write_exam(
    folder: Path,
    views: tuple[tuple[str, str], ...] = STANDARD_VIEWS,
    *,
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
    **kw: Any,
) -> list[Path]:
    """Files of one study, one a view, in the order of `views`; `kw` go to `view_dataset`."""
    paths = []
    for number, (laterality, view) in enumerate(views, 1):
        ds = encode(view_dataset(laterality, view, **kw), transfer_syntax_uid)
        paths.append(write(ds, folder / f"{number:02d}-{laterality}-{view}.dcm"))
    return paths
