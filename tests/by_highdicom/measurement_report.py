"""The content of a measurement report (TID 1500) by highdicom."""

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes as dictionary

from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.scores import took_part
from cadnode.report.sr.documents import remarks
from cadnode.report.sr.image_library import images
from cadnode.report.sr.measurement_groups import summary
from tests.by_highdicom.image_library import image_library
from tests.by_highdicom.measurement_groups import measurement_groups

_CONTAINS = RelationshipTypeValues.CONTAINS


def content(edition: Edition) -> Dataset:
    """The root container with all that is below it."""
    root = _content(edition, images(edition))
    as_lists(root)
    return root


def as_lists(item: Dataset) -> None:
    """Mark all containers as lists; renderers leave names out of what they take for a sentence."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence") or []:
        as_lists(child)


def _observer(edition: Edition) -> ObserverContext:
    """TID 1002 and 1004."""
    device = DeviceObserverIdentifyingAttributes(
        uid=edition.observer_uid,
        name="cadnode",
        manufacturer_name="cadnode",
        model_name="cadnode",
    )
    return ObserverContext(dictionary.DCM.Device, device)


def _content(edition: Edition, headers: list[Dataset]) -> Dataset:
    """Root container: TID 1500 with image library, measurements and the disclaimer."""
    report = MeasurementReport(
        observation_context=ObservationContext(_observer(edition)),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=measurement_groups(edition),
        title=codes.IMAGING_MEASUREMENT_REPORT,
    )
    root: Dataset = report[0]
    *context, measurements = root.ContentSequence
    library = image_library(edition, headers)
    root.ContentSequence = ContentSequence(
        [*context, *([library] if library else []), measurements, _remarks(edition)]
    )
    return root


def _remarks(edition: Edition) -> ContainerContentItem:
    """Qualitative Evaluations container (TID 1500): how the reading ended, and the disclaimer.

    Scores are declared to be no probabilities. Each system is named; when it took no part, or not
    with all of its models, or was trained on phantoms, a comment states it.
    """
    result = edition.result
    evaluations = [(codes.SUMMARY, summary(result))]
    if result.views:
        evaluations.append((codes.CALIBRATION, codes.UNCALIBRATED))
    for status in result.systems:
        part = codes.TOOK_PART if took_part(result, status) else codes.ABSENT
        evaluations.append((codes.system(status.system), part))
    container = ContainerContentItem(codes.QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    comments = [*remarks(result), edition.disclaimer]
    container.ContentSequence = ContentSequence(
        [
            *(CodeContentItem(name, value, _CONTAINS) for name, value in evaluations),
            *(TextContentItem(codes.COMMENT, comment, _CONTAINS) for comment in comments),
        ]
    )
    return container
