"""A model's network as an ONNX file that answers as the model does, or none at all.

Source: ONNX specification 1.16, operator set 20; the file's metadata are its `metadata_props`.
"""

import hashlib
import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from cadnode import __version__, extras
from cadnode.errors import ModelError
from cadnode.export.examples import OnnxModel, random_inputs, real_inputs
from cadnode.export.networks import graph_of
from cadnode.export.onnx_check import OnnxDifference, difference
from cadnode.files import sync_folder, write_whole
from cadnode.models import store
from cadnode.models.card import CnnCard, DibMgCard, FeatureCard, ModelCard
from cadnode.models.detector import Detector
from cadnode.models.loading import assemble
from cadnode.models.mass_finder import MassFinder

TOLERANCE: Final = 1e-4
OPSET: Final = 20
_RANDOM: Final = 4
_NEEDED: Final = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """A written file, the report beside it, and how far it is from the model."""

    file: Path
    report: Path
    card: ModelCard
    differences: tuple[OnnxDifference, ...]


def write(
    folder: Path,
    file: Path,
    *,
    images: Sequence[Path] = (),
    detector: Detector | None = None,
    tolerance: float = TOLERANCE,
) -> OnnxFile:
    """The ONNX file of a model's folder, and `FILE.json` that states how it was checked.

    However the writing ends, an existing report belongs to the file beside it.

    Parameters
    ----------
    folder
        With `card.json` and weights.
    file
        To be written; an existing one is replaced only by a file that passed.
    images
        Folders with DICOM images to check on, beside random inputs.
    detector
        Looks for regions in the images.
    tolerance
        The largest difference of a probability that is let pass.

    Raises
    ------
    ModelError
        The model is damaged or has no ONNX file, or the file answers otherwise than the model:
        nothing is left of it.
    MissingExtra
        The extra `export` is not installed.
    """
    extras.need("export", "an ONNX file")
    card, state = store.read_weights(folder)
    graph, model = graph_of(card, state), assemble(card, state)
    if isinstance(model, Detector | MassFinder):  # `graph_of` has refused it
        raise ModelError(f"{card.name} has no ONNX file")
    file.parent.mkdir(parents=True, exist_ok=True)
    report = file.with_name(f"{file.name}.json")
    with tempfile.TemporaryDirectory(prefix=".onnx-", dir=file.parent) as name:
        made, checked = Path(name) / "model.onnx", Path(name) / "report.json"
        _convert(graph, model, made, _facts(card, folder))
        differences = _checked(model, made, images, detector)
        _refuse(card, differences, tolerance)
        write_whole(checked, _report(made, card, differences, tolerance))
        # Two names cannot change at once: in between there is no report, never another file's.
        report.unlink(missing_ok=True)
        made.replace(file)
        checked.replace(report)
        sync_folder(file.parent)
    return OnnxFile(file, report, card, differences)


def _convert(graph: nn.Module, model: OnnxModel, file: Path, facts: Mapping[str, str]) -> None:
    names: Mapping[type, tuple[str, list[str]]] = {
        DibMgCard: ("views", ["logit_map", "logit", "probability"]),
        CnnCard: ("regions", ["logits", "log_odds", "probability"]),
        FeatureCard: ("features", ["logits", "log_odds", "probability"]),
    }
    entry, outputs = names[type(model.card)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, on its own deprecations
        try:
            program = torch.onnx.export(
                graph,
                (random_inputs(model, 2),),
                input_names=[entry],
                output_names=outputs,
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                external_data=False,
                verbose=False,
            )
        except RuntimeError:  # torch.onnx.OnnxExporterError is one
            program = None
    if program is None:
        raise ModelError(f"{model.card.name} could not be converted to ONNX")
    program.model.metadata_props.update(facts)
    program.save(str(file), external_data=False)


def _facts(card: ModelCard, folder: Path) -> dict[str, str]:
    """What a user of the file must know, as the file's metadata."""
    spec: Any
    if isinstance(card, DibMgCard):
        spec, classes = card.preprocess.model_dump(mode="json"), ["cancer", "normal"]
    elif isinstance(card, CnnCard):
        spec, classes = card.roi.model_dump(mode="json"), list(card.architecture.classes)
    else:
        names = card.features if isinstance(card, FeatureCard) else ()
        spec, classes = {"features": list(names)}, ["benign", "malignant"]
    return {
        "name": card.name,
        "version": card.version,
        "kind": card.kind,
        "card_sha256": hashlib.sha256((folder / store.CARD).read_bytes()).hexdigest(),
        "weights_sha256": card.weights_sha256,
        "preprocessing": json.dumps(spec),
        "classes": json.dumps(classes),
        "applies_to": json.dumps(list(card.applies_to)),
        "intended_use": card.intended_use,
        "licence": card.licence,
    }


def _checked(
    model: OnnxModel, file: Path, images: Sequence[Path], detector: Detector | None
) -> tuple[OnnxDifference, ...]:
    found = [difference(model, file, random_inputs(model, _RANDOM), "random")]
    real = [real_inputs(model, folder, detector) for folder in images]
    taken = [inputs for inputs in real if inputs is not None]
    if taken:
        found.append(difference(model, file, torch.cat(taken), "real"))
    return tuple(found)


def _refuse(card: ModelCard, differences: Sequence[OnnxDifference], tolerance: float) -> None:
    worst = max(d.probability for d in differences)
    if not worst <= tolerance:
        raise ModelError(
            f"the ONNX file of {card.name} was refused: a probability differs by {worst:.2g}, and "
            f"{tolerance:g} is the most; nothing was written"
        )


def _report(
    made: Path, card: ModelCard, differences: Sequence[OnnxDifference], tolerance: float
) -> bytes:
    """How far the file is from the model, as JSON."""
    content = {
        "schema_version": 1,
        "model": {"name": card.name, "version": card.version, "sha256": card.weights_sha256},
        "onnx_sha256": hashlib.sha256(made.read_bytes()).hexdigest(),
        "opset": OPSET,
        "tolerance": tolerance,
        "max_difference": [asdict(d) for d in differences],
        "made_with": {
            "cadnode": __version__,
            **{name: version(name) for name in ("torch", *_NEEDED)},
        },
    }
    return (json.dumps(content, indent=2) + "\n").encode()
