"""Which material a data set holds, by its name: what a card that states none is taken to be of."""

from typing import Final

from cadnode.domain import Acquisition, TrainingMaterial

# What the data sets hold that `cadnode_training.data` can read, by the start of their names.
_MATERIALS: Final = {
    "rsna": TrainingMaterial.DIGITAL,
    "inbreast": TrainingMaterial.DIGITAL,
    "vindr": TrainingMaterial.DIGITAL,
    "cmmd": TrainingMaterial.DIGITAL,
    "ddsm": TrainingMaterial.FILM,
    "cbis": TrainingMaterial.FILM,
    "mini-mias": TrainingMaterial.FILM,
    "pisa": TrainingMaterial.FILM,
}


def materials_of(
    dataset: str, applies_to: tuple[Acquisition, ...], *, seen: bool
) -> set[TrainingMaterial]:
    """The material of a data set; of an unknown one, the kinds that its model reads.

    `seen`: whether a model was trained on any image of it.
    """
    name = dataset.lower()
    if "phantom" in name:
        return {TrainingMaterial.PHANTOMS}
    known = {material for start, material in _MATERIALS.items() if name.startswith(start)}
    if known or not seen:
        return known
    return {TrainingMaterial(acquisition.value) for acquisition in applies_to}
