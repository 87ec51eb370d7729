"""`cadnode evaluate helsinki_dtl`: how well the served networks read ROIs they never saw."""

from pathlib import Path
from typing import Any

from cadnode.domain import YOUDEN, System
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.papers.roi_cnn import evaluate

show = evaluate.show


def run(
    data: str,
    *,
    model: Path | None = None,
    operating_point: str = YOUDEN,
    peaks: int = evaluate.PEAKS,
    cache: ReadCache | None = None,
) -> dict[str, Any]:
    """Numbers of a model, or of the mean of the packaged ones; see `roi_cnn.evaluate.run`."""
    return evaluate.run(
        System.HELSINKI_DTL, data, model, operating_point=operating_point, peaks=peaks, cache=cache
    )
