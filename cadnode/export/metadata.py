"""A bundle's `metadata.json`, made of the model's card."""

from importlib.metadata import version
from typing import Any, Final

import torch
from torch import nn

from cadnode import __version__
from cadnode.errors import ModelError
from cadnode.export.schema import SCHEMA_URL
from cadnode.models.card import (
    CnnCard,
    DetectorCard,
    DibMgCard,
    FeatureCard,
    MassFinderCard,
    ModelCard,
)

TASKS: Final = {
    "dib_mg": "Score mammographic views for breast cancer, with a map of where",
    "cnn": "Tell malignant from benign regions of mammograms",
    "features": "Tell malignant from benign regions of mammograms by measured features",
    "detector": "Detect microcalcification clusters and masses in mammograms",
    "masses": "Detect masses in mammograms",
}
AUTHORS: Final = "The cadnode authors"
COPYRIGHT: Final = "Copyright (c) the cadnode authors"
_PACKAGES: Final = ("monai", "numpy", "opencv-python-headless", "pydicom", "safetensors")


def metadata(card: ModelCard, network: nn.Module) -> dict[str, Any]:
    """The content of `metadata.json`.

    Parameters
    ----------
    card
        Of the model.
    network
        Runs once on zeros: the shape of its output is written down.
    """
    packages = (*_PACKAGES, "timm") if _is_of_timm(card) else _PACKAGES
    return {
        "schema": SCHEMA_URL,
        "name": card.name,
        "version": card.version,
        "changelog": {card.version: f"trained on {card.trained_on.isoformat()}: {card.command}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch"),
        "numpy_version": version("numpy"),
        "required_packages_version": {
            "cadnode": __version__,
            "pytorch-ignite": "0.5",
            **{name: version(name) for name in packages},
        },
        "task": TASKS[card.kind],
        "description": f"{card.algorithm}. {card.training_data}",
        "authors": AUTHORS,
        "copyright": COPYRIGHT,
        "data_source": "; ".join(f"{s.name}: {s.terms}" for s in card.training_sets) or "none",
        "data_type": "dicom",
        "image_classes": f"{', '.join(card.applies_to)} mammograms, dense tissue bright",
        "pred_classes": "; ".join(_channels(card).values()),
        "eval_metrics": {f"{m.name}: {m.contrast}": m.auc for m in card.metrics},
        "intended_use": card.intended_use,
        "references": [card.paper],
        "network_data_format": {
            "inputs": _inputs(card),
            "outputs": {"pred": _output(card, network)},
        },
    }


def _is_of_timm(card: ModelCard) -> bool:
    """Whether timm builds the network, or its trunk."""
    if isinstance(card, DibMgCard):
        return card.architecture.trunk != "residual19"
    return isinstance(card, CnnCard | MassFinderCard)


def _inputs(card: ModelCard) -> dict[str, Any]:
    """What the network takes; MONAI's tools look for an `image`."""
    if isinstance(card, DibMgCard | MassFinderCard):
        shape = [card.preprocess.height, card.preprocess.width]
        return {"image": _image(shape, "view, preprocessed as card.json says", patch=False)}
    if isinstance(card, CnnCard):
        shape = [card.roi.size] * 2
        return {"image": _image(shape, "region, cut as card.json says", patch=True)}
    if isinstance(card, FeatureCard):
        return {"image": _numbers(card.features, "features", [0, 1])}
    if not isinstance(card, DetectorCard):
        raise ModelError(f"{card.name} was brought as ONNX: it is not exported")
    size = card.architecture.patch
    names = [f"statistic {i} of the candidate" for i in range(card.architecture.statistics)]
    patch = {"image": _image([size] * 2, "patch around a candidate", patch=True)}
    return patch | ({"statistics": _numbers(names, "features", [])} if names else {})


def _image(shape: list[int], what: str, *, patch: bool) -> dict[str, Any]:
    return {
        "type": "image",
        "format": "magnitude",
        "modality": "MG",
        "num_channels": 1,
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": patch,
        "channel_def": {"0": what},
    }


def _numbers(names: tuple[str, ...] | list[str], form: str, limits: list[int]) -> dict[str, Any]:
    return {
        "type": "tuples",
        "format": form,
        "num_channels": len(names),
        "spatial_shape": [],
        "dtype": "float32",
        "value_range": limits,
        "is_patch_data": False,
        "channel_def": {str(i): name for i, name in enumerate(names)},
    }


def _output(card: ModelCard, network: nn.Module) -> dict[str, Any]:
    """Logits, before calibration; a detector's log-odds have no axis of channels."""
    channels = _channels(card)
    numbers: dict[str, Any] = {
        "type": "image" if isinstance(card, DibMgCard | MassFinderCard) else "tuples",
        "format": "logits",
        "num_channels": len(channels),
        "spatial_shape": [],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": channels,
    }
    if not isinstance(card, DibMgCard | MassFinderCard):
        return numbers
    blank = torch.zeros(1, 1, card.preprocess.height, card.preprocess.width)
    with torch.inference_mode():
        return numbers | {"spatial_shape": list(network(blank).shape[2:])}


def _channels(card: ModelCard) -> dict[str, str]:
    if isinstance(card, DetectorCard):
        return {"0": "log-odds that the candidate is a calcification"}
    if isinstance(card, MassFinderCard):
        sizes = ("log height", "log width")
        shares = {str(i): f"{name}, share of the view" for i, name in enumerate(sizes, 1)}
        return {"0": "log-odds of a mass's centre"} | shares
    if isinstance(card, DibMgCard):
        shape = card.architecture
        if shape.trunk != "residual19" or shape.members > 1:
            return {"0": "log-odds of cancer against normal"}
        return {"0": "logit of cancer", "1": "logit of normal"}
    names = card.architecture.classes if isinstance(card, CnnCard) else ("benign", "malignant")
    return {str(i): f"logit of {name}" for i, name in enumerate(names)}
