"""Which images have known lesions, and when a mark hits one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from cadnode.detect.regions import Region
from cadnode.detect.view import detect_view
from cadnode.domain import Acquisition, Box, FindingKind, FloatImage, Laterality
from cadnode.errors import DataError
from cadnode.models.detector import Detector
from cadnode.models.mass_finder import MassFinder
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.data.sets import mini_mias
from cadnode_training.phantom import PlantedLesion, exam
from cadnode_training.statistics.froc import ImageMarks

CLUSTER, MASS = FindingKind.CALCIFICATION_CLUSTER, FindingKind.MASS

# A mark hits a lesion when its centre lies in the lesion's circle or at most this far outside
# (annotated centres and drawn outlines are no better), or when the boxes overlap enough.
MARGIN_MM: Final = 2.0
OVERLAP: Final = 0.25
# Exams of evaluation: far from all training seeds.
PHANTOM_SEED: Final = 900_000
PHANTOM_EXAMS: Final = 200
_CRITERION: Final = (
    f"a mark hits when the centre of its box lies in the lesion's circle or at most {MARGIN_MM:g} "
    f"mm outside, or when the boxes' intersection over union is at least {OVERLAP:g}"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A lesion as a circle, in pixels."""

    kind: FindingKind
    row: float
    col: float
    radius: float

    def hit_by(self, region: Region, spacing_mm: float) -> bool:
        """Whether a mark of any kind hits it."""
        box = region.box
        centre = (box.row0 + box.row1) / 2, (box.col0 + box.col1) / 2
        away = np.hypot(centre[0] - self.row, centre[1] - self.col)
        return bool(
            away <= self.radius + MARGIN_MM / spacing_mm or _overlap(self.box, box) >= OVERLAP
        )

    @property
    def box(self) -> Box:
        """The circle's bounding box."""
        low, high = (self.row - self.radius, self.col - self.radius), (
            self.row + self.radius, self.col + self.radius,
        )  # fmt: skip
        return Box(*(int(np.floor(v)) for v in low), *(int(np.ceil(v)) for v in high))


@dataclass(frozen=True, eq=False, slots=True)
class DetectionCase:
    """One image with what is known of it; `image` is `(H, W) float32 in [0, 1]`.

    Parameters
    ----------
    targets
        The lesions to be found.
    free_of
        Kinds of lesions of which the image has none: its marks of that kind are false.
    """

    image: FloatImage = field(repr=False)
    laterality: Laterality
    spacing_mm: float
    acquisition: Acquisition
    group: str
    targets: tuple[Target, ...]
    free_of: frozenset[FindingKind]


@dataclass(frozen=True, eq=False, slots=True)
class MatchedLesions:
    """The marks of a kind in one image against its lesions of that kind.

    Parameters
    ----------
    lesions
        Each with the most certain mark that hits it, None without any.
    false
        The marks that hit nothing.
    counts_false
        Whether the image has no such lesion: then they count for false marks an image.
    """

    group: str
    lesions: tuple[tuple[Target, Region | None], ...]
    false: tuple[Region, ...]
    counts_false: bool

    @property
    def marks(self) -> ImageMarks:
        """As the FROC takes it."""
        best = tuple(first.certainty if first else None for _, first in self.lesions)
        false = tuple(region.certainty for region in self.false)
        return ImageMarks(self.group, best, false, self.counts_false)


def matched(case: DetectionCase, kind: FindingKind, regions: Sequence[Region]) -> MatchedLesions:
    """What `regions`, which may be of any kind, mark of the lesions of a kind."""
    marks = [r for r in regions if r.kind is kind]
    targets = [t for t in case.targets if t.kind is kind]
    hits = [[r for r in marks if t.hit_by(r, case.spacing_mm)] for t in targets]
    hitting = {id(region) for row in hits for region in row}
    best = [max(row, key=lambda r: r.certainty, default=None) for row in hits]
    return MatchedLesions(
        case.group,
        tuple(zip(targets, best, strict=True)),
        tuple(r for r in marks if id(r) not in hitting),
        kind in case.free_of,
    )


@dataclass(frozen=True, eq=False, slots=True)
class DetectionCases:
    """A data set: how many images, the images, and the contrast in a sentence for each kind."""

    name: str
    count: int
    read: Callable[[], Iterator[DetectionCase]]
    contrast: Mapping[FindingKind, str]


def detected(
    source: DetectionCases, detector: Detector | None, cache: ReadCache | None = None,
    *, masses: MassFinder | None = None,
) -> Iterator[tuple[DetectionCase, tuple[Region, ...]]]:  # fmt: skip
    """Each image with what the node detects in it, of any certainty."""
    sha256 = [model.card.weights_sha256 if model else "" for model in (detector, masses)]
    known = (cache or ReadCache()).of(("detected", source.name, source.count, *sha256))
    for number, case in enumerate(source.read()):
        if number not in known:
            known[number] = regions_of(case, detector, masses)
        yield case, known[number]


def regions_of(
    case: DetectionCase, detector: Detector | None, masses: MassFinder | None = None
) -> tuple[Region, ...]:
    """What the node detects in an image, of any certainty."""
    return detect_view(
        case.image, case.laterality, case.spacing_mm, case.acquisition, detector, masses=masses,
        least=0.0,
    ).regions  # fmt: skip


def open_cases(kind: str, where: str) -> DetectionCases:
    """The images of `phantom`, N or of `mini-mias`, PATH.

    Raises
    ------
    DataError
        There is no such kind, or the folder is not of that kind.
    """
    if kind == "phantom":
        if where and not (where.isdigit() and int(where) > 0):
            raise DataError("phantom:N needs a number of exams")
        return phantom_cases(int(where) if where else PHANTOM_EXAMS)
    if kind == mini_mias.NAME and where:
        return mias_cases(mini_mias.read(Path(where).expanduser()))
    raise DataError("--data must be phantom:N, mini-mias:PATH or pisa-calcifications:PATH")


def mias_cases(views: tuple[mini_mias.MiasView, ...]) -> DetectionCases:
    """mini-MIAS: circles of calcifications, and of masses, distortions and asymmetries."""

    def read() -> Iterator[DetectionCase]:
        for view in views:
            image = mini_mias.load(view)
            if image is not None:
                yield DetectionCase(
                    image, view.laterality, mini_mias.SPACING_MM, mini_mias.ACQUISITION,
                    view.woman, tuple(_mias_target(c) for c in view.circles), _mias_free(view),
                )  # fmt: skip

    return DetectionCases(
        mini_mias.NAME,
        len(views),
        read,
        {
            CLUSTER: "mini-MIAS calcification findings (CALC) with a position against marks of "
            f"clusters in the images without any calcification finding; {_CRITERION}",
            MASS: "mini-MIAS masses (CIRC, SPIC, MISC) with a position against marks of masses "
            f"in the images without any finding (NORM); {_CRITERION}",
        },
    )


def phantom_cases(exams: int, *, first_seed: int = PHANTOM_SEED) -> DetectionCases:
    """Phantom exams of consecutive seeds, four views each."""

    def read() -> Iterator[DetectionCase]:
        for seed in range(first_seed, first_seed + exams):
            made = exam(seed)
            for view in made.views:
                present = {lesion.kind for lesion in view.lesions}
                yield DetectionCase(
                    view.image, view.laterality, made.spec.spacing_mm, made.spec.acquisition,
                    str(seed), tuple(_phantom_target(p) for p in view.lesions),
                    frozenset({CLUSTER, MASS} - present),
                )  # fmt: skip

    words = "phantom exams: planted {0} in each view against marks of {0} in views without any; "
    return DetectionCases(
        "phantom",
        4 * exams,
        read,
        {
            CLUSTER: words.format("clusters") + _CRITERION,
            MASS: words.format("masses") + _CRITERION,
        },
    )


def _mias_target(circle: mini_mias.Circle) -> Target:
    if circle.kind == mini_mias.CALCIFICATION:
        return Target(CLUSTER, circle.row, circle.col, circle.radius)
    kind = MASS if circle.kind in mini_mias.MASSES else FindingKind.SUSPICIOUS_REGION
    return Target(kind, circle.row, circle.col, circle.radius)


def _mias_free(view: mini_mias.MiasView) -> frozenset[FindingKind]:
    kinds = set()
    if mini_mias.CALCIFICATION not in view.kinds:
        kinds.add(CLUSTER)
    if set(view.kinds) == {mini_mias.NORMAL}:
        kinds.add(MASS)
    return frozenset(kinds)


def _phantom_target(lesion: PlantedLesion) -> Target:
    box = lesion.box
    return Target(
        lesion.kind,
        (box.row0 + box.row1) / 2,
        (box.col0 + box.col1) / 2,
        max(box.row1 - box.row0, box.col1 - box.col0) / 2,
    )


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    rows = min(one.row1, other.row1) - max(one.row0, other.row0)
    cols = min(one.col1, other.col1) - max(one.col0, other.col0)
    if rows <= 0 or cols <= 0:
        return 0.0
    sizes = ((b.row1 - b.row0) * (b.col1 - b.col0) for b in (one, other))
    return rows * cols / (sum(sizes) - rows * cols)
