"""What a woman's four views show, and what was planted in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cadnode.domain import (
    Acquisition,
    Box,
    Distribution,
    FindingKind,
    FloatImage,
    Laterality,
    ViewPosition,
)
from cadnode_training.phantom import distractors, film, risk
from cadnode_training.phantom.anatomy import Breast, draw_breast, sister
from cadnode_training.phantom.descriptors import (
    BreastDensity,
    ClusterDescriptors,
    Descriptors,
    PhantomCase,
    PlantedLesion,
)
from cadnode_training.phantom.lesions import plant
from cadnode_training.phantom.view import Canvas, PhantomSpec, canvas, exposed

STANDARD_VIEWS: Final = (
    (Laterality.RIGHT, ViewPosition.CC),
    (Laterality.LEFT, ViewPosition.CC),
    (Laterality.RIGHT, ViewPosition.MLO),
    (Laterality.LEFT, ViewPosition.MLO),
)
_REACH_MM: Final = 24.0
_APART_MM: Final = 28.0
_EVERYWHERE_MM: Final = 250.0
_VASCULAR: Final = 0.12


@dataclass(frozen=True, slots=True)
class LesionPrior:
    """How often breasts have lesions, and which.

    Choice: far more often than in screening, so that few exams suffice for training and
    measurement; slightly more than every third exam has none.

    Parameters
    ----------
    one, two
        Probability that a breast has one lesion, and that it has two.
    cluster
        Share of calcification clusters among the lesions; the others are masses.
    """

    one: float = 0.32
    two: float = 0.06
    cluster: float = 0.6

    def draw(self, rng: Generator) -> tuple[PhantomCase, ...]:
        """The lesions of one breast."""
        chance = rng.random()
        number = int(chance < self.one + self.two) + int(chance < self.two)
        return tuple(
            risk.draw(
                rng,
                FindingKind.CALCIFICATION_CLUSTER
                if rng.random() < self.cluster
                else FindingKind.MASS,
            )
            for _ in range(number)
        )


NO_LESIONS: Final = LesionPrior(one=0.0, two=0.0)
Lesions = LesionPrior | Mapping[Laterality, Sequence[Descriptors]]


@dataclass(frozen=True, eq=False, slots=True)
class PhantomView:
    """One image: `(rows, columns) float32 in [0, 1]`, dense tissue bright, and its lesions."""

    laterality: Laterality
    view: ViewPosition
    image: FloatImage = field(repr=False)
    lesions: tuple[PlantedLesion, ...]


@dataclass(frozen=True, eq=False, slots=True)
class PhantomExam:
    """Four views of one woman: right and left CC, right and left MLO."""

    seed: int
    spec: PhantomSpec
    density: BreastDensity
    views: tuple[PhantomView, ...]

    @property
    def malignant(self) -> dict[Laterality, bool]:
        """Whether each breast has a malignant lesion."""
        return {
            side: any(
                lesion.malignant
                for view in self.views
                if view.laterality == side
                for lesion in view.lesions
            )
            for side in Laterality
        }


def exam(
    seed: int, spec: PhantomSpec | None = None, *, lesions: Lesions | None = None
) -> PhantomExam:
    """The exam of that seed: the same pixels every time.

    `lesions` states how lesions are drawn, or gives the looks of each breast's lesions; the
    malignancy is always drawn by the look. None is `LesionPrior()`.
    """
    spec = spec or PhantomSpec()
    rng = np.random.default_rng([seed, 2])
    right = draw_breast(rng)
    breasts = {Laterality.RIGHT: right, Laterality.LEFT: sister(rng, right)}
    cases = {side: _cases(rng, lesions, side) for side in breasts}
    plans = {side: _Plan.draw(rng, len(cases[side])) for side in breasts}
    views = tuple(
        _view(
            np.random.default_rng([seed, 3, number]), breasts[side], side, view, spec, cases[side],
            plans[side],
        )
        for number, (side, view) in enumerate(STANDARD_VIEWS)
    )  # fmt: skip
    return PhantomExam(seed, spec, right.density, views)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the two views of a breast share: how deep its lesions lie, and hardened arteries.

    `depths` are the lesions' distances to the nipple, as quantiles over the places there are.
    """

    depths: tuple[float, ...]
    vascular: bool

    @classmethod
    def draw(cls, rng: Generator, number: int) -> "_Plan":
        return cls(tuple(rng.uniform(0.1, 0.9, number)), bool(rng.random() < _VASCULAR))


def _cases(rng: Generator, lesions: Lesions | None, side: Laterality) -> tuple[PhantomCase, ...]:
    if lesions is None or isinstance(lesions, LesionPrior):
        return (lesions or LesionPrior()).draw(rng)
    return tuple(risk.case_of(rng, look) for look in lesions.get(side, ()))


def _view(
    rng: Generator,
    breast: Breast,
    side: Laterality,
    view: ViewPosition,
    spec: PhantomSpec,
    cases: Sequence[PhantomCase],
    plan: _Plan,
) -> PhantomView:
    empty = canvas(rng, breast, view, spec)
    planted = _plant(rng, empty, cases, plan.depths)
    if spec.distractors:
        _distract(rng, empty, plan)
    image = exposed(rng, empty.image, empty.roll_off, spec)
    if side == Laterality.RIGHT:
        image = np.ascontiguousarray(image[:, ::-1])
        planted = [_mirrored(lesion, spec.columns) for lesion in planted]
    if spec.acquisition == Acquisition.FILM:
        film.mark(rng, image, f"{side} {view}", chest_right=side == Laterality.RIGHT)
    return PhantomView(side, view, image, tuple(planted))


def _plant(
    rng: Generator, empty: Canvas, cases: Sequence[PhantomCase], depths: Sequence[float]
) -> list[PlantedLesion]:
    """The lesions that were drawn into the view, in place, apart from each other."""
    taken: list[NDArray[np.float64]] = []
    planted = []
    for number, (case, depth) in enumerate(zip(cases, depths, strict=True)):
        look = case.descriptors
        everywhere = (
            isinstance(look, ClusterDescriptors) and look.distribution == Distribution.DIFFUSE
        )
        centre_mm = _place(rng, empty, depth, taken)
        taken.append(centre_mm)
        centre = centre_mm / empty.spec.spacing_mm
        reach = _EVERYWHERE_MM if everywhere else _REACH_MM
        site = empty.site((float(centre[0]), float(centre[1])), reach)
        planted.append(plant(rng, empty.image, site, case, number))
    return planted


def _place(
    rng: Generator, empty: Canvas, depth: float, taken: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """(row, column) in mm at about that depth, rather in dense tissue, apart from the others.

    Choice: a lesion's views agree in the distance to the nipple, as readers take it, within a
    sixth of the breast; its place across is independent.
    """
    shape = empty.geometry
    ground = empty.ground[::5, ::5]
    cells = np.argwhere(ground) * 5
    places = (cells + 2.5) * shape.spacing_mm
    order = np.hypot(*(places - shape.nipple).T).argsort().argsort() / len(places)
    weight = (0.25 + empty.tissue.dense[cells[:, 0], cells[:, 1]]).astype(np.float64)
    weight *= np.where(np.abs(order - depth) < 1 / 12, 1.0, 1e-6)
    for other in taken:
        weight *= np.where(np.hypot(*(places - other).T) > _APART_MM, 1.0, 1e-4)
    chosen = int(rng.choice(len(places), p=weight / weight.sum()))
    return np.asarray(places[chosen] + rng.uniform(-0.5, 0.5, 2))


def _distract(rng: Generator, empty: Canvas, plan: _Plan) -> None:
    spacing_mm = empty.spec.spacing_mm
    ground = np.argwhere(empty.geometry.skin_mm > 3).astype(np.float64) * empty.coarse
    distractors.sprinkle(rng, empty.image, ground, spacing_mm)
    if plan.vascular:
        for path in empty.tissue.vessels[:2]:
            distractors.vascular(rng, empty.image, path, spacing_mm)


def _mirrored(lesion: PlantedLesion, columns: int) -> PlantedLesion:
    box = lesion.box
    points = lesion.calcifications.copy()
    points[:, 1] = columns - points[:, 1]
    return replace(
        lesion,
        centre=(lesion.centre[0], columns - lesion.centre[1]),
        box=Box(box.row0, columns - box.col1, box.row1, columns - box.col0),
        mask=np.ascontiguousarray(lesion.mask[:, ::-1]),
        calcifications=points,
    )
