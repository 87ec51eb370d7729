"""Which attributes of a mammogram stay when its patient's identity is taken out.

An allow list: what is not named here goes, private attributes and overlays included, so that no
attribute of a later edition, and none of a vendor's, is kept by oversight. Against the Basic
Application Level Confidentiality Profile (DICOM PS3.15 table E.1-1, edition 2026c) it was compared
attribute by attribute: none of `KEPT` and of `OF_ITEMS` is in that table.
"""

from typing import Final

KEPT: Final = (
    # SOP Common, General Series, General Equipment: the kind of image and what made it.
    "SOPClassUID", "Modality", "ImageType", "ConversionType", "PresentationIntentType",
    "Manufacturer", "ManufacturerModelName", "SeriesNumber", "InstanceNumber",
    # Mammography Image and DX Anatomy Imaged (PS3.3 C.8.11.7, C.8.11.2): side and view.
    "BodyPartExamined", "OrganExposed", "Laterality", "ImageLaterality", "ViewPosition",
    "PatientOrientation", "ViewCodeSequence", "AnatomicRegionSequence", "PaddleDescription",
    "PartialView", "PartialViewCodeSequence", "BreastImplantPresent", "QualityControlImage",
    "BurnedInAnnotation", "RecognizableVisualFeatures",
    # DX Detector, Positioning, Acquisition (C.8.11.4, C.8.11.5, C.8.7.2): geometry and dose.
    "DetectorType", "DetectorConfiguration", "ImagerPixelSpacing", "PixelSpacing",
    "PixelSpacingCalibrationType", "NominalScannedPixelSpacing", "SpatialResolution",
    "FieldOfViewShape", "FieldOfViewDimensions", "FieldOfViewOrigin", "FieldOfViewRotation",
    "FieldOfViewHorizontalFlip", "EstimatedRadiographicMagnificationFactor",
    "DistanceSourceToDetector", "DistanceSourceToPatient", "DistanceSourceToEntrance",
    "PositionerType", "PositionerPrimaryAngle", "ImageRotation", "CompressionForce",
    "BodyPartThickness", "KVP", "Exposure", "ExposureInuAs", "ExposureTime", "XRayTubeCurrent",
    "FocalSpots", "Grid", "AnodeTargetMaterial", "FilterMaterial", "FilterType",
    "OrganDose", "EntranceDoseInmGy", "HalfValueLayer",
    # Image Pixel, Modality LUT, VOI LUT, presentation (C.7.6.3, C.11.1, C.11.2, C.8.11.3).
    "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "NumberOfFrames",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelAspectRatio",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "PixelIntensityRelationship",
    "PixelIntensityRelationshipSign", "RescaleSlope", "RescaleIntercept", "RescaleType",
    "ModalityLUTSequence", "VOILUTSequence", "VOILUTFunction", "WindowCenter", "WindowWidth",
    "PresentationLUTShape", "LossyImageCompression", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)  # fmt: skip
"""Attributes that are kept as they are."""

OF_ITEMS: Final = (
    "CodeValue", "LongCodeValue", "URNCodeValue", "CodingSchemeDesignator", "CodingSchemeVersion",
    "CodeMeaning", "ViewModifierCodeSequence", "AnatomicRegionModifierSequence", "LUTDescriptor",
    "LUTData", "ModalityLUTType",
)  # fmt: skip
"""Attributes that are kept in the items of a sequence that is kept."""

DATES: Final = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
"""Kept, moved by the patient's number of days (Retain Longitudinal Temporal Information With
Modified Dates Option, PS3.15 E.3.6). No time of day is kept, and no other date."""

EMPTY: Final = (
    "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID", "PatientBirthDate",
)  # fmt: skip
"""Attributes of type 2 that a mammogram must have, without a value."""

REPLACED_UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")

# CID 7050 of PS3.16: the profile and its options, as De-identification Method Code Sequence has it.
METHODS: Final = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)
