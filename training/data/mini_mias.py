"""`mini-mias`: digitized film of the Mammographic Image Analysis Society, `findings.csv`.

1024 × 1024 pixels of 200 µm, 8 bits; an odd and the following even number are one woman's two
breasts. Findings are circles; some have no position (calcifications all over the breast).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition, FloatImage, Laterality
from cadnode.errors import DataError
from training.data.views import read_grey, read_table

NAME: Final = "mini-mias"
SPACING_MM: Final = 0.2
ACQUISITION: Final = Acquisition.FILM
NORMAL, CALCIFICATION = "NORM", "CALC"
# Circumscribed, spiculated and ill-defined masses, asymmetries, architectural distortions.
MASSES: Final = ("CIRC", "SPIC", "MISC")
_COLUMNS: Final = ("image", "patient", "side", "abnormality", "severity", "col", "row", "radius_px")
_ENDINGS: Final = (".png", ".pgm")


@dataclass(frozen=True, slots=True)
class Circle:
    """An annotated finding: `kind` in MIAS' words, position and radius in pixels."""

    kind: str
    malignant: bool
    row: float
    col: float
    radius: float


@dataclass(frozen=True, slots=True)
class MiasView:
    """One image; `kinds` names all of its findings, `circles` those with a position."""

    name: str
    woman: str
    laterality: Laterality
    path: Path
    kinds: tuple[str, ...]
    circles: tuple[Circle, ...]


def read(folder: Path) -> tuple[MiasView, ...]:
    """The images that `findings.csv` names and that are there, by name.

    Raises
    ------
    DataError
        `findings.csv` is missing or lacks columns, or no image is there.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for row in read_table(folder / "findings.csv", _COLUMNS):
        rows.setdefault(row["image"], []).append(row)
    views = []
    for name in sorted(rows):
        path = _file(folder, name)
        if path is not None:
            views.append(_view(name, path, rows[name]))
    if not views:
        raise DataError("findings.csv names no image that is there")
    return tuple(views)


def load(view: MiasView) -> FloatImage | None:
    """`(H, W) float32 in [0, 1]`, dense tissue bright; None when the file cannot be read."""
    return read_grey(view.path)


def _file(folder: Path, name: str) -> Path | None:
    stem = Path(name).stem
    places = (p / f"{stem}{ending}" for p in (folder / "images", folder) for ending in _ENDINGS)
    return next((place for place in places if place.is_file()), None)


def _view(name: str, path: Path, rows: Sequence[dict[str, str]]) -> MiasView:
    first = rows[0]
    circles = [_circle(row) for row in rows]
    return MiasView(
        name=name,
        woman=first["patient"],
        laterality=Laterality.RIGHT if first["side"] == "R" else Laterality.LEFT,
        path=path,
        kinds=tuple(row["abnormality"] for row in rows),
        circles=tuple(c for c in circles if c is not None),
    )


def _circle(row: dict[str, str]) -> Circle | None:
    try:
        place = float(row["row"]), float(row["col"]), float(row["radius_px"])
    except (TypeError, ValueError):
        return None
    return Circle(row["abnormality"], row["severity"] == "M", *place)
