"""`cadnode data check --html`: a manifest's images before and after preprocessing, on one page.

What is shown after is what networks of whole views are given: the chain of the packaged recipe
(`papers.kim2018`), which training and serving share; of a lesion's box also the region around it,
cut as for the packaged networks of regions.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cadnode.domain import SKIP_MEANINGS, Acquisition, Box, FloatImage, Laterality
from cadnode.errors import NotProcessable
from cadnode.exam.eligibility import reason_against
from cadnode.exam.read import read_instance
from cadnode.files import write_whole
from cadnode.html.environment import BY_PREFERENCE, environment
from cadnode.imaging import pixels, view_chain
from cadnode.imaging.roi_chain import RoiSpec, cut
from cadnode.imaging.spacing import spacing_of
from cadnode_training.data.check import ManifestReport
from cadnode_training.data.images import GREY_FILES, load_image
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.papers.kim2018 import config as recipes
from cadnode_training.results.gallery import CasePicture, Outline, painted
from cadnode_training.results.pages import DISCLAIMER

MOST_IMAGES: Final = 60
_REGIONS: Final = 3  # of one image
_PROBLEMS: Final = 40  # of one kind, whose rows are named


@dataclass(frozen=True, slots=True)
class ImageShown:
    """An image as the page has it: URLs of pictures, "" where there is none.

    `refused` is the reason why no network gets it, `note` what else the node would say of it.
    """

    title: str
    facts: str
    label: str
    before: str = ""
    after: str = ""
    regions: tuple[str, ...] = ()
    refused: str = ""
    note: str = ""


def write_page(
    file: Path,
    manifest: Manifest,
    report: ManifestReport,
    *,
    most: int = MOST_IMAGES,
    tick: Callable[[], None] = lambda: None,
) -> int:
    """Number of images on the page that was written; `tick` after each.

    Those that cannot be read come first, then others evenly spread over the manifest. No path and
    no name is on the page: an image goes by its rows.

    Raises
    ------
    OSError
        The disk is full.
    """
    of_image: dict[Path, list[int]] = defaultdict(list)
    for number, row in enumerate(manifest.rows, 1):
        of_image[row.image].append(number)
    chosen = chosen_images(of_image, report, most)
    shown = []
    for path in chosen:
        rows = [manifest.rows[number - 1] for number in of_image[path]]
        shown.append(_shown(rows, of_image[path]))
        tick()
    shown.sort(key=lambda one: not one.refused)
    page = environment("cadnode_training.results", dark=BY_PREFERENCE).get_template(
        "check.html.jinja"
    )
    numbers = {
        kind: _numbers(report, kind) for kind in dict.fromkeys(p.kind for p in report.problems)
    }
    context = {
        "report": report, "shown": shown, "total": len(of_image), "problems": numbers,
        "meanings": {reason.value: words for reason, words in SKIP_MEANINGS.items()},
        "disclaimer": DISCLAIMER, "refused": sum(bool(one.refused) for one in shown),
    }  # fmt: skip
    write_whole(file, page.render(context).encode())
    return len(shown)


def chosen_images(of_image: dict[Path, list[int]], report: ManifestReport, most: int) -> list[Path]:
    """At most so many images: first those of which the report says that they cannot be read."""
    kinds = ("missing_file", "unreadable_image")
    numbers = {n for problem in report.problems if problem.kind in kinds for n in problem.rows}
    paths = list(of_image)
    bad = [path for path in paths if numbers & set(of_image[path])][:most]
    known = set(bad)
    others = [path for path in paths if path not in known]
    n = min(most - len(bad), len(others))
    return [*bad, *(others[i * len(others) // n] for i in range(n))]


def _shown(rows: Sequence[ManifestRow], numbers: Sequence[int]) -> ImageShown:
    """An image's pictures, and of each lesion its region."""
    row = rows[0]
    shown = ImageShown(
        f"row {', '.join(map(str, numbers[:4]))}" + (" …" if len(numbers) > 4 else ""),
        _facts(row),
        ", ".join(dict.fromkeys(one.label for one in rows)),
    )
    if not row.image.is_file():
        return replace(shown, refused="missing_file")
    read = _read(row.image)
    if read.image is None:
        return replace(shown, refused=read.refused)
    lesions = tuple(dict.fromkeys(one.box for one in rows if one.box is not None))
    size = f"{read.image.shape[0]} × {read.image.shape[1]}"
    shown = replace(
        shown,
        facts=" · ".join(filter(None, (shown.facts, size))),
        before=painted(CasePicture(read.image, outlines=tuple(map(_outline, lesions)))),
        refused=read.refused,
        note=read.note,
    )
    if read.refused:
        return shown
    shown = replace(shown, regions=_regions(read, row, lesions))
    if not row.laterality:
        return replace(shown, refused="laterality not stated")
    spec = recipes.load().preprocess(read.acquisition)
    try:
        view = view_chain.start(read.image, Laterality(row.laterality))
        tensor = view_chain.build(spec)(view).image[0]
    except NotProcessable as error:
        return replace(shown, refused=error.reason.value)
    facts = f"{shown.facts} → {spec.height} × {spec.width}"
    return replace(shown, facts=facts, after=painted(CasePicture(tensor)))


def _regions(read: "_Read", row: ManifestRow, lesions: Sequence[Box]) -> tuple[str, ...]:
    """Pictures of the first lesions as networks of regions see them; none of unknown pixel size."""
    stated = None if row.spacing_mm is None else (row.spacing_mm, row.spacing_mm)
    spacing = read.stated_mm or stated or read.estimated_mm
    if spacing is None or read.image is None:
        return ()
    spec, pictures = RoiSpec(), []
    for box in lesions[:_REGIONS]:
        centre = ((box.row0 + box.row1) / 2, (box.col0 + box.col1) / 2)
        pictures.append(painted(CasePicture(cut(read.image, centre, spacing, spec).image[0])))
    return tuple(pictures)


def _outline(box: Box) -> Outline:
    """The box's corners, in order."""
    return (
        (box.row0, box.col0), (box.row0, box.col1), (box.row1, box.col1), (box.row1, box.col0),
    )  # fmt: skip


def _facts(row: ManifestRow) -> str:
    age = "" if row.age is None else f"{row.age} years"
    spacing = "" if row.spacing_mm is None else f"{row.spacing_mm:g} mm"
    named = (f"{row.laterality}{row.view}", row.split, row.vendor, age, spacing)
    return " · ".join(filter(None, named))


@dataclass(frozen=True, eq=False, slots=True)
class _Read:
    """An image as it was read; why no network gets it, and what the node would say of it."""

    image: FloatImage | None
    acquisition: Acquisition = Acquisition.DIGITAL
    refused: str = ""
    note: str = ""
    stated_mm: tuple[float, float] | None = None
    estimated_mm: tuple[float, float] | None = None


def _read(path: Path) -> _Read:
    """One that is refused has its image all the same where its pixels can be read."""
    if path.suffix.lower() in GREY_FILES:
        grey = load_image(path)
        film = Acquisition.FILM
        return _Read(None, film, grey) if isinstance(grey, str) else _Read(grey, film)
    refused = ""
    try:
        mammogram = read_instance(path)
    except NotProcessable as error:
        refused = error.reason.value
        try:
            mammogram = read_instance(path, read_for_processing=True)
        except NotProcessable:
            return _Read(None, refused=refused)
    try:
        image = pixels.load(mammogram)
    except NotProcessable as error:
        return _Read(None, refused=error.reason.value)
    against = reason_against(mammogram)
    return _Read(
        image,
        mammogram.acquisition,
        refused,
        "" if against is None else f"the node would not read it: {against.value}",
        mammogram.spacing_mm,
        spacing_of(mammogram).mm,
    )


def _numbers(report: ManifestReport, kind: str) -> tuple[int, str, str]:
    """Of a kind of problem: how many, their rows, and the first one's words."""
    found = [problem for problem in report.problems if problem.kind == kind]
    rows = sorted({n for problem in found for n in problem.rows})
    text = ", ".join(map(str, rows[:_PROBLEMS])) + (" …" if len(rows) > _PROBLEMS else "")
    details = list(dict.fromkeys(problem.detail for problem in found))
    return len(found), text, "; ".join(details[:4]) + ("; …" if len(details) > 4 else "")
