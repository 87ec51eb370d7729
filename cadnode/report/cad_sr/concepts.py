"""Coded concepts of the CAD templates, PS3.16 TID 4000 to 4023; the others are in `codes`."""

from typing import Final

from pydicom.sr.coding import Code

from cadnode.domain import FindingKind, Laterality


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


# TID 4000, TID 1204.
REPORT: Final = _dcm("111036", "Mammography CAD Report")
LANGUAGE: Final = _dcm("121049", "Language of Content Item and Descendants")
ENGLISH: Final = Code("en", "RFC5646", "English")
SUMMARY_OF_DETECTIONS: Final = _dcm("111064", "Summary of Detections")
SUMMARY_OF_ANALYSES: Final = _dcm("111065", "Summary of Analyses")

# TID 4002, 4003.
IMPRESSION: Final = _dcm("111034", "Individual Impression/Recommendation")
IMPRESSION_DESCRIPTION: Final = _dcm("111033", "Impression Description")

# CID 6034.
RENDERING_INTENT: Final = _dcm("111056", "Rendering Intent")
REQUIRED: Final = _dcm("111150", "Presentation Required: Rendering device is expected to present")
OPTIONAL: Final = _dcm("111151", "Presentation Optional: Rendering device may present")
NOT_SHOWN: Final = _dcm("111152", "Not for Presentation: Rendering device expected not to present")

INTENTS: Final = (REQUIRED, OPTIONAL, NOT_SHOWN)  # the strongest first

# TID 4004, 4005, CID 6035, CID 6036.
COMPOSITE_FEATURE: Final = _dcm("111015", "Composite Feature")
COMPOSITE_TYPE: Final = _dcm("111016", "Composite type")
SPATIALLY_RELATED: Final = _dcm("111154", "Target content items are related spatially")
SCOPE: Final = _dcm("111057", "Scope of Feature")
ON_MULTIPLE_IMAGES: Final = _dcm("111158", "Feature detected on multiple images")
CERTAINTY_OF_FEATURE: Final = _dcm("111011", "Certainty of Feature")

# TID 4006, 4013.
SINGLE_IMAGE_FINDING: Final = _dcm("111059", "Single Image Finding")
REGION_DESCRIPTION: Final = _dcm("111058", "Selected Region Description")

# TID 4021.
CENTER: Final = _dcm("111010", "Center")
OUTLINE: Final = _dcm("111041", "Outline")

# TID 4015 to 4018, CID 6042, CID 6043.
SUCCESSFUL_DETECTIONS: Final = _dcm("111063", "Successful Detections")
FAILED_DETECTIONS: Final = _dcm("111025", "Failed Detections")
DETECTION_PERFORMED: Final = _dcm("111022", "Detection Performed")
SUCCESSFUL_ANALYSES: Final = _dcm("111062", "Successful Analyses")
FAILED_ANALYSES: Final = _dcm("111024", "Failed Analyses")
ANALYSIS_PERFORMED: Final = _dcm("111004", "Analysis Performed")
SUCCEEDED: Final = _dcm("111222", "Succeeded")
PARTIALLY_SUCCEEDED: Final = _dcm("111223", "Partially Succeeded")
COLLOCATION: Final = _sct("133884007", "Spatial collocation analysis")
REGION_ANALYSIS: Final = _dcm("111233", "Individual Impression/Recommendation Analysis")
EXAM_ANALYSIS: Final = _dcm("111234", "Overall Impression/Recommendation Analysis")

# TID 4023, CID 6048.
OPERATING_POINT: Final = _dcm("111071", "CAD Operating Point")
MAXIMUM_OPERATING_POINT: Final = _dcm("111072", "Maximum CAD Operating Point")
RECOMMENDED_OPERATING_POINT: Final = _dcm("111092", "Recommended CAD Operating Point")
OPERATING_POINT_TABLE: Final = _dcm("111093", "CAD Operating Point Table")
OPERATING_POINT_DESCRIPTION: Final = _dcm("111081", "CAD Operating Point Description")
X_CONCEPT: Final = _dcm("122698", "X-Concept")
Y_CONCEPT: Final = _dcm("122699", "Y-Concept")
CASE_SENSITIVITY: Final = _dcm("111088", "Case Sensitivity")
CASE_SPECIFICITY: Final = _dcm("111090", "Case Specificity")
LESION_SENSITIVITY: Final = _dcm("111089", "Lesion Sensitivity")
IMAGE_SPECIFICITY: Final = _dcm("111091", "Image Specificity")

# Image library, TID 4020, CID 6022.
SIDES: Final[dict[Laterality, Code]] = {
    Laterality.LEFT: _sct("80248007", "Left breast"),
    Laterality.RIGHT: _sct("73056007", "Right breast"),
}
STUDY_DATE: Final = _dcm("111060", "Study Date")
STUDY_TIME: Final = _dcm("111061", "Study Time")
CONTENT_DATE: Final = _dcm("111018", "Content Date")
CONTENT_TIME: Final = _dcm("111019", "Content Time")

# Units.
ARBITRARY_UNIT: Final = Code("[arb'U]", "UCUM", "arbitrary unit")
FROM_ZERO: Final = Code("{0:n}", "UCUM", "range: 0:n")
FROM_ONE: Final = Code("{1:n}", "UCUM", "range: 1:n")

# CID 6014. It has no mass: what is seen in one image alone is a density (PS3.16 annex D, 111103:
# "a space-occupying lesion identified in a single image or projection").
DENSITY: Final = _sct("129793001", "Mammography breast density")
CLUSTER: Final = _sct("129769006", "Calcification Cluster")
CALCIFICATION: Final = _sct("129770007", "Individual Calcification")
SELECTED_REGION: Final = _dcm("111099", "Selected region")
FINDINGS: Final[dict[FindingKind, Code]] = {
    FindingKind.CALCIFICATION_CLUSTER: CLUSTER,
    FindingKind.MASS: DENSITY,
    FindingKind.SUSPICIOUS_REGION: SELECTED_REGION,
    FindingKind.MARKED_REGION: SELECTED_REGION,
}

# CID 6016.
FEATURES: Final[dict[FindingKind, Code]] = {
    **FINDINGS,
    FindingKind.MASS: _sct("129788004", "Mammographic breast mass"),
}

REGION_DESCRIPTIONS: Final[dict[FindingKind, str]] = {
    FindingKind.SUSPICIOUS_REGION: "Region that raised the CAD score; no lesion was segmented",
    FindingKind.MARKED_REGION: "Region drawn by a person; no lesion was segmented",
}
