"""What the HTTP side asks of a study's views, and what a viewer is told about them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Protocol

from cadnode.errors import CadnodeError

SLOTS: Final = ("RCC", "LCC", "RMLO", "LMLO")  # as they hang, two by two


class NotShown(CadnodeError):
    """An image cannot be shown; `code` is that of its `SkipReason`, the text says it in words."""

    def __init__(self, code: str, meaning: str) -> None:
        super().__init__(meaning)
        self.code = code


@dataclass(frozen=True, slots=True)
class ShownWindow:
    """A window of the header in modality units (PS3.3 C.11.2), with its explanation."""

    center: float
    width: float
    function: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class ShownOutline:
    """A finding's closed outline: points (x, y) in pixels of the image as stored."""

    id: str
    label: str
    kind: str
    points: tuple[tuple[float, float], ...]
    scores: tuple[tuple[str, float], ...] = ()
    """Each system's probability."""


@dataclass(frozen=True, slots=True)
class ShownView:
    """One image of a study, as a viewer is told of it; UIDs are not in it.

    Parameters
    ----------
    view
        Its key: the name of its file in the spool, a hash of its SOP Instance UID.
    name, laterality, position
        "RCC", "R", "CC"; a name that says what it is where side or view is not known.
    why
        Why it cannot be shown, in words; "" where it can.
    remark
        Why the systems did not read it, in words; "" where they did, or nothing is known yet.
    levels, tile, overlap
        Of the pyramid (`imaging.pyramid`).
    spacing_mm, spacing_estimated
        (row, column) size of a pixel; whether it is a guess.
    mirrored
        Whether it has to be mirrored to hang with its chest wall towards the other breast.
    maps
        Names of the layers of heat maps, as `Viewing.heat_map` numbers them.
    """

    view: str
    name: str
    laterality: str = ""
    position: str = ""
    patient: int = 1
    why: str = ""
    remark: str = ""
    score: float | None = None
    rows: int = 0
    columns: int = 0
    bits: int = 0
    signed: bool = False
    photometric: str = ""
    windows: tuple[ShownWindow, ...] = ()
    levels: int = 0
    tile: int = 0
    overlap: int = 0
    spacing_mm: tuple[float, float] | None = None
    spacing_estimated: bool = False
    mirrored: bool = False
    maps: tuple[str, ...] = ()
    outlines: tuple[ShownOutline, ...] = ()

    def as_dict(self, url: str) -> dict[str, Any]:
        """For JSON; `url` is the path below which the views of this study are served."""
        own = f"{url}/{self.view}"
        return {
            "view": self.view, "url": own, "name": self.name, "laterality": self.laterality,
            "position": self.position, "patient": self.patient, "why": self.why,
            "remark": self.remark, "score": self.score, "rows": self.rows,
            "columns": self.columns, "bits": self.bits, "signed": self.signed,
            "photometric": self.photometric, "levels": self.levels, "tile": self.tile,
            "overlap": self.overlap, "spacing_mm": self.spacing_mm,
            "spacing_estimated": self.spacing_estimated, "mirrored": self.mirrored,
            "windows": [
                {"center": w.center, "width": w.width, "function": w.function, "label": w.label}
                for w in self.windows
            ],
            "window": (
                {"center": self.windows[0].center, "width": self.windows[0].width,
                 "function": self.windows[0].function} if self.windows else None
            ),
            "maps": [
                {"name": name, "url": f"{own}/maps/{n}"} for n, name in enumerate(self.maps)
            ],
            "outlines": [
                {"id": o.id, "label": o.label, "kind": o.kind, "scores": dict(o.scores),
                 "points": [list(p) for p in o.points]}
                for o in self.outlines
            ],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class StudyViews:
    """The views of a study in hanging order; `is_current`: layers are of the images held now."""

    views: tuple[ShownView, ...] = ()
    n_patients: int = 1
    is_current: bool = True

    @property
    def version(self) -> str:
        """Changes when what a viewer is told changes."""
        return sha256(repr(self).encode()).hexdigest()[:16]

    def of_patient(self, patient: int) -> "StudyViews":
        """Those of one patient of several: images of two women never hang together."""
        own = tuple(view for view in self.views if view.patient == patient)
        return StudyViews(own, self.n_patients, self.is_current)

    @property
    def slots(self) -> list[tuple[str, ShownView | None]]:
        """The four places of the first hanging and what is in them, then every further view."""
        left, places = list(self.views), []
        for name in SLOTS:
            view = next((one for one in left if one.name == name and not one.why), None)
            if view is not None:
                left.remove(view)
            places.append((name, view))
        if all(view is None for _, view in places):
            places = []
        return [*places, *((view.name, view) for view in left)]

    def as_dict(self, url: str) -> dict[str, Any]:
        """For JSON."""
        return {
            "version": self.version, "patients": self.n_patients, "is_current": self.is_current,
            "views": [view.as_dict(url) for view in self.views],
        }  # fmt: skip


class PixelsOf(Protocol):
    """Pixels of one image; each raises `NotShown` when the image cannot be decoded or shown."""

    def preview(self) -> bytes:
        """The whole image, small, as JPEG."""
        raise NotImplementedError

    def tile(self, level: int, column: int, row: int) -> bytes | None:
        """Stored cells of a tile: 16 bits each, little-endian, row by row; None: no such tile."""
        raise NotImplementedError

    def grey(self) -> bytes:
        """For each of the `2**bits` cells its modality value, then its brightness.

        Little-endian float32, NaN for padding; then one byte each, 0 to 255. A last byte is 1 where
        low values are bright.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Viewing:
    """What a viewer gets of a study, by the study's name and a view's key.

    `views(name)`: what there is. `pixels(name, view)`: of one of them, None without such a view.
    `heat_map(name, view, n)`: a layer as WebP with transparency, None without it.
    """

    views: Callable[[str], StudyViews]
    pixels: Callable[[str, str], PixelsOf | None]
    heat_map: Callable[[str, str, int], bytes | None]
    library: str = field(default="")
    """Name of the viewer's library below `/static/`; "" where it is not installed."""
