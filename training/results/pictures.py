"""Which pictures the page shows of a case: its pixels read again, with the model's map."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import Final

import cv2
import numpy as np

from cadnode.detect.regions import Segmentation
from cadnode.detect.segment import segment_roi
from cadnode.domain import Acquisition, Box, FloatImage, Laterality
from cadnode.errors import NotProcessable
from cadnode.imaging.roi_chain import Roi
from cadnode.models import loading
from cadnode.models.card import Scenario
from cadnode.models.roi import RoiModel
from cadnode.models.view import ViewModel
from cadnode_training.data import sources
from cadnode_training.data.region_pixels import placed
from cadnode_training.data.regions import DataRegion, RegionSet
from cadnode_training.data.sets import phantom_rois
from cadnode_training.data.views import ViewRecord
from cadnode_training.papers.roi_cnn import evaluate as rois_evaluate
from cadnode_training.papers.roi_cnn import real_rois
from cadnode_training.papers.wang2016 import data as feature_data
from cadnode_training.papers.wang2016 import phantom_regions
from cadnode_training.results.gallery import (
    CasePicture,
    Chosen,
    Group,
    Outline,
    PictureOutcome,
    chosen,
)
from cadnode_training.results.scored import Scored, key

_CELLS: Final = 64
_MARGIN: Final = 0.04


def picked(cases: Scored, spec: str) -> tuple[float, Mapping[PictureOutcome, Chosen]]:
    """The cut-off of a scorer, and which of its cases are shown."""
    cutoff = cases.scorer(spec).cutoff()
    threshold = cutoff.threshold if cutoff else 0.5
    return threshold, chosen(cases.labels, cases.scores(spec), threshold)


def wanted(cases: Scored, spec: str) -> list[int]:
    """All rows that are shown, ascending."""
    return sorted(r for c in picked(cases, spec)[1].values() for r in (*c.surest, *c.nearest))


def groups(cases: Scored, spec: str, shown: Mapping[int, CasePicture]) -> list[Group]:
    """Pictures under their outcomes; rows without a picture are left out."""
    scores = cases.scores(spec)
    threshold, outcomes = picked(cases, spec)
    found = []
    for outcome, rows in outcomes.items():
        lines = [(row, f"surest: {scores[row]:.2f}") for row in rows.surest]
        lines += [(row, f"nearest: {scores[row]:.2f}") for row in rows.nearest]
        pictures = tuple((shown[row], line) for row, line in lines if row in shown)
        heading = f"{outcome.value}: {len(pictures)} of {rows.total} (cut-off {threshold:.2f})"
        found.append(Group(heading, pictures))
    return found


def of_views(folder: Path, data: str, cases: Scored, spec: str) -> list[Group]:
    """The view of each chosen breast that the model found more suspicious, with its map."""
    source = sources.open_source(data, only_test=True)
    breasts: dict[str, list[ViewRecord]] = defaultdict(list)
    for record in source.records:
        breasts[key(source.name, record.woman, record.laterality)].append(record)
    model = loading.load_view_model(folder)
    shown = {}
    for row in wanted(cases, spec):
        views = [_view(model, record) for record in breasts[cases.cases[row].id]]
        if seen := [view for view in views if view is not None]:
            shown[row] = max(seen, key=lambda view: view[0])[1]
    return groups(cases, spec, shown)


def _view(model: ViewModel, record: ViewRecord) -> tuple[float, CasePicture] | None:
    """Log-odds and picture of a view; None where it cannot be read."""
    image = sources.load(record)
    if image is None:
        return None
    try:
        (reading,) = model.score([(image, record.laterality)])
    except NotProcessable:
        return None
    box = reading.map_box
    crop = _inside(_grown(box, _MARGIN), image.shape)
    return reading.logit, CasePicture(image, reading.cancer_map, box, crop=crop)


def of_phantom_rois(models: Sequence[RoiModel], data: str, cases: Scored, spec: str) -> list[Group]:
    """Chosen ROIs of a phantom's test part with the mean of the networks' Grad-CAM."""
    source = phantom_rois.parse(data, only_test=True)
    size, pitch = rois_evaluate.size_for(models), rois_evaluate.pitch(models)
    shown = {}
    for row in wanted(cases, spec):
        drawn = phantom_rois.draw(source, "test", row, size=size, spacing_mm=pitch)
        rois = [rois_evaluate.region(drawn.image, pitch, model.card.roi) for model in models]
        box = drawn.record.box
        shown[row] = _with_map(models, rois, _inside_roi(box, rois[0]) if box else None)
    return groups(cases, spec, shown)


def of_real_rois(
    models: Sequence[RoiModel], regions: RegionSet, cases: Scored, spec: str
) -> list[Group]:
    """Chosen ROIs of real images; `regions` are those of the women whom no model has seen."""
    rows, number, shown = set(wanted(cases, spec)), count(), {}
    for _, found in placed(regions.items):
        if isinstance(found, str):
            continue
        row = next(number)
        if row in rows:
            rois = [real_rois.roi_of(found, model.card.roi) for model in models]
            shown[row] = _with_map(models, rois, _inside_roi((*found.box,), rois[0]))
    return groups(cases, spec, shown)


def _with_map(models: Sequence[RoiModel], rois: Sequence[Roi], lesion: Box | None) -> CasePicture:
    """The first model's ROI with the mean of all models' maps."""
    maps = []
    for model, roi in zip(models, rois, strict=True):
        (reading,) = model.read([roi])
        if reading.cam is None:  # a network that a site brought may have no map
            continue
        maps.append(cv2.resize(reading.cam, (_CELLS, _CELLS), interpolation=cv2.INTER_LINEAR))
    heat = np.asarray(np.mean(maps, axis=0), np.float32) if maps else None
    return CasePicture(rois[0].image[0], heat, lesion=lesion)


def _inside_roi(box: tuple[int, ...], roi: Roi) -> Box:
    """A box of the image in the ROI's pixels, cut at the ROI's edge."""
    corners = np.array([box[:2], box[2:]], np.float64)
    placed_at = np.rint(roi.placement.to_output(corners)).astype(int)
    (r0, c0), (r1, c1) = np.clip(placed_at, 0, roi.image.shape[-2:]).tolist()
    return Box(r0, c0, r1, c1)


def of_real_regions(items: Sequence[DataRegion], cases: Scored, spec: str) -> list[Group]:
    """Chosen regions with what was segmented in them; `items` in the order of the cases."""
    shown = {}
    for row in wanted(cases, spec):
        ((_, found),) = placed([items[row]])
        if not isinstance(found, str):
            taken = found.region.acquisition
            shown[row] = _segmented(found.image, fmean(found.spacing_mm), found.box, taken)
    return groups(cases, spec, shown)


def of_phantom_regions(data: str, scenario: Scenario, cases: Scored, spec: str) -> list[Group]:
    """Chosen regions of a phantom's test part with what was segmented in them."""
    source = feature_data.phantom_source(data)
    contents = phantom_regions.counts(scenario, source.count("test"))
    order = [(content, i) for content, n in contents.items() for i in range(n)]
    shown = {}
    for row in wanted(cases, spec):
        content, number = order[row]
        drawn = phantom_regions.draw(source, content, "test", number)
        pitch = phantom_regions.SPACING_MM
        shown[row] = _segmented(drawn.image, pitch, drawn.box, drawn.acquisition)
    return groups(cases, spec, shown)


def _segmented(
    image: FloatImage, spacing_mm: float, box: Box, acquisition: Acquisition
) -> CasePicture:
    # The side only locates the chest wall, which does not matter inside a region.
    found = segment_roi(image, Laterality.LEFT, spacing_mm, box, acquisition)
    return CasePicture(found.image, outlines=tuple(_outlines(found)))


def _outlines(found: Segmentation) -> Iterable[Outline]:
    masks = [found.calcifications > 0]
    if found.mass is not None:
        masks.append(found.mass)
    for mask in masks:
        contours, _ = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        for contour in contours:
            # Contours are (column, row) of pixels; an outline is in corners of the image.
            yield tuple((float(row) + 0.5, float(col) + 0.5) for col, row in contour[:, 0])


def _grown(box: Box, share: float) -> Box:
    rows, cols = round((box.row1 - box.row0) * share), round((box.col1 - box.col0) * share)
    return Box(box.row0 - rows, box.col0 - cols, box.row1 + rows, box.col1 + cols)


def _inside(box: Box, shape: tuple[int, ...]) -> Box:
    return Box(max(box.row0, 0), max(box.col0, 0), min(box.row1, shape[0]), min(box.col1, shape[1]))
