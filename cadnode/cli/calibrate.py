"""`cadnode calibrate`: a model's calibrations of single scanners, as a new version of its card."""

import itertools
from contextlib import nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cadnode import settings
from cadnode.cli.acts import AuditedAct, changing_models
from cadnode.cli.command import AsJson, ConfigFile, command, err, out, print_json
from cadnode.cli.recalibrate import OutFolder, refuse_unsigned, versions_of, written
from cadnode.errors import DataError, SettingsError
from cadnode.terminal import counted, styled

if TYPE_CHECKING:
    from cadnode.node.scanner_calibration import CalibratedModel
    from cadnode.quality.local_readings import ScannerFit
    from cadnode.registry.catalogue import Catalogue, Entry
    from cadnode_training.results.scanner_readings import ReadDataSet


class To(StrEnum):
    """What scores are calibrated to."""

    OUTCOMES = "outcomes"
    CALL_RATE = "call-rate"


@command
def calibrate(
    specs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME[@VERSION] …]", help="only these; default: active models of views"
        ),
    ] = None,
    to: Annotated[
        To,
        typer.Option(
            help="[bold]outcomes[/] that were imported, or without any a [bold]call-rate[/]: the "
            "scanner's scores are brought to the distribution of the others'"
        ),
    ] = To.OUTCOMES,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="KIND:PATH",
            help="exams with known outcomes, dicom-csv:PATH or a manifest of DICOM files, in place "
            "of this node's journal",
        ),
    ] = None,
    scanner: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="only scanners with this in their name; repeat"),
    ] = None,
    changed_in: Annotated[
        datetime | None,
        typer.Option(
            "--changed-in", formats=["%Y-%m"], metavar="YYYY-MM",
            help="with --to call-rate: compare the scanner with itself before this month",
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="PARTS", help="what makes a scanner: of manufacturer,model,station,software"
        ),
    ] = "manufacturer,model,station,software",
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="exams read on this day or later"),
    ] = None,
    out_folder: OutFolder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="look at it, change nothing")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Calibrate scores and operating point for each scanner, from what this node or --data has.

    The new version has the same weights; an exam is read with its own scanner's calibration, any
    other with the card's own. It is not active until `cadnode models activate`; shadow it first.
    --to call-rate needs no outcomes, supposes that the women are alike, and cannot see whether
    the scanner finds cancers as well as others.
    Example: [bold]cadnode calibrate --dry-run[/]
    """
    from cadnode.node import model_overview
    from cadnode.node.scanner_calibration import CallRateMode, calibrated
    from cadnode_training.engine.command_line import named

    values = settings.load(config)
    stores = model_overview.stores(values)
    refuse_unsigned(stores, out_folder, dry_run=dry_run)
    if changed_in is not None and to is To.OUTCOMES:
        raise SettingsError("--changed-in belongs to --to call-rate")
    if data is not None and since is not None:
        raise SettingsError("--since is of this node's journal: --data is taken whole")
    month = "" if changed_in is None else f"{changed_in:%Y-%m}"
    mode = CallRateMode(month) if to is To.CALL_RATE else None
    catalogue, now, done = stores.catalogue(), datetime.now(UTC), []
    women: dict[str, tuple[str, ...]] = {}
    try:
        for entry in _chosen(catalogue, specs or []):
            found = None if data is None else _read(data, entry, values)
            women[entry.name] = () if found is None else found.women
            one = calibrated(
                values, catalogue, entry, mode=mode, parts=_parts(by), only=scanner or (),
                since=None if since is None else since.date(),
                readings=None if found is None else found.readings,
            )  # fmt: skip
            if one is not None:
                done.append(one)
            elif specs:
                raise DataError(f"{entry.spec} reads no whole views: it has no score of breasts")
    except OSError as error:
        raise DataError(f"the journal of scores cannot be read ({type(error).__name__})") from None
    fitted = [one for one in done if one.calibrations]
    folders: dict[str, Path] = {}
    if fitted and not dry_run:
        recorded = (
            changing_models(values, "calibrate")
            if out_folder is None
            else nullcontext(AuditedAct(""))
        )
        with recorded as act:
            said = f"--to {to.value}" + (f" --data {named(data)}" if data else "")
            made = [_refitted(one, catalogue, out_folder, said, now, women) for one in fitted]
            folders = written(made, stores, out_folder, now)
            act.what = " ".join(folders)
    if as_json:
        rows = [_row(one, folders.get(one.card.name)) for one in done]
        print_json({"to": to.value, "models": rows, "dry_run": dry_run})
    else:
        _show(done, folders, dry_run=dry_run)
    if not fitted:
        raise DataError("no scanner could be calibrated: the reasons are above")


def _chosen(catalogue: "Catalogue", specs: list[str]) -> "list[Entry]":
    from cadnode.registry.catalogue import parse

    return [catalogue.find(*parse(spec)) for spec in specs] or list(catalogue.active())


def _parts(by: str) -> Any:
    from cadnode.quality.local_readings import PARTS

    wanted = [part.strip() for part in by.split(",") if part.strip()]
    if not wanted or not {*wanted} <= {*PARTS}:
        raise SettingsError(f"--by takes parts of {', '.join(PARTS)}, separated by commas")
    return tuple(part for part in PARTS if part in wanted)


def _read(data: str, entry: "Entry", values: settings.Settings) -> "ReadDataSet | None":
    """The data's exams as a model reads them; None where it reads no whole views."""
    from cadnode.models import loading, store
    from cadnode.models.card import DibMgCard, OnnxViewCard
    from cadnode.node.readers import engine_of
    from cadnode_training.results.scanner_readings import readings_of

    if not isinstance(store.read_card(entry.folder), DibMgCard | OnnxViewCard):
        return None
    model = loading.load_view_model(entry.folder, engine=engine_of(values.reading))
    with err.status(f"{entry.spec} reads {data}") as status:
        count = itertools.count(1)
        found = readings_of(
            data, model, store.seen_women(entry.folder),
            lambda: status.update(f"{entry.spec} reads {data}: exam {next(count)}"),
        )  # fmt: skip
    for reason, n in found.left_out.items():
        err.print(styled("[yellow]![/] {}", f"left out: {n} × {reason.replace('_', ' ')}"))
    return found


def _refitted(
    one: "CalibratedModel",
    catalogue: "Catalogue",
    out_folder: Path | None,
    said: str,
    now: datetime,
    women: dict[str, tuple[str, ...]],
) -> Any:
    """The next version of a model, ready to be written; women of the data count as seen by it."""
    from cadnode.models import store
    from cadnode_training.results.recalibrate import Refitted, next_version

    split = store.read_split(one.entry.folder)
    split["validation"] = sorted({*split["validation"], *women.get(one.entry.name, ())})
    version = next_version([one.card.version, *versions_of(one.entry, catalogue, out_folder)])
    command = f"cadnode calibrate {one.card.name} {said}"
    card = one.card_of(version, command, now.date())
    return Refitted(one.entry.folder, one.card, card, split, "")


def _row(one: "CalibratedModel", folder: Path | None) -> dict[str, Any]:
    return {
        "name": one.card.name,
        "from_version": one.card.version,
        "to_version": None if folder is None else folder.name,
        "folder": None if folder is None else str(folder),
        "n_read": one.n_read,
        "scanners": [_scanner(fit) for fit in one.scanners],
    }


def _scanner(found: "ScannerFit") -> dict[str, Any]:
    start: dict[str, Any] = {"scanner": found.scanner, "n_read": found.n_read}
    fit = found.fit
    if fit is None:
        return start | {"calibration": None, "reason": found.reason}
    return start | {
        "calibration": fit.calibration.model_dump(mode="json", exclude={"exam"}),
        "threshold": [fit.threshold_before, fit.threshold_after],
        "call_rate": [fit.before.as_dict(), fit.after.as_dict()],
        "reference_call_rate": None if fit.reference is None else fit.reference.as_dict(),
        "auc": None if fit.auc is None else fit.auc.as_dict(),
        "sensitivity": None if fit.sensitivity is None else fit.sensitivity.as_dict(),
        "specificity": None if fit.specificity is None else fit.specificity.as_dict(),
        "slope_ci": None if fit.of_outcomes is None else fit.of_outcomes.slope_ci,
        "intercept_ci": None if fit.of_outcomes is None else fit.of_outcomes.intercept_ci,
        "reason": "",
    }


def _show(done: "list[CalibratedModel]", folders: dict[str, Path], *, dry_run: bool) -> None:
    for one in done:
        out.print(f"{one.entry.spec}: {counted(one.n_read, 'reading')}", highlight=False)
        if one.calibrations:
            out.print(_table(one))
        for found in one.scanners:
            warnings = () if found.fit is None else found.fit.calibration.warnings
            for text in (*warnings, *((found.reason,) if found.fit is None else ())):
                err.print(styled("[yellow]![/] {}", f"{found.scanner}: {text}"), soft_wrap=True)
        if one.n_read and not one.scanners:
            err.print(styled("[yellow]![/] {}", "no reading is of a scanner that is meant"))
        if not one.calibrations:
            continue
        folder = folders.get(one.card.name)
        if folder is None:
            would = "a new version would be written" if dry_run else "nothing was written"
            out.print(f"{would}; nothing was changed.", highlight=False)
            continue
        spec = f"{one.card.name}@{folder.name}"
        out.print(
            f"{spec} is in {folder}, with the weights of {one.card.version}. It is not active: try "
            f"it beside the active one (`cadnode models shadow start {spec}`), then "
            f"`cadnode models activate {spec}`; `cadnode models rollback {one.card.name}` goes "
            "back.",
            highlight=False, soft_wrap=True, markup=False,
        )  # fmt: skip


def _table(one: "CalibratedModel") -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("scanner", overflow="fold")
    for name in (
        "cancer + none", "AUC", "slope", "intercept", "threshold", "call rate", "after",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for found in one.scanners:
        fit = found.fit
        if fit is None:
            continue
        made, area = fit.calibration, fit.auc
        table.add_row(
            found.scanner,
            f"{made.n_pos} + {made.n_neg}" if made.method == "outcomes" else f"{made.n_exams} read",
            "–" if area is None else _ends(area.value, area.ci),
            f"{made.slope:.2f}",
            f"{made.intercept:+.2f}",
            f"{fit.threshold_before:.3f} → {fit.threshold_after:.3f}",
            _ends(fit.before.value or 0.0, fit.before.ci),
            _ends(fit.after.value or 0.0, fit.after.ci),
        )
    return table


def _ends(value: float, ends: tuple[float, float] | None) -> str:
    return f"{value:.3f}" + (f" ({ends[0]:.3f}–{ends[1]:.3f})" if ends else "")
