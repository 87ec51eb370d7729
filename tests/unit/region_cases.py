"""Objects in which a person drew on a synthetic mammogram: reports, presentation states, SEGs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from highdicom import AlgorithmIdentificationSequence, pr, seg, sr
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from cadnode.exam.exam import Exam, Mammogram
from cadnode.exam.read import exam_of
from tests.synthetic import code, uid, view_dataset, write

ROWS, COLUMNS = 96, 80  # at 0.4 mm: 38.4 by 32 mm
MAKER = {"manufacturer": "Some Viewer", "manufacturer_model_name": "One", "software_versions": "1"}
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"


def mammogram(side: str = "L", view: str = "CC", **kw: Any) -> Dataset:
    return view_dataset(side, view, rows=ROWS, columns=COLUMNS, **kw)


def exam_with(folder: Path, *objects: Dataset, images: Sequence[Dataset] = ()) -> Exam:
    """The exam of one left CC view (or `images`) and these objects, through files."""
    for number, ds in enumerate(images or [mammogram()]):
        write(ds, folder / f"image{number}.dcm")
    for number, ds in enumerate(objects):
        write(ds, folder / f"object{number}.dcm")
    return exam_of([folder])


def view_of(exam: Exam) -> Mammogram:
    (mammogram,) = exam.mammograms
    return mammogram


def boxes(exam: Exam) -> list[tuple[int, ...]]:
    return [tuple(region.box) for region in exam.regions]


# --- structured reports -------------------------------------------------------------------------


def observer(kind: str) -> sr.ObserverContext:
    if kind == "person":
        return sr.ObserverContext(
            codes.DCM.Person, sr.PersonObserverIdentifyingAttributes(name="ZZQREADER^One")
        )
    attributes = sr.DeviceObserverIdentifyingAttributes(uid=uid("device"), name="Other CAD")
    return sr.ObserverContext(codes.DCM.Device, attributes)


def tid1500(
    shapes: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    image: Dataset | None = None,
    *,
    by: str = "person",
    sop: str = "report",
) -> Dataset:
    """TID 1500 by highdicom, one planar ROI group (TID 1410) a shape of (column, row) points."""
    image = image if image is not None else mammogram()
    source = sr.SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID)
    groups = [
        sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(
                uid=uid(sop, str(n)), identifier="ZZQ lesion"
            ),
            referenced_region=sr.ImageRegion(kind, np.array(points, np.float64), source),
        )
        for n, (kind, points) in enumerate(shapes)
    ]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer(by)),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    return sr.ComprehensiveSR(
        evidence=[image],
        content=content[0],
        series_instance_uid=uid("sr-series"),
        series_number=5,
        sop_instance_uid=uid(sop),
        instance_number=1,
        manufacturer="Some Viewer",
    )


def item(kind: str, concept: str, relation: str = "CONTAINS", *children: Dataset) -> Dataset:
    """One content item, PS3.3 C.17.3; the concept is a code value of DCM."""
    ds = Dataset()
    ds.RelationshipType, ds.ValueType = relation, kind
    ds.ConceptNameCodeSequence = [code(concept, "DCM", "concept")]
    if children:
        ds.ContentSequence = list(children)
    return ds


def image_item(image: Dataset) -> Dataset:
    ds = item("IMAGE", "111040", "SELECTED FROM")
    reference = Dataset()
    reference.ReferencedSOPClassUID = image.SOPClassUID
    reference.ReferencedSOPInstanceUID = image.SOPInstanceUID
    ds.ReferencedSOPSequence = [reference]
    return ds


def scoord(kind: str, data: Sequence[float], *children: Dataset) -> Dataset:
    ds = item("SCOORD", "111030", "INFERRED FROM", *children)
    ds.GraphicType, ds.GraphicData = kind, [float(v) for v in data]
    return ds


def by_reference(*ordinals: int) -> Dataset:
    ds = Dataset()
    ds.RelationshipType, ds.ReferencedContentItemIdentifier = "SELECTED FROM", list(ordinals)
    return ds


def report_of(*children: Dataset, sop: str = "report", **attributes: Any) -> Dataset:
    """A Comprehensive SR with these items below its root, in the study of `mammogram()`."""
    ds = study_object(COMPREHENSIVE_SR, "SR", sop)
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = [code("126000", "DCM", "Imaging Measurement Report")]
    ds.ContentSequence = list(children)
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def study_object(sop_class: str, modality: str, sop: str) -> Dataset:
    """The modules that every object of the study has."""
    image = mammogram()
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid(sop)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = image.StudyInstanceUID, uid(sop, "series")
    ds.Modality, ds.Manufacturer = modality, "Some Viewer"
    ds.PatientName, ds.PatientID = image.PatientName, image.PatientID
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = sop_class
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


# --- presentation states ------------------------------------------------------------------------


def presentation_state(
    graphics: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    units: str = "PIXEL",
    image: Dataset | None = None,
    **attributes: Any,
) -> Dataset:
    """A Grayscale Softcopy Presentation State by highdicom, graphics of (column, row) points."""
    image = image if image is not None else mammogram()
    layer = pr.GraphicLayer(layer_name="ONE", order=1)
    objects = [
        pr.GraphicObject(
            graphic_type=kind,
            graphic_data=np.array(points, np.float64),
            units=units,
            is_filled=False,
        )
        for kind, points in graphics
    ]
    annotation = pr.GraphicAnnotation(
        referenced_images=[image],
        graphic_layer=layer,
        graphic_objects=objects,
    )
    return pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[image],
        series_instance_uid=uid("pr-series"),
        series_number=6,
        sop_instance_uid=uid("pr"),
        instance_number=1,
        device_serial_number="1",
        content_label="READING",
        graphic_layers=[layer],
        graphic_annotations=[annotation],
        **{**MAKER, **attributes},
    )


def displayed_area(first: tuple[int, int], last: tuple[int, int]) -> Dataset:
    """Displayed area from the (column, row) pixel `first` to `last`, counted from 1."""
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner = list(first)
    area.DisplayedAreaBottomRightHandCorner = list(last)
    area.PresentationSizeMode = "SCALE TO FIT"
    area.PresentationPixelAspectRatio = [1, 1]
    return area


def compound(kind: str, data: Sequence[float], number: int = 1, **attributes: Any) -> Dataset:
    """An item of Compound Graphic Sequence, PS3.3 C.10.5.1.3."""
    ds = Dataset()
    ds.CompoundGraphicInstanceID, ds.CompoundGraphicUnits = number, "PIXEL"
    ds.GraphicDimensions, ds.NumberOfGraphicPoints = 2, len(data) // 2
    ds.GraphicData, ds.CompoundGraphicType = [float(v) for v in data], kind
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


# --- segmentations ------------------------------------------------------------------------------


def segmentation(
    mask: np.ndarray[Any, Any],
    image: Dataset | None = None,
    *,
    kind: str = "BINARY",
    algorithm: str = "MANUAL",
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
) -> Dataset:
    """A SEG by highdicom: `mask` is `(H, W)` or `(H, W, segments)`."""
    image = image if image is not None else mammogram()
    mask = mask if mask.ndim == 3 else mask[..., None]
    named = algorithm != "MANUAL"
    segments = [
        seg.SegmentDescription(
            segment_number=n + 1,
            segment_label="ZZQ lesion",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Mass,
            algorithm_type=algorithm,
            algorithm_identification=AlgorithmIdentificationSequence(
                name="any", version="1", family=codes.DCM.ArtificialIntelligence
            )
            if named
            else None,
        )
        for n in range(mask.shape[-1])
    ]
    return seg.Segmentation(
        source_images=[image],
        pixel_array=mask[None],
        segmentation_type=kind,
        segment_descriptions=segments,
        series_instance_uid=uid("seg-series"),
        series_number=7,
        sop_instance_uid=uid("seg"),
        instance_number=1,
        device_serial_number="1",
        transfer_syntax_uid=transfer_syntax_uid,
        **MAKER,
    )
