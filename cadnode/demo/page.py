"""`index.html`: one exam's reading on one self-contained page."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from PIL import Image

from cadnode import __version__
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
from cadnode.explain.overlay import OPACITY, display_size, heat_layer
from cadnode.models.card import ModelCard

LONGER_SIDE = 1100
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
        loader=PackageLoader("cadnode.demo"), autoescape=select_autoescape(default=True)
    )
    template = environment.get_template("exam.html.jinja")
    path.write_text(template.render(_context(content)), encoding="utf-8")


def _context(content: PageContent) -> dict[str, Any]:
    result = content.result
    numbers = {id(f): n for n, f in enumerate(result.findings, start=1)}
    names = {m.sop_instance_uid: f"{m.laterality}{m.view}" for m in content.exam.mammograms}
    threshold = result.operating_point
    return {
        "title": content.title,
        "subtitle": content.subtitle,
        "disclaimer": content.disclaimer,
        "truth": content.truth,
        "views": [_view(m, content, numbers) for m in _hung(content.exam.mammograms)],
        "scores": _scores(result),
        "threshold": threshold,
        "findings": [
            {"number": numbers[id(f)], "view": names[f.sop_instance_uid],
             "kind": f.kind.replace("_", " "), "score": f"{f.probability:.2f}"}
            for f in result.findings
        ],
        "no_findings": "Nothing reaches the operating point."
        if result.outcome is Outcome.NO_FINDINGS
        else "The exam could not be read.",
        "skipped": [
            {"name": names.get(s.sop_instance_uid, "object"), "reason": s.reason.value,
             "meaning": SKIP_MEANINGS[s.reason]}
            for s in result.skipped
        ],
        "models": [_model(card, result) for card in content.cards],
        "timings": content.timings,
        "objects": content.objects,
        "ramp": _ramp(),
        "footer": f"cadnode {__version__}. {content.disclaimer}. Heat maps show where the network"
        " found what raised the score; they do not outline lesions.",
    }  # fmt: skip


def _hung(mammograms: Sequence[Mammogram]) -> list[Mammogram]:
    """Views as they hang: RCC, LCC, RMLO, LMLO, then others."""

    def place(m: Mammogram) -> int:
        key = (str(m.laterality), str(m.view))
        return HANGING.index(key) if key in HANGING else len(HANGING)

    return sorted(mammograms, key=place)


def _view(m: Mammogram, content: PageContent, numbers: Mapping[int, int]) -> dict[str, Any]:
    uid, result = m.sop_instance_uid, content.result
    image = content.image(uid)
    size = display_size(image.shape[0], image.shape[1], LONGER_SIDE)
    grey = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    heat_map = next((h for h in result.heat_maps if h.sop_instance_uid == uid), None)
    layer = None
    if heat_map is not None:
        layer = heat_layer(heat_map, (image.shape[0], image.shape[1]), size)
        layer[..., 3] = np.clip(layer[..., 3] / OPACITY, 0, 255)  # the page's slider dims it
    score = next((v.score for v in result.views if v.sop_instance_uid == uid), None)
    why = next((SKIP_MEANINGS[s.reason] for s in result.skipped if s.sop_instance_uid == uid), "")
    return {
        "name": f"{m.laterality}{m.view}",
        # Right breasts hang on the viewer's left, chest walls meet in the middle.
        "side": "right" if m.laterality is Laterality.RIGHT else "left",
        "image": _data_url(Image.fromarray((255 * grey).astype(np.uint8)), "JPEG", quality=88),
        "map": _data_url(Image.fromarray(layer), "PNG") if layer is not None else None,
        "rows": image.shape[0],
        "columns": image.shape[1],
        "score": score,
        "why": why,
        "findings": [
            {"number": numbers[id(f)], "score": f"{f.probability:.2f}", "points": _points(f)}
            for f in result.findings
            if f.sop_instance_uid == uid
        ],
    }


def _points(finding: Finding) -> str:
    """SVG points, x before y."""
    return " ".join(f"{column:.0f},{row:.0f}" for row, column in finding.outline)


def _data_url(image: Image.Image, kind: str, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _scores(result: ExamResult) -> list[dict[str, Any]]:
    """Exam, then right and left breast."""
    above = result.operating_point if result.operating_point is not None else float("inf")
    rows = [("Exam", result.exam_score)] if result.exam_score is not None else []
    sides = {Laterality.RIGHT: "Right breast", Laterality.LEFT: "Left breast"}
    rows += [(sides[b.laterality], b.score) for b in result.breasts]
    return [{"name": name, "score": score, "above": score >= above} for name, score in rows]


def _ramp() -> str:
    """CSS colours of the heat map's scale, from 0 to 1."""
    steps = np.linspace(0, 1, RAMP_STEPS, dtype=np.float32)[None]
    scale = HeatMap("", steps, Box(0, 0, 1, RAMP_STEPS), "")
    colours = heat_layer(scale, (1, RAMP_STEPS), (1, RAMP_STEPS))[0, :, :3]
    return ",".join(f"rgb({r},{g},{b})" for r, g, b in colours)


def _model(card: ModelCard, result: ExamResult) -> dict[str, Any]:
    """What a radiologist would ask of a model, from its card."""
    sha256 = next(m.sha256 for m in result.models if m.name == card.name)
    return {
        "name": card.name,
        "version": card.version,
        "paper": card.paper,
        "data": card.training_data,
        "sha256": sha256,
        "metrics": [
            f"{m.auc:.2f} (95 % CI {m.auc_ci[0]:.2f}–{m.auc_ci[1]:.2f}), {m.contrast}; "
            f"{m.data}, {m.n_pos} and {m.n_neg} {m.unit}"
            for m in card.metrics
            if "test" in m.name
        ],
    }
