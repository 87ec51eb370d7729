"""How a view without lesions is drawn, and imaged by a detector or on film."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cadnode.domain import Acquisition, FloatImage, ViewPosition
from cadnode_training.phantom.anatomy import Breast, Geometry, geometry
from cadnode_training.phantom.cluster import Site
from cadnode_training.phantom.film import film
from cadnode_training.phantom.parenchyma import Tissue, tissue
from cadnode_training.phantom.texture import detector, power_law, smooth_step

_LESION_DEPTH_MM = 7.0
_ENHANCED_MM = 0.5


@dataclass(frozen=True, slots=True)
class PhantomSpec:
    """How phantom exams are taken.

    Parameters
    ----------
    spacing_mm
        Pixel size.
    rows, columns
        Size of the images: 0.1 mm × (2294, 1914) is the usual small detector, 19 × 23 cm.
    acquisition
        DIGITAL, or FILM: grain, a film's roll-off, a label and the digitizer's border.
    blur_mm, noise
        Of the detector, see `texture.detector`.
    edge_enhancement
        Share of the detail finer than about 1 mm that the processing of digital images adds.
    distractors
        Whether benign calcifications of vessels, skin and fibroadenomas are drawn too.
    """

    spacing_mm: float = 0.1
    rows: int = 2294
    columns: int = 1914
    acquisition: Acquisition = Acquisition.DIGITAL
    blur_mm: float = 0.055
    noise: float = 0.0115
    edge_enhancement: float = 0.5
    distractors: bool = True

    @property
    def field_mm(self) -> tuple[float, float]:
        """Height and width of the image."""
        return self.rows * self.spacing_mm, self.columns * self.spacing_mm


@dataclass(frozen=True, eq=False, slots=True)
class Canvas:
    """A view with its chest wall on the left, before lesions, skin, blur and noise.

    `image` is `(rows, columns) float32`, in which lesions are drawn; `roll_off` of the same shape
    is 0 outside of the breast and about 1 inside. `ground` is `(h, w) bool` on the coarse grid:
    where lesions may lie, not in skin or muscle.
    """

    spec: PhantomSpec
    view: ViewPosition
    geometry: Geometry
    tissue: Tissue
    image: FloatImage = field(repr=False)
    roll_off: FloatImage = field(repr=False)
    ground: NDArray[np.bool_] = field(repr=False)

    @property
    def coarse(self) -> float:
        """Pixels of the image to one of the coarse grid."""
        return self.geometry.spacing_mm / self.spec.spacing_mm

    def site(
        self,
        centre: tuple[float, float],
        reach_mm: float,
        corner: tuple[int, int] = (0, 0),
    ) -> Site:
        """The surroundings of a position for a lesion.

        `centre` is (row, column) in the view; `corner` that of the piece of the view in which
        the lesion is to be drawn.
        """
        towards = np.asarray(self.geometry.nipple) / self.spec.spacing_mm - centre
        cell = tuple(np.floor(np.asarray(centre) / self.coarse).astype(int))
        return Site(
            allowed=self.ground,
            coarse=self.coarse,
            corner=corner,
            centre=(centre[0] - corner[0], centre[1] - corner[1]),
            duct=float(np.arctan2(towards[0], towards[1])),
            spacing_mm=self.spec.spacing_mm,
            reach_mm=reach_mm,
            skin_mm=float(self.geometry.skin_mm[cell]),
        )


def canvas(rng: Generator, breast: Breast, view: ViewPosition, spec: PhantomSpec) -> Canvas:
    """An empty view of the breast."""
    shape = geometry(rng, breast, view, spec.field_mm, spec.spacing_mm)
    inside = tissue(rng, breast, shape)
    size = (spec.rows, spec.columns)
    dense, skin = _enlarged(inside.dense, shape, spec), _enlarged(shape.skin_mm, shape, spec)
    image = _enlarged(inside.values, shape, spec)
    fine = power_law(rng, size, spec.spacing_mm)
    image += fine * (np.float32(0.022) + np.float32(0.055) * dense)
    roll_off = _roll_off(skin, spec.acquisition)
    return Canvas(spec, view, shape, inside, image, roll_off, _lesion_ground(shape))


def _lesion_ground(view: Geometry) -> NDArray[np.bool_]:
    ground = (view.skin_mm > _LESION_DEPTH_MM) & (view.pectoral < 0.02)
    edge = int(np.ceil(3.0 / view.spacing_mm))
    ground[:, :edge] = ground[:edge] = ground[-edge:] = False
    return np.asarray(ground)


def exposed(
    rng: Generator, image: FloatImage, roll_off: FloatImage, spec: PhantomSpec
) -> FloatImage:
    """`(H, W) float32 in [0, 1]`: the picture that detector or film takes of the tissue."""
    shown = _saturated(image) * roll_off
    if spec.acquisition == Acquisition.DIGITAL:
        taken = detector(rng, shown, spec.spacing_mm, blur_mm=spec.blur_mm, noise=spec.noise)
        coarse = cv2.GaussianBlur(taken, (0, 0), _ENHANCED_MM / spec.spacing_mm)
        taken += np.float32(spec.edge_enhancement) * (taken - coarse)
        taken *= np.minimum(roll_off * 4, 1)  # processing sets the background to 0
    else:
        taken = film(rng, shown, spec.spacing_mm)
    return np.asarray(np.clip(taken, 0, 1), np.float32)


def _saturated(image: FloatImage) -> FloatImage:
    """Display values above 0.75 are compressed towards 1, as a sigmoid VOI LUT does."""
    high = image > 0.75
    image = image.copy()
    image[high] = 0.75 + 0.25 * np.tanh((image[high] - 0.75) / 0.25)
    return image


def _enlarged(values: FloatImage, shape: Geometry, spec: PhantomSpec) -> FloatImage:
    """`(rows, columns) float32`: values of the coarse grid at the image's pixels."""
    scale = spec.spacing_mm / shape.spacing_mm
    matrix = np.array([[scale, 0, scale / 2 - 0.5], [0, scale, scale / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(
            values, matrix, (spec.columns, spec.rows), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
    )


def _roll_off(skin_mm: FloatImage, acquisition: Acquisition) -> FloatImage:
    """`(H, W) float32`: 0 outside; thinner towards the skin, and the skin itself brighter.

    A digital image's periphery is equalised by its processing, a film's is not.
    """
    film = acquisition == Acquisition.FILM
    rising = 1 - np.exp(-skin_mm / np.float32(6.0 if film else 1.6))
    thick = np.float32(0.30 if film else 0.80)
    rolled = rising * (thick + (1 - thick) * smooth_step(skin_mm, 0, 30 if film else 14))
    skin = np.float32(0.15) * np.exp(-(((skin_mm - 1.0) / np.float32(0.7)) ** 2)) * (skin_mm > 0)
    return np.asarray(rolled + (0 if film else 1) * skin, np.float32)
