"""What Arlan 2025 (Helsinki) states, and where a recipe departs from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cadnode.domain import System
from cadnode_training.papers.roi_cnn.config import RoiRecipe
from cadnode_training.papers.roi_cnn.protocol import Protocol, description_of

CPU_RECIPE: Final = Path(__file__).with_name("cpu.toml")

PAPER: Final[Mapping[str, str]] = {
    "data": "396 FFDM ROIs of 194 women, 24 % of them a balanced test set; biopsy",
    "network": "ResNeXt, an ensemble",
    "stages": "ImageNet → an intermediate mammography data set → the target",
    "input": "not stated",
    "augmentation": "not stated",
    "optimizer": "not stated",
    "learning rate": "not stated",
    "minibatch": "not stated",
    "precision": "not stated",
    "early stopping": "not stated",
    "selection": "not stated",
}


def _ours(recipe: RoiRecipe) -> dict[str, str]:
    described = description_of(recipe)
    networks = ", ".join(f"{m.network} (seed +{m.seed})" for m in recipe.members)
    data = "those of --data: the study's are private"
    return described | {"data": data, "network": networks}


PROTOCOL: Final = Protocol(
    system=System.HELSINKI_DTL,
    title="Arlan 2025",
    paper=(
        "Arlan K, Björnström M, Mäkelä T, et al. Improving discriminative ability in mammographic "
        "microcalcification classification using deep learning: a novel double transfer learning "
        "approach. medRxiv 2025.08.05.25332967"
    ),
    algorithm="Deep learning: {network} by double transfer learning, on regions of interest",
    recipe=Path(__file__).with_name("recipe.toml"),
    stated=PAPER,
    ours=_ours,
    model_name=lambda member: "helsinki-resnext50" + (f"-{member.seed}" if member.seed else ""),
)
