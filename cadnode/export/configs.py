"""A bundle's configs: `inference.json`, `evaluate.json` and `train.json`.

They name cadnode's own components; there is no second way to preprocess or to read.
"""

from typing import Any, Final

from cadnode.domain import System
from cadnode.models.card import CnnCard, FeatureCard, ModelCard

Config = dict[str, Any]
DETECTOR: Final = "detector"
_PATH: Final = "$from pathlib import Path"
_MODEL: Final = "$Path(@model_dir)"
_HEAD: Final[Config] = {"bundle_root": ".", "model_dir": "$@bundle_root + '/models'"}
_WORKFLOW: Final = "cadnode.export.workflow"
_PAPERS: Final = "cadnode.export.papers"


def inference(card: ModelCard, *, detector: bool) -> Config:
    """Read the DICOM files in `dataset_dir`, write scores to `output_file`.

    `detector`: the bundle holds one, in `models/detector`.
    """
    looks = isinstance(card, CnnCard | FeatureCard)
    return {
        "imports": ["$import torch", _PATH],
        **_HEAD,
        "dataset_dir": "$@bundle_root + '/images'",
        "output_file": "$@bundle_root + '/scores.json'",
        **({"rois": [], "most_regions": 4} if looks else {}),
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "model": _loaded(_MODEL),
        **({"detector": _loaded(f"$Path(@model_dir) / '{DETECTOR}'")} if detector else {}),
        "reader": {
            "_target_": "cadnode.export.readers.reader",
            "model": "@model",
            **({"detector": "@detector"} if detector else {}),
            **({"most": "@most_regions"} if looks else {}),
        },
        "network_def": {
            "_target_": "cadnode.export.networks.served",
            "model": "@model",
            "folder": "@model_dir",
        },
        "exams": {
            "_target_": "cadnode.export.cases.exams",
            "folder": "@dataset_dir",
            **({"rois": "@rois"} if looks else {}),
        },
        "cases": {"_target_": "cadnode.export.cases.cases", "found": "@exams"},
        **_engine(),
        "run": [
            "$@evaluator.run() if len(@dataset) else None",
            "$@scores.write(@output_file)",
        ],
    }


def _loaded(folder: str) -> Config:
    return {
        "_target_": "cadnode.models.loading.load",
        "folder": folder,
        "device": "$str(@device)",
    }


def _engine() -> Config:
    """MONAI's evaluator around the reader, one view at a time as in the node."""
    return {
        "preprocessing": {"_target_": f"{_WORKFLOW}.Prepare", "reader": "@reader"},
        "dataset": {
            "_target_": "monai.data.Dataset",
            "data": "@cases",
            "transform": "@preprocessing",
        },
        "dataloader": {
            "_target_": "monai.data.DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "num_workers": 0,
            "collate_fn": "$list",
        },
        "inferer": {"_target_": f"{_WORKFLOW}.Reading", "reader": "@reader"},
        "scores": {"_target_": f"{_WORKFLOW}.Scores", "reader": "@reader", "exams": "@exams"},
        "handlers": ["@scores"],
        "evaluator": {
            "_target_": "monai.engines.SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network_def",
            "prepare_batch": {"_target_": f"{_WORKFLOW}.as_it_is", "_mode_": "callable"},
            "inferer": "@inferer",
            "val_handlers": "@handlers",
            "decollate": False,
        },
    }


def evaluate(card: ModelCard) -> Config:
    """`cadnode evaluate` of the card's paper: `data` in, numbers to `output_file`."""
    return {
        "imports": [_PATH],
        **_HEAD,
        "data": "phantom:small",
        "output_file": "$@bundle_root + '/evaluation.json'",
        "evaluation": {
            "_target_": f"{_PAPERS}.evaluate",
            "system": _paper(card),
            "data": "@data",
            "model": _MODEL,
        },
        "run": [_written("@evaluation")],
    }


def train(card: ModelCard) -> Config:
    """`cadnode train` of the card's paper: `data` in, model folders to `output_dir`."""
    paper = _paper(card)
    own: Config = {}
    if isinstance(card, CnnCard):
        own = {"members": [card.architecture.name]}
    elif isinstance(card, FeatureCard):
        own = {"scenario": card.scenario}
    if paper in {"kim2018", "kang2021", "helsinki_dtl"}:
        own |= {"resume": "@resume"}
    return {
        "imports": [_PATH],
        **_HEAD,
        "data": "phantom:small" if paper == System.WANG2016 else ["phantom:small"],
        "output_dir": "$@bundle_root + '/trained'",
        "output_file": "$@output_dir + '/trained.json'",
        "epochs": None,
        "seed": card.seed,
        **({"resume": False} if "resume" in own else {}),
        "training": {
            "_target_": f"{_PAPERS}.train",
            "system": paper,
            "data": "@data",
            "out": "$Path(@output_dir)",
            **own,
            "epochs": "@epochs",
            "seed": "@seed",
        },
        "run": [_written("@training")],
    }


def _written(content: str) -> Config:
    return {"_target_": f"{_WORKFLOW}.write_json", "content": content, "file": "@output_file"}


def _paper(card: ModelCard) -> str:
    """The package of `cadnode_training.papers` that makes and measures such models."""
    return "detection" if card.system is None else card.system.value
