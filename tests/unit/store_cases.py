"""Small models of every kind, written as training writes them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from cadnode.detect.features import FEATURE_NAMES
from cadnode.domain import System
from cadnode.models import store
from cadnode.models.card import CnnCard, DetectorCard, FeatureCard
from cadnode.networks.autoencoder import StackedAutoencoder, StackedAutoencoderConfig
from cadnode.networks.cnn import CnnConfig, network
from cadnode.networks.dib_mg import DibMg
from cadnode.networks.patch_filter import CandidateFilter, DetectorConfig
from cadnode.registry.history import ChangeAuthor
from tests.unit import model_cases, roi_cases

SPLIT = {"train": ["a"], "validation": ["b"]}
ANNA = ChangeAuthor("anna", datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC))


def made(root: Path, version: str = "0.0.1", *, seed: int = 0, **changes: Any) -> Path:
    """Folder `root/NAME/VERSION` of a tiny model that reads views; weights follow the seed."""
    torch.manual_seed(seed)
    card = model_cases.card().model_copy(update={"version": version, **changes})
    folder = root / card.name / version
    store.save(folder, card, DibMg(card.architecture).state_dict(), SPLIT)
    return folder


def made_cnn(root: Path) -> Path:
    """The smallest of the six architectures, int8, with small regions; every weight is 0."""
    config = CnnConfig.model_validate({"name": "densenet201"})
    card = CnnCard.model_validate(
        {**roi_cases.card().model_dump(), "architecture": config, "stored_as": "int8"}
    )
    with torch.device("meta"):
        shapes = network(config).state_dict()
    state = {k: torch.zeros(t.shape, dtype=t.dtype) for k, t in shapes.items()}
    folder = root / card.name / card.version
    store.save(folder, card, state, SPLIT)
    return folder


def made_features(root: Path, names: tuple[str, ...] | None = None) -> Path:
    """An autoencoder on two features, no classifiers beside it."""
    torch.manual_seed(0)
    config = StackedAutoencoderConfig(inputs=2, hidden=(4,))
    card = FeatureCard.model_validate(
        {
            **common(),
            "name": "toy-features",
            "system": System.WANG2016,
            "scenario": "masses",
            "features": names or FEATURE_NAMES["masses"][:2],
            "architecture": config,
            "beside": (),
        }
    )
    state = {f"sae.{k}": v for k, v in StackedAutoencoder(config).state_dict().items()}
    state |= {"scaler.unit": torch.ones(2), "scaler.low": torch.zeros(2)}
    folder = root / card.name / card.version
    store.save(folder, card, {**state, "scaler.high": torch.ones(2)}, SPLIT)
    return folder


def made_detector(root: Path) -> Path:
    """A filter with two stages and three statistics."""
    torch.manual_seed(0)
    config = DetectorConfig(patch=16, widths=(4, 4), statistics=3)
    card = DetectorCard.model_validate(
        {
            **common(),
            "name": "toy-detector",
            "system": None,
            "architecture": config,
            "mark_at": 0.5,
        }
    )
    folder = root / card.name / card.version
    store.save(folder, card, CandidateFilter(config).state_dict(), SPLIT)
    return folder


def common() -> dict[str, Any]:
    """What cards of all kinds say."""
    of_views = {"kind", "architecture", "preprocess", "hot_region", "breast"}
    return {k: v for k, v in model_cases.card().model_dump().items() if k not in of_views}
