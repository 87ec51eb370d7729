"""The types every package shares: frozen values and closed sets, no I/O."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from cadnode.phrases import N_

FloatImage = NDArray[np.float32]

YOUDEN = "youden"
OPERATING_POINT = r"youden|(sensitivity|specificity)=(0(?:\.\d+)?|1(?:\.0+)?)"
"""How an operating point is chosen on a ROC curve, as a regular expression."""


class Laterality(StrEnum):
    """Image Laterality (0020,0062), DICOM PS3.3 C.8.11.7."""

    LEFT = "L"
    RIGHT = "R"

    @property
    def other(self) -> "Laterality":
        """The contralateral side."""
        return Laterality.RIGHT if self is Laterality.LEFT else Laterality.LEFT


class ViewPosition(StrEnum):
    """View Position (0018,5101) for mammography, DICOM PS3.16 CID 4014."""

    CC = "CC"
    MLO = "MLO"
    ML = "ML"
    LM = "LM"
    LMO = "LMO"
    SIO = "SIO"
    XCCL = "XCCL"
    XCCM = "XCCM"
    FB = "FB"
    CV = "CV"
    AT = "AT"
    SPECIMEN = "SPECIMEN"


class ViewModifier(StrEnum):
    """View Modifier (0054,0222 item), DICOM PS3.16 CID 4015."""

    MAGNIFICATION = "magnification"
    SPOT_COMPRESSION = "spot_compression"
    IMPLANT_DISPLACED = "implant_displaced"
    CLEAVAGE = "cleavage"
    AXILLARY_TAIL = "axillary_tail"
    ROLLED = "rolled"
    TANGENTIAL = "tangential"
    NIPPLE_IN_PROFILE = "nipple_in_profile"
    INFRAMAMMARY_FOLD = "inframammary_fold"


class Intent(StrEnum):
    """Presentation Intent Type (0008,0068), DICOM PS3.3 C.8.11.1."""

    PRESENTATION = "FOR PRESENTATION"
    PROCESSING = "FOR PROCESSING"


class Acquisition(StrEnum):
    """How the image was acquired: by a digital detector, or film that was digitized."""

    DIGITAL = "digital"
    FILM = "film"


class SkipReason(StrEnum):
    """Why an instance was not scored. The value is the code in reports and `result.json`."""

    NOT_DICOM = "not_dicom"
    TRUNCATED = "truncated"
    NOT_MAMMOGRAPHY = "not_mammography"
    OWN_OUTPUT = "own_output"
    NOT_AN_IMAGE = "not_an_image"
    TOMOSYNTHESIS = "tomosynthesis"
    FOR_PROCESSING = "for_processing"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    IMPLANT = "implant"
    MAGNIFIED_OR_SPOT = "magnified_or_spot"
    UNSUPPORTED_VIEW = "unsupported_view"
    PARTIAL_BREAST = "partial_breast"
    SPECIMEN = "specimen"
    BIOPSY = "biopsy"
    CONTRAST_ENHANCED = "contrast_enhanced"
    CAPTURE = "capture"
    TOO_SMALL = "too_small"
    IMAGE_TYPE = "image_type"
    REJECTED = "rejected"
    UID_CONFLICT = "uid_conflict"
    PATIENT_UNKNOWN = "patient_unknown"
    LATERALITY_UNKNOWN = "laterality_unknown"
    VIEW_UNKNOWN = "view_unknown"
    MULTI_FRAME = "multi_frame"
    NO_PIXELS = "no_pixels"
    PIXELS_CORRUPT = "pixels_corrupt"
    PIXELS_UNSUPPORTED = "pixels_unsupported"
    NOT_GRAYSCALE = "not_grayscale"
    NO_BREAST_FOUND = "no_breast_found"
    NO_MODEL_APPLIES = "no_model_applies"
    MODEL_FAILED = "model_failed"
    NODE_BUSY = "node_busy"
    READING_FAILED = "reading_failed"
    MODELS_MISSING = "models_missing"
    ROI_UNUSABLE = "roi_unusable"


SKIP_MEANINGS: dict[SkipReason, str] = {
    SkipReason.NOT_DICOM: N_("The file is not DICOM"),
    SkipReason.TRUNCATED: N_("The file ends before its data set does"),
    SkipReason.NOT_MAMMOGRAPHY: N_("Modality or SOP class is not mammography"),
    SkipReason.OWN_OUTPUT: N_("The object was made by this software"),
    SkipReason.NOT_AN_IMAGE: N_("The object is not an image"),
    SkipReason.TOMOSYNTHESIS: N_("Tomosynthesis is not read by the models installed"),
    SkipReason.FOR_PROCESSING: N_("A For Processing image is not displayable as it is"),
    SkipReason.DUPLICATE: N_("The same image occurs more than once"),
    SkipReason.SUPERSEDED: N_("Another image of the same view was preferred"),
    SkipReason.IMPLANT: N_("The breast has an implant that was not displaced"),
    SkipReason.MAGNIFIED_OR_SPOT: N_("Magnified or spot-compressed views are not read"),
    SkipReason.UNSUPPORTED_VIEW: N_("The view is neither CC nor MLO"),
    SkipReason.PARTIAL_BREAST: N_("The image shows a part of the breast only"),
    SkipReason.SPECIMEN: N_("The image shows a specimen"),
    SkipReason.BIOPSY: N_("The image belongs to a biopsy or stereotactic procedure"),
    SkipReason.CONTRAST_ENHANCED: N_("A contrast-enhanced image other than the low-energy one"),
    SkipReason.CAPTURE: N_("A capture or copy of an image, not the acquired image itself"),
    SkipReason.TOO_SMALL: N_("The image is too small to hold a whole breast"),
    SkipReason.IMAGE_TYPE: N_("Image Type does not show a whole-breast mammogram"),
    SkipReason.REJECTED: N_("A rejection note says that the image is not to be used"),
    SkipReason.UID_CONFLICT: N_("Different images share this SOP Instance UID"),
    SkipReason.PATIENT_UNKNOWN: N_("It is unclear which patient the image belongs to"),
    SkipReason.LATERALITY_UNKNOWN: N_(
        "The side is not stated, or its sources contradict each other"
    ),
    SkipReason.VIEW_UNKNOWN: N_("The view is not stated, or its sources contradict each other"),
    SkipReason.MULTI_FRAME: N_("More than one frame"),
    SkipReason.NO_PIXELS: N_("The object has no pixel data"),
    SkipReason.PIXELS_CORRUPT: N_("The pixel data cannot be decoded"),
    SkipReason.PIXELS_UNSUPPORTED: N_(
        "No decoder for the pixel format, or an unusable window or LUT"
    ),
    SkipReason.NOT_GRAYSCALE: N_("The image is not grayscale"),
    SkipReason.NO_BREAST_FOUND: N_("No breast was found in the image"),
    SkipReason.NO_MODEL_APPLIES: N_("No active model reads this kind of image"),
    SkipReason.MODEL_FAILED: N_("The model failed on this image"),
    SkipReason.NODE_BUSY: N_("Not read in the promised time: the node is busy; it follows"),
    SkipReason.READING_FAILED: N_("Not read in the promised time: reading failed so far"),
    SkipReason.MODELS_MISSING: N_("Not read in the promised time: no models can be loaded"),
    SkipReason.ROI_UNUSABLE: N_("A marked region could not be used"),
}


@dataclass(frozen=True, slots=True)
class Box:
    """`[row0, row1) × [col0, col1)` in pixels of the source image as stored."""

    row0: int
    col0: int
    row1: int
    col1: int

    def __iter__(self) -> Iterator[int]:
        return iter((self.row0, self.col0, self.row1, self.col1))


@dataclass(frozen=True, slots=True)
class Skipped:
    """An instance that was not scored, and the coded reason why not."""

    sop_instance_uid: str
    reason: SkipReason
    detail: str = ""


class EvidenceLevel(StrEnum):
    """What a source of evidence belongs to; the earlier, the nearer to the image."""

    IMAGE = "image"  # an attribute or code of the image itself
    LABEL = "label"  # a view label or the orientation of the image
    SERIES = "series"  # an attribute of the series
    SERIES_TEXT = "series_text"  # a description of the series or protocol
    STUDY = "study"  # the study or the procedure: decides nothing about one image
    ASSUMED = "assumed"  # no source states it


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one source states about one thing of an image.

    Parameters
    ----------
    about
        "patient", "laterality", "view" or "kind".
    source
        The attribute's keyword (DICOM PS3.6).
    level
        What the source belongs to.
    says
        Such as "L", "CC" or "for presentation"; never a patient's identifier.
    counts
        Whether it is among the sources that decided; one that is overruled, or part of a
        contradiction that left it unknown, does not.
    """

    about: str
    source: str
    level: EvidenceLevel
    says: str
    counts: bool = True


@dataclass(frozen=True, slots=True)
class ImageEvidence:
    """All evidence about one image of the exam, read or not."""

    sop_instance_uid: str
    evidence: tuple[Evidence, ...]


SYSTEM_NAME: Final = r"[a-z0-9][a-z0-9_-]{0,11}"
"""Twelve characters at most: a report's code has room for no more (`report.codes.system`)."""


class System(StrEnum):
    """The systems that read. Four are named after the paper whose method they follow.

    A site's own network, brought as ONNX, is of a system with a name of its own: `System("name")`
    gives it, always the same object. Iterating gives the four; `in_order` sorts any.
    """

    KIM2018 = "kim2018"
    KANG2021 = "kang2021"
    HELSINKI_DTL = "helsinki_dtl"
    WANG2016 = "wang2016"

    @classmethod
    def _missing_(cls, value: object) -> "System | None":
        if not isinstance(value, str) or not re.fullmatch(SYSTEM_NAME, value):
            return None
        brought = str.__new__(cls, value)
        brought._name_, brought._value_ = value, value
        return cast("System", cls._value2member_map_.setdefault(value, brought))

    @property
    def is_brought(self) -> bool:
        """Whether it is a site's own network, not one of the four."""
        return self not in tuple(System)


def in_order(systems: Iterable[System | None]) -> tuple[System, ...]:
    """Each system once: the four in the papers' order, then those that were brought, by name."""
    found = {system for system in systems if system is not None}
    return (*(s for s in System if s in found), *sorted(s for s in found if s.is_brought))


class TrainingMaterial(StrEnum):
    """What a model was trained on; the last two are of women."""

    PHANTOMS = "phantoms"  # computed images with drawn lesions: of no patient
    FILM = "film"
    DIGITAL = "digital"


@dataclass(frozen=True, slots=True)
class OperatingCurve:
    """A model's measured errors, and the threshold at which the node reads it.

    Parameters
    ----------
    points
        (threshold, sensitivity, specificity), thresholds falling, each in [0, 1].
    threshold
        The chosen one, in [0, 1].
    measured_on, n_pos, n_neg
        The data and the contrast in a sentence, its positives and negatives.
    of_breasts
        Whether whole breasts were scored; otherwise regions were.
    """

    points: tuple[tuple[float, float, float], ...]
    threshold: float
    measured_on: str
    n_pos: int
    n_neg: int
    of_breasts: bool


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model that took part in a reading: name, version and sha256 of its weights.

    `curve` is its card's, where it has an operating point. `system` is the one it belongs to, None
    for what all systems share. `trained_on` is () where its card does not state it. `calibration`
    names the calibration of a scanner that the exam was scored by, "" where it was the card's own.
    `scores_as` is the same of versions that differ in calibrations of single scanners alone.
    """

    name: str
    version: str
    sha256: str
    curve: OperatingCurve | None = field(default=None, compare=False, repr=False)
    system: System | None = field(default=None, compare=False)
    trained_on: tuple[TrainingMaterial, ...] = field(default=(), compare=False)
    calibration: str = field(default="", compare=False)
    scores_as: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """Whether a system took part in a reading, with which models, and if not (or in part), why.

    `failed`: it is active, but a model of it failed on this exam.
    """

    system: System
    active: bool
    models: tuple[str, ...] = ()
    reason: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class ViewScore:
    """Score of one view by one model, in [0, 1]."""

    sop_instance_uid: str
    laterality: Laterality
    view: ViewPosition
    score: float
    algorithm: str


@dataclass(frozen=True, slots=True)
class BreastScore:
    """Score of one breast: combined from its views, in [0, 1]."""

    laterality: Laterality
    score: float
    n_views: int


class NoAgeScore(StrEnum):
    """Why an exam has no score of image and age. The value is the code in `result.json`."""

    NO_PRIOR = "no_prior"
    AGE_UNKNOWN = "age_unknown"
    AGE_CONTRADICTORY = "age_contradictory"
    AGE_OUT_OF_RANGE = "age_out_of_range"


NO_AGE_SCORE_MEANINGS: dict[NoAgeScore, str] = {
    NoAgeScore.NO_PRIOR: N_("The model that scored the exam has no prior by age"),
    NoAgeScore.AGE_UNKNOWN: N_("The headers state no plausible age"),
    NoAgeScore.AGE_CONTRADICTORY: N_("The headers state different ages"),
    NoAgeScore.AGE_OUT_OF_RANGE: N_("The age is outside the ages that the prior was fitted on"),
}


@dataclass(frozen=True, slots=True)
class ImageAndAge:
    """Scores of image and age together, beside the image's own, which decide everything else.

    Parameters
    ----------
    algorithm
        The model whose scores and prior they are of; "" where several models scored the exam.
    exam_score, breasts
        In [0, 1], the exam's the higher of its breasts'; None and () where there is a `reason`.
    reason
        Why there are none.
    """

    algorithm: str
    exam_score: float | None
    breasts: tuple[BreastScore, ...] = ()
    reason: NoAgeScore | None = None


class FindingKind(StrEnum):
    """What a finding is. The value is the word in `result.json`."""

    CALCIFICATION_CLUSTER = "calcification_cluster"
    MASS = "mass"
    SUSPICIOUS_REGION = "suspicious_region"  # a peak of the DIB map, nothing else found there
    MARKED_REGION = "marked_region"  # a person drew it, nothing was segmented inside


class Distribution(StrEnum):
    """How calcifications are distributed: ACR BI-RADS 5th edition; DICOM PS3.16 CID 6012."""

    DIFFUSE = "diffuse"
    REGIONAL = "regional"
    GROUPED = "grouped"
    LINEAR = "linear"
    SEGMENTAL = "segmental"


class CalcificationType(StrEnum):
    """Morphology of calcifications: ACR BI-RADS 5th edition; DICOM PS3.16 CID 6010."""

    PUNCTATE = "punctate"
    ROUND = "round"
    COARSE = "coarse"
    AMORPHOUS = "amorphous"
    COARSE_HETEROGENEOUS = "coarse_heterogeneous"
    FINE_PLEOMORPHIC = "fine_pleomorphic"
    FINE_LINEAR = "fine_linear"
    FINE_LINEAR_BRANCHING = "fine_linear_branching"


@dataclass(frozen=True, slots=True)
class ClusterDescription:
    """Estimates of a cluster's BI-RADS descriptors, made by rules (docs/detection.md).

    `diameter_estimated`: the header states no pixel size, and the diameter rests on a guessed one.
    """

    distribution: Distribution
    type: CalcificationType
    count: int
    diameter_mm: float
    diameter_estimated: bool = False


@dataclass(frozen=True, slots=True)
class Calcification:
    """One calcification: centre (row, column) in source pixels, size in the breast, contrast.

    `contrast` is its peak above the local background in grey levels of [0, 1].
    """

    row: float
    col: float
    area_mm2: float
    diameter_mm: float
    contrast: float


@dataclass(frozen=True, slots=True)
class Assessment:
    """One system's assessment of one region.

    Parameters
    ----------
    system, algorithm
        The system, and the model or ensemble that speaks for it.
    probability
        Of malignancy, in [0, 1], calibrated on the data that the model's card names.
    members
        (algorithm, probability) of each model that `probability` is made of, and of the
        classifiers that are reported beside it; empty for a single model.
    suspicious
        Whether the probability reaches the chosen operating point of the system.
    """

    system: System
    algorithm: str
    probability: float
    suspicious: bool
    members: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class RoiReference:
    """The object in which a region was marked; the UIDs are "" for the command line.

    `by_person`: a person typed it, or the object names one as its observer or creator. Without a
    name the mark may be another device's.
    """

    sop_class_uid: str
    sop_instance_uid: str
    by_person: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """A region of one view that is marked, and the assessment by each system.

    `outline` is a closed polygon of (row, column) points in pixels of the source image as
    stored, the first point not repeated. `probability` in [0, 1] is the one that counts
    (a setting), that of `algorithm`; `assessments` holds every system's own. `certainty` in
    [0, 1] is the detector's, that there is such a region at all; None when nothing detected it.
    `calcifications` are those that make a detected cluster. `marked_by` is the object in which the
    region was marked.
    """

    sop_instance_uid: str
    box: Box
    outline: tuple[tuple[float, float], ...]
    kind: FindingKind
    probability: float
    algorithm: str
    assessments: tuple[Assessment, ...] = ()
    certainty: float | None = None
    cluster: ClusterDescription | None = None
    calcifications: tuple[Calcification, ...] = ()
    marked_by: RoiReference | None = None


@dataclass(frozen=True, slots=True)
class Correspondence:
    """Two findings that are assumed to be one lesion, seen in the CC and the MLO view of a breast.

    `cc` and `mlo` are places in `ExamResult.findings`, counted from 0. `nipple_mm` holds the
    distances of the two from the nipple; `certainty` in [0, 1] is how well they agree.
    `nipple_estimated`: the pixel size of one of the two views is a guess.
    """

    cc: int
    mlo: int
    nipple_mm: tuple[float, float]
    certainty: float
    nipple_estimated: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class HeatMap:
    """An algorithm's map of one view.

    `values` is `(h, w) float32 in [0, 1]`, covering exactly `box` of the source image
    (any resolution; bilinear enlargement brings it to source pixels); outside `box` it is 0.
    """

    sop_instance_uid: str
    values: FloatImage
    box: Box
    algorithm: str


class Profile(StrEnum):
    """Which objects of a report someone gets; `cadnode.report.profiles` lists them."""

    STANDARD = "standard"
    TID1500 = "tid1500"
    CAD_SR = "cad-sr"
    CAPTURES = "captures"
    SMALL_CAPTURES = "small-captures"
    OHIF = "ohif"
    IHE_AI_RESULTS = "ihe-ai-results"
    PDF = "pdf"
    FHIR = "fhir"
    HL7 = "hl7"
    ALL = "all"


class Priority(StrEnum):
    """How soon a study is to be read: the first before the others (`node.priority`)."""

    URGENT = "urgent"
    """Somebody waits for it."""
    DIAGNOSTIC = "diagnostic"
    """A woman with a symptom, or called back: she is still there, or comes for the answer."""
    SCREENING = "screening"
    """Read in batches, by two readers, within days. Also what nothing says otherwise of."""


class Outcome(StrEnum):
    """How a reading ended; every one of them is reported."""

    FINDINGS = "findings"
    NO_FINDINGS = "no_findings"
    NOT_READ = "not_read"


@dataclass(frozen=True, slots=True)
class ExamResult:
    """The node's result for one exam; the content of `result.json` and of every report.

    `read_with` is a sha256 over what was ready to read it, whether or not it took part: model
    cards, operating points, choices of the settings. "" where that is unknown. `image_and_age` is
    None where the settings ask for no such scores, or nothing was scored.
    """

    study_instance_uid: str
    exam_score: float | None
    breasts: tuple[BreastScore, ...]
    views: tuple[ViewScore, ...]
    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    models: tuple[ModelUse, ...]
    operating_point: float | None = None
    heat_maps: tuple[HeatMap, ...] = field(default=(), compare=False)
    systems: tuple[SystemStatus, ...] = ()
    correspondences: tuple[Correspondence, ...] = ()
    evidence: tuple[ImageEvidence, ...] = ()
    read_with: str = ""
    image_and_age: ImageAndAge | None = None

    @property
    def outcome(self) -> Outcome:
        """Findings, no findings, or not read at all."""
        if not self.views:
            return Outcome.NOT_READ
        return Outcome.FINDINGS if self.findings else Outcome.NO_FINDINGS

    def score_with_age(self, side: Laterality | None = None) -> float | None:
        """The score of image and age of a breast, or of the exam; None where there is none."""
        both = self.image_and_age
        if both is None or side is None:
            return both.exam_score if both else None
        return next((b.score for b in both.breasts if b.laterality is side), None)

    def shows(self, side: Laterality) -> bool:
        """Whether any image of the exam, read or not, is known to show that breast."""
        if any(v.laterality is side for v in self.views):
            return True
        return any(
            e.about == "laterality" and e.counts and e.says == side.value
            for image in self.evidence
            for e in image.evidence
        )

    @property
    def complete(self) -> bool:
        """Whether both standard views of at least one breast were scored."""
        seen = {(v.laterality, v.view) for v in self.views}
        return any(
            (side, ViewPosition.CC) in seen and (side, ViewPosition.MLO) in seen
            for side in Laterality
        )
