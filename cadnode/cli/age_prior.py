"""`cadnode models age-prior`: a prior by age, as a new version of a model's card."""

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from cadnode import settings
from cadnode.cli.acts import AuditedAct, changing_models
from cadnode.cli.command import AsJson, ConfigFile, command, err, out, print_json
from cadnode.cli.recalibrate import OutFolder, refuse_unsigned, versions_of, written
from cadnode.terminal import styled


@command
def age_prior(
    spec: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="a model of digital views")],
    data: Annotated[
        str,
        typer.Option(
            metavar="KIND:PATH", help="digital views with the women's ages: rsna-views:PATH …"
        ),
    ],
    out_folder: OutFolder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="look at it, change nothing")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Fit a prior by age, as a new version with the same weights and the same image score.

    How cancer depends on age is fitted on women of the data's training and validation parts, the
    intercept on women of the validation part that training has not seen, and image, age and both
    are measured on the test part. Reports have a score of image and age only with
    reading.age_prior = true.

    Example: [bold]cadnode models age-prior dib-mg-digital --data rsna-views:PATH --dry-run[/]
    """
    from cadnode.node import model_overview
    from cadnode.registry.catalogue import parse
    from cadnode_training.results import age_prior as fitting

    values = settings.load(config)
    stores = model_overview.stores(values)
    refuse_unsigned(stores, out_folder, dry_run=dry_run)
    catalogue = stores.catalogue()
    entry = catalogue.find(*parse(spec))
    now = datetime.now(UTC)
    err.print(f"{entry.name}: reading women of all parts …", highlight=False, markup=False)
    versions = versions_of(entry, catalogue, out_folder)
    done = fitting.fitted(entry.folder, data, versions, now.date())
    changes = not (dry_run or out_folder)
    with changing_models(values, "age-prior") if changes else nullcontext(AuditedAct("")) as act:
        folders = {} if dry_run else written([done], stores, out_folder, now)
        act.what = " ".join(folders)
    row = fitting.as_dict(done, folders.get(done.card.name))
    if as_json:
        print_json(row | {"dry_run": dry_run})
        return
    _show(row, dry_run=dry_run)


def _show(row: dict[str, Any], *, dry_run: bool) -> None:
    prior = row["age_prior"]
    out.print(
        f"log-odds = {prior['intercept']:.3f} + {prior['slope']:.3f} · image + "
        f"{prior['per_decade']:.3f} · (age − {prior['centre']:g}) / 10, for ages from "
        f"{prior['youngest']} to {prior['oldest']}",
        highlight=False, soft_wrap=True, markup=False,
    )  # fmt: skip
    out.print(
        f"Age: {prior['fitted_on']} ({prior['n_cancer']} of {prior['n_women']} with cancer). "
        f"Intercept: {prior['intercept_from']} ({prior['n_intercept_cancer']} of "
        f"{prior['n_intercept_women']}).",
        highlight=False, markup=False,
    )  # fmt: skip
    table = Table(box=None, pad_edge=False)
    for name in ("AUC of", "image", "age", "image and age", "gain", "cases"):
        table.add_column(name, justify="left" if name == "AUC of" else "right")
    for metric in prior["metrics"]:
        values = [metric[key]["auc"] for key in ("image", "age", "image_and_age")]
        low, high = metric["gain_ci"]
        table.add_row(
            f"{metric['unit']}{', of one machine' if 'one machine' in metric['contrast'] else ''}",
            *(f"{value:.3f}" for value in values),
            f"{metric['gain']:+.3f} ({low:+.3f} to {high:+.3f})",
            f"{metric['n_pos']} + {metric['n_neg']}",
        )
    out.print(table)
    version = f"{row['name']}@{row['to_version']}"
    if dry_run:
        out.print(styled("{} would be written; nothing was changed.", version))
    else:
        out.print(
            f"{version} is in {row['folder']}. It is not active: `cadnode models activate "
            f"{version}`, and reading.age_prior = true for its score in reports.",
            highlight=False, soft_wrap=True, markup=False,
        )  # fmt: skip
