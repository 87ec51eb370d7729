"""`index.html`: one exam's reading on one self-contained page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape

from cadnode import __version__
from cadnode.demo import panels
from cadnode.demo.crops import crop_of, points
from cadnode.demo.pictures import grey_url, map_url
from cadnode.domain import (
    SKIP_MEANINGS,
    Box,
    ExamResult,
    Finding,
    FloatImage,
    HeatMap,
    Laterality,
    Outcome,
)
from cadnode.exam.model import Exam, Mammogram
from cadnode.explain.overlay import display_size, heat_layer
from cadnode.models.card import ModelCard
from cadnode.report.edition import ENSEMBLE, shown_map

LONGER_SIDE = 1100
MOST_CROPS = 24
HANGING = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
RAMP_STEPS = 9


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one part of the way took."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that the archive holds: what it is and the name of its copy."""

    kind: str
    name: str


@dataclass(frozen=True, eq=False, slots=True)
class PageContent:
    """All that the page shows; `image(uid)` gives a view as `(H, W) float32 in [0, 1]`."""

    title: str
    subtitle: str
    disclaimer: str
    truth: str
    exam: Exam
    result: ExamResult
    image: Callable[[str], FloatImage]
    cards: Sequence[ModelCard]
    timings: Sequence[Timing]
    objects: Sequence[StoredObject]


def write_page(path: Path, content: PageContent) -> None:
    """Write the page; everything it shows is inside the one file."""
    environment = Environment(
        loader=PackageLoader("cadnode.demo"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("exam.html.jinja")
    path.write_text(template.render(_context(content)), encoding="utf-8")


def _context(content: PageContent) -> dict[str, Any]:
    result = content.result
    names = {m.sop_instance_uid: f"{m.laterality}{m.view}" for m in content.exam.mammograms}
    views, crops = _pictures(content)
    return {
        "title": content.title,
        "subtitle": content.subtitle,
        "disclaimer": content.disclaimer,
        "truth": content.truth,
        "views": views,
        "scores": panels.scores(result),
        "threshold": result.operating_point,
        "columns": panels.columns(result, content.cards),
        "phantom": [system.value for system in panels.phantom_trained(content.cards)],
        "findings": [
            panels.finding_row(n, f, names.get(f.sop_instance_uid, ""), result)
            for n, f in enumerate(result.findings, start=1)
        ],
        "crops": crops,
        "no_findings": "Nothing was found."
        if result.outcome is Outcome.NO_FINDINGS
        else "The exam could not be read.",
        "skipped": panels.skipped(result, names),
        "systems": panels.system_panels(result, content.cards),
        "timings": content.timings,
        "objects": content.objects,
        "ramp": _ramp(),
        "footer": f"cadnode {__version__}. {content.disclaimer}. Heat maps show where a network"
        " found what raised its score; they do not outline lesions.",
    }


def _pictures(content: PageContent) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
    """The views as they hang, and the crops by the finding's number; each image is loaded once."""
    result = content.result
    numbered = list(enumerate(result.findings, start=1))
    views, crops = [], {}
    for m in _hung(content.exam.mammograms):
        image = content.image(m.sop_instance_uid)
        found = [(n, f) for n, f in numbered if f.sop_instance_uid == m.sop_instance_uid]
        views.append(_view(m, image, result, found))
        for n, f in found:
            if n <= MOST_CROPS:
                crops[n] = crop_of(f, m, image, result.heat_maps)
    return views, dict(sorted(crops.items()))


def _hung(mammograms: Sequence[Mammogram]) -> list[Mammogram]:
    """Views as they hang: RCC, LCC, RMLO, LMLO, then others."""

    def place(m: Mammogram) -> int:
        key = (str(m.laterality), str(m.view))
        return HANGING.index(key) if key in HANGING else len(HANGING)

    return sorted(mammograms, key=place)


def _view(
    m: Mammogram, image: FloatImage, result: ExamResult, found: Sequence[tuple[int, Finding]]
) -> dict[str, Any]:
    """A view with its map, its score or the reason why there is none, and its findings."""
    uid = m.sop_instance_uid
    rows, columns = image.shape
    size = display_size(rows, columns, LONGER_SIDE)
    heat_map = shown_map(result, uid)
    return {
        "name": f"{m.laterality}{m.view}",
        # Right breasts hang on the viewer's left, chest walls meet in the middle.
        "side": "right" if m.laterality is Laterality.RIGHT else "left",
        "image": grey_url(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)),
        "map": map_url(heat_map, (rows, columns), size) if heat_map is not None else None,
        "map_name": _map_name(heat_map) if heat_map is not None else "",
        "rows": rows,
        "columns": columns,
        "score": next((v.score for v in result.views if v.sop_instance_uid == uid), None),
        "why": next(
            (SKIP_MEANINGS[s.reason] for s in result.skipped if s.sop_instance_uid == uid), ""
        ),
        "findings": [
            {
                "number": number,
                "probability": finding.probability,
                "points": points(finding.outline),
                "row": finding.box.row0,
                "column": (finding.box.col0 + finding.box.col1) / 2,
            }
            for number, finding in found
        ],
    }


def _map_name(heat_map: HeatMap) -> str:
    return "ensemble map" if heat_map.algorithm == ENSEMBLE else f"map of {heat_map.algorithm}"


def _ramp() -> str:
    """CSS colours of the heat map's scale, from 0 to 1."""
    steps = np.linspace(0, 1, RAMP_STEPS, dtype=np.float32)[None]
    scale = HeatMap("", steps, Box(0, 0, 1, RAMP_STEPS), "")
    colours = heat_layer(scale, (1, RAMP_STEPS), (1, RAMP_STEPS))[0, :, :3]
    return ",".join(f"rgb({r},{g},{b})" for r, g, b in colours)
