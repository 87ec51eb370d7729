"""Square regions of interest at one pixel size, cut from a view of any pixel size.

The one chain of training and serving: both run `build(spec)`. What it does is data (`RoiSpec`),
stored in the card of every model that reads regions.
"""

from dataclasses import dataclass, replace
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from cadnode.domain import Box, FloatImage
from cadnode.imaging import geometry
from cadnode.imaging.chain import Chain, Step
from cadnode.imaging.geometry import Placement


class RoiIntensity(BaseModel):
    """Grey levels of a region relative to its own tissue.

    The tissue's median becomes `middle`, and one spread of the tissue above or below it moves a
    pixel by `step`; the spread is the distance from the median to the low or to the high
    percentile, whichever is larger. Above `knee` the curve bends and nears 1 without reaching
    it, so that the brightest specks keep their order and shape. Air stays 0.

    Choice: Kang 2021 and the Helsinki study are silent on grey levels (each had one hospital's
    display images); films, vendors and phantoms look alike only relative to their own tissue.

    Parameters
    ----------
    low_percentile, high_percentile
        Of the tissue. Calcifications fill less than the share above the high one.
    middle, step, knee
        In grey levels of the region.
    least_spread
        In grey levels of the view: flat regions are not stretched into noise.
    air
        Grey levels of the view below it are air around the breast; they fade to 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low_percentile: float = Field(2.0, ge=0, lt=50)
    high_percentile: float = Field(98.0, gt=50, le=100)
    middle: float = Field(0.35, gt=0, lt=1)
    step: float = Field(0.3, gt=0, lt=1)
    knee: float = Field(0.75, gt=0, lt=1)
    least_spread: float = Field(0.04, gt=0)
    air: float = Field(0.04, gt=0, lt=1)


class RoiSpec(BaseModel):
    """How a region of interest is cut.

    Parameters
    ----------
    size
        Rows and columns in pixels (512 in Kang 2021, Data preparation).
    spacing_mm
        Of its pixels, in the plane of the breast.
    intensity
        How grey levels are normalised; None leaves the display's grey levels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(512, ge=64)
    spacing_mm: float = Field(0.1, gt=0)
    intensity: RoiIntensity | None = RoiIntensity()


@dataclass(frozen=True, eq=False, slots=True)
class Roi:
    """A region of interest as the networks take it in.

    `image` is `(1, size, size) float32 in [0, 1]`, 0 beyond the edge of the view; `placement`
    states which part of the view it shows, and where.
    """

    image: FloatImage
    placement: Placement


@dataclass(frozen=True, eq=False, slots=True)
class PlaceRoi:
    """Where in a view a region is to be cut.

    Parameters
    ----------
    image
        `(H, W) float32 in [0, 1]`, the whole view, dense tissue bright.
    centre
        (row, column) in source pixels; brought into the view when outside.
    spacing
        (row, column) of the view's pixels in mm, in the plane of the breast.
    """

    image: FloatImage
    centre: tuple[float, float]
    spacing: tuple[float, float]


class Cut:
    """Cuts the square and brings it to the spec's pixel size.

    The square is moved to whole source pixels and its edge inside the view to whole pixels of
    the region; `Placement` states exactly where it lies. The pixel size is the spec's within
    half a pixel over the width of the part inside the view (0.2 % of a 256-pixel part).
    """

    def __init__(self, spec: RoiSpec) -> None:
        self.spec = spec

    def __call__(self, place: PlaceRoi) -> Roi:
        """The region with the display's grey levels."""
        shape = (place.image.shape[0], place.image.shape[1])
        rows, content_rows = self._span(place.centre[0], place.spacing[0], shape[0])
        cols, content_cols = self._span(place.centre[1], place.spacing[1], shape[1])
        crop = Box(rows[0], cols[0], rows[1], cols[1])
        content = Box(content_rows[0], content_cols[0], content_rows[1], content_cols[1])
        out = np.zeros((self.spec.size, self.spec.size), np.float32)
        part = np.asarray(geometry.cut(place.image, crop), np.float32)
        target = geometry.cut(out, content)
        target[:] = geometry.resize(part, (target.shape[0], target.shape[1]))
        return Roi(out[None], Placement(shape, crop, False, out.shape, content))

    def _span(
        self, centre: float, spacing: float, length: int
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """[from, to) along one axis in source pixels and in pixels of the region."""
        size = self.spec.size
        wanted = max(1, round(size * self.spec.spacing_mm / spacing))
        first = round(min(max(centre, 0.5), length - 0.5) - wanted / 2)
        start, stop = max(first, 0), min(first + wanted, length)
        low = round((start - first) * size / wanted)
        high = round((stop - first) * size / wanted)
        low = min(low, size - 1)
        return (start, stop), (low, max(high, low + 1))


class NormaliseRoi:
    """Grey levels relative to the region's own tissue (`RoiIntensity`)."""

    def __init__(self, how: RoiIntensity) -> None:
        self.how = how

    def __call__(self, roi: Roi) -> Roi:
        """The region with normalised grey levels, 0 beyond the edge of the view."""
        content = geometry.cut(roi.image[0], roi.placement.content)
        inside = np.asarray(content, np.float32)
        out = np.zeros_like(roi.image)
        geometry.cut(out[0], roi.placement.content)[:] = self._levels(inside)
        return replace(roi, image=out)

    def _levels(self, image: FloatImage) -> FloatImage:
        how = self.how
        values = image[self._tissue(image)]
        low, median, high = np.percentile(values, (how.low_percentile, 50, how.high_percentile))
        spread = max(high - median, median - low, how.least_spread)
        levels = how.middle + how.step / spread * (image - np.float32(median))
        # Above the knee, with the same value and slope there: 1 − rest² / (rest + excess).
        rest = 1 - how.knee
        bent = 1 - rest**2 / (rest + np.maximum(levels - how.knee, 0))
        levels = np.where(levels > how.knee, bent, levels) * np.minimum(image / how.air, 1)
        return np.asarray(np.clip(levels, 0, 1), np.float32)

    def _tissue(self, image: FloatImage) -> NDArray[np.bool_]:
        """`(h, w) bool`: what is not air; everything where nearly all is dark."""
        smooth = cv2.blur(image, (9, 9))
        tissue = smooth > self.how.air
        return np.asarray(tissue if tissue.mean() > 0.05 else np.ones_like(tissue))


def build(spec: RoiSpec) -> Chain[PlaceRoi, Roi]:
    """The chain of a spec: `Place` in, `Roi` out."""
    steps: list[Step] = [Cut(spec)]
    if spec.intensity is not None:
        steps.append(NormaliseRoi(spec.intensity))
    return Chain(steps)


def cut(
    image: FloatImage,
    centre: tuple[float, float],
    spacing: tuple[float, float],
    spec: RoiSpec,
) -> Roi:
    """The region of a view around a centre; `build(spec)` of a `Place`.

    Parameters
    ----------
    image
        `(H, W) float32 in [0, 1]`, the whole view, dense tissue bright.
    centre
        (row, column) in source pixels.
    spacing
        (row, column) of the view's pixels in mm, in the plane of the breast.
    spec
        Of the card of the model that is to read the region.
    """
    return build(spec)(PlaceRoi(image, centre, spacing))


def map_to_source(values: FloatImage, placement: Placement) -> FloatImage:
    """`(h', w') float32`: the part of a region's map that covers exactly `placement.crop`.

    `values` is `(h, w) float32` of any resolution, covering the whole region. Where the region
    sticks out of the view, the map is resampled (bilinear) so that its edge is the crop's.
    """
    content, (rows, cols) = placement.content, placement.shape
    if content == Box(0, 0, rows, cols):
        return values
    scale = values.shape[0] / rows, values.shape[1] / cols
    height = max(1, ceil((content.row1 - content.row0) * scale[0]))
    width = max(1, ceil((content.col1 - content.col0) * scale[1]))
    step = (content.row1 - content.row0) / height, (content.col1 - content.col0) / width
    r = (content.row0 + (np.arange(height) + 0.5) * step[0]) * scale[0] - 0.5
    c = (content.col0 + (np.arange(width) + 0.5) * step[1]) * scale[1] - 0.5
    map_r, map_c = np.meshgrid(r.astype(np.float32), c.astype(np.float32), indexing="ij")
    source = np.ascontiguousarray(values, np.float32)
    sampled = cv2.remap(source, map_c, map_r, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)
