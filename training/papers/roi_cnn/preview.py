"""What a training of ROI networks would do: data, steps, files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cadnode_training.data.rois import PARTS, Part
from cadnode_training.data.sets.phantom_rois import PhantomSource
from cadnode_training.engine.machine import Machine
from cadnode_training.engine.preview import Count, Preview, PreviewPhase
from cadnode_training.papers.roi_cnn import train
from cadnode_training.papers.roi_cnn.batches import steps_of
from cadnode_training.papers.roi_cnn.protocol import Protocol
from cadnode_training.papers.roi_cnn.sources import RoiPart, Sources

# A phantom's class is drawn with the ROI; nothing is drawn here.
DRAWN: Final = "ROIs, benign or malignant as they are drawn"


def preview(
    protocol: Protocol, data: Sequence[str], out: Path, *, config: Path | None = None,
    members: Sequence[str] | None = None, epochs: int | None = None, init: Path | None = None,
    machine: Machine | None = None,
) -> Preview:  # fmt: skip
    """What `train.run` would do with these; nothing is written, drawn or fetched.

    Raises
    ------
    DataError, SettingsError
        Data or recipe are not what they should be.
    """
    machine = machine or Machine.here()
    recipe, named = train.chosen(protocol, config, members, epochs, init, machine)
    sources = Sources(data, recipe, out / "rois", quiet=True)
    counts = tuple(
        Count(_called(source, sources), part, _classes(source, part))
        for source in dict.fromkeys(sources.by_stage.values())
        for part in PARTS
    )
    phases = [
        PreviewPhase(
            f"{member.network}, {stage.name}",
            stage.epochs,
            steps_of(
                sum(_classes(sources.by_stage[stage.name], "train").values()),
                stage, recipe.augmentation.copies, stage.batch or member.batch,
            ),
        )
        for member in recipe.members
        for stage in recipe.stages
    ]  # fmt: skip
    models = [f"{out / protocol.model_name(m)}/ (card, weights)" for m in recipe.members]
    return Preview(
        system=protocol.system.value,
        recipe=protocol.recipe_of(named, machine.device).name,
        counts=counts,
        differences=tuple(protocol.differences(recipe)),
        protocol=protocol.points(recipe),
        phases=tuple(phases),
        writes=(*models, f"{out}/NETWORK/STAGE/ (checkpoint, history)", f"{out}/rois/ (images)"),
        machine=machine,
    )


def _called(source: RoiPart, sources: Sources) -> str:
    """The source's name, behind the stages' that take it where there are several sources."""
    stages = [name for name, one in sources.by_stage.items() if one == source]
    alone = len(stages) == len(sources.by_stage)
    return source.name if alone else f"{', '.join(stages)}: {source.name}"


def _classes(source: RoiPart, part: Part) -> dict[str, int]:
    """How many ROIs of each class a part has."""
    if isinstance(source, PhantomSource):
        return {DRAWN: source.count(part)}
    found = [region.positive for region in source.regions.part(part).items]
    return {"malignant": sum(found), "benign": len(found) - sum(found)}
