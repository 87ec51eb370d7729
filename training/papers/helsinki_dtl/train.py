"""`cadnode train helsinki_dtl`: how ResNeXt-50 is trained, through three stages."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cadnode_training.engine.machine import Machine
from cadnode_training.engine.preview import Preview
from cadnode_training.papers.helsinki_dtl.config import PROTOCOL
from cadnode_training.papers.roi_cnn import preview as previews
from cadnode_training.papers.roi_cnn import train


def run(data: Sequence[str], out: Path, **options: Any) -> dict[str, Any]:
    """Train and write a model folder for each member; `options` of `roi_cnn.train.run`."""
    return train.run(PROTOCOL, data, out, **options)


def preview(
    data: Sequence[str], out: Path, *, machine: Machine | None = None, **options: Any
) -> Preview:
    """What `run` would do; `options` of `roi_cnn.preview.preview`."""
    return previews.preview(PROTOCOL, data, out, machine=machine, **options)
