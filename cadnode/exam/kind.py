"""What kind of object a header describes; everything but a readable mammogram is refused here."""

import re
from functools import partial

from pydicom import Dataset, config
from pydicom.uid import UID

from cadnode.domain import Acquisition, Evidence, EvidenceLevel, Intent, SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.attributes import code_values, items, number, text, texts
from cadnode.exam.cbis_ddsm import parse_name
from cadnode.exam.view import series_texts

MAMMOGRAPHY = {
    "1.2.840.10008.5.1.4.1.1.1.2": Intent.PRESENTATION,
    "1.2.840.10008.5.1.4.1.1.1.2.1": Intent.PROCESSING,
}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
# Modality MG also occurs in these: secondary capture, computed and digital radiography.
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
# Image Type (0008,0008) Value 3 on, PS3.3 C.8.11.7.1.4, and what vendors write in their place.
_BIOPSY_TYPES = (
    "STEREO",
    "PREFIRE",
    "POSTFIRE",
    "POSTBIOPSY",
    "POSTMARKER",
    "TOMO_SCOUT",
    "BIOPSY",
)
_TOMOSYNTHESIS_TYPES = {"TOMOSYNTHESIS", "TOMO_PROJ", "TOMO", "TOMO_2D"}
_CAPTURE_TYPES = re.compile(
    r"SCREEN|CAPTURE|SNAPSHOT|PRINT|ANNOTAT|REPORT|CAD|SECONDARY|COLLAGE|OVERLAY"
)
_LOW_ENERGY = re.compile(r"\bLOW ?ENERGY|\bLE\b")
_NOT_LOW_ENERGY = re.compile(r"\bHIGH ?ENERGY|RECOMB|SUBTR|DIFFEREN|IODINE")
_NOT_LOW_ENERGY_TYPE = re.compile(
    r"\bHE\b|\bSUB\b|\bADD(ITION)?\b|\bDE[SM]\b|COMBINED|RECON|DUAL ?ENERGY"
)
_CONTRAST = re.compile(
    r"CONTRAST|\bCE[SD]?M\b|\bCEDSM\b|\bCE2D\b|DUAL[ _-]?ENERGY|I-VIEW|SENOBRIGHT|TICEM"
)
_PLAIN_TYPE = re.compile(  # Value 3 of images that are plain views, as vendors write it
    r"|NONE|ORIGINAL|NORMAL|STANDARD|CONVENTIONAL|SINGLE.*|2D|FFDM|MAMMO\w*|MG|CR|DR|DX|POST_?PROCESSED"
    r"|PROCESSED|PRE_?PROCESSED|RAW|AXIAL|UNSPECIFIED|LEFT|RIGHT|[LR]?(CC|MLO)|[LRM]|\d+"
    r"|GENERATED_2D|(PRE|POST)[ _-]?CONTRAST|LOW[ _-]?ENERGY"
)
_HIGHEST_PLAIN_KV = 42.0  # mammography stays below; high-energy images are taken at 45 to 49 kV
_CONTRAST_AGENT = ("ContrastBolusAgent", "ContrastBolusAgentSequence")
_SPECIMEN_CODES = {"127457009", "G-8310"}
_SPECIMEN_CABINETS = (
    "FAXITRON",
    "BIOVISION",
    "KUBTEC",
    "MOZART",
    "TRIDENT",
    "COREVISION",
    "PARAMETER",
)
_SPECIMEN_WORDS = {
    "SPECIMEN",
    "SPECIMENS",
    "SPEC",
    "SPÉCIMEN",
    "LUMPECTOMY",
    "PRÄPARAT",
    "PRAEPARAT",
    "PREPARAT",
}
_BIOPSY_WORDS = {
    "STEREO", "STEREOTACTIC", "STEREOTAXIS", "BIOPSY", "BIOPSIE", "BX", "PREFIRE", "POSTFIRE",
    "NEEDLE", "WIRE", "HOOKWIRE", "LOCALIZATION", "LOCALISATION", "VAB", "VACUUM",
    "GALACTOGRAPHY", "GALACTOGRAM", "DUCTOGRAPHY", "DUCTOGRAM",
}  # fmt: skip
_CAPTURE_WORDS = {
    "CAPTURE",
    "CAPTURES",
    "SCREENSHOT",
    "SCREENSAVE",
    "SNAPSHOT",
    "SECONDARY",
    "PRINTED",
}
_GENERATED_NAMES = ("C-VIEW", "S-VIEW", "V-PREVIEW", "INSIGHT 2D", "SYNTHESIZED", "SMART 2D")
_FILM_SCANNERS = ("LUMISYS", "HOWTEK", "VIDAR", "DIGIMAM", "TOTALLOOK", "FILM DIGITIZER")


def is_own_output(header: Dataset) -> bool:
    """Whether cadnode made the object: it is named as manufacturer or contributing equipment."""
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
    """Digital or film, and the attribute that states it.

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


def is_image(header: Dataset) -> bool:
    """Whether the object is an image of any kind, and not one of ours."""
    name = UID(str(header.get("SOPClassUID", "")), config.IGNORE).name
    return not any(part in name for part in _NOT_AN_IMAGE_NAMES) and not is_own_output(header)


def evidence_of(header: Dataset) -> tuple[Evidence, ...]:
    """What shows the kind of image: class, modality, Image Type, intent, detector, contrast."""
    about = partial(Evidence, "kind")
    image, series = EvidenceLevel.IMAGE, EvidenceLevel.SERIES
    sop_class = UID(str(header.get("SOPClassUID", "")), config.IGNORE)
    found = [about("SOPClassUID", image, sop_class.name if sop_class.is_private is False else "")]
    if text(header, "Modality") in ("MG", "CR", "DX", "OT", "SC"):
        found.append(about("Modality", series, text(header, "Modality")))
    found.append(about("ImageType", image, _shown_type(header)))
    intent, source = intent_of(header)
    level = EvidenceLevel.ASSUMED if source == "assumed" else series
    found.append(about("PresentationIntentType", level, intent.value.lower()))
    acquisition, source = acquisition_of(header)
    found.append(about(source, image, acquisition.value))
    if any(header.get(keyword) for keyword in _CONTRAST_AGENT):
        found.append(about(_CONTRAST_AGENT[0], image, "a contrast agent was given"))
    return tuple(e for e in found if e.says)


def _shown_type(header: Dataset) -> str:
    """Image Type, as far as its values are known terms: vendors' own may hold anything."""
    return "\\".join(v if _is_known_type(v) else "…" for v in texts(header, "ImageType"))


def _is_known_type(value: str) -> bool:
    return (
        value in ("ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "ADDITION", "SUBTRACTION")
        or value in ("HIGH_ENERGY", "RECOMBINED", *_TOMOSYNTHESIS_TYPES)
        or value.startswith(_BIOPSY_TYPES)
        or _PLAIN_TYPE.fullmatch(value) is not None
    )


def refuse_other_objects(header: Dataset) -> None:
    """Raise for objects that are no mammographic image.

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
        return
    of_breast = modality == "MG" or (not modality and text(header, "BodyPartExamined") == "BREAST")
    if not (of_breast and (sop_class in _OTHER_PROJECTION or not sop_class)):
        raise NotProcessable(SkipReason.NOT_MAMMOGRAPHY)


def refuse_special_images(header: Dataset) -> None:
    """Raise for mammographic images that are not shown to be a plain view of a whole breast.

    Raises
    ------
    NotProcessable
        TOMOSYNTHESIS, BIOPSY, SPECIMEN, CAPTURE, CONTRAST_ENHANCED (all but the low-energy image),
        IMAGE_TYPE or NOT_MAMMOGRAPHY (quality control), by PS3.3 C.8.11.7.1.4 and what the
        attributes of image and series state beside it.
    """
    kinds = texts(header, "ImageType")[2:]
    words = _series_words(header)
    if any(kind.startswith(_BIOPSY_TYPES) for kind in kinds) or words & _BIOPSY_WORDS:
        raise NotProcessable(SkipReason.BIOPSY)
    if _TOMOSYNTHESIS_TYPES & set(kinds) and not is_generated_2d(header):
        raise NotProcessable(SkipReason.TOMOSYNTHESIS)
    _refuse_specimens(header, words)
    if text(header, "QualityControlImage") == "YES":
        raise NotProcessable(SkipReason.NOT_MAMMOGRAPHY, "a quality control image")
    _refuse_captures(header, kinds, words)
    _refuse_contrast(header, kinds)
    if kinds and not is_generated_2d(header) and not _PLAIN_TYPE.fullmatch(kinds[0]):
        raise NotProcessable(SkipReason.IMAGE_TYPE, "Value 3 is none of a plain view's")


def _series_words(header: Dataset) -> set[str]:
    """The words of the series' own texts."""
    return {word for _, words in series_texts(header) for word in re.split(r"[^\w]+|_", words)}


def _refuse_specimens(header: Dataset, words: set[str]) -> None:
    """Specimen Module (PS3.3 C.7.6.22), view, region, cabinet or the series' own words."""
    modules = (
        "SpecimenDescriptionSequence",
        "ContainerIdentifier",
        "SpecimenIdentifier",
        "SpecimenUID",
    )
    stated = (
        text(header, "ViewPosition"),
        text(header, "BodyPartExamined"),
        text(header, "OrganExposed"),
    )
    view_codes = code_values(items(header, "ViewCodeSequence"))
    maker = f"{text(header, 'Manufacturer')} {text(header, 'ManufacturerModelName')}"
    if (
        any(header.get(keyword) for keyword in modules)
        or _SPECIMEN_CODES & set(view_codes)
        or "SPECIMEN" in stated
        or words & _SPECIMEN_WORDS
        or any(cabinet in maker for cabinet in _SPECIMEN_CABINETS)
    ):
        raise NotProcessable(SkipReason.SPECIMEN)


def _refuse_captures(header: Dataset, kinds: tuple[str, ...], words: set[str]) -> None:
    """Copies of images: derived for other than display, captured, or with burned-in text.

    A Secondary Capture is read as what it is in CBIS-DDSM and out of film scanners: a film.
    Other images are acquired ones: Value 2 of their Image Type is PRIMARY (PS3.3 C.7.6.1.1.2).
    Of films, burned-in text is the label beside the breast.
    """
    if parse_name(header) is not None:
        return
    acquisition, source = acquisition_of(header)
    is_film = acquisition is Acquisition.FILM
    is_capture = str(header.get("SOPClassUID", "")).startswith(_SECONDARY_CAPTURE)
    # The marks of a film scanner (PS3.3 C.8.6.1): its SOP class alone is none.
    marked = source != "SOPClassUID" and text(header, "ConversionType") in ("DF", "")
    if is_capture and not (is_film and marked):
        raise NotProcessable(SkipReason.CAPTURE, "a secondary capture that is no scanned film")
    image_type = texts(header, "ImageType")
    if not is_capture and image_type[1:2] == ("SECONDARY",):
        raise NotProcessable(SkipReason.CAPTURE, "Image Type says SECONDARY")
    if any(_CAPTURE_TYPES.search(kind) for kind in kinds) or words & _CAPTURE_WORDS:
        raise NotProcessable(SkipReason.CAPTURE)
    if not is_film and text(header, "BurnedInAnnotation") == "YES":
        raise NotProcessable(SkipReason.CAPTURE, "Burned In Annotation says YES")


def _refuse_contrast(header: Dataset, kinds: tuple[str, ...]) -> None:
    """Of contrast-enhanced mammography the low-energy image alone shows what a plain view does.

    It is known by Image Type; without a word there, by being an original image. Peak voltage
    contradicts: high-energy images are taken well above any plain view.
    """
    types = " ".join(kinds).replace("_", " ").replace("-", " ")
    named = " ".join(words for _, words in series_texts(header))
    named = f"{named} {text(header, 'AcquisitionDeviceProcessingCode')}".replace("_", " ")
    voltage = number(header, "KVP") or 0.0
    if (
        _NOT_LOW_ENERGY.search(types)
        or (_NOT_LOW_ENERGY_TYPE.search(types) and not is_generated_2d(header))
        or voltage > _HIGHEST_PLAIN_KV
    ):
        raise NotProcessable(SkipReason.CONTRAST_ENHANCED)
    if _LOW_ENERGY.search(types):
        return
    if _NOT_LOW_ENERGY.search(named):
        raise NotProcessable(SkipReason.CONTRAST_ENHANCED)
    has_agent = any(header.get(keyword) for keyword in _CONTRAST_AGENT)
    if _LOW_ENERGY.search(named) or not (has_agent or _CONTRAST.search(f"{types} {named}")):
        return
    is_original = texts(header, "ImageType")[:1] == ("ORIGINAL",)
    if not is_original or not all(map(_PLAIN_TYPE.fullmatch, kinds)):
        raise NotProcessable(
            SkipReason.CONTRAST_ENHANCED, "nothing shows it to be the low-energy image"
        )


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
