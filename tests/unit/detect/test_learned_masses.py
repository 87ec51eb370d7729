"""The learned detector's boxes as regions: marked from its point on, outlined inside."""

from types import SimpleNamespace

import numpy as np
import pytest

from cadnode.detect.frame import breast_frame
from cadnode.detect.learned_masses import learned_regions
from cadnode.detect.view import detect_view
from cadnode.domain import Acquisition, Box, FindingKind, FloatImage, Laterality
from cadnode.models.mass_finder import FoundMass

MASSES = frozenset({FindingKind.MASS})


def view() -> FloatImage:
    """`(600, 400)`, pixels of 0.25 mm: a bright disc of 10 mm around (250, 150)."""
    row, col = np.mgrid[:600, :400]
    inside = ((row - 300) / 280) ** 2 + (col / 300) ** 2 < 1
    disc = 1 / (1 + np.exp((np.hypot(row - 250, col - 150) - 20) / 3))
    return np.where(inside, 0.3 + 0.4 * disc, 0).astype(np.float32)


class Finder:
    """Finds what it is given; marks from 0.5 on, and reads film."""

    mark_at = 0.5
    card = SimpleNamespace(applies_to=(Acquisition.FILM,))

    def __init__(self, *found: FoundMass) -> None:
        self.found = list(found)

    def find(self, image: FloatImage, laterality: Laterality) -> list[FoundMass]:
        """All of it, whatever the image shows."""
        return self.found


def test_a_mass_is_outlined_inside_its_box() -> None:
    frame = breast_frame(view(), 0.25)
    assert frame is not None
    box = Box(225, 125, 275, 175)
    (region,) = learned_regions(frame, [FoundMass(box, 0.8)])
    points = np.array(region.outline)
    assert (region.box, region.certainty, region.kind) == (box, 0.8, FindingKind.MASS)
    assert (points.min(0) >= (225, 125)).all()
    assert (points.max(0) <= (275, 175)).all()
    assert np.hypot(*(points.mean(0) - (250, 150))) < 6


def test_a_box_without_an_outline_is_drawn_as_an_ellipse() -> None:
    frame = breast_frame(view(), 0.25)
    assert frame is not None
    box = Box(0, 300, 60, 390)  # beside the breast
    (region,) = learned_regions(frame, [FoundMass(box, 0.8)])
    points = np.array(region.outline)
    assert len(points) == 24
    assert (((points - (30, 345)) / (30, 45)) ** 2).sum(1) == pytest.approx(1)


def test_only_masses_from_the_detectors_point_on_are_marked() -> None:
    sure, unsure = FoundMass(Box(225, 125, 275, 175), 0.7), FoundMass(Box(300, 50, 340, 90), 0.3)

    def marked(least: float | None) -> list[float]:
        found = detect_view(
            view(), Laterality.LEFT, 0.25, Acquisition.FILM, None,
            masses=Finder(sure, unsure), least=least, kinds=MASSES,  # type: ignore[arg-type]
        )  # fmt: skip
        return [region.certainty for region in found.regions]

    assert marked(None) == [0.7]
    assert marked(0.0) == [0.7, 0.3]


def test_the_detector_takes_the_place_of_the_statistics_where_it_reads_the_image() -> None:
    def found(acquisition: Acquisition, finder: Finder | None) -> int:
        regions = detect_view(
            view(), Laterality.LEFT, 0.25, acquisition, None,
            masses=finder, least=0.0, kinds=MASSES,  # type: ignore[arg-type]
        )  # fmt: skip
        return len(regions.regions)

    assert found(Acquisition.FILM, Finder()) == 0
    assert found(Acquisition.FILM, None) > 0
    assert found(Acquisition.DIGITAL, Finder()) == found(Acquisition.DIGITAL, None) > 0
