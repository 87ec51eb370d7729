"""What kind of object a header describes; everything but a readable mammogram is refused here."""

from pydicom import Dataset, config
from pydicom.uid import UID

from cadnode.domain import Acquisition, Intent, SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.attributes import code_values, items, number, text, texts

MAMMOGRAPHY = {
    "1.2.840.10008.5.1.4.1.1.1.2": Intent.PRESENTATION,
    "1.2.840.10008.5.1.4.1.1.1.2.1": Intent.PROCESSING,
}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
# Modality MG also comes in these: secondary capture, computed and digital radiography.
_OTHER_PROJECTION = (
    _SECONDARY_CAPTURE,
    "1.2.840.10008.5.1.4.1.1.7.2",
    "1.2.840.10008.5.1.4.1.1.7.3",
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1.1",
)
# Breast Tomosynthesis, Breast Projection X-Ray for presentation and for processing.
_TOMOSYNTHESIS = tuple(f"1.2.840.10008.5.1.4.1.1.13.1.{n}" for n in (3, 4, 5))
_NOT_AN_IMAGE_NAMES = (
    " SR", "Structured Report", "CAD", "Report", "Log", "Key Object", "Presentation State",
    "Segmentation", "Encapsulated", "Waveform", "Media Storage Directory", "Raw Data",
    "Registration", "Fiducials", "Procedure Step", "RT ", "Measurement", "Real World Value",
)  # fmt: skip
_BIOPSY_PREFIXES = ("STEREO", "PREFIRE", "POSTFIRE", "POSTBIOPSY", "POSTMARKER", "TOMO_SCOUT")
_SPECIMEN_CODES = {"127457009", "G-8310"}
_GENERATED_NAMES = ("C-VIEW", "S-VIEW", "V-PREVIEW", "INSIGHT 2D", "SYNTHESIZED", "SMART 2D")
_FILM_SCANNERS = ("LUMISYS", "HOWTEK", "VIDAR", "DIGIMAM", "TOTALLOOK", "FILM DIGITIZER")


def is_own_output(header: Dataset) -> bool:
    """Whether cadnode made the object: it says so as manufacturer or contributing equipment."""
    makers = (header, *items(header, "ContributingEquipmentSequence"))
    return any(text(maker, "Manufacturer") == "CADNODE" for maker in makers)


def is_generated_2d(header: Dataset) -> bool:
    """Whether a 2D image was computed from tomosynthesis (PS3.3 C.8.11.7.1.4, Value 4)."""
    named = f"{text(header, 'SeriesDescription')} {text(header, 'AcquisitionDeviceProcessingCode')}"
    return "GENERATED_2D" in texts(header, "ImageType") or any(
        name in named for name in _GENERATED_NAMES
    )


def intent_of(header: Dataset) -> tuple[Intent, str]:
    """Presentation intent and its source: the attribute, else the SOP class, else displayable."""
    stated = text(header, "PresentationIntentType")
    if stated in tuple(Intent):
        return Intent(stated), "PresentationIntentType"
    sop_class = str(header.get("SOPClassUID", ""))
    if sop_class in MAMMOGRAPHY:
        return MAMMOGRAPHY[sop_class], "SOPClassUID"
    return Intent.PRESENTATION, "assumed"


def acquisition_of(header: Dataset) -> tuple[Acquisition, str]:
    """Digital or film, and the attribute that says so.

    A secondary capture is digitized film unless it came by digital interface (PS3.3 C.8.6.1).
    """
    if text(header, "DetectorType") == "FILM":
        return Acquisition.FILM, "DetectorType"
    model = f"{text(header, 'Manufacturer')} {text(header, 'ManufacturerModelName')}"
    if any(scanner in model for scanner in _FILM_SCANNERS):
        return Acquisition.FILM, "ManufacturerModelName"
    if text(header, "ConversionType") == "DF":
        return Acquisition.FILM, "ConversionType"
    capture = str(header.get("SOPClassUID", "")).startswith(_SECONDARY_CAPTURE)
    if capture and text(header, "ConversionType") != "DI":
        return Acquisition.FILM, "SOPClassUID"
    return Acquisition.DIGITAL, "SOPClassUID"


def refuse_other_objects(header: Dataset) -> str:
    """The attribute that shows the object to be a mammographic image of one frame.

    Raises
    ------
    NotProcessable
        OWN_OUTPUT, NOT_AN_IMAGE, TOMOSYNTHESIS or NOT_MAMMOGRAPHY.
    """
    if is_own_output(header):
        raise NotProcessable(SkipReason.OWN_OUTPUT)
    sop_class = str(header.get("SOPClassUID", ""))
    modality = text(header, "Modality")
    name = UID(sop_class, config.IGNORE).name
    if any(part in name for part in _NOT_AN_IMAGE_NAMES):
        raise NotProcessable(SkipReason.NOT_AN_IMAGE)
    if sop_class in _TOMOSYNTHESIS:
        raise NotProcessable(SkipReason.TOMOSYNTHESIS)
    if sop_class in MAMMOGRAPHY:
        return "SOPClassUID"
    if sop_class in _OTHER_PROJECTION or not sop_class:
        if modality == "MG":
            return "Modality"
        if not modality and text(header, "BodyPartExamined") == "BREAST":
            return "BodyPartExamined"
    raise NotProcessable(SkipReason.NOT_MAMMOGRAPHY)


def refuse_special_images(header: Dataset) -> None:
    """Raise for mammographic images that are no plain view of a breast.

    Raises
    ------
    NotProcessable
        TOMOSYNTHESIS, BIOPSY, SPECIMEN, NOT_MAMMOGRAPHY (a phantom) or NO_MODEL_APPLIES
        (a contrast-enhanced high-energy or subtracted image), by PS3.3 C.8.11.7.1.4.
    """
    kinds = texts(header, "ImageType")[2:]
    if any(kind.startswith(_BIOPSY_PREFIXES) for kind in kinds):
        raise NotProcessable(SkipReason.BIOPSY)
    if {"TOMOSYNTHESIS", "TOMO_PROJ", "TOMO"} & set(kinds) and not is_generated_2d(header):
        raise NotProcessable(SkipReason.TOMOSYNTHESIS)
    if {"SUBTRACTION", "HIGH_ENERGY"} & set(kinds):
        raise NotProcessable(SkipReason.NO_MODEL_APPLIES, "a contrast-enhanced image")
    view_codes = code_values(items(header, "ViewCodeSequence"))
    if _SPECIMEN_CODES & set(view_codes) or "SPECIMEN" in (
        text(header, "ViewPosition"),
        text(header, "BodyPartExamined"),
    ):
        raise NotProcessable(SkipReason.SPECIMEN)
    if text(header, "QualityControlImage") == "YES":
        raise NotProcessable(SkipReason.NOT_MAMMOGRAPHY, "a quality control image")


def refuse_unreadable_pixels(header: Dataset, *, has_pixels: bool) -> None:
    """Raise for pixel modules that describe no single grayscale frame (PS3.3 C.7.6.3).

    Raises
    ------
    NotProcessable
        NO_PIXELS, TRUNCATED, MULTI_FRAME or NOT_GRAYSCALE.
    """
    rows, columns = number(header, "Rows"), number(header, "Columns")
    if not has_pixels:
        cut = rows is None or columns is None
        raise NotProcessable(SkipReason.TRUNCATED if cut else SkipReason.NO_PIXELS)
    if not rows or not columns:
        raise NotProcessable(SkipReason.PIXELS_CORRUPT, "Rows or Columns is missing")
    if (number(header, "NumberOfFrames") or 1) > 1:
        raise NotProcessable(SkipReason.MULTI_FRAME)
    photometric = text(header, "PhotometricInterpretation") or "MONOCHROME2"
    samples = number(header, "SamplesPerPixel")
    if samples not in (None, 1) or not photometric.startswith("MONOCHROME"):
        raise NotProcessable(SkipReason.NOT_GRAYSCALE)
