"""`cadnode evaluate kang2021|helsinki_dtl`: how well the served networks read ROIs they never saw.

ROIs are read exactly as the node reads them: cut from an image by the card's `RoiSpec`, by the
packaged model's own `RoiModel`, in float32; several networks are averaged as the node does.
Phantom ROIs are read here, those of real images in `real_evaluate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cadnode import terminal
from cadnode.domain import YOUDEN, FindingKind, System
from cadnode.errors import ModelError
from cadnode.imaging.roi_chain import Roi, RoiSpec, cut
from cadnode.models import ensemble, store
from cadnode.models.card import CnnCard
from cadnode.models.loading import load
from cadnode.models.roi import RoiModel
from cadnode.terminal import styled
from cadnode_training import phantom
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.data.regions import is_source
from cadnode_training.data.rois import RoiRecord
from cadnode_training.data.sets import phantom_rois
from cadnode_training.data.sets.phantom_rois import PhantomSource
from cadnode_training.papers.roi_cnn import real_evaluate, saliency
from cadnode_training.papers.roi_cnn.measure import Floats, numbers
from cadnode_training.statistics.grouped import shown

PEAKS: Final = 200
_BATCH: Final = 4


@dataclass(frozen=True, eq=False, slots=True)
class RoiRead:
    """A test ROI, and each network's probability: `probabilities` is `(networks,)`."""

    record: RoiRecord
    probabilities: Floats


def run(
    system: System,
    data: str,
    model: Path | None = None,
    *,
    operating_point: str = YOUDEN,
    peaks: int = PEAKS,
    cache: ReadCache | None = None,
) -> dict[str, Any]:
    """Numbers of a model, or of the mean of all packaged ones of a system.

    Of a phantom its test part is read, whose seeds and breasts no training ever sees; of real
    data the regions with calcifications of all women whom no model has seen.

    Parameters
    ----------
    system
        `kang2021` or `helsinki_dtl`.
    data
        `phantom:…`, or `KIND:PATH` of `cadnode_training.data.sources`.
    model
        Folder with `card.json`; all packaged networks of the system by default.
    operating_point
        As `Roc.at` takes it, for a single network.
    peaks
        Of how many phantom ROIs, cut with the lesion off-centre, the map's peak is checked.
    cache
        What this command has read already; it is added to.

    Raises
    ------
    DataError, ModelError, SettingsError
        The data or the model are not what they should be.
    """
    folders = [model] if model else packaged(system)
    models = _models(system, folders, operating_point)
    if is_source(data):
        return _with_models(real_evaluate.run(models, folders, data, cache), models)
    return _with_models(_on_phantom(models, data, peaks, cache), models)


def _on_phantom(
    models: Sequence[RoiModel], data: str, peaks: int, cache: ReadCache | None
) -> dict[str, Any]:
    """Numbers on a phantom's test part, beside those of the best possible reader."""
    source = phantom_rois.parse(data, only_test=True)
    reads = read_rois(models, source, cache)
    records = [r.record for r in reads]
    each = np.stack([r.probabilities for r in reads])
    point = ensemble.operating_point([m.card for m in models], models[0].choice)
    best = round(phantom.bayes_auc(FindingKind.CALCIFICATION_CLUSTER), 4)
    head = {"data": source.name, "part": "test", "best_auc_of_any_reader": best}
    result = head | numbers(records, each.mean(1), threshold=point.threshold)
    seen = min(peaks, source.count("test"))
    if seen:
        result["map_peaks"] = {m.card.name: saliency.measure(m, source, count=seen) for m in models}
    if len(models) > 1:
        result["members"] = {
            m.card.name: numbers(records, each[:, i], threshold=m.operating_point.threshold)
            for i, m in enumerate(models)
        }
    return result


def _with_models(result: dict[str, Any], models: Sequence[RoiModel]) -> dict[str, Any]:
    named = [{"name": m.card.name, "version": m.card.version, "sha256": m.sha256} for m in models]
    return {"data": result["data"], "part": result["part"], "models": named} | result


def show(console: Console, result: dict[str, Any]) -> None:
    """Print the numbers as a table."""
    names = ", ".join(f"{m['name']} {m['version']}" for m in result["models"])
    auc, ci = shown(result)
    console.print(
        styled("[bold]AUC {}[/] (95 % CI {}), ", auc, ci)
        + f"{result['n_pos']} against {result['n_neg']} {result['unit']}: {names}\n"
        + str(result["contrast"])
    )
    if result.get("share_of_best") is not None:
        console.print(
            f"The best reader there is reaches {result['best_auc_on_these']:.3f} on these; share "
            f"of its distance from guessing: {result['share_of_best']:.0%}"
        )
    if result.get("message"):
        console.print(styled("[bold]{}[/]", result["message"]))
    for reason, n in result.get("left_out", {}).items():
        console.print(f"left out: {n} × {reason}", highlight=False)
    table = Table("stratum", "", "AUC", "95 % CI", "positive", "negative")
    for name, rows in result.items():
        for row in rows if name.startswith("by_") else ():
            table.add_row(
                name[3:].replace("_", " "), row["stratum"], *shown(row), str(row["n_pos"]),
                str(row["n_neg"]),
            )  # fmt: skip
    if table.row_count:
        console.print(table)
    for name, peaks in result.get("map_peaks", {}).items():
        row = peaks["rightly_read"]["in_box"]
        console.print(f"{name}: map highest on the lesion in {row['hits']} of {row['n']} ROIs that "
                      "were read rightly")  # fmt: skip


def _models(system: System, folders: Sequence[Path], operating_point: str) -> list[RoiModel]:
    """The models that are measured."""
    if not folders:
        raise ModelError(f"no packaged network of {system.value}; give one with --model")
    models = []
    for one in folders:
        model = load(one, "auto", operating_point=operating_point)
        if not isinstance(model, RoiModel):
            raise ModelError(f"{model.card.name} reads no regions of interest")
        models.append(model)
    return models


def packaged(system: System) -> list[Path]:
    """Folders of the packaged networks of a system."""
    cards = [(folder, store.read_card(folder)) for folder in store.available()]
    return [f for f, card in cards if isinstance(card, CnnCard) and card.system == system]


def read_rois(
    models: Sequence[RoiModel], source: PhantomSource, cache: ReadCache | None = None
) -> list[RoiRead]:
    """Every ROI of the source's test part, as each model reads it."""
    shas = tuple(model.sha256 for model in models)
    known = (cache or ReadCache()).of(("phantom", source, shas))
    if not known:
        known["reads"] = _read_rois(models, source)
    return list(known["reads"])


def _read_rois(models: Sequence[RoiModel], source: PhantomSource) -> list[RoiRead]:
    reads: list[RoiRead] = []
    total = source.count("test")
    console = terminal.console(stderr=True)
    firsts = range(0, total, _BATCH)
    for first in track(firsts, "reading", console=console, disable=not console.is_terminal):
        drawn = [
            phantom_rois.draw(source, "test", n, size=size_for(models), spacing_mm=pitch(models))
            for n in range(first, min(first + _BATCH, total))
        ]
        columns = []
        for model in models:
            rois = [region(d.image, pitch(models), model.card.roi) for d in drawn]
            columns.append([r.probability for r in model.read(rois, cam=False)])
        rows = np.array(columns, np.float64).T
        reads += [RoiRead(d.record, row) for d, row in zip(drawn, rows, strict=True)]
    return reads


def pitch(models: Sequence[RoiModel]) -> float:
    """Pixel size in mm at which the phantom is drawn: the finest that a model wants."""
    return min(m.card.roi.spacing_mm for m in models)


def size_for(models: Sequence[RoiModel]) -> int:
    """Side in such pixels of the largest region that a model wants."""
    return max(round(m.card.roi.size * m.card.roi.spacing_mm / pitch(models)) for m in models)


def region(image: np.ndarray[Any, Any], spacing_mm: float, spec: RoiSpec) -> Roi:
    """The middle of a drawn image as the node cuts it."""
    middle = (image.shape[0] / 2, image.shape[1] / 2)
    return cut(image, middle, (spacing_mm, spacing_mm), spec)
