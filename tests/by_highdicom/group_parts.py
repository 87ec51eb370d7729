"""What measurement groups are made of, by highdicom."""

from collections.abc import Sequence

from highdicom.sr import (
    AlgorithmIdentification,
    FindingSite,
    Measurement,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)
from pydicom import Dataset

from cadnode import __version__
from cadnode.domain import Finding, Laterality, ModelUse
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.scores import ScoringSystem, detector
from cadnode.report.sr.group_parts import number


def tracking(edition: Edition, kind: str, index: int, text: str) -> TrackingIdentifier:
    """A tracking UID of its own for every group: viewers merge groups that share one."""
    return TrackingIdentifier(uid=edition.uid(f"tracking-{kind}", index), identifier=text)


def algorithm(models: Sequence[ModelUse]) -> AlgorithmIdentification | None:
    """TID 4019: the model, or, when several took part, this software with the models named."""
    if not models:
        return None
    if len(models) == 1:
        (model,) = models
        return AlgorithmIdentification(model.name, model.version, [f"sha256:{model.sha256}"])
    parameters = [f"{m.name} {m.version} sha256:{m.sha256}" for m in models]
    return AlgorithmIdentification("cadnode", __version__, parameters)


def algorithm_with_members(
    edition: Edition, name: str, members: Sequence[tuple[str, float]] = ()
) -> AlgorithmIdentification | None:
    """TID 4019 of a model, or of an ensemble under its own name with its members named.

    An ensemble is this software's rule, so its version is cadnode's. Each member is a parameter:
    name, version and sha256 as far as it is a model of its own, and its score.
    """
    model = edition.model(name)
    if model is None and not members:
        return None
    parameters = [f"sha256:{model.sha256}"] if model else []
    for member, value in members:
        used = edition.model(member)
        weights = f" {used.version} sha256:{used.sha256}" if used else ""
        parameters.append(f"{member}{weights} score {number(value):g}")
    return AlgorithmIdentification(name, model.version if model else __version__, parameters)


def score(scorer: ScoringSystem, value: float) -> Measurement:
    """A CAD score from 0 to 1, its concept named after the system."""
    return Measurement(scorer.code, number(value), codes.NO_UNITS)


def detection(edition: Edition, finding: Finding) -> AlgorithmIdentification:
    """TID 4019 of what found the region: its certainty and its measures are this one's."""
    found = detector(edition.result, finding)
    return algorithm([found] if found else []) or AlgorithmIdentification("cadnode", __version__)


def site(side: Laterality) -> list[FindingSite]:
    """The breast of that side."""
    return [FindingSite(codes.BREAST, laterality=codes.SIDES[side])]


def source(header: Dataset) -> SourceImageForMeasurementGroup:
    """Reference to the image that a group is about."""
    return SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)
