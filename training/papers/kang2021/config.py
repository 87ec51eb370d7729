"""What Kang 2021 states, and where a recipe departs from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cadnode.domain import System
from cadnode_training.papers.roi_cnn.config import Member, RoiRecipe
from cadnode_training.papers.roi_cnn.protocol import Protocol, description_of

CPU_RECIPE: Final = Path(__file__).with_name("cpu.toml")

PAPER: Final[Mapping[str, str]] = {
    "data": "1,121 + 198 + 260 FFDM ROIs of 821 women, split by date; pathology",
    "input": "512 × 512 px",
    "augmentation": "5-fold: flips H and V, rotation 1–359°, translation ±30 px",
    "network": "resnet101, xception, inception_v3, inception_resnet_v2, densenet201",
    "stages": "target: malignancy from ImageNet",
    "optimizer": "Adam, L2 0.0005, β 0.9/0.999",
    "learning rate": "0.0001",
    "minibatch": "resnet101 16, xception 32, inception_v3 32, inception_resnet_v2 16, "
    "densenet201 8",
    "precision": "float32",
    "early stopping": "validation loss, patience 20",
    "selection": "best by validation AUC",
}


def _ours(recipe: RoiRecipe) -> dict[str, str]:
    networks = ", ".join(m.network for m in recipe.members)
    data = "those of --data: the paper's are private"
    return description_of(recipe) | {"data": data, "network": networks}


PROTOCOL: Final = Protocol(
    system=System.KANG2021,
    title="Kang 2021",
    paper=(
        "Kang D, Gweon HM, Eun NL, et al. A convolutional deep learning model for improving "
        "mammographic breast-microcalcification diagnosis. Sci Rep 11, 23925 (2021)"
    ),
    algorithm="Deep learning: {network} on regions of interest around calcifications",
    recipe=Path(__file__).with_name("recipe.toml"),
    stated=PAPER,
    ours=_ours,
    model_name=lambda member: f"kang2021-{_slug(member)}",
)


def _slug(member: Member) -> str:
    return member.network.replace("_", "-") + (f"-{member.seed}" if member.seed else "")
