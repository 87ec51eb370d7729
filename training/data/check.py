"""What is wrong with a manifest before anything is trained on it: leaks, gaps, contradictions."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cadnode_training.data import manifest as m
from cadnode_training.data.images import GREY_FILES, load_image
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.near_duplicates import THRESHOLD, Hash, near_pairs, perceptual_hash
from cadnode_training.data.sets.cbis_ddsm import load_mask
from cadnode_training.data.views import read_grey

_COUNTED: Final = (
    "dataset", "label", "split", "vendor", "lesion_kind", "laterality", "view", "density", "birads",
)  # fmt: skip
_WORKERS: Final = 4  # a film decoded is 50 MB


@dataclass(frozen=True, slots=True)
class ManifestProblem:
    """A defect of a manifest.

    `kind` is `woman_in_two_splits`, `same_image`, `near_duplicate`, `missing_file`,
    `unreadable_image`, `label_conflict`, `box_outside`, `mask_unfit` or `label_without_pathology`;
    `rows` are 1-based, as counted in the manifest; `leak`: whether a model could be tested on
    what it was trained on.
    """

    kind: str
    rows: tuple[int, ...]
    detail: str
    leak: bool = False


@dataclass(frozen=True, slots=True)
class ManifestReport:
    """Counts and problems of a manifest.

    `counts` has, by column, how many rows have each word ("" for not stated); `by_split` how many
    women, images and rows of each label a split has.
    """

    rows: int
    images: int
    women: int
    counts: dict[str, dict[str, int]]
    by_split: dict[str, dict[str, int]]
    left_out: dict[str, int]
    problems: tuple[ManifestProblem, ...]
    pixels_checked: bool

    @property
    def fatal(self) -> bool:
        """Whether there are leaks or missing files."""
        return any(p.leak or p.kind == "missing_file" for p in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the keys are those of the attributes, and `fatal`."""
        return {**asdict(self), "fatal": self.fatal}


@dataclass(frozen=True, slots=True)
class _Looked:
    """One image's size and hashes, or why it could not be read."""

    shape: tuple[int, int] | None = None
    digest: str = ""
    hash: Hash | None = None
    reason: str = ""


def check(
    manifest: Manifest,
    tick: Callable[[], None] = lambda: None,
    *,
    threshold: int = THRESHOLD,
    pixels: bool = True,
) -> ManifestReport:
    """Counts and problems; `tick` after each image.

    Without `pixels` no file is opened: near-duplicates, unreadable images and boxes beyond the
    image are not detected.
    """
    rows = manifest.rows
    of_image: dict[Path, list[int]] = defaultdict(list)
    for number, row in enumerate(rows, 1):
        of_image[row.image].append(number)
    problems = [
        *_missing(rows),
        *_split_women(rows),
        *_shared(rows, of_image),
        *_label_conflicts(rows),
        *_unproven(rows),
    ]
    if pixels:
        there = [path for path in of_image if path.is_file()]
        looked = _look_at_all(there, tick)
        problems += _unreadable(looked, of_image)
        problems += _duplicates(looked, of_image, rows, threshold)
        problems += _unfit(rows, looked)
    return ManifestReport(
        rows=len(rows),
        images=len(of_image),
        women=len({row.key for row in rows}),
        counts={column: _count(rows, column) for column in _COUNTED},
        by_split=by_split(rows),
        left_out=dict(manifest.left_out),
        problems=tuple(problems),
        pixels_checked=pixels,
    )


def _count(rows: Iterable[ManifestRow], column: str) -> dict[str, int]:
    return dict(Counter(getattr(row, column) for row in rows).most_common())


def by_split(rows: Sequence[ManifestRow]) -> dict[str, dict[str, int]]:
    """Of each split: how many women and images, and how many rows of each label."""
    found = {}
    for split in (*m.SPLITS, ""):
        mine = [row for row in rows if row.split == split]
        if mine:
            found[split] = {
                "women": len({row.key for row in mine}),
                "images": len({row.image for row in mine}),
                **{label: sum(row.label == label for row in mine) for label in m.LABELS},
            }
    return found


def _missing(rows: Sequence[ManifestRow]) -> list[ManifestProblem]:
    return [
        ManifestProblem("missing_file", (number,), f"{column} is not there")
        for number, row in enumerate(rows, 1)
        for column, path in (("image", row.image), ("mask", row.mask))
        if path is not None and not path.is_file()
    ]


def _split_women(rows: Sequence[ManifestRow]) -> list[ManifestProblem]:
    of_woman: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, row in enumerate(rows, 1):
        of_woman[row.key].append(number)
    problems = []
    for numbers in of_woman.values():
        splits = sorted({rows[n - 1].split for n in numbers} - {""})
        if len(splits) > 1:
            detail = f"one woman in {' and '.join(splits)}"
            problems.append(
                ManifestProblem("woman_in_two_splits", tuple(numbers), detail, leak=True)
            )
    return problems


def _shared(rows: Sequence[ManifestRow], of_image: dict[Path, list[int]]) -> list[ManifestProblem]:
    """Files that are in rows of two women."""
    return [
        ManifestProblem("same_image", tuple(numbers), "one file, two women", leak=True)
        for numbers in of_image.values()
        if len({rows[n - 1].key for n in numbers}) > 1
    ]


def _label_conflicts(rows: Sequence[ManifestRow]) -> list[ManifestProblem]:
    """One lesion, or one whole breast, of one exam with two labels; unknown contradicts nothing.

    Regions without a side or a lesion's name cannot be distinguished and are skipped, unless
    image and box are the same.
    """
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, row in enumerate(rows, 1):
        groups["box", row.image, row.box].append(number)
        if row.laterality and (row.lesion or row.box is None):
            breast = (*row.key, row.exam, row.laterality)
            groups["lesion", *breast, row.lesion, row.lesion and row.lesion_kind].append(number)
    found: list[ManifestProblem] = []
    for numbers in sorted(groups.values(), key=len, reverse=True):
        labels = sorted({rows[n - 1].label for n in numbers} - {m.UNKNOWN})
        if len(labels) > 1 and not any(set(numbers) <= set(p.rows) for p in found):
            detail = f"one lesion or breast is {' and '.join(labels)}"
            found.append(ManifestProblem("label_conflict", tuple(numbers), detail))
    return found


def _unproven(rows: Sequence[ManifestRow]) -> list[ManifestProblem]:
    numbers = tuple(
        n for n, row in enumerate(rows, 1)
        if row.label in (m.MALIGNANT, m.BENIGN) and not row.pathology
    )  # fmt: skip
    detail = "malignant or benign without a word of pathology: a reader's suspicion, no truth"
    return [ManifestProblem("label_without_pathology", numbers, detail)] if numbers else []


def _look_at_all(paths: Sequence[Path], tick: Callable[[], None]) -> dict[Path, _Looked]:
    looked = {}
    with ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1)) as pool:
        for path, found in zip(paths, pool.map(_look, paths), strict=True):
            looked[path] = found
            tick()
    return looked


def _look(path: Path) -> _Looked:
    image = load_image(path)
    if isinstance(image, str):
        return _Looked(reason=image)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    rows, columns = image.shape
    return _Looked((rows, columns), digest, perceptual_hash(image))


def _unreadable(
    looked: dict[Path, _Looked], of_image: dict[Path, list[int]]
) -> list[ManifestProblem]:
    return [
        ManifestProblem("unreadable_image", tuple(of_image[path]), found.reason)
        for path, found in looked.items()
        if found.reason
    ]


def _duplicates(
    looked: dict[Path, _Looked],
    of_image: dict[Path, list[int]],
    rows: Sequence[ManifestRow],
    threshold: int,
) -> list[ManifestProblem]:
    """Pairs of files with one picture; a leak when women or splits differ."""
    usable = [(path, found) for path, found in looked.items() if found.hash is not None]
    hashes = [found.hash for _, found in usable if found.hash is not None]
    problems = []
    for one, other, distance in near_pairs(hashes, threshold):
        (first, a), (second, b) = usable[one], usable[other]
        mine, hers = rows[of_image[first][0] - 1], rows[of_image[second][0] - 1]
        apart = mine.key != hers.key or mine.split != hers.split
        same = a.digest == b.digest
        detail = "one file twice" if same else f"{distance} bits of the hash differ"
        if apart:
            detail += ", two women" if mine.key != hers.key else ", two splits"
        numbers = (*of_image[first], *of_image[second])
        kind = "same_image" if same else "near_duplicate"
        problems.append(ManifestProblem(kind, numbers, detail, leak=apart))
    return problems


def _unfit(rows: Sequence[ManifestRow], looked: dict[Path, _Looked]) -> list[ManifestProblem]:
    """Boxes beyond the image, and masks of another size or empty within the box."""
    problems = []
    for number, row in enumerate(rows, 1):
        found = looked.get(row.image)
        if found is None or found.shape is None:
            continue
        box = row.box
        if box is not None and not (
            box.row0 >= 0 and box.col0 >= 0
            and box.row1 <= found.shape[0] and box.col1 <= found.shape[1]
        ):  # fmt: skip
            size = f"{found.shape[0]} × {found.shape[1]}"
            problems.append(ManifestProblem("box_outside", (number,), f"the image is {size}"))
        if row.mask is not None and row.mask.is_file():
            reason = _mask_unfit(row.mask, found.shape)
            if reason:
                problems.append(ManifestProblem("mask_unfit", (number,), reason))
    return problems


def _mask_unfit(path: Path, shape: tuple[int, int]) -> str:
    if path.suffix.lower() in GREY_FILES:
        grey = read_grey(path)
        mask = None if grey is None else grey > 0
    else:
        mask = load_mask(path)
    if mask is None:
        return "the mask cannot be read"
    if mask.shape != shape:
        return "the mask has another size than its image"
    return "" if mask.any() else "the mask is empty"
