"""`cadnode train detection`: the learned filter of microcalcification candidates."""

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console

from cadnode.errors import DataError
from cadnode.models.detector import DetectorConfig
from training.data import mini_mias, pisa_calcifications
from training.papers.detection import export, samples
from training.papers.detection.export import Origin
from training.papers.detection.fitting import Schedule, fit
from training.papers.detection.samples import Samples
from training.papers.detection.validation import cross_validated, mias_froc

KINDS: Final = f"phantom:N, {mini_mias.NAME}:PATH or {pisa_calcifications.NAME}:PATH"
# `phantom:small`, as in the other trainings: enough to see that everything works.
_SMALL: Final = 400
_ROUNDS: Final = 4
_BANK: Final = 3


def run(
    data: Sequence[str],
    out: Path,
    *,
    epochs: int | None = None,
    schedule: Schedule | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train on all of the data, measure by women left out, write `out/NAME/VERSION`.

    Parameters
    ----------
    data
        `mini-mias:PATH` (candidates of real film, and clusters drawn into it),
        `pisa-calcifications:PATH`, `phantom:N` regions; several are taken together.
    out
        Folder for the model.
    epochs, schedule
        How often the schedule's number of candidates is passed; or the whole schedule.
    seed, quiet
        Seed of everything; no progress.

    Raises
    ------
    DataError
        A folder is not what it should be, or there are no candidates of both classes.
    """
    config = DetectorConfig()
    schedule = schedule or (Schedule(epochs=epochs) if epochs else Schedule())
    console = Console(stderr=True, quiet=quiet)
    parts = []
    for text in data:
        parts.append(candidates(text, config, seed))
        console.print(f"{text.partition(':')[0]}: {len(parts[-1])} candidates")
    found = samples.joined(parts)
    if len(set(found.labels.tolist())) < 2:
        raise DataError("there are no candidates with and without calcifications to learn from")
    held_out = cross_validated(found, config, schedule, seed, quiet=quiet)
    network = fit(found, config, schedule, seed, quiet=quiet)
    origin = Origin(_command(data, out, epochs, seed), seed, datetime.now(UTC).date())
    card = export.card(config, found, held_out.logits, origin)
    folder = export.write(network, card, found, out)
    result = {"folder": str(folder), "metrics": [m.model_dump() for m in card.metrics]}
    for text in data:
        if text.startswith(f"{mini_mias.NAME}:"):
            views = mini_mias.read(Path(text.partition(":")[2]).expanduser())
            result["froc_by_women_left_out"] = mias_froc(views, held_out, card)
    return {"models": [result]}


def candidates(text: str, config: DetectorConfig, seed: int) -> Samples:
    """The candidates of `KIND:PATH`.

    Raises
    ------
    DataError
        The kind is unknown, or the folder is not of that kind.
    """
    kind, _, where = text.partition(":")
    rng = np.random.default_rng([seed, 11])
    if kind == mini_mias.NAME and where:
        views = mini_mias.read(Path(where).expanduser())
        return samples.joined(list(samples.mias_samples(views, config, rng, rounds=_ROUNDS)))
    if kind == pisa_calcifications.NAME and where:
        rois = pisa_calcifications.read(Path(where).expanduser())
        return samples.joined(list(samples.pisa_samples(rois, config)))
    if kind == "phantom" and (where == "small" or (where.isdigit() and int(where) >= 8)):
        count = _SMALL if where == "small" else int(where)
        return samples.joined(list(samples.phantom_samples(count, config, rng, bank=_BANK + seed)))
    raise DataError(f"--data must be {KINDS} (N of 8 or more), not {text!r}")


def _command(data: Sequence[str], out: Path, epochs: int | None, seed: int) -> str:
    """The command line, with the folders' names alone."""
    words = ["cadnode", "train", "detection"]
    for text in data:
        kind, _, path = text.partition(":")
        words += ["--data", f"{kind}:{Path(path).name}"]
    words += ["--out", out.name, "--seed", str(seed)]
    words += ["--epochs", str(epochs)] if epochs else []
    return shlex.join(words)
