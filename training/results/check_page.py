"""`cadnode data check --html`: a manifest's images before and after preprocessing, on one page.

What is shown after is what networks of whole views are given: the chain of the packaged recipe
(`papers.kim2018`), which training and serving share.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.domain import SKIP_MEANINGS, Acquisition, FloatImage, Laterality
from cadnode.errors import NotProcessable
from cadnode.exam.eligibility import reason_against
from cadnode.exam.read import read_instance
from cadnode.files import write_whole
from cadnode.html.environment import BY_PREFERENCE, environment
from cadnode.imaging import pixels, view_chain
from cadnode_training.data.check import ManifestReport
from cadnode_training.data.images import GREY_FILES, load_image
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.papers.kim2018 import config as recipes
from cadnode_training.results.gallery import CasePicture, painted
from cadnode_training.results.pages import DISCLAIMER

MOST_IMAGES: Final = 60
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
    others = [path for path in paths if path not in set(bad)]
    n = min(most - len(bad), len(others))
    return [*bad, *(others[i * len(others) // n] for i in range(n))]


def _shown(rows: Sequence[ManifestRow], numbers: Sequence[int]) -> ImageShown:
    """An image's pictures; of several rows each lesion is framed."""
    row = rows[0]
    title = f"row {', '.join(map(str, numbers[:4]))}" + (" …" if len(numbers) > 4 else "")
    label = ", ".join(dict.fromkeys(one.label for one in rows))
    if not row.image.is_file():
        return ImageShown(title, _facts(row), label, refused="missing_file")
    image, acquisition, refused, note = _read(row.image)
    if image is None:
        return ImageShown(title, _facts(row), label, refused=refused)
    before = painted(CasePicture(image, lesion=row.box))
    size = f"{image.shape[0]} × {image.shape[1]}"
    facts = " · ".join(filter(None, (_facts(row), size)))
    if refused:
        return ImageShown(title, facts, label, before, refused=refused)
    if not row.laterality:
        return ImageShown(title, facts, label, before, refused="laterality not stated")
    spec = recipes.load().preprocess(acquisition)
    try:
        chain = view_chain.build(spec)
        tensor = chain(view_chain.start(image, Laterality(row.laterality))).image[0]
    except NotProcessable as error:
        return ImageShown(title, facts, label, before, refused=error.reason.value)
    after = painted(CasePicture(tensor))
    return ImageShown(
        title, f"{facts} → {spec.height} × {spec.width}", label, before, after, "", note
    )


def _facts(row: ManifestRow) -> str:
    age = "" if row.age is None else f"{row.age} years"
    spacing = "" if row.spacing_mm is None else f"{row.spacing_mm:g} mm"
    named = (f"{row.laterality}{row.view}", row.split, row.vendor, age, spacing)
    return " · ".join(filter(None, named))


def _read(path: Path) -> tuple[FloatImage | None, Acquisition, str, str]:
    """The image, what it is of, why no network gets it, and what the node would say of it.

    One that is refused is shown all the same where its pixels can be read.
    """
    if path.suffix.lower() in GREY_FILES:
        grey = load_image(path)
        film = Acquisition.FILM
        return (None, film, grey, "") if isinstance(grey, str) else (grey, film, "", "")
    refused = ""
    try:
        mammogram = read_instance(path)
    except NotProcessable as error:
        refused = error.reason.value
        try:
            mammogram = read_instance(path, read_for_processing=True)
        except NotProcessable:
            return None, Acquisition.DIGITAL, refused, ""
    try:
        image = pixels.load(mammogram)
    except NotProcessable as error:
        return None, mammogram.acquisition, error.reason.value, ""
    against = reason_against(mammogram)
    note = "" if against is None else f"the node would not read it: {against.value}"
    return image, mammogram.acquisition, refused, note


def _numbers(report: ManifestReport, kind: str) -> tuple[int, str, str]:
    """Of a kind of problem: how many, their rows, and the first one's words."""
    found = [problem for problem in report.problems if problem.kind == kind]
    rows = sorted({n for problem in found for n in problem.rows})
    text = ", ".join(map(str, rows[:_PROBLEMS])) + (" …" if len(rows) > _PROBLEMS else "")
    details = list(dict.fromkeys(problem.detail for problem in found))
    return len(found), text, "; ".join(details[:4]) + ("; …" if len(details) > 4 else "")
