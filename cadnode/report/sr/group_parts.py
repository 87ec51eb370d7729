"""What measurement groups are made of: identity, algorithm, site, numbers and references."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pydicom import Dataset
from pydicom.sr.coding import Code

from cadnode import __version__
from cadnode.domain import Correspondence, Finding, Laterality, ModelUse
from cadnode.errors import ReportError
from cadnode.exam.exam import Mammogram
from cadnode.imaging.spacing import spacing_of
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.scores import ScoringSystem, detector
from cadnode.report.sr import items
from cadnode.report.sr.items import Item


@dataclass(frozen=True, slots=True)
class Algorithm:
    """Name, version and parameters, as TID 4019 wants them."""

    name: str
    version: str
    parameters: tuple[str, ...] = ()

    def adding(self, *parameters: str) -> "Algorithm":
        """The algorithm with further parameters."""
        return replace(self, parameters=(*self.parameters, *parameters))

    def items(self, relationship: str = items.MODIFIER) -> list[Item]:
        """TID 4019."""
        return [
            items.text(relationship, codes.ALGORITHM_NAME, self.name),
            items.text(relationship, codes.ALGORITHM_VERSION, self.version),
            *(items.text(relationship, codes.ALGORITHM_PARAMETERS, p) for p in self.parameters),
        ]


def group(
    template: str,
    identity: Sequence[Item],
    *,
    kind: Code | None = None,
    sites: Sequence[Item] = (),
    by: Algorithm | None = None,
    content: Iterable[Item] = (),
) -> Item:
    """A measurement group by TID 1410 or 1501 (`template`).

    `identity` is its `tracking`; `kind`, what was found; `content`, the measurements, evaluations
    and images.
    """
    found = [] if kind is None else [items.code(items.CONTAINS, codes.FINDING, kind)]
    algorithm_items = by.items() if by else []
    children = [*identity, *found, *sites, *algorithm_items, *content]
    return items.container(items.CONTAINS, codes.MEASUREMENT_GROUP, children, template)


def tracking(text: str, uid: str) -> list[Item]:
    """TID 4108: the words and the UID that a group goes by."""
    return [
        items.text(items.OBSERVATION, codes.TRACKING_IDENTIFIER, text),
        items.uid(items.OBSERVATION, codes.TRACKING_UID, uid),
    ]


def group_tracking(edition: Edition, kind: str, index: int, text: str) -> list[Item]:
    """A tracking UID of its own for every group: viewers merge groups that share one."""
    return tracking(text, edition.uid(f"tracking-{kind}", index))


def measurement(
    name: Code,
    value: float,
    unit: Code,
    *,
    by: Algorithm | None = None,
    derivation: Code | None = None,
) -> Item:
    """TID 300: a number, with how it was derived and the algorithm that measured it."""
    derived = [] if derivation is None else [_modifier(codes.DERIVATION, derivation)]
    children = [*derived, *(by.items() if by else [])]
    return items.precise_number(items.CONTAINS, name, value, unit, children)


def evaluation(name: Code, value: Code) -> Item:
    """A qualitative evaluation."""
    return items.code(items.CONTAINS, name, value)


def _modifier(name: Code, value: Code, children: Sequence[Item] = ()) -> Item:
    return items.code(items.MODIFIER, name, value, children)


def algorithm(models: Sequence[ModelUse]) -> Algorithm | None:
    """TID 4019: the model, or, when several took part, this software with the models named."""
    if not models:
        return None
    if len(models) == 1:
        (model,) = models
        return Algorithm(model.name, model.version, (f"sha256:{model.sha256}",))
    parameters = (f"{m.name} {m.version} sha256:{m.sha256}" for m in models)
    return Algorithm("cadnode", __version__, tuple(parameters))


def algorithm_with_members(
    edition: Edition, name: str, members: Sequence[tuple[str, float]] = ()
) -> Algorithm | None:
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
    return Algorithm(name, model.version if model else __version__, tuple(parameters))


def number(value: float) -> float:
    """A finite Python float, short enough to be the same as text and as binary.

    Raises
    ------
    ReportError
        It is not finite.
    """
    if not math.isfinite(value):
        raise ReportError("a score is not a finite number")
    return round(float(value), 6)


def score(scorer: ScoringSystem, value: float, *, by: Algorithm | None = None) -> Item:
    """A CAD score from 0 to 1, its concept named after the system."""
    return measurement(scorer.code, number(value), codes.NO_UNITS, by=by)


def age_score(value: float) -> Item:
    """A score of image and age from 0 to 1, beside the image's own."""
    return measurement(codes.IMAGE_AGE_SCORE, number(value), codes.NO_UNITS)


def detection(edition: Edition, finding: Finding) -> Algorithm:
    """TID 4019 of what found the region: its certainty and its measures are this one's."""
    found = detector(edition.result, finding)
    return algorithm([found] if found else []) or Algorithm("cadnode", __version__)


def diameter_is_estimated(edition: Edition, finding: Finding) -> bool:
    """Whether a cluster's diameter in mm rests on a pixel size that no header states."""
    guessed = finding.cluster is not None and finding.cluster.diameter_estimated
    return guessed or _is_guessed(edition, finding)


def nipple_is_estimated(edition: Edition, pair: Correspondence) -> bool:
    """Whether a pair's distances from the nipple rest on a pixel size that no header states."""
    both = (edition.result.findings[i] for i in (pair.cc, pair.mlo))
    return pair.nipple_estimated or any(_is_guessed(edition, finding) for finding in both)


def _is_guessed(edition: Edition, finding: Finding) -> bool:
    return spacing_of(mammogram_of(edition, finding.sop_instance_uid)).estimated


def breast(side: Laterality | None = None) -> list[Item]:
    """The finding site: the breast, of that side."""
    sides = [] if side is None else [_modifier(codes.LATERALITY, codes.SIDES[side])]
    return [_modifier(codes.FINDING_SITE, codes.BREAST, sides)]


def source(header: Dataset) -> Item:
    """Reference to the image that a group is about."""
    return items.image(items.CONTAINS, codes.SOURCE_OF_MEASUREMENT, header)


def mammogram_of(edition: Edition, sop_instance_uid: str) -> Mammogram:
    """The eligible view of that instance.

    Raises
    ------
    ReportError
        There is none.
    """
    mammogram = edition.mammogram(sop_instance_uid)
    if mammogram is None:
        raise ReportError("a score or finding refers to an image that is not in the exam")
    return mammogram
