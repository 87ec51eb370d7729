"""The one preprocessing chain: training and serving both run `build(spec)`.

What a chain does is data (`PreprocessSpec`), stored in every model card beside the weights.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from cadnode.domain import Box, FloatImage, Laterality, SkipReason
from cadnode.errors import NotProcessable
from cadnode.imaging import geometry
from cadnode.imaging.chain import Chain, Step
from cadnode.imaging.geometry import Mask, Placement


class Intensity(BaseModel):
    """Grey levels from percentiles inside the breast: low → 0, median → `middle`, high → 1.

    The median is brought to `middle` by a power law whose exponent stays within
    `exponent_limits`, so that exposures, films and vendors look alike.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low_percentile: float = Field(1.0, ge=0, le=50)
    high_percentile: float = Field(99.7, ge=50, le=100)
    middle: float = Field(0.4, gt=0, lt=1)
    exponent_limits: tuple[float, float] = (0.4, 2.5)


class PreprocessSpec(BaseModel):
    """What is done to a view before a network sees it.

    Parameters
    ----------
    height, width
        Rows and columns of the tensor.
    stretch_to
        First resize the whole view to a square of this side, whatever its aspect ratio: the
        geometry and the resolution of training images that are stored as squares. None keeps
        the view as it is.
    crop
        `"breast"`: bounding box of the breast's mask. `"none"`: the whole view.
    narrowest
        The crop's width is at least this share of its height (in the stretched view).
    fit
        `"fill"`: the crop fills the tensor, its aspect ratio is not kept. `"pad"`: the aspect
        ratio is kept; zeros are added on the left of right views, on the right of left views,
        and below (Kim 2018, Training Set-up).
    flip
        Mirror views so that the chest wall lies on the left.
    mask_outside
        Set what lies outside the breast to 0: labels, film borders, black boxes.
    intensity
        How grey levels are normalised; None leaves the display's grey levels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: int = Field(gt=0)
    width: int = Field(gt=0)
    stretch_to: int | None = Field(None, gt=0)
    crop: Literal["breast", "none"] = "breast"
    narrowest: float = Field(0.45, ge=0, le=1)
    fit: Literal["fill", "pad"] = "fill"
    flip: bool = True
    mask_outside: bool = True
    intensity: Intensity | None = Intensity()


PAPER = PreprocessSpec(
    height=1600, width=1600, crop="none", fit="pad", flip=False, mask_outside=False, intensity=None
)
"""Kim 2018, Training Set-up: longer side to 1600, zero-padded to 1600 × 1600.

The paper's scaling to [−1, 1] is the first step of the network (`networks.dib_mg`).
"""


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """A view on its way through the chain.

    `image` is `(1, H, W) float32 in [0, 1]` before and `(1, h, w) float32` after;
    `placement` states how the latter lies in the former. `mask` is the breast's mask, stretched to
    a square.
    """

    image: FloatImage
    laterality: Laterality
    placement: Placement
    mask: Mask | None = None


def start(image: FloatImage, laterality: Laterality | str) -> View:
    """The view as the chain takes it in: `image` is `(H, W)` or `(1, H, W) float32 in [0, 1]`."""
    rows, cols = image.shape[-2:]
    plane, shape = np.asarray(image, np.float32).reshape(rows, cols), (rows, cols)
    whole = Box(0, 0, *shape)
    placement = Placement(shape, whole, flipped=False, shape=shape, content=whole)
    return View(plane[None], Laterality(laterality), placement)


class Stretch:
    """Resizes the view to a square of `side` pixels."""

    def __init__(self, side: int) -> None:
        self.side = side

    def __call__(self, view: View) -> View:
        """The stretched view."""
        square = (self.side, self.side)
        whole = Box(0, 0, *square)
        placement = replace(view.placement, shape=square, content=whole)
        return replace(
            view, image=geometry.resize(view.image[0], square)[None], placement=placement
        )


class FindBreast:
    """Adds the breast's mask.

    Raises
    ------
    NotProcessable
        The view shows nothing at all (`no_breast_found`).
    """

    def __call__(self, view: View) -> View:
        """The view with its mask."""
        mask = geometry.breast_mask(view.image[0])
        if mask is None:
            raise NotProcessable(SkipReason.NO_BREAST_FOUND)
        return replace(view, mask=mask)


class PlaceView:
    """Crops to the breast, flips, and brings the crop to the tensor's size."""

    def __init__(self, spec: PreprocessSpec) -> None:
        self.spec = spec

    def __call__(self, view: View) -> View:
        """The view at the tensor's size, and its placement."""
        now, mask = view.image[0], view.mask
        shape = (now.shape[0], now.shape[1])
        right = mask is not None and geometry.chest_wall_is_right(mask, view.laterality)
        crop, mask = self._crop(shape, mask, right)
        flipped = right and self.spec.flip
        content = self._content(crop, view.laterality)
        part = geometry.cut(now, crop)[:, :: -1 if flipped else 1]
        out = np.zeros((self.spec.height, self.spec.width), np.float32)
        geometry.cut(out, content)[:] = geometry.resize(
            np.asarray(part, np.float32), (content.row1 - content.row0, content.col1 - content.col0)
        )
        source = view.placement.source_shape
        placement = Placement(
            source, geometry.scale_box(crop, shape, source), flipped, out.shape, content
        )
        if mask is not None:
            mask = np.ascontiguousarray(mask[:, :: -1 if flipped else 1])
        return View(out[None], view.laterality, placement, mask)

    def _crop(
        self, shape: tuple[int, int], mask: Mask | None, right: bool
    ) -> tuple[Box, Mask | None]:
        """The crop in pixels of the view, and the mask's part inside it."""
        if self.spec.crop == "none" or mask is None:
            return Box(0, 0, *shape), mask
        box = geometry.breast_box(mask, chest_right=right, narrowest=self.spec.narrowest)
        part = np.asarray(geometry.cut(mask, box), np.uint8)
        return geometry.scale_box(box, (mask.shape[0], mask.shape[1]), shape), part

    def _content(self, crop: Box, laterality: Laterality) -> Box:
        """Where in the tensor the crop is placed."""
        height, width = self.spec.height, self.spec.width
        if self.spec.fit == "fill":
            return Box(0, 0, height, width)
        rows, cols = crop.row1 - crop.row0, crop.col1 - crop.col0
        scale = min(height / rows, width / cols)
        h, w = max(1, round(rows * scale)), max(1, round(cols * scale))
        on_right = laterality == Laterality.RIGHT and not self.spec.flip
        return Box(0, width - w, h, width) if on_right else Box(0, 0, h, w)


class Normalise:
    """Grey levels by percentiles inside the breast, and 0 outside it.

    Inside, values are at least 1/255, so that 0 means outside.
    """

    def __init__(self, spec: PreprocessSpec) -> None:
        self.spec = spec

    def __call__(self, view: View) -> View:
        """The view with normalised grey levels."""
        inside = self._inside(view)
        image = view.image[0]
        if self.spec.intensity is not None:
            image = self._normalised(image, inside, self.spec.intensity)
        if self.spec.mask_outside:
            image = np.where(inside, np.maximum(image, np.float32(1 / 255)), np.float32(0))
        return replace(view, image=np.asarray(image, np.float32)[None])

    def _inside(self, view: View) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """`(h, w) bool`: the breast in the tensor."""
        inside = np.zeros(view.placement.shape, bool)
        content = geometry.cut(inside, view.placement.content)
        if view.mask is None:
            content[:] = True
        else:
            size = (content.shape[1], content.shape[0])
            content[:] = cv2.resize(view.mask, size, interpolation=cv2.INTER_LINEAR) > 0
        return inside

    @staticmethod
    def _normalised(
        image: FloatImage, inside: np.ndarray[Any, np.dtype[np.bool_]], how: Intensity
    ) -> FloatImage:
        """The skin line is left out of the percentiles: it is bright on some detectors."""
        padded = np.pad(inside.astype(np.uint8), 1)
        core = cv2.erode(padded, np.ones((9, 9), np.uint8))[1:-1, 1:-1] > 0
        values = image[core] if core.sum() > 500 else image[inside]
        low, median, high = np.percentile(values, (how.low_percentile, 50, how.high_percentile))
        width = max(high - low, 1e-3)
        middle = float(np.clip((median - low) / width, 0.02, 0.98))
        exponent = np.clip(np.log(how.middle) / np.log(middle), *how.exponent_limits)
        return np.asarray(np.clip((image - low) / width, 0, 1) ** exponent, np.float32)


def build(spec: PreprocessSpec) -> Chain[View, View]:
    """The chain of a spec: `View` in (see `start`), `View` out."""
    steps: list[Step] = []
    if spec.stretch_to is not None:
        steps.append(Stretch(spec.stretch_to))
    if spec.crop == "breast" or spec.flip or spec.mask_outside or spec.intensity is not None:
        steps.append(FindBreast())
    steps.append(PlaceView(spec))
    if spec.intensity is not None or spec.mask_outside:
        steps.append(Normalise(spec))
    return Chain(steps)
