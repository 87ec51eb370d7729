"""What Arlan 2025 (Helsinki) states, and where a recipe departs from it."""

from pathlib import Path
from typing import Final

from cadnode.domain import System
from cadnode_training.engine.protocol import NOT_STATED, PaperPoint
from cadnode_training.papers.roi_cnn.config import IMAGENET, PREVIOUS, RoiRecipe
from cadnode_training.papers.roi_cnn.protocol import Protocol, description_of

CPU_RECIPE: Final = Path(__file__).with_name("cpu.toml")

_ABSTRACT: Final = "Abstract, Material and methods"
_TRANSFER: Final = "ImageNet → an intermediate mammography data set → the target"
_SILENT: Final = (
    "intermediate task", "input", "pixel pitch", "grey levels", "augmentation",
    "augmentation, when", "edges of turned regions", "layers that learn",
    "weights of the classes", "optimizer",
    "learning rate", "minibatch", "precision", "epochs", "early stopping", "selection", "output",
    "cut-off", "cut-off chosen on", "intervals",
)  # fmt: skip
STATED: Final = (
    PaperPoint("data", "396 ROIs of 194 women, one hospital", _ABSTRACT),
    PaperPoint("images", "digital", _ABSTRACT),
    PaperPoint("split", "at random, 24 % to test, balanced", _ABSTRACT),
    PaperPoint("classes", "final histopathology", _ABSTRACT),
    PaperPoint("network", "ResNeXt", _ABSTRACT),
    PaperPoint("ensemble", "an ensemble", "Abstract, Results"),
    PaperPoint("members", NOT_STATED, "Abstract, Results"),
    PaperPoint("stages", _TRANSFER, _ABSTRACT),
    PaperPoint("explanation", "Grad-CAM", _ABSTRACT),
    PaperPoint("compared with", "a radiologist's BI-RADS assessment", _ABSTRACT),
    *(PaperPoint(topic, NOT_STATED, "no text beyond the abstract") for topic in _SILENT),
)


def _ours(recipe: RoiRecipe) -> dict[str, str]:
    ours, stages = description_of(recipe), recipe.stages
    members = [f"{m.network}, seed +{m.seed}" for m in recipe.members]
    ours |= {
        "members": "; ".join(members) + ": the mean of their outputs",
        "network": "ResNeXt"
        if all(m.network.startswith("resnext") for m in recipe.members)
        else ", ".join(m.network for m in recipe.members),
        "ensemble": "an ensemble" if len(members) > 1 else "one network alone",
        "intermediate task": "; ".join(s.task for s in stages[:-1]) or "none",
        "cut-off": "highest Youden index",
        "compared with": "a radiologist's BI-RADS assessment",
    }
    if len(stages) == 2 and stages[0].init == IMAGENET and stages[1].init == PREVIOUS:
        ours["stages"] = _TRANSFER
    return ours


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
    stated=STATED,
    ours=_ours,
    by_data={
        "data": "those of --data: the study's are private",
        "images": "as the data are; phantoms are drawn as digital and as film",
        "split": "the data's own, else by woman",
        "classes": "as the data label them",
        "compared with": "a radiologist's assessment where the data state it (`cadnode evaluate "
        "helsinki_dtl --html`)",
    },
    model_name=lambda member: "helsinki-resnext50" + (f"-{member.seed}" if member.seed else ""),
)
