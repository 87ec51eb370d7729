"""A model's folder becomes a MONAI bundle.

Source: MONAI Bundle Specification, section "Directory Structure".
Deviation: `models/model.safetensors` in place of `models/model.pt`, because a pickle runs code when
it is read. `models` is a model folder of cadnode, so that a bundle can be added to a node.
"""

import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cadnode.errors import ModelError, SettingsError
from cadnode.export import configs
from cadnode.export.metadata import TASKS, metadata
from cadnode.export.networks import network_of
from cadnode.export.schema import SCHEMA
from cadnode.models import store
from cadnode.models.card import CnnCard, DetectorCard, FeatureCard, ModelCard
from cadnode.registry import parcel

Finish = Callable[[Path], object]
_RUN = "python -m monai.bundle run --meta_file configs/metadata.json --config_file configs/"


def readme(card: ModelCard) -> str:
    """Markdown: what the model is, what it was measured to do, its limits, how it is run."""
    return "\n\n".join(
        [
            f"# {card.name} {card.version}",
            f"{TASKS[card.kind]}. {card.algorithm}.",
            f"> {card.intended_use}",
            "## Limits\n\n" + "\n".join(f"- {limit}" for limit in card.limits),
            "## Measured\n\n" + _metrics(card),
            f"## Data\n\n{card.training_data}\n\nSplit: {card.split}.",
            f"Calibrated on: {card.calibration.fitted_on}; share of malignant cases there: "
            f"{card.calibration.prevalence:g}.",
            "## Use\n\n" + _use(card),
            f"## Reference\n\n{card.paper}.",
            f"## Licence\n\n{card.licence}.\n",
        ]
    )


def data_licence(card: ModelCard) -> str:
    """The terms of the data that the weights saw, a line each."""
    return "".join(f"{s.name}: {s.terms}\n" for s in card.training_sets) or "none\n"


def _metrics(card: ModelCard) -> str:
    head = "| what | AUC | 95 % | positive | negative | contrast |\n|---|---|---|---|---|---|"
    rows = [
        f"| {m.name} ({m.data}) | {m.auc:.3f} | {m.auc_ci[0]:.3f}–{m.auc_ci[1]:.3f} "
        f"| {m.n_pos} | {m.n_neg} | {m.contrast} |"
        for m in card.metrics
    ]
    return "\n".join([head, *rows]) if rows else "Nothing was measured."


def _use(card: ModelCard) -> str:
    """The commands, run in the bundle's folder."""
    marks = ""
    if isinstance(card, CnnCard | FeatureCard):
        marks = (
            "Regions that people marked and those that the detector finds are read; further ones "
            "are named with `--rois \"['RCC:1200,800,1700,1300']\"` (row, column, row, column).\n\n"
        )
    return (
        "In this folder, with `pip install 'cadnode[export,train]'`:\n\n"
        "```\n"
        f"{_RUN}inference.json --dataset_dir DICOM_FOLDER --output_file scores.json\n"
        f"{_RUN}evaluate.json --data KIND:PATH\n"
        f"{_RUN}train.json --data \"['KIND:PATH']\" --output_dir trained\n"
        "python -m monai.bundle verify_metadata --meta_file configs/metadata.json "
        "--filepath configs/metadata.schema.json\n"
        "```\n\n"
        f"{marks}"
        "The scores are those of `cadnode read`: the same code computes them. The weights are "
        "safetensors; this bundle holds no pickle. `cadnode models add .` puts the model into a "
        "node."
    )


METADATA: Final = "configs/metadata.json"
SCHEMA_FILE: Final = "configs/metadata.schema.json"
MODELS: Final = "models"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A written bundle, and the card of its model."""

    folder: Path
    card: ModelCard


def write(
    folder: Path, out: Path, detector: Path | None = None, finish: Finish = lambda made: None
) -> Bundle:
    """The bundle of a model's folder, written to `out`, whole or not at all.

    Parameters
    ----------
    folder
        With `card.json`, weights and `split.json`.
    out
        Must be empty or not be there.
    detector
        Folder of the detector that looks for regions; CNNs and autoencoders take it along.
    finish
        What is done last to the bundle, before it is at its place: it is signed.

    Raises
    ------
    ModelError
        The model or the detector is damaged or of the wrong kind.
    SettingsError
        `out` holds something.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"{out} holds something already: give a folder that is empty or new")
    card, state = store.read_weights(folder)
    taken = detector if isinstance(card, CnnCard | FeatureCard) else None
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bundle-", dir=out.parent) as name:
        made = Path(name) / out.name
        _copy(folder, made / MODELS)
        if taken is not None:
            _copy_detector(taken, made / MODELS / configs.DETECTOR)
        _json(made / METADATA, metadata(card, network_of(card, state)))
        _json(made / SCHEMA_FILE, SCHEMA)
        _json(made / "configs/inference.json", configs.inference(card, detector=bool(taken)))
        _json(made / "configs/evaluate.json", configs.evaluate(card))
        _json(made / "configs/train.json", configs.train(card))
        _text(made / "docs/README.md", readme(card))
        _text(made / "docs/data_license.txt", data_licence(card))
        _text(made / "LICENSE", _licence(card))
        finish(made)
        if out.exists():
            out.rmdir()
        made.rename(out)
    return Bundle(out, card)


def write_zip(folder: Path, file: Path, finish: Finish = lambda made: None) -> None:
    """A zip file with a model's folder as NAME/VERSION, for `cadnode models add`.

    A signature of the folder does not go along: the files are as they are here, and whoever hands
    them on signs them, by `finish`, before the zip file is made of them.

    Raises
    ------
    ModelError
        The model is damaged.
    SettingsError
        The file cannot be written.
    """
    card, _ = store.read_weights(folder)
    with tempfile.TemporaryDirectory(prefix="cadnode-export-") as name:
        _copy(folder, Path(name) / card.name / card.version)
        finish(Path(name))
        try:
            parcel.write(Path(name), file)
        except OSError as error:
            raise SettingsError(f"{file} cannot be written: {error.strerror}") from None


def _copy(folder: Path, to: Path) -> None:
    """A model's folder, complete in itself: shared weights become its own."""
    card = store.read_card(folder)
    store.seen_women(folder)
    to.mkdir(parents=True)
    shutil.copyfile(store.weights_file(folder, card.weights_sha256), to / store.WEIGHTS)
    for name in (store.CARD, store.SPLIT):
        shutil.copyfile(folder / name, to / name)


def _copy_detector(folder: Path, to: Path) -> None:
    card, _ = store.read_weights(folder)
    if not isinstance(card, DetectorCard):
        raise ModelError(f"{card.name} is no detector: its kind is {card.kind}")
    _copy(folder, to)


def _licence(card: ModelCard) -> str:
    """The card's licence, and the text of the one that cadnode includes."""
    files = importlib.metadata.files("cadnode") or []
    texts = [Path(str(f.locate())) for f in files if f.name == "LICENSE"]
    text = next((t.read_text() for t in texts if t.is_file()), "")
    source = text or "The text of Apache-2.0: https://www.apache.org/licenses/LICENSE-2.0\n"
    return f"{card.name} {card.version}: {card.licence}\n\n{source}"


def _json(file: Path, content: Any) -> None:
    _text(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _text(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")
