"""`cadnode models recalibrate`: operating points refitted on validation data."""

import tempfile
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cadnode import settings
from cadnode.cli.acts import AuditedAct, changing_models
from cadnode.cli.command import AsJson, ConfigFile, command, err, out, print_json
from cadnode.errors import SettingsError

if TYPE_CHECKING:
    from cadnode.registry.catalogue import Catalogue, Entry
    from cadnode.registry.installation import Stores
    from cadnode_training.results.recalibrate import Refitted


OutFolder = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="DIR", help="write NAME/VERSION there, not to the node's store"
    ),
]


def refuse_unsigned(stores: "Stores", out_folder: Path | None, *, dry_run: bool) -> None:
    """Raise `SettingsError` where the new version would go unsigned into a store of signed ones."""
    if stores.signed_only and out_folder is None and not dry_run:
        raise SettingsError(
            "models.require_signature: the node's store takes signed models alone; write with "
            "--out DIR, then `cadnode models sign DIR --key FILE` and `cadnode models add DIR`"
        )


@command
def recalibrate(
    specs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME[@VERSION] …]", help="only these; default: every active model"
        ),
    ] = None,
    data: Annotated[
        list[str],
        typer.Option(
            metavar="KIND:PATH", help="rsna-views:PATH, ddsm-exams:PATH, phantom:N …; repeat"
        ),
    ] = [],  # noqa: B006 - typer reads the default and never changes it
    out_folder: OutFolder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="look at it, change nothing")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Fit calibration and operating points anew, as a new version with the same weights.

    Views, breasts, exams and regions are read as the node reads them, from the data's validation
    part without the women of the training. A model takes the first --data that it reads. The new
    version is one patch above the newest; it is not active until `cadnode models activate`.

    Example: [bold]cadnode models recalibrate dib-mg-film --data ddsm-exams:PATH --dry-run[/]
    """
    from cadnode.node import model_overview
    from cadnode_training.results import recalibrate as fitting

    if not data:
        raise SettingsError("--data KIND:PATH is needed; `cadnode data kinds` lists the kinds")
    values = settings.load(config)
    stores = model_overview.stores(values)
    refuse_unsigned(stores, out_folder, dry_run=dry_run)
    catalogue = stores.catalogue()
    now = datetime.now(UTC)
    done = fitting.run(
        _chosen(catalogue, specs or [], out_folder), data, now.date(),
        named_ones=bool(specs), notify=lambda text: err.print(text, highlight=False, markup=False),
    )  # fmt: skip
    changes = not (dry_run or out_folder)
    with changing_models(values, "recalibrate") if changes else nullcontext(AuditedAct("")) as act:
        folders = {} if dry_run else written(done, stores, out_folder, now)
        act.what = " ".join(folders)
    rows = [fitting.as_dict(one, folders.get(one.card.name)) for one in done]
    together = fitting.ensembles([_card(e.folder) for e in catalogue.active()], done)
    if as_json:
        print_json({"models": rows, "ensembles": together, "dry_run": dry_run})
        return
    out.print(_table(rows, together))
    for row in rows:
        text = _message(row, dry_run=dry_run, own=out_folder is None)
        out.print(text, highlight=False, soft_wrap=True, markup=False)


def _card(folder: Path) -> Any:
    from cadnode.models import store

    return store.read_card(folder)


def _chosen(
    catalogue: "Catalogue", specs: list[str], out_folder: Path | None
) -> list[tuple[Path, tuple[str, ...]]]:
    """Folders to start from, each with the versions of its name that are there already."""
    from cadnode.registry.catalogue import parse

    entries = [catalogue.find(*parse(spec)) for spec in specs] or list(catalogue.active())
    return [(entry.folder, versions_of(entry, catalogue, out_folder)) for entry in entries]


def versions_of(entry: "Entry", catalogue: "Catalogue", out_folder: Path | None) -> tuple[str, ...]:
    """The versions of a model's name that are there already, in the stores and beside a new one."""
    from cadnode.models import store

    beside = store.folders(out_folder) if out_folder else []
    return (
        *catalogue.versions(entry.name),
        *(folder.name for folder in beside if folder.parent.name == entry.name),
    )


def written(
    done: list["Refitted"], stores: "Stores", out_folder: Path | None, now: datetime
) -> dict[str, Path]:
    """Where each new version went, by name; what is active stays active."""
    from cadnode.node import model_overview
    from cadnode.registry import installation

    if out_folder is not None:
        return {one.card.name: one.write(out_folder) for one in done}
    with tempfile.TemporaryDirectory(prefix="cadnode-recalibrated-") as scratch:
        for one in done:
            model_overview.examine(one.write(Path(scratch)))
        installation.add(Path(scratch), stores, model_overview.actor(now), model_overview.examine)
    return {one.card.name: stores.own / one.card.name / one.card.version for one in done}


def _table(rows: list[dict[str, Any]], together: list[dict[str, Any]]) -> Table:
    """Each operating point before and after."""
    table = Table(box=None, pad_edge=False)
    for name in ("model", "of", "operating point"):
        table.add_column(name)
    for name in ("from", "sensitivity", "specificity", "cases"):
        table.add_column(name, justify="right")
    for row in rows:
        new = row["new"]["operating_points"]
        for what, points in new.items():
            before = row["old"]["operating_points"].get(what, {})
            for choice, point in points.items():
                cases = f"{point['n_pos']} + {point['n_neg']}"
                numbers = _changed(before.get(choice), point)
                table.add_row(row["name"], what, choice, *numbers, cases)
    for row in together:
        for choice, point in row["new"].items():
            numbers = _changed(row["old"][choice], point)
            table.add_row(row["system"], "ensemble", choice, *numbers, "")
    return table


def _changed(old: dict[str, Any] | None, new: dict[str, Any]) -> list[str]:
    keys = ("threshold", "sensitivity", "specificity")
    before = [f"{old[key]:.3f}" if old else "none" for key in keys]
    return [f"{was} → {new[key]:.3f}" for was, key in zip(before, keys, strict=True)]


def _message(row: dict[str, Any], *, dry_run: bool, own: bool) -> str:
    spec, base = f"{row['name']}@{row['to_version']}", row["from_version"]
    if dry_run:
        return f"{spec} would be written, with the weights of {base}; nothing was changed."
    start = f"{spec} is in {row['folder']}, with the weights of {base}."
    if not own:
        return f"{start} `cadnode models add` puts it into a node's store."
    return (
        f"{start} It is not active: `cadnode models activate {spec}`, or measure it first with "
        "`cadnode compare`."
    )
