"""Which model is to be exported: a folder, a training's run, or a name in the node's stores."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cadnode.errors import ModelError, SettingsError
from cadnode.models import store
from cadnode.models.card import DetectorCard
from cadnode.registry import parcel

# What a training leaves while it is not at its end.
_UNFINISHED: Final = ("last.pt", "history.jsonl", "run.json")


def model_folder(path: Path) -> Path:
    """The folder of the only model in a model's folder, a bundle, or a training's run.

    Raises
    ------
    SettingsError
        There is no such folder, or it holds several models.
    ModelError
        A file of the model is missing; the message names it.
    """
    if not path.is_dir():
        raise SettingsError(f"there is no folder {path}")
    found = _models(path)
    if len(found) > 1:
        named = ", ".join(str(folder) for folder in found)
        raise SettingsError(f"{path} holds several models; name one of them: {named}")
    (folder,) = found
    if not (folder / store.SPLIT).is_file():
        raise ModelError(f"{folder} lacks {store.SPLIT}, the list of women that training writes")
    store.weights_file(folder, store.read_card(folder).weights_sha256)
    return folder


def _models(path: Path) -> list[Path]:
    try:
        return list(parcel.models_in(path, path))
    except ModelError as error:
        raise ModelError(_lacks(path) or str(error)) from None


def _lacks(path: Path) -> str:
    """Which file a folder without a card lacks; "" where it does not show what it is."""
    if (path / store.WEIGHTS).is_file():
        return f"{path} has {store.WEIGHTS}, but lacks {store.CARD}"
    there = [name for name in _UNFINISHED if next(path.rglob(name), None) is not None]
    if not there:
        return ""
    return (
        f"the training in {path} is not at its end: it has {', '.join(there)}, but lacks "
        f"NAME/VERSION/{store.CARD} and {store.WEIGHTS}, which are written last; "
        "`cadnode train … --resume` goes on"
    )


def detector_among(folders: Iterable[Path]) -> Path | None:
    """The first folder with a detector's card; None without one."""
    return next((f for f in folders if isinstance(store.read_card(f), DetectorCard)), None)
