"""A data set as a training takes it in: tensors, and the rows of each part."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from cadnode.errors import DataError
from cadnode.models import store
from cadnode_training.data.tensors import TensorCache
from cadnode_training.data.views import Part, ViewRecord, ViewSet, fold_of, part_of, parts
from cadnode_training.papers.kim2018 import exam_split
from cadnode_training.papers.kim2018.breasts import compared
from cadnode_training.papers.kim2018.config import ViewRecipe
from cadnode_training.papers.kim2018.exam_split import LabelledExam


@dataclass(frozen=True, eq=False, slots=True)
class PreparedViews:
    """A data set with its tensors, and the rows of each part.

    `exams` are those of each part where whole exams are learnt from; `left_out` counts the others
    by reason.
    """

    data: ViewSet
    cache: TensorCache
    rows: dict[Part, list[int]]
    exams: dict[Part, list[LabelledExam]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def compared(self, part: Part) -> list[int]:
        """Rows of a part that take part in the data set's contrast."""
        chosen = self.rows[part]
        picked = compared([self.cache.records[i] for i in chosen], self.data.acquisition)
        return [chosen[i] for i in picked]

    def of_fold(self, number: int, folds: int) -> "PreparedViews":
        """The same with the women of a fold as test part, and no others.

        The others are trained or validated on by their keys.
        """
        rows: dict[Part, list[int]] = {"train": [], "validation": [], "test": []}
        for i, record in enumerate(self.cache.records):
            key = store.woman_key(record.dataset, record.woman)
            part: Part = "validation" if part_of(key) == "validation" else "train"
            rows["test" if fold_of(key, folds) == number else part].append(i)
        return replace(self, rows=rows)

    @property
    def all_exams(self) -> tuple[list[LabelledExam], list[Part]]:
        """Exams with their parts."""
        found = [(exam, part) for part, exams in self.exams.items() for exam in exams]
        return [exam for exam, _ in found], [part for _, part in found]


def prepare(data: ViewSet, recipe: ViewRecipe, folder: Path, seed: int) -> PreparedViews:
    """The data set as the recipe takes it.

    Raises
    ------
    DataError
        No view, or no exam, can be used; the data's own split lacks a part.
    """
    kept = used(data, recipe)
    if recipe.of_exams:
        return _of_exams(data, kept, recipe, folder, seed)
    cache = TensorCache(kept, recipe.preprocess(data.acquisition), folder)
    rows: dict[Part, list[int]] = {"train": [], "validation": [], "test": []}
    for i, part in enumerate(parts_of(cache.records)):
        rows[part].append(i)
    return PreparedViews(data, cache, rows)


def used(data: ViewSet, recipe: ViewRecipe) -> list[ViewRecord]:
    """Records of the women whom the recipe does not exclude."""
    return [r for r in data.records if f"{r.dataset}:{r.woman}" not in recipe.data.exclude]


def parts_of(records: "list[ViewRecord] | tuple[ViewRecord, ...]") -> list[Part]:
    """The part of each record by its woman."""
    return parts(records, [store.woman_key(r.dataset, r.woman) for r in records])


def _of_exams(
    data: ViewSet, kept: list[ViewRecord], recipe: ViewRecipe, folder: Path, seed: int
) -> PreparedViews:
    whole, reasons = exam_split.exams_of(kept)
    if not whole:
        raise DataError(f"{data.name}: no exam of four views, as the paper's ({_words(reasons)})")
    chosen = [kept[row] for exam in whole for row in exam.rows]
    cache = TensorCache(chosen, recipe.preprocess(data.acquisition), folder)
    exams, unread = exam_split.exams_of(cache.records)
    placed = exam_split.split(exams, recipe.exams.shares, seed)
    by_part: dict[Part, list[LabelledExam]] = {part: [] for part in exam_split.PARTS}
    for exam, part in zip(exams, placed, strict=True):
        by_part[part].append(exam)
    for part, of in by_part.items():
        both = part == "test" or len({e.has_cancer for e in of}) == 2
        if not of or not both:
            raise DataError(
                f"{data.name}: its split must leave exams with and without cancer to train and to "
                "validate on, and exams to test"
            )
    rows = {part: [row for e in of for row in e.rows] for part, of in by_part.items()}
    return PreparedViews(data, cache, rows, by_part, reasons + unread)


def _words(reasons: Counter[str]) -> str:
    return "; ".join(f"{n} × {reason}" for reason, n in reasons.most_common())
