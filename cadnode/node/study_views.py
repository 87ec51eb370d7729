"""The views of the node's studies for the page: which there are, their pixels, their layers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar
from zipfile import BadZipFile

from pydicom import Dataset

from cadnode.domain import SKIP_MEANINGS, ExamResult, Laterality, SkipReason, ViewPosition
from cadnode.exam.attributes import number, text
from cadnode.exam.exam import Mammogram
from cadnode.exam.mammogram import Instance, inspect
from cadnode.exam.partition import by_patient
from cadnode.imaging.grayscale import header_windows
from cadnode.imaging.pyramid import OVERLAP, TILE, n_levels
from cadnode.imaging.spacing import spacing_of
from cadnode.node import previews, results, view_layers
from cadnode.node.study_index import Studies
from cadnode.node.view_pixels import PixelCache, ShownPixels, why_not
from cadnode.page.crops import map_label
from cadnode.receive.spool import Spool
from cadnode.web.study import KEY, key_of
from cadnode.web.viewing import PixelsOf, ShownView, ShownWindow, StudyViews, Viewing

_MOST_VIEWS: Final = 64  # of one study that are shown
_MOST_HEADERS: Final = 512
_MOST_READINGS: Final = 8
_NO_VIEWS: Final = (SkipReason.OWN_OUTPUT, SkipReason.NOT_AN_IMAGE, SkipReason.NOT_MAMMOGRAPHY)
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, eq=False, slots=True)
class ViewPreview:
    """A view's pixels, of which the small picture is written already."""

    picture: bytes
    whole: Callable[[], ShownPixels | None]

    def preview(self) -> bytes:
        """The picture that was written with the result."""
        return self.picture

    def tile(self, level: int, column: int, row: int) -> bytes | None:
        """Of the decoded image."""
        whole = self.whole()
        return None if whole is None else whole.tile(level, column, row)

    def grey(self) -> bytes:
        """Of the decoded image."""
        whole = self.whole()
        return b"" if whole is None else whole.grey()


class StudyViewer:
    """What a viewer is served of the node's studies. Threads may share it; it only reads."""

    def __init__(
        self, spool: Spool, studies: Studies, cache: PixelCache, *, for_processing: bool = False
    ) -> None:
        self._spool, self._studies, self._cache = spool, studies, cache
        self._for_processing = for_processing
        self._headers: dict[tuple[str, int, int], Instance] = {}
        self._readings: dict[tuple[str, int], ExamResult] = {}
        self._lock = Lock()

    def viewing(self, library: str = "") -> Viewing:
        """What the HTTP side asks, bound to this."""
        return Viewing(self.views, self.pixels, self.heat_map, library)

    def views(self, name: str) -> StudyViews:
        """The study's views in hanging order, with the layers of its result."""
        key = key_of(name)
        folders, is_current = self._studies.folders_of(key)
        readings = [(folder, reading) for folder in folders if (reading := self._reading(folder))]
        shares = by_patient([self._instance(path) for path in self._paths(key)])
        shown = [
            [view for one in share.instances if (view := self._view(one, readings))]
            for share in shares
        ]
        numbered = [
            replace(view, patient=patient)
            for patient, views in enumerate(filter(None, shown), start=1)
            for view in sorted(views, key=hanging_key)
        ]
        n_patients = max((view.patient for view in numbered), default=1)
        return StudyViews(tuple(numbered[:_MOST_VIEWS]), n_patients, is_current)

    def pixels(self, name: str, view: str) -> PixelsOf | None:
        """The pixels of one of the study's views. Raises `NotShown`."""
        key = key_of(name)
        path = self._path(key, view)
        if path is None:
            return None
        for folder in self._studies.folders_of(key)[0]:
            if (picture := previews.preview(folder, view)) is not None:
                return ViewPreview(picture, lambda: self._cache.pixels(path))
        return self._cache.pixels(path)

    def heat_map(self, name: str, view: str, n: int) -> bytes | None:
        """A layer of a view as WebP."""
        path = self._path(key_of(name), view)
        if path is None or (mammogram := self._instance(path).mammogram) is None:
            return None
        for folder in self._studies.folders_of(key_of(name))[0]:
            reading = self._reading(folder)
            names = view_layers.map_names(reading, mammogram.sop_instance_uid) if reading else ()
            if reading and 0 <= n < len(names):
                shape = (mammogram.rows, mammogram.columns)
                uid = mammogram.sop_instance_uid
                return view_layers.map_picture(reading, uid, names[n], shape)
        return None

    def _paths(self, key: str) -> list[Path]:
        return self._spool.instances(key)

    def _path(self, key: str, view: str) -> Path | None:
        """Where a view's file lies; None: no such view in this study."""
        if not KEY.fullmatch(view):
            return None
        path = self._spool.folder_of(key) / f"{view}.dcm"
        return path if path.is_file() else None

    def _instance(self, path: Path) -> Instance:
        """The file's header, read once while it stays as it is."""
        try:
            stat = path.stat()
        except OSError:
            return inspect(path)
        key = (str(path), stat.st_mtime_ns, stat.st_size)
        with self._lock:
            known = self._headers.get(key)
        if known is None:
            known = inspect(path, read_for_processing=self._for_processing)
            with self._lock:
                _remember(self._headers, key, known, _MOST_HEADERS)
        return known

    def _reading(self, folder: Path) -> ExamResult | None:
        """What was read, with its maps; None where it is gone or damaged."""
        file = folder / results.READING
        try:
            key = (str(file), file.stat().st_mtime_ns)
            with self._lock:
                known = self._readings.get(key)
            if known is None:
                known = results.load_reading(folder)
                with self._lock:
                    _remember(self._readings, key, known, _MOST_READINGS)
        except (OSError, ValueError, LookupError, TypeError, EOFError, BadZipFile):
            return None
        return known

    def _view(self, one: Instance, readings: Sequence[tuple[Path, ExamResult]]) -> ShownView | None:
        """An image as the page shows it; None for what is none."""
        if one.mammogram is None:
            return not_shown(one)
        uid, walls = one.mammogram.sop_instance_uid, dict[str, bool]()
        result = None
        for folder, reading in readings:
            if any(uid in (v.sop_instance_uid for v in part) for part in
                   (reading.views, reading.skipped, reading.heat_maps)):  # fmt: skip
                result, walls = reading, previews.chest_walls(folder)
        return view_of(one.mammogram, result, walls)


def not_shown(one: Instance) -> ShownView | None:
    """An image that cannot be shown, and why; None for an object that is no image of hers."""
    reason = one.skipped.reason if one.skipped is not None else SkipReason.NOT_AN_IMAGE
    if one.header is None or not one.evidence or reason in _NO_VIEWS:
        return None
    known = {e.about: e.says for e in reversed(one.evidence) if e.counts}
    name = f"{known.get('laterality', '')}{known.get('view', '')}" or "image"
    return ShownView(one.path.stem, name, why=why_not(reason))


def view_of(
    mammogram: Mammogram, result: ExamResult | None = None, walls: dict[str, bool] | None = None
) -> ShownView:
    """A mammogram as a viewer is told of it, with the layers of a result that read it.

    `walls`: whether the chest wall is on its right, by its key, where that was seen.
    """
    header, key, uid = mammogram.header, mammogram.path.stem, mammogram.sop_instance_uid
    spacing = spacing_of(mammogram)
    names = view_layers.map_names(result, uid) if result else ()
    scores = [v.score for v in result.views if v.sop_instance_uid == uid] if result else []
    skipped = [s.reason for s in result.skipped if s.sop_instance_uid == uid] if result else []
    wall_is_right = (walls or {}).get(key, stated_wall(mammogram))
    return ShownView(
        key,
        f"{mammogram.laterality}{mammogram.view}",
        mammogram.laterality.value,
        mammogram.view.value,
        remark="" if scores or not skipped else SKIP_MEANINGS[skipped[0]],
        score=scores[0] if scores else None,
        rows=mammogram.rows,
        columns=mammogram.columns,
        bits=int(number(header, "BitsStored") or 0),
        signed=number(header, "PixelRepresentation") == 1,
        photometric=text(header, "PhotometricInterpretation"),
        windows=tuple(_windows(header)),
        levels=n_levels(mammogram.rows, mammogram.columns),
        tile=TILE,
        overlap=OVERLAP,
        spacing_mm=spacing.mm,
        spacing_estimated=spacing.estimated,
        mirrored=wall_is_right != (mammogram.laterality is Laterality.RIGHT),
        maps=tuple(map_label(result, name) for name in names) if result else (),
        outlines=view_layers.outlines(result, uid) if result else (),
    )


def stated_wall(mammogram: Mammogram) -> bool:
    """Whether the chest wall is on the right, by Patient Orientation (PS3.3 C.7.6.1.1.1).

    Its first value is where the rows run to: to the back of the patient, or to her front. Where it
    says neither, the usual hanging is assumed.
    """
    stated = mammogram.header.get("PatientOrientation")
    first = "" if not stated or isinstance(stated, str) else str(stated[0])
    if first[:1] in ("A", "P"):
        return first[0] == "P"
    return mammogram.laterality is Laterality.RIGHT


def _windows(header: Dataset) -> Iterable[ShownWindow]:
    said = header.get("WindowCenterWidthExplanation") or ()
    labels = [said] if isinstance(said, str) else [str(one) for one in said]
    for n, window in enumerate(header_windows(header)):
        label = labels[n] if n < len(labels) else ""
        yield ShownWindow(window.center, window.width, window.function, label)


def hanging_key(view: ShownView) -> tuple[bool, int, str, bool, str]:
    """Sort key: what can be shown first, CC before MLO before others, right before left."""
    rank = {ViewPosition.CC.value: 0, ViewPosition.MLO.value: 1}.get(view.position, 2)
    return bool(view.why), rank, view.position, view.laterality == "L", view.view


def _remember(known: dict[K, V], key: K, value: V, most: int) -> None:
    """Keep a value, and of earlier ones as many as fit."""
    while len(known) >= most:
        known.pop(next(iter(known)), None)
    known[key] = value
