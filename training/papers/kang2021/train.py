"""`cadnode train kang2021`: the five CNNs, or some of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.papers.kang2021.config import PROTOCOL
from training.papers.roi_cnn import train


def run(
    data: Sequence[str],
    out: Path,
    *,
    config: Path | None = None,
    members: Sequence[str] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    resume: bool = False,
    init: Path | None = None,
    cache: Path | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train and write a model folder for each member; see `roi_cnn.train.run`."""
    return train.run(
        PROTOCOL, data, out, config=config, members=members, epochs=epochs, seed=seed,
        resume=resume, init=init, cache=cache, quiet=quiet,
    )  # fmt: skip
