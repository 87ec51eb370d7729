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
from cadnode_training.data.tables import read_rows
from cadnode_training.data.views import left_out, read_grey

NAME: Final = "mini-mias"
SPACING_MM: Final = 0.2
SIZE: Final = 1024
ACQUISITION: Final = Acquisition.FILM
NORMAL, CALCIFICATION = "NORM", "CALC"
# Circumscribed, spiculated and ill-defined masses, asymmetries, architectural distortions.
MASSES: Final = ("CIRC", "SPIC", "MISC")
_COLUMNS: Final = ("image", "patient", "side", "abnormality", "severity", "col", "row", "radius_px")
_SIDES: Final = {"R": Laterality.RIGHT, "L": Laterality.LEFT}
_ENDINGS: Final = (".png", ".pgm")


@dataclass(frozen=True, slots=True)
class Circle:
    """An annotated finding: `kind` and `severity` in MIAS' words, place and radius in pixels."""

    kind: str
    severity: str
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
    """The images that exist; see `read_all`."""
    return read_all(folder)[0]


def read_all(folder: Path) -> tuple[tuple[MiasView, ...], tuple[tuple[str, int], ...]]:
    """The images of `findings.csv` that exist, by name, and the reasons of the others.

    Raises
    ------
    DataError
        `findings.csv` is missing or lacks columns, or no image is there.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(folder / "findings.csv", _COLUMNS):
        rows.setdefault(row["image"], []).append(row)
    views, reasons = [], []
    for name in sorted(rows):
        path = _file(folder, name)
        if path is None:
            reasons.append("file missing")
        elif not rows[name][0]["patient"]:
            reasons.append("woman unknown")
        elif rows[name][0]["side"] not in _SIDES:
            reasons.append("side unknown")
        else:
            views.append(_view(name, path, rows[name]))
    if not views:
        raise DataError("findings.csv names no image that is there")
    return tuple(views), left_out(reasons)


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
        laterality=_SIDES[first["side"]],
        path=path,
        kinds=tuple(row["abnormality"] for row in rows),
        circles=tuple(c for c in circles if c is not None),
    )


def _circle(row: dict[str, str]) -> Circle | None:
    """None where the table gives no place inside of the image."""
    try:
        place = float(row["row"]), float(row["col"]), float(row["radius_px"])
    except ValueError:
        return None
    if not all(0 <= value < SIZE for value in place):
        return None
    return Circle(row["abnormality"], row["severity"], *place)
