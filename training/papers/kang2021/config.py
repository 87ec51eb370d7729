"""What Kang 2021 states, and where a recipe departs from it."""

from pathlib import Path
from typing import Final

from cadnode.domain import System
from cadnode_training.engine.protocol import NOT_STATED, PaperPoint
from cadnode_training.papers.roi_cnn.config import Member, RoiRecipe
from cadnode_training.papers.roi_cnn.protocol import Protocol, description_of

CPU_RECIPE: Final = Path(__file__).with_name("cpu.toml")

_SUBJECTS, _NETWORKS, _PREPARATION = "Study subjects", "DCNN architectures", "Data preparation"
_TRAINING, _STATISTICS = "Training", "Data and statistical analysis"
_FIVE: Final = "resnet101, xception, inception_v3, inception_resnet_v2, densenet201"
STATED: Final = (
    PaperPoint("data", "1,579 ROIs of 821 women: 1,121 + 198 + 260", _SUBJECTS),
    PaperPoint("images", "digital, of one unit (Lorad Selenia)", _SUBJECTS),
    PaperPoint(
        "split", "2007 to 2017 train and validate, at random; 2018 and 2019 test", _SUBJECTS
    ),
    PaperPoint("region", "around each lesion, cropped by a radiologist", _PREPARATION),
    PaperPoint(
        "classes", "DCIS and invasive cancer malignant; everything else benign", _STATISTICS
    ),
    PaperPoint("input", "512 × 512 px", _PREPARATION),
    PaperPoint("pixel pitch", NOT_STATED, f"{_SUBJECTS}: the unit's own pixels"),
    PaperPoint("grey levels", NOT_STATED, _PREPARATION),
    PaperPoint(
        "augmentation", "5-fold: flips H and V, rotation 1–359°, translation ±30 px", _PREPARATION
    ),
    PaperPoint("augmentation, when", NOT_STATED, _PREPARATION),
    PaperPoint("edges of turned regions", NOT_STATED, _PREPARATION),
    PaperPoint("network", _FIVE, _NETWORKS),
    PaperPoint("stages", "target: malignancy from ImageNet", _NETWORKS),
    PaperPoint("first weights", "ImageNet, a new classifier at random", _NETWORKS),
    PaperPoint("layers that learn", "all", _NETWORKS),
    PaperPoint("weights of the classes", NOT_STATED, _TRAINING),
    PaperPoint("optimizer", "Adam, L2 0.0005, β 0.9/0.999", _TRAINING),
    PaperPoint("learning rate", "0.0001", f"{_TRAINING}; 0.00001 in the supplement"),
    PaperPoint(
        "minibatch",
        "resnet101 16, xception 32, inception_v3 32, inception_resnet_v2 16, densenet201 8",
        _TRAINING,
    ),
    PaperPoint("precision", NOT_STATED, _TRAINING),
    PaperPoint("epochs", NOT_STATED, _TRAINING),
    PaperPoint("early stopping", "validation loss, patience 20", _TRAINING),
    PaperPoint("selection", "best by validation AUC", _TRAINING),
    PaperPoint("output", "the network's own", "Ensemble DCNN model; Table 1: cut-offs"),
    PaperPoint("ensemble", "mean of the five outputs", "Ensemble DCNN model"),
    PaperPoint("cut-off", "highest Youden index", _STATISTICS),
    PaperPoint("cut-off chosen on", NOT_STATED, _STATISTICS),
    PaperPoint("intervals", NOT_STATED, "Table 1"),
    PaperPoint("tests of AUCs", "DeLong, of the six together and in pairs", _STATISTICS),
    PaperPoint("tests of shares", "GEE, of the six together and in pairs", _STATISTICS),
    PaperPoint("band of the ROC", "1,000 bootstrap replicas", "Fig. 1"),
    PaperPoint(
        "explanation",
        "Grad-CAM, red activated to blue",
        "Interpretation of DCNN models",
    ),
)


def _ours(recipe: RoiRecipe) -> dict[str, str]:
    networks = ", ".join(m.network for m in recipe.members)
    ours = description_of(recipe) | {"network": networks}
    if not recipe.export.calibrated:
        ours["output"] = "the network's own"
    if networks != _FIVE:
        n = len(recipe.members)
        ours["ensemble"] = "one network alone" if n == 1 else f"mean of {n} outputs"
    return ours


PROTOCOL: Final = Protocol(
    system=System.KANG2021,
    title="Kang 2021",
    paper=(
        "Kang D, Gweon HM, Eun NL, et al. A convolutional deep learning model for improving "
        "mammographic breast-microcalcification diagnosis. Sci Rep 11, 23925 (2021)"
    ),
    algorithm="Deep learning: {network} on regions of interest around calcifications",
    recipe=Path(__file__).with_name("recipe.toml"),
    stated=STATED,
    ours=_ours,
    by_data={
        "data": "those of --data: the paper's are private",
        "images": "as the data are; phantoms are drawn as digital and as film",
        "split": "the data's own (`cadnode data split --by date` makes the paper's), else by woman",
        "region": "around the middle of the box that the data state",
        "classes": "as the data label them",
    },
    model_name=lambda member: f"kang2021-{_slug(member)}",
)


def _slug(member: Member) -> str:
    return member.network.replace("_", "-") + (f"-{member.seed}" if member.seed else "")
