"""Every coded concept the reports use, each written once.

Standard concepts come from DICOM PS3.16; what PS3.16 has no code for carries the private
designator `99CADNODE` (PS3.16 chapter 8: designators of private schemes start with "99"),
and every object that uses it names the scheme's owner.
"""

from typing import Final

from pydicom import Dataset
from pydicom.sr.coding import Code

from cadnode.domain import (
    SKIP_MEANINGS,
    CalcificationType,
    Distribution,
    FindingKind,
    Laterality,
    RoiReference,
    SkipReason,
    System,
    ViewModifier,
    ViewPosition,
)

PRIVATE_SCHEME: Final = "99CADNODE"


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


def _own(value: str, meaning: str) -> Code:
    return Code(value, PRIVATE_SCHEME, meaning)


# Document and its containers: TID 1500, TID 1600.
IMAGING_MEASUREMENT_REPORT: Final = _dcm("126000", "Imaging Measurement Report")
IMAGING_MEASUREMENTS: Final = _dcm("126010", "Imaging Measurements")
IMAGING_PROCEDURE: Final = _sct("363679005", "Imaging procedure")
IMAGE_LIBRARY: Final = _dcm("111028", "Image Library")
IMAGE_LIBRARY_GROUP: Final = _dcm("126200", "Image Library Group")
QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")
COMMENT: Final = _dcm("121106", "Comment")

# How an image takes part. Viewers look for Original Source under a region.
SOURCE: Final = _sct("260753009", "Source")
ORIGINAL_SOURCE: Final = _dcm("111040", "Original Source")
SOURCE_OF_PROCESSING: Final = _dcm("121322", "Source image for image processing operation")
LOSSY_COMPRESSION: Final = _dcm("113040", "Lossy Compression")
SPATIAL_RESAMPLING: Final = _dcm("113085", "Spatial resampling")

# Image descriptors: TID 1602, TID 1603.
MODALITY: Final = _dcm("121139", "Modality")
MAMMOGRAPHY: Final = _dcm("MG", "Mammography")
IMAGE_LATERALITY: Final = _dcm("111027", "Image Laterality")
IMAGE_VIEW: Final = _dcm("111031", "Image View")
IMAGE_VIEW_MODIFIER: Final = _dcm("111032", "Image View Modifier")
PIXEL_DATA_ROWS: Final = _dcm("110910", "Pixel Data Rows")
PIXEL_DATA_COLUMNS: Final = _dcm("110911", "Pixel Data Columns")
ORIENTATION_ROW: Final = _dcm("111044", "Patient Orientation Row")
ORIENTATION_COLUMN: Final = _dcm("111043", "Patient Orientation Column")
SPACING_HORIZONTAL: Final = _dcm("111026", "Horizontal Pixel Spacing")
SPACING_VERTICAL: Final = _dcm("111066", "Vertical Pixel Spacing")

# Equipment: CID 7005.
ACQUISITION_EQUIPMENT: Final = _dcm("109101", "Acquisition Equipment")
PROCESSING_EQUIPMENT: Final = _dcm("109102", "Processing Equipment")

# Units.
PERCENT: Final = Code("%", "UCUM", "Percent")
NO_UNITS: Final = Code("1", "UCUM", "no units")
PIXELS: Final = Code("{pixels}", "UCUM", "Pixels")
MILLIMETER: Final = Code("mm", "UCUM", "millimeter")

# What is measured.
CERTAINTY: Final = _dcm("111012", "Certainty of Finding")
N_CALCIFICATIONS: Final = _dcm("111038", "Number of calcifications")
DIAMETER: Final = _sct("81827009", "Diameter")
CAD_SCORE: Final = _own("CAD_SCORE", "CAD score, 0 to 1")
IMAGE_AGE_SCORE: Final = _own("IMAGE_AGE_SCORE", "Score of image and age together, 0 to 1")
OPERATING_POINT: Final = _own("OPERATING_POINT", "CAD operating point, 0 to 1")
CALIBRATION: Final = _own("CALIBRATION", "Calibration of the score")
UNCALIBRATED: Final = _own("UNCALIBRATED", "Not calibrated: orders, is no probability")

# How a size in mm came to be where no header states the pixel's: CID 3627.
DERIVATION: Final = _dcm("121401", "Derivation")
ESTIMATED: Final = _sct("414135002", "Estimated")

# How the reading ended: CID 6047, CID 6042.
SUMMARY: Final = _dcm("111017", "CAD Processing and Findings Summary")
ALL_WITHOUT_FINDINGS: Final = _dcm("111241", "All algorithms succeeded; without findings")
ALL_WITH_FINDINGS: Final = _dcm("111242", "All algorithms succeeded; with findings")
SOME_WITHOUT_FINDINGS: Final = _dcm("111243", "Not all algorithms succeeded; without findings")
SOME_WITH_FINDINGS: Final = _dcm("111244", "Not all algorithms succeeded; with findings")
NONE_SUCCEEDED: Final = _dcm("111245", "No algorithms succeeded; without findings")
READING_STATUS: Final = _own("READING_STATUS", "Reading status of the image")
REASON_NOT_READ: Final = _own("REASON_NOT_READ", "Reason why the image was not read")
FAILED: Final = _dcm("111224", "Failed")
NOT_ATTEMPTED: Final = _dcm("111225", "Not Attempted")

# What every measurement group has: TID 1410, TID 1501, TID 4019, TID 4108.
MEASUREMENT_GROUP: Final = _dcm("125007", "Measurement Group")
TRACKING_IDENTIFIER: Final = _dcm("112039", "Tracking Identifier")
TRACKING_UID: Final = _dcm("112040", "Tracking Unique Identifier")
ALGORITHM_NAME: Final = _dcm("111001", "Algorithm Name")
ALGORITHM_VERSION: Final = _dcm("111003", "Algorithm Version")
ALGORITHM_PARAMETERS: Final = _dcm("111002", "Algorithm Parameters")
FINDING: Final = _dcm("121071", "Finding")
FINDING_SITE: Final = _sct("363698007", "Finding Site")
LATERALITY: Final = _sct("272741003", "Laterality")
SOURCE_OF_MEASUREMENT: Final = _dcm("121112", "Source of Measurement")
IMAGE_REGION: Final = _dcm("111030", "Image Region")

# Findings and sites: CID 6014, CID 6010, CID 6012.
BREAST: Final = _sct("76752008", "Breast")
CALCIFICATION_TYPE: Final = _dcm("111009", "Calcification Type")
DISTRIBUTION: Final = _dcm("111008", "Calcification Distribution")

FINDING_KINDS: Final[dict[FindingKind, Code]] = {
    FindingKind.CALCIFICATION_CLUSTER: _sct("129769006", "Calcification Cluster"),
    FindingKind.MASS: _sct("4147007", "Mass"),
    FindingKind.SUSPICIOUS_REGION: _own("SUSPICIOUS_REG", "Region that raised the CAD score"),
    FindingKind.MARKED_REGION: _dcm("111099", "Selected region"),
}

# BI-RADS' coarse heterogeneous has no code of its own; CID 6010 has the older, wider word.
CALCIFICATION_TYPES: Final[dict[CalcificationType, Code]] = {
    CalcificationType.PUNCTATE: _sct("129755006", "Punctate calcification"),
    CalcificationType.ROUND: _sct("129756007", "Round shaped calcification"),
    CalcificationType.COARSE: _sct("129749001", "Coarse (popcorn-like) calcification"),
    CalcificationType.AMORPHOUS: _sct("129760005", "Amorphous calcification"),
    CalcificationType.COARSE_HETEROGENEOUS: _sct("129763007", "Heterogeneous calcification"),
    CalcificationType.FINE_PLEOMORPHIC: _dcm("111344", "Fine pleomorphic calcification"),
    CalcificationType.FINE_LINEAR: _sct("129761009", "Fine, linear (casting) calcification"),
    CalcificationType.FINE_LINEAR_BRANCHING: _sct(
        "129762002", "Fine linear, branching (casting) calcification"
    ),
}
DISTRIBUTIONS: Final[dict[Distribution, Code]] = {
    Distribution.DIFFUSE: _sct("129764001", "Diffuse calcification distribution"),
    Distribution.REGIONAL: _sct("129767008", "Regional calcification distribution"),
    Distribution.GROUPED: _sct("129766004", "Grouped calcification distribution"),
    Distribution.LINEAR: _sct("129765000", "Linear calcification distribution"),
    Distribution.SEGMENTAL: _sct("129768003", "Segmental calcification distribution"),
}

# A system's statements, and whether it took part.
REACHES_OPERATING_POINT: Final = _own("REACHES_OP", "Score reaches the operating point")
YES: Final = _sct("373066001", "Yes")
NO: Final = _sct("373067005", "No")
TOOK_PART: Final = _own("TOOK_PART", "Took part in the reading")
ABSENT: Final = _own("ABSENT", "Did not take part in the reading")

# A region that somebody marked, and the object it was marked in.
REGION_ORIGIN: Final = _own("REGION_ORIGIN", "How the region was found")
DRAWN: Final = _own("DRAWN", "Drawn by a person")
MARKED: Final = _own("MARKED", "Marked by a device or an unnamed person")
SOURCE_OF_REGION: Final = _dcm("121112", "Source of Measurement")

# What a reader says of a finding. PS3.16 has no concept for it: (109018, DCM) is of heart beats,
# (111056, DCM) Rendering Intent is the device's word.
READER_VERDICT: Final = _own("READER_VERDICT", "Reader's verdict on the finding")
ACCEPTED: Final = _own("ACCEPTED", "Accepted by the reader")
REJECTED: Final = _own("REJECTED", "Rejected by the reader")
WITHDRAWN: Final = _own("WITHDRAWN", "Verdict withdrawn by the reader")

# A person as the observer: TID 1002, TID 1003.
OBSERVER_TYPE: Final = _dcm("121005", "Observer Type")
PERSON: Final = _dcm("121006", "Person")
PERSON_NAME: Final = _dcm("121008", "Person Observer Name")
LOGIN_NAME: Final = _dcm("128774", "Person Observer's Login Name")

# The objects beside a report that it refers to.
REFERENCED_SEGMENT: Final = _dcm("121191", "Referenced Segment")
KEY_IMAGES: Final = _dcm("121180", "Key Images")

# CID 244.
SIDES: Final[dict[Laterality, Code]] = {
    Laterality.LEFT: _sct("7771000", "Left"),
    Laterality.RIGHT: _sct("24028007", "Right"),
}

# CID 4014, except AT and CV: what the image shows, CID 4015.
VIEWS: Final[dict[ViewPosition, Code]] = {
    ViewPosition.CC: _sct("399162004", "cranio-caudal"),
    ViewPosition.MLO: _sct("399368009", "medio-lateral oblique"),
    ViewPosition.ML: _sct("399260004", "medial-lateral"),
    ViewPosition.LM: _sct("399352003", "latero-medial"),
    ViewPosition.LMO: _sct("399099002", "latero-medial oblique"),
    ViewPosition.SIO: _sct("399188001", "superolateral to inferomedial oblique"),
    ViewPosition.XCCL: _sct("399192008", "cranio-caudal exaggerated laterally"),
    ViewPosition.XCCM: _sct("399101009", "cranio-caudal exaggerated medially"),
    ViewPosition.FB: _sct("399196006", "caudo-cranial"),
    ViewPosition.CV: _sct("399161006", "Cleavage"),
    ViewPosition.AT: _sct("399011000", "Axillary Tail"),
    ViewPosition.SPECIMEN: _sct("127457009", "tissue specimen from breast"),
}

# CID 4015.
VIEW_MODIFIERS: Final[dict[ViewModifier, Code]] = {
    ViewModifier.MAGNIFICATION: _sct("399163009", "Magnification"),
    ViewModifier.SPOT_COMPRESSION: _sct("399055006", "Spot Compression"),
    ViewModifier.IMPLANT_DISPLACED: _sct("399209000", "Implant Displaced"),
    ViewModifier.CLEAVAGE: _sct("399161006", "Cleavage"),
    ViewModifier.AXILLARY_TAIL: _sct("399011000", "Axillary Tail"),
    ViewModifier.ROLLED: _sct("399197002", "Rolled Lateral"),
    ViewModifier.TANGENTIAL: _sct("399110001", "tangential"),
    ViewModifier.NIPPLE_IN_PROFILE: _sct("442581004", "Nipple in profile"),
    ViewModifier.INFRAMAMMARY_FOLD: _sct("442593008", "Infra-mammary fold"),
}

# Code Value holds 16 characters (SH): these reasons are longer and are cut here, once.
_SHORT_REASONS: Final[dict[SkipReason, str]] = {
    SkipReason.MAGNIFIED_OR_SPOT: "magnified_spot",
    SkipReason.LATERALITY_UNKNOWN: "side_unknown",
    SkipReason.PIXELS_UNSUPPORTED: "pixels_unsupp",
    SkipReason.CONTRAST_ENHANCED: "contrast_enh",
}

# The image holds nothing the reading could have used, or a better copy of it was used.
HARMLESS: Final = frozenset(
    {
        SkipReason.OWN_OUTPUT,
        SkipReason.NOT_AN_IMAGE,
        SkipReason.NOT_MAMMOGRAPHY,
        SkipReason.DUPLICATE,
        SkipReason.SUPERSEDED,
    }
)

# Reading was tried and broke, as against images that are left alone on purpose.
_BROKE: Final = frozenset(
    {
        SkipReason.TRUNCATED,
        SkipReason.PIXELS_CORRUPT,
        SkipReason.PIXELS_UNSUPPORTED,
        SkipReason.NO_PIXELS,
        SkipReason.NO_BREAST_FOUND,
        SkipReason.MODEL_FAILED,
        SkipReason.NODE_BUSY,
        SkipReason.READING_FAILED,
        SkipReason.MODELS_MISSING,
    }
)


def region_origin(marked_by: RoiReference) -> Code:
    """Who marked a region, as far as its object names anybody."""
    return DRAWN if marked_by.by_person else MARKED


def cad_score(meaning: str) -> Code:
    """`CAD_SCORE` with a meaning that names the system (at most 64 characters).

    The value is what programs look for; a meaning is for people (PS3.3 section 8.3).
    """
    return _own(CAD_SCORE.value, meaning)


def skip_reason(reason: SkipReason) -> Code:
    """Private code of why an image was not read; the meaning is cut to 64 characters (LO)."""
    value = _SHORT_REASONS.get(reason, reason.value)
    return _own(value, SKIP_MEANINGS[reason][:64])


def reading_status(reason: SkipReason) -> Code:
    """Failed when reading was tried and broke, Not Attempted when it was left alone."""
    return FAILED if reason in _BROKE else NOT_ATTEMPTED


def system(name: System) -> Code:
    """Private concept that stands for a system where the report states whether it took part."""
    return _own(f"SYS_{name.value.upper()[:12]}", f"System {name.value}")


def code_item(code: Code) -> Dataset:
    """Item of a code sequence attribute, PS3.3 section 8.8."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def private_scheme_item() -> Dataset:
    """Item of Coding Scheme Identification Sequence (0008,0110) that names `99CADNODE`."""
    item = Dataset()
    item.CodingSchemeDesignator = PRIVATE_SCHEME
    item.CodingSchemeName = "cadnode private codes"
    item.CodingSchemeResponsibleOrganization = "cadnode"
    return item
