"""Inputs that an ONNX file is checked on: random ones, and those of real images."""

from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from cadnode.detect.features import features_of
from cadnode.domain import FloatImage
from cadnode.errors import NotProcessable
from cadnode.export import cases
from cadnode.export.readers import RegionReader
from cadnode.models.detector import Detector
from cadnode.models.feature import FeatureModel
from cadnode.models.roi import RoiModel
from cadnode.models.view import ViewModel
from cadnode.reading.views import load_view

OnnxModel = ViewModel | RoiModel | FeatureModel
_SEED: Final = 20180209


def random_inputs(model: OnnxModel, n: int) -> Tensor:
    """`(n, …) float32`: grey levels in [0, 1], or features over four decades.

    The same numbers at every call.
    """
    generator = torch.Generator().manual_seed(_SEED)
    if isinstance(model, FeatureModel):
        scale = torch.randn(n, len(model.card.features), generator=generator)
        return torch.exp(2 * scale)
    spec = model.card.preprocess if isinstance(model, ViewModel) else None
    size = (spec.height, spec.width) if spec else (model.card.roi.size,) * 2  # type: ignore[union-attr]
    return torch.rand(n, 1, *size, generator=generator)


def real_inputs(model: OnnxModel, folder: Path, detector: Detector | None) -> Tensor | None:
    """`(n, …) float32`: what the model takes of the DICOM images in a folder; None of none.

    Views are preprocessed, regions detected and cut, features measured as the node does. Whether
    the model applies to the images' acquisition is not asked: numbers are compared, not women.
    """
    found = [
        row for case in cases.cases(cases.exams(folder)) for row in _of_view(model, case, detector)
    ]
    return torch.from_numpy(np.stack(found)) if found else None


def _of_view(
    model: OnnxModel, case: cases.ExportCase, detector: Detector | None
) -> list[FloatImage]:
    try:
        view = load_view(case.mammogram)
        if isinstance(model, ViewModel):
            return [model.prepared(view.image, case.mammogram.laterality).image]
    except NotProcessable:
        return []
    candidates = RegionReader(model, detector).prepare(view, case)
    if isinstance(model, RoiModel):
        return [candidate.rois[model.card.roi].image for candidate in candidates]
    rows = [features_of(c.segmentation, model.card.scenario) for c in candidates]
    return [np.array([row[name] for name in model.card.features], np.float32) for row in rows]
