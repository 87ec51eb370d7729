"""Models on disk: a folder with `card.json`, `model.safetensors` and `split.json`.

A store holds such folders as `NAME/VERSION`. Weights that several of its cards share are kept
once: a folder without `model.safetensors` refers, by its card's sha256, to
`blobs/<sha256>.safetensors` of the same store.

Weights are safetensors, never pickles: no code runs from a weights file.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from torch import Tensor

from cadnode.errors import ModelError
from cadnode.models.card import CARDS, ModelCard
from cadnode.models.weights import pack, unpack

PACKAGED = Path(__file__).parents[1] / "weights"
CARD, WEIGHTS, SPLIT = "card.json", "model.safetensors", "split.json"
BLOBS: Final = "blobs"
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")


def folders(root: Path) -> list[Path]:
    """Folders of all models in a store, by name and rising version; of none where it is missing."""
    found = [
        card.parent for card in root.glob(f"*/*/{CARD}") if _VERSION.fullmatch(card.parent.name)
    ]
    return sorted(found, key=lambda folder: (folder.parent.name, version_key(folder.name)))


def available(root: Path = PACKAGED) -> list[Path]:
    """Folders of the packaged models, the newest version of each name, by name."""
    return list({folder.parent.name: folder for folder in folders(root)}.values())


def version_key(version: str) -> tuple[int, ...]:
    """What versions are ordered by: 0.10.0 is newer than 0.9.0."""
    return tuple(int(part) for part in version.split("."))


def blob(root: Path, sha256: str) -> Path:
    """Where a store keeps weights that no folder holds itself."""
    return root / BLOBS / f"{sha256}.safetensors"


def weights_file(folder: Path, sha256: str) -> Path:
    """The file with the weights of a model's folder.

    Raises
    ------
    ModelError
        It is missing.
    """
    shared = blob(folder.absolute().parent.parent, sha256)
    for file in (folder / WEIGHTS, shared):
        if file.is_file():
            return file
    raise ModelError(f"there is no {WEIGHTS} in {folder}, nor {BLOBS}/{shared.name} in its store")


def read_card(folder: Path) -> ModelCard:
    """The card of a model's folder.

    Raises
    ------
    ModelError
        There is no card, or it is not valid.
    """
    try:
        return CARDS.validate_json((folder / CARD).read_bytes())
    except FileNotFoundError:
        raise ModelError(f"there is no {CARD} in {folder}") from None
    except OSError as error:
        raise ModelError(f"the {CARD} in {folder} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, e["loc"])) for e in error.errors()[:5])
        raise ModelError(f"the model card in {folder} is not valid: {keys}") from None


def read_packed(folder: Path) -> tuple[ModelCard, bytes]:
    """The card of a model's folder and its weights as the file holds them (`weights.unpack`).

    Raises
    ------
    ModelError
        Card or weights are missing or damaged, or the weights are not those the card was
        written for.
    """
    card = read_card(folder)
    content = weights_file(folder, card.weights_sha256).read_bytes()
    if hashlib.sha256(content).hexdigest() != card.weights_sha256:
        raise ModelError(f"the weights in {folder} are not those of its card (sha256 differs)")
    return card, content


def read_weights(folder: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    """The card of a model's folder and its weights, as floating point tensors by name.

    Raises
    ------
    ModelError
        As `read_packed`, or the weights are no safetensors.
    """
    card, content = read_packed(folder)
    return card, unpack(content)


def seen_women(folder: Path) -> frozenset[str]:
    """Keys (see `woman_key`) of the women in the model's training and validation parts.

    Women whom the training kept out of every part (`excluded`) count as seen.

    Raises
    ------
    ModelError
        The list is missing or not valid.
    """
    return frozenset(key for keys in read_split(folder).values() for key in keys)


def seen_by_all(folder: Path) -> frozenset[str]:
    """As `seen_women`, without those of a fold, whom one of the model's networks has not seen.

    Raises
    ------
    ModelError
        The list is missing or not valid.
    """
    return seen_women(folder).difference(*read_folds(folder))


def read_split(folder: Path) -> dict[str, list[str]]:
    """Keys of a model's women by part: `train`, `validation`, and `excluded` where it has them.

    Raises
    ------
    ModelError
        The list is missing or not valid.
    """
    try:
        parts = json.loads((folder / SPLIT).read_text())
        named = ["train", "validation", *(["excluded"] if "excluded" in parts else [])]
        return {part: [*map(str, parts[part])] for part in named}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError(f"{folder} has no valid {SPLIT}") from None


def read_folds(folder: Path) -> tuple[frozenset[str], ...]:
    """Keys of the women of each fold: its member has not seen them; () where there are none.

    Raises
    ------
    ModelError
        The list is missing or not valid.
    """
    try:
        parts = json.loads((folder / SPLIT).read_text())
        return tuple(frozenset(map(str, keys)) for keys in parts.get("folds", ()))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        raise ModelError(f"{folder} has no valid {SPLIT}") from None


def left_out_by(folds: Sequence[Collection[str]], *keys: str) -> int | None:
    """The member of a model that has not seen a woman, by any of her keys; None where all, or none.

    `folds` are those of `read_folds`.
    """
    members = (n for n, fold in enumerate(folds) if any(key in fold for key in keys))
    return next(members, None)


def woman_key(dataset: str, woman: str) -> str:
    """First 16 hexadecimal digits of sha256("dataset:woman"): no identifier is stored."""
    return hashlib.sha256(f"{dataset}:{woman}".encode()).hexdigest()[:16]


def save(
    folder: Path,
    card: ModelCard,
    state: Mapping[str, Tensor],
    split: Mapping[str, Sequence[object]],
) -> ModelCard:
    """Write a model's folder; returns the card with the weights' sha256.

    `state` are the weights by name; they are stored as the card's `stored_as` states, in the folder
    itself: it can be moved or zipped and is complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = pack(state, card.stored_as)
    card = card.model_copy(update={"weights_sha256": hashlib.sha256(weights).hexdigest()})
    (folder / WEIGHTS).write_bytes(weights)
    (folder / SPLIT).write_text(json.dumps(split, indent=0) + "\n")
    (folder / CARD).write_bytes(card_bytes(card))
    return card


def card_bytes(card: ModelCard) -> bytes:
    """A card as its file holds it."""
    return card.model_dump_json(indent=2).encode() + b"\n"
