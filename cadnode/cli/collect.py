"""`cadnode data collect`: a cohort for training from the own archive, without identities."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cadnode import settings
from cadnode.cli.command import (
    AsJson,
    ConfigFile,
    OutFolder,
    command,
    err,
    out,
    print_json,
    to_file,
)
from cadnode.cli.output import counting_progress
from cadnode.errors import DataError
from cadnode.terminal import counted

if TYPE_CHECKING:
    from cadnode.node.cohort.collecting import Cohort
    from cadnode.node.cohort.plan import CohortPlan
    from cadnode_training.data.manifest import ManifestRow

_MANIFEST = "manifest.csv"
_SHOWN_LINES = 12  # of one reason; JSON has all
_DAY = ["%Y-%m-%d"]


@dataclass(frozen=True, slots=True)
class _Made:
    """What a run has written: the manifest's rows, the content's sha256, why there is no split."""

    rows: "tuple[ManifestRow, ...]"
    sha256: str
    no_split: str


@command
def collect(
    origin: Annotated[
        str,
        typer.Option(
            "--from", metavar="SOURCE",
            help="NAME of a source in the configuration, orthanc:URL, dicomweb:URL, AET@HOST:PORT",
        ),
    ],
    cases: Annotated[
        Path, typer.Option(metavar="FILE", help="CSV or XLSX of outcomes (docs/data.md)")
    ],
    out_folder: OutFolder,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", callback=to_file,
            help="key of the pseudonyms, made if it is missing; default: DIR.key beside DIR. "
            "Keep it, and never with the cohort",
        ),
    ] = None,
    window: Annotated[
        int, typer.Option(min=0, metavar="DAYS", help="taken are exams this long before an outcome")
    ] = 365,
    since: Annotated[
        datetime | None, typer.Option(formats=_DAY, metavar="DATE", help="exams from this day on")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=_DAY, metavar="DATE", help="exams to this day")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="exams at most, in the file's order")
    ] = None,
    seed: Annotated[int, typer.Option(help="of the split: decides which women")] = 0,
    name: Annotated[
        str, typer.Option(metavar="TEXT", help="the data set's name in the manifest")
    ] = "own",
    ae_title: Annotated[
        str, typer.Option(metavar="AET", help="for C-MOVE: ours, instead of listener.ae_title")
    ] = "",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="for C-MOVE: our port, instead of listener.port"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="ask which exams there are; fetch and write nothing")
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Collect exams whose outcome is known from the own archive, without identities, for training.

    Each exam within the window before an outcome is fetched; of the breasts with an outcome, the
    images that the node would read are kept: pseudonymised (DICOM PS3.15), listed in manifest.csv,
    split by woman, each with its sha256. A run that was broken off goes on when it is run again.
    """
    from cadnode.node.cohort import collecting, intake
    from cadnode.node.cohort import origin as origins
    from cadnode.node.cohort.cases import REQUIRED, read_cases
    from cadnode.node.cohort.plan import CohortPlan, Period, plan
    from cadnode.report.pseudonyms.key import key_in
    from cadnode_training.data.sources import SOURCES
    from cadnode_training.data.tables import read_rows

    values, out_folder = settings.load(config), out_folder.absolute()
    source = origins.origin_of(origin, values)
    if not name.strip() or name in SOURCES:
        raise DataError("--name is a name of your own, not one of `cadnode data kinds`")
    read, wrong = read_cases(read_rows(cases, REQUIRED), cases.name)
    period = Period(window, _day(since), _day(until))
    place = _key_place(key, out_folder)
    own = intake.OwnListener(ae_title, port)
    ask = collecting.asked(intake.AskedSource(source, values, own))
    with counting_progress(err, "asking", len(read), quiet=as_json) as tick:
        found = plan(read, ask, period, limit, tick)
    found = CohortPlan(found.exams, sorted([*wrong, *found.left_out]), found.beyond)
    if dry_run:
        _show_plan(found, as_json=as_json)
        return
    with (
        intake.opened(source, values, own, out_folder) as opened,
        counting_progress(err, "exams", len(found.exams), quiet=as_json) as tick,
    ):
        cohort = collecting.collect(found, opened, key_in(place), out_folder, tick)
    if not cohort.images:
        _forget(out_folder)
        _show_left_out(cohort, as_json=as_json)
        raise DataError("no image was collected: the reasons are above")
    made = _write(cohort, out_folder, seed, name)
    _show(cohort, made, found, out_folder, place, as_json=as_json)


def _day(value: datetime | None) -> date | None:
    return None if value is None else value.date()


def _key_place(key: Path | None, folder: Path) -> Path:
    """Where the key is; raises `DataError` for one within the folder that goes on."""
    place = folder.with_name(folder.name + ".key") if key is None else key
    if place.resolve().is_relative_to(folder.resolve()):
        raise DataError("--key is inside --out: who gets the cohort would get the key")
    return place


def _write(cohort: "Cohort", folder: Path, seed: int, name: str) -> _Made:
    """Write manifest and sums of a cohort; the split is left open where women are too few."""
    from cadnode.files import file_sha256
    from cadnode_training.data import contents, splits
    from cadnode_training.data.manifest import ManifestRow
    from cadnode_training.data.manifest_file import write_manifest

    rows = tuple(
        ManifestRow(
            image=folder / one.image.file, dataset=name, woman=one.exam.woman,
            label=one.outcome.value, exam=one.exam.exam, exam_date=one.exam.exam_date,
            laterality=one.image.laterality, view=one.image.view, pathology=one.outcome.value,
            age=one.image.age, vendor=one.image.vendor, spacing_mm=one.image.spacing_mm,
        )
        for one in sorted(cohort.images, key=lambda one: one.image.file)
    )  # fmt: skip
    no_split = ""
    try:
        rows = splits.split_by_woman(rows, splits.Shares(), seed)
    except DataError as error:
        no_split = str(error)
    try:
        write_manifest(folder / _MANIFEST, rows)
        sums = {one.image.file: one.image.sha256 for one in cohort.images}
        sums[_MANIFEST] = file_sha256(folder / _MANIFEST)
        return _Made(rows, contents.write_sums(folder, sums), no_split)
    except OSError as error:
        raise DataError(f"{folder.name} cannot be written ({type(error).__name__})") from None


def _forget(folder: Path) -> None:
    """Remove the manifest of a cohort of which nothing is left."""
    from cadnode_training.data.contents import SUMS

    for name in (_MANIFEST, SUMS):
        (folder / name).unlink(missing_ok=True)


def _left_out(cohort: "Cohort") -> dict[str, Any]:
    """Lines by reason, and how many images for which reason."""
    return {
        "lines_left_out": _by_reason(cohort.lines),
        "images_left_out": dict(sorted(cohort.left_out.items())),
    }


def _by_reason(lines: list[tuple[int, str]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for line, reason in sorted(lines):
        found.setdefault(reason, []).append(line)
    return found


def _show_plan(found: "CohortPlan", *, as_json: bool) -> None:
    known = [one.n_images for one in found.exams if one.n_images is not None]
    lines = [(line, reason.value) for line, reason in found.left_out]
    if as_json:
        shown: dict[str, Any] = {
            "exams": len(found.exams), "images": sum(known) if known else None,
            "beyond_limit": found.n_beyond, "lines_left_out": _by_reason(lines),
        }  # fmt: skip
        print_json(shown)
        return
    images = f" with {counted(sum(known), 'image')} in {len(known)} of them" if known else ""
    out.print(f"{counted(len(found.exams), 'exam')} would be fetched{images}", highlight=False)
    if found.n_beyond:
        out.print(f"  {found.n_beyond} more are beyond --limit", highlight=False)
    _print_lines(lines)


def _print_lines(lines: list[tuple[int, str]]) -> None:
    for reason, numbers in _by_reason(lines).items():
        shown = ", ".join(map(str, numbers[:_SHOWN_LINES]))
        more = " …" if len(numbers) > _SHOWN_LINES else ""
        text = f"  left out: {len(numbers)} × {reason} (line {shown}{more})"
        out.print(text, highlight=False, soft_wrap=True)


def _show_left_out(cohort: "Cohort", *, as_json: bool = False) -> None:
    if as_json:
        print_json(_left_out(cohort))
        return
    _print_lines(cohort.lines)
    for reason, n in sorted(cohort.left_out.items()):
        out.print(f"  images left out: {n} × {reason}", highlight=False)


def _show(
    cohort: "Cohort", made: _Made, found: "CohortPlan", folder: Path, key: Path, *, as_json: bool
) -> None:
    from cadnode_training.data.check import by_split

    women = {one.exam.woman for one in cohort.images}
    if as_json:
        print_json(
            {
                "women": len(women), "exams": len(cohort.exams), "images": len(cohort.images),
                "outcomes": dict(Counter(one.outcome.value for one in cohort.images)),
                "by_split": by_split(made.rows), "no_split": made.no_split,
                **_left_out(cohort),
                "burned_in_not_stated": cohort.burned_in_not_stated,
                "exams_fetched": cohort.n_fetched, "exams_removed": cohort.n_removed,
                "beyond_limit": found.n_beyond, "manifest": str(folder / _MANIFEST),
                "content_sha256": made.sha256, "key": str(key),
            }
        )  # fmt: skip
        return
    text = ", ".join(
        (
            counted(len(cohort.images), "image"),
            counted(len(cohort.exams), "exam"),
            counted(len(women), "woman", "women"),
        )
    )
    out.print(f"{text}: {counted(cohort.n_fetched, 'exam')} fetched now", highlight=False)
    _show_left_out(cohort)
    for n, what in (
        (cohort.n_removed, "exams removed that belong to no line any more"),
        (found.n_beyond, "exams beyond --limit"),
        (
            cohort.burned_in_not_stated,
            "images do not state whether text is burned in",
        ),
    ):
        if n:
            out.print(f"  {n} {what}", highlight=False)
    if made.no_split:
        out.print(f"  not split: {made.no_split}", highlight=False, soft_wrap=True)
    out.print(f"{folder / _MANIFEST}", highlight=False, soft_wrap=True)
    out.print(f"content sha256 {made.sha256}", highlight=False, soft_wrap=True)
    advice = f"the key is {key}: keep it, apart from the cohort"
    out.print(advice, highlight=False, soft_wrap=True)
