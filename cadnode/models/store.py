"""Models on disk: a folder with `card.json`, `model.safetensors` and `split.json`.

Weights are safetensors, never pickles: no code runs from a weights file.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from cadnode.errors import ModelError
from cadnode.models.card import ModelCard
from cadnode.models.dib_mg import DibMg
from cadnode.models.scorer import LoadedModel

PACKAGED = Path(__file__).parents[1] / "weights"
CARD, WEIGHTS, SPLIT = "card.json", "model.safetensors", "split.json"


def available(root: Path = PACKAGED) -> list[Path]:
    """Folders of the packaged models, the newest version of each name, by name."""
    newest: dict[str, Path] = {}
    for card in root.glob(f"*/*/{CARD}"):
        name, folder = card.parent.parent.name, card.parent
        if name not in newest or _version(folder) > _version(newest[name]):
            newest[name] = folder
    return [newest[name] for name in sorted(newest)]


def read_card(folder: Path) -> ModelCard:
    """The card of a model's folder.

    Raises
    ------
    ModelError
        There is no card, or it is not valid.
    """
    try:
        return ModelCard.model_validate_json((folder / CARD).read_bytes())
    except FileNotFoundError:
        raise ModelError(f"there is no {CARD} in {folder}") from None
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, e["loc"])) for e in error.errors()[:5])
        raise ModelError(f"the model card in {folder} is not valid: {keys}") from None


def load(folder: Path, device: str = "cpu") -> LoadedModel:
    """The model of a folder, ready to score.

    Raises
    ------
    ModelError
        Card or weights are missing, the weights are not those the card was written for, or they
        do not fit the architecture.
    """
    card = read_card(folder)
    try:
        content = (folder / WEIGHTS).read_bytes()
    except FileNotFoundError:
        raise ModelError(f"there is no {WEIGHTS} in {folder}") from None
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != card.weights_sha256:
        raise ModelError(f"the weights in {folder} are not those of its card (sha256 differs)")
    return LoadedModel(card, _network(card, content), device)


def seen_women(folder: Path) -> frozenset[str]:
    """Keys (see `woman_key`) of the women in the model's training and validation parts.

    Women whom the training kept out of every part (`excluded`) count as seen.

    Raises
    ------
    ModelError
        The list is missing or not valid.
    """
    try:
        parts = json.loads((folder / SPLIT).read_text())
        excluded = frozenset(parts.get("excluded", ()))
        return frozenset(parts["train"]) | frozenset(parts["validation"]) | excluded
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{folder} has no valid {SPLIT}") from None


def woman_key(dataset: str, woman: str) -> str:
    """First 16 hexadecimal digits of sha256("dataset:woman"): no identifier is stored."""
    return hashlib.sha256(f"{dataset}:{woman}".encode()).hexdigest()[:16]


def save(
    folder: Path, card: ModelCard, network: DibMg, split: Mapping[str, list[str]]
) -> ModelCard:
    """Write a model's folder; returns the card with the weights' sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = weights_bytes(network)
    card = card.model_copy(update={"weights_sha256": hashlib.sha256(weights).hexdigest()})
    (folder / WEIGHTS).write_bytes(weights)
    (folder / SPLIT).write_text(json.dumps(split, indent=0) + "\n")
    (folder / CARD).write_text(card.model_dump_json(indent=2) + "\n")
    return card


def weights_bytes(network: DibMg) -> bytes:
    """The network's parameters and statistics as safetensors, float32."""
    state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    return bytes(save_tensors(state))


def _network(card: ModelCard, content: bytes) -> DibMg:
    network = DibMg(card.architecture)
    try:
        state: dict[str, Any] = load_tensors(content)
        network.load_state_dict(state)
    except (SafetensorError, RuntimeError, ValueError):
        raise ModelError(f"the weights of {card.name} do not fit its architecture") from None
    return network.eval().to(memory_format=torch.channels_last)


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.name.split(".") if part.isdigit())
