"""Which ROIs each learning stage of a training takes."""

from collections.abc import Sequence
from pathlib import Path

from cadnode.errors import DataError
from cadnode_training.data.regions import is_source
from cadnode_training.data.rois import PARTS, Part, RoiSet
from cadnode_training.data.sets import phantom_rois
from cadnode_training.data.sets.phantom_rois import PhantomSource
from cadnode_training.papers.roi_cnn import real_rois
from cadnode_training.papers.roi_cnn.config import RoiRecipe, Stage
from cadnode_training.papers.roi_cnn.real_rois import RealSource

RoiPart = PhantomSource | RealSource


def parse(text: str) -> RoiPart:
    """The source of `phantom:…`, or of `KIND:PATH` (`cadnode_training.data.sources`).

    Raises
    ------
    DataError
        The text is none of these, or what is there has no calcifications of known malignancy.
    """
    return real_rois.open_real(text) if is_source(text) else phantom_rois.parse(text)


class Sources:
    """The ROIs of each stage: `KIND:…` for all of them, `STAGE=KIND:…` for one.

    Raises
    ------
    DataError
        A text names no stage or no data, a stage is left without or has two, or a woman is in
        different parts of two stages.
    """

    def __init__(
        self, texts: Sequence[str], recipe: RoiRecipe, folder: Path, *, quiet: bool = False
    ) -> None:
        self.recipe, self.folder, self.quiet = recipe, folder, quiet
        names = [s.name for s in recipe.stages]
        self.by_stage: dict[str, RoiPart] = {}
        named, others = (
            [t for t in map(_split, texts) if t[0]],
            [t for t in texts if not _split(t)[0]],
        )
        if len(others) > 1:
            raise DataError(f"--data: {len(others)} for the same stages; STAGE=KIND:… assigns them")
        for stage, rest in named:
            if stage not in names:
                raise DataError(f"--data: there is no stage {stage}; known: {', '.join(names)}")
            self.by_stage[stage] = parse(rest)
        for text in others:
            source = parse(text)
            self.by_stage = dict.fromkeys(names, source) | self.by_stage
        missing = [n for n in names if n not in self.by_stage]
        if missing:
            raise DataError(f"--data: nothing for stage {', '.join(missing)}")
        self._refuse_leaks()

    def _refuse_leaks(self) -> None:
        """A woman stays in her part through all stages, however each of them is split."""
        placed: dict[str, Part] = {}
        for source in set(self.by_stage.values()):
            if isinstance(source, RealSource):
                for part in PARTS:
                    for item in source.regions.part(part).items:
                        if placed.setdefault(item.woman, part) != part:
                            raise DataError(
                                f"--data: a woman is in the {placed[item.woman]} part of one stage "
                                f"and in the {part} part of another; give both the same split"
                            )

    def part(self, stage: Stage, part: Part) -> RoiSet:
        """A part of a stage's ROIs; those of the training part with a margin to move them in.

        Raises
        ------
        DataError
            ROIs to train on or to select by are all benign or all malignant.
        """
        margin = self.recipe.augmentation.translation_px if part == "train" else 0
        source, spec = self.by_stage[stage.name], self.recipe.roi()
        if isinstance(source, PhantomSource):
            return phantom_rois.prepare(
                source, part, spec, self.folder, margin=margin, quiet=self.quiet
            )
        found = real_rois.prepare(source, part, spec, self.folder, margin=margin, quiet=self.quiet)
        n_pos = int(found.malignant.sum())
        if part != "test" and not 0 < n_pos < len(found):
            raise DataError(
                f"{source.name}: the {part} part has {n_pos} malignant and {len(found) - n_pos} "
                "benign ROIs; both are needed"
            )
        return found


def _split(text: str) -> tuple[str, str]:
    """(stage, source) of `STAGE=KIND:…`; the stage is "" without one.

    A path may hold "=": only what stands before the kind's colon names a stage.
    """
    head, equals, rest = text.partition("=")
    return (head, rest) if equals and ":" not in head else ("", text)
