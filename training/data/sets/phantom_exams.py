"""How `phantom:…` becomes exams of four views: film drawn once, into a cache.

Choice: pixels of 0.35 mm, because systems of whole exams read 384 × 224 pixels a breast, which
are larger still; and lesions far more often, and more of them masses, than `LesionPrior()` has,
because few exams must suffice and no calcification is resolved at such pixels.
Choice: film, because then a malignant breast is compared with the same woman's other breast,
which holds of any exams; the contrast of digital views is made for the machines of RSNA 2022.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from rich.progress import track

from cadnode import terminal
from cadnode.domain import Acquisition, FindingKind, Laterality
from cadnode.errors import DataError
from cadnode.files import write_whole
from cadnode.models.store import woman_key
from cadnode_training import phantom
from cadnode_training.data.views import Part, ViewRecord, ViewSet, part_of
from cadnode_training.phantom import LesionPrior, PhantomExam, PhantomSpec

NAME: Final = "phantom"
PARTS: Final[tuple[Part, ...]] = ("train", "validation", "test")
# Exams of the train, validation and test parts.
SIZES: Final = {"tiny": (16, 12, 12), "small": (100, 40, 60), "medium": (1000, 200, 400)}
SPACING_MM: Final = 0.35
SPEC: Final = PhantomSpec(SPACING_MM, rows=656, columns=547, acquisition=Acquisition.FILM)
PRIOR: Final = LesionPrior(one=0.6, two=0.1, cluster=0.3)
# Raised whenever the phantom draws other pixels from the same seed.
_DRAWN: Final = 1
_KINDS: Final = {FindingKind.MASS: "mass", FindingKind.CALCIFICATION_CLUSTER: "calcification"}


@dataclass(frozen=True, slots=True)
class PhantomExams:
    """How many exams each part has, and from which seed on they are drawn."""

    sizes: tuple[int, int, int]
    first: int = 0

    def seeds(self, part: Part) -> Iterator[int]:
        """The exams of a part, each a woman of her own, by their numbers.

        They are those that `views.part_of` puts there: parts are disjoint whatever their sizes,
        and a model knows the women of its training part by their keys, as it does real ones.
        """
        left = self.sizes[PARTS.index(part)]
        numbers = count(self.first)
        while left:
            number = next(numbers)
            if part_of(woman_key(NAME, str(number))) == part:
                left -= 1
                yield number


def parse(text: str, *, only_test: bool = False) -> PhantomExams:
    """The exams of `phantom:small`, `phantom:100`, `phantom:100/40/60`, or with `@SEED` behind.

    `phantom:N` has N exams to train on and two fifths of that to validate and to test on; with
    `only_test` it has N to test on.

    Raises
    ------
    DataError
        The text is none of these.
    """
    kind, _, rest = text.partition(":")
    size, at, seed = rest.partition("@")
    numbers = SIZES.get(size) or tuple(int(n) if n.isdecimal() else 0 for n in size.split("/"))
    if len(numbers) == 1:
        others = max(2 * numbers[0] // 5, 1)
        numbers = (numbers[0], others, numbers[0] if only_test else others)
    if kind != NAME or len(numbers) != 3 or min(numbers) < 1 or (at and not seed.isdecimal()):
        raise DataError(
            f"--data must be {NAME}:NAME ({', '.join(SIZES)}), {NAME}:N or "
            f"{NAME}:TRAIN/VALIDATION/TEST, not {text!r}"
        )
    # Seeds of another number start beyond any that are drawn of this one.
    return PhantomExams((numbers[0], numbers[1], numbers[2]), 1_000_000 * int(seed or 0))


def read(text: str, *, only_test: bool = False, folder: Path | None = None) -> ViewSet:
    """The views of the exams; what is not in the cache is drawn first, 0.4 s an exam.

    Parameters
    ----------
    text
        As `parse` takes it.
    only_test
        The test part alone.
    folder
        The cache; `cache_folder()` by default.

    Raises
    ------
    DataError
        The text is none of a phantom, or the cache cannot be written.
    """
    exams = parse(text, only_test=only_test)
    place = (folder or cache_folder()) / _version()
    parts = ("test",) if only_test else PARTS
    seeds = [seed for part in parts for seed in exams.seeds(part)]
    missing = [seed for seed in seeds if not _facts_file(place, seed).is_file()]
    console = terminal.console(stderr=True)
    show = track(missing, "drawing phantom exams", console=console, disable=not missing)
    for seed in show:
        _draw(seed, place)
    records = [record for seed in seeds for record in _records(seed, place)]
    return ViewSet(NAME, SPEC.acquisition, tuple(records), ())


def cache_folder() -> Path:
    """Where drawn exams are kept: `cadnode/phantom-exams` in the user's cache folder (XDG)."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "cadnode" / "phantom-exams"


def _version() -> str:
    """Changes with everything that the pixels depend on besides the seed."""
    return hashlib.sha256(f"{_DRAWN}{SPEC}{PRIOR}".encode()).hexdigest()[:12]


def _facts_file(place: Path, seed: int) -> Path:
    return place / f"{seed:07}.json"


def _image_file(place: Path, seed: int, laterality: str, view: str) -> Path:
    return place / f"{seed:07}-{laterality}-{view}.png"


def _draw(seed: int, place: Path) -> None:
    """Draw an exam; its facts are written last, so that a half-drawn one is drawn again."""
    exam = phantom.exam(seed, SPEC, lesions=PRIOR)
    try:
        place.mkdir(parents=True, exist_ok=True)
        for view in exam.views:
            pixels = np.asarray(np.rint(view.image * 255), np.uint8)
            _, coded = cv2.imencode(".png", pixels)
            write_whole(_image_file(place, seed, view.laterality, view.view), coded.tobytes())
        write_whole(_facts_file(place, seed), json.dumps(_facts(exam)).encode())
    except OSError:
        raise DataError("the cache of drawn phantom exams cannot be written") from None


def _facts(exam: PhantomExam) -> dict[str, object]:
    kinds = {
        side: sorted(
            {_KINDS[x.kind] for v in exam.views if v.laterality == side for x in v.lesions}
        )
        for side in Laterality
    }
    return {
        "density": exam.density.value,
        "views": [(v.laterality.value, v.view.value) for v in exam.views],
        "cancer": {side.value: ill for side, ill in exam.malignant.items()},
        "lesion": {side.value: " and ".join(found) for side, found in kinds.items()},
    }


def _records(seed: int, place: Path) -> list[ViewRecord]:
    try:
        facts = json.loads(_facts_file(place, seed).read_text())
    except (OSError, ValueError):
        raise DataError("the cache of drawn phantom exams is damaged: delete it") from None
    ill = any(facts["cancer"].values())
    return [
        ViewRecord(
            dataset=NAME,
            woman=str(seed),
            laterality=Laterality(side),
            view=view,
            path=_image_file(place, seed, side, view),
            cancer=facts["cancer"][side],
            exam_class="cancer" if ill else "no cancer",
            stratum=NAME,
            facts=(
                ("digitizer", NAME), ("density", facts["density"]),
                ("lesion", facts["lesion"][side]),
            ),
        )
        for side, view in facts["views"]
    ]  # fmt: skip
