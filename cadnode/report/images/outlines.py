"""Outlines of findings on a picture, numbered as everywhere else, with what counts beside them."""

from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from cadnode.domain import ExamResult, Finding
from cadnode.report.scores import finding_scorer

_LINE: Final = (255, 255, 255)
_HALO: Final = (0, 0, 0)


def label(result: ExamResult, number: int, finding: Finding) -> str:
    """Number and score of a finding, such as "1: 0.75"; "1: 0.75 phantom" of a phantom's score."""
    of_phantoms = " phantom" if finding_scorer(result, finding).phantoms_only else ""
    return f"{number}: {finding.probability:.2f}{of_phantoms}"


def draw_outlines(
    canvas: Image.Image,
    findings: Sequence[tuple[str, Finding]],
    source: tuple[int, int],
) -> None:
    """Draw each finding's outline and its label on the picture.

    `source` is (rows, columns) of the image that the outlines lie in; the picture shows all of it.
    The line is white on a dark halo, so that it is seen on fat, on dense tissue and on colours.
    """
    scale = (canvas.height / source[0], canvas.width / source[1])
    for text, finding in findings:
        points = [(c * scale[1], r * scale[0]) for r, c in _ring(finding)]
        _draw(canvas, points, text)


def _ring(finding: Finding) -> Sequence[tuple[float, float]]:
    """The outline, or the box where the outline has no area."""
    if len(finding.outline) > 2:
        return finding.outline
    row0, col0, row1, col1 = finding.box
    return ((row0, col0), (row0, col1), (row1, col1), (row1, col0))


def _draw(canvas: Image.Image, points: Sequence[tuple[float, float]], text: str) -> None:
    """A closed line, and the text above it, or below where there is no room above."""
    draw = ImageDraw.Draw(canvas)
    unit = max(canvas.size) / 1024
    closed = [*points, *points[:2]]
    draw.line(closed, fill=_HALO, width=max(3, round(3.2 * unit)), joint="curve")
    draw.line(closed, fill=_LINE, width=max(1, round(1.4 * unit)), joint="curve")
    size = max(12, round(17 * unit))
    font = ImageFont.load_default(size)  # Pillow's own: the same on every machine
    half = draw.textlength(text, font=font) / 2 + size / 4
    top = min(points, key=lambda p: p[1])
    x = min(max(top[0], half), canvas.width - half)
    y = top[1] - 0.4 * size
    if y < 1.2 * size:
        y = max(p[1] for p in points) + 1.4 * size
    draw.text(
        (x, y), text, _LINE, font=font, anchor="ms", stroke_width=size // 8, stroke_fill=_HALO
    )
