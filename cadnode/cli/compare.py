"""`cadnode compare` and `cadnode report`: models on the same cases, with pages to read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cadnode import settings
from cadnode.cli.command import (
    ConfigFile,
    DryRun,
    Seed,
    command,
    err,
    given,
    out,
    to_file,
    to_folder,
    write_json,
)
from cadnode.errors import SettingsError
from cadnode.statistics.draws import seeded

if TYPE_CHECKING:
    from cadnode.settings import Settings

ComparedModel = Annotated[
    str | None,
    typer.Argument(help="NAME@VERSION as `models list` has it, or a model folder"),
]
Data = Annotated[
    str,
    typer.Option(
        metavar="KIND:PATH",
        help="as `cadnode evaluate` of that kind of model takes it, or phantom:N",
    ),
]
JsonOut = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="numbers", callback=to_file)
]
HtmlOut = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="a page to read", callback=to_file)
]
ScoredOut = Annotated[
    Path | None,
    typer.Option(
        "--scored",
        metavar="FILE",
        help="scores of all cases, .json or .csv; no names",
        callback=to_file,
    ),
]


@command
def compare(
    data: Data,
    a: ComparedModel = None,
    b: ComparedModel = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="MODEL", help="instead of an argument; twice: A, then B"),
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option(help="of wang2016's models: calcifications, masses or both"),
    ] = None,
    json_file: JsonOut = None,
    html: HtmlOut = None,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="numbers and page: result.json, result.html",
            callback=to_folder,
        ),
    ] = None,
    cases_file: ScoredOut = None,
    seed: Seed = 0,
    dry_run: DryRun = False,
    config: ConfigFile = None,
) -> None:
    """Compare B (the new one) with A on the same cases: AUCs, changed calls, every stratum.

    Two versions of one model, or two models of one kind. Women whom either saw in training are
    left out. The JSON is what [bold]cadnode models promote --evidence[/] asks for.
    Example: [bold]cadnode compare NAME@1.0.0 NAME@1.1.0 --data manifest:cohort.csv --out cmp[/]
    """
    from cadnode_training.results import compare as comparing
    from cadnode_training.results import comparison_page, scored_file

    values = settings.load(config)
    old, new = _two([one for one in (a, b) if one is not None] + (models or []))
    one, other = (folder_of(values, text, scenario) for text in (old, new))
    _is_comparable(values, one, other)
    numbers = given(json_file, out_folder and out_folder / "result.json")
    pages = given(html, out_folder and out_folder / "result.html")
    if dry_run:
        files = [*numbers, *pages, *given(cases_file)]
        _preview([one, other], data, files, seed)
        return
    with err.status("reading …"), seeded(seed):
        found = comparing.between(one, other, data)
    for file in numbers:
        write_json(file, comparing.as_dict(found) | {"seed": seed})
    for page in pages:
        with seeded(seed):
            comparison_page.write(page, found)
    if cases_file is not None:
        scored_file.write(cases_file, found.cases)
    out.print(comparison_page.plainly(found), highlight=False)
    out.print(comparison_page.sentence(found), highlight=False)
    for row in found.strata:
        if row.value is not None and row.ci is not None:
            low, high = row.ci
            out.print(
                f"{row.fact} {row.stratum}: {row.value:+.3f} ({low:+.3f} to {high:+.3f}), "
                f"{row.n_pos} + {row.n_neg}", highlight=False,
            )  # fmt: skip


@command
def report(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL…", help="models of one kind: NAME@VERSION or folders"),
    ],
    data: Data,
    html: Annotated[
        Path, typer.Option("--html", metavar="FILE", help="the page", callback=to_file)
    ],
    json_file: JsonOut = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the tables as Markdown", callback=to_file)
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the tables as CSV", callback=to_file)
    ] = None,
    cases_file: ScoredOut = None,
    config: ConfigFile = None,
) -> None:
    """Evaluate models on one page: the paper's table beside the published one, curves, strata."""
    from cadnode_training.results import detection_page, evaluation_page, scored_file, tables

    values = settings.load(config)
    folders = [folder_of(values, model) for model in models]
    if detection_page.reads(folders):
        with err.status("detecting …"):
            found = detection_page.write(html, data, folders[0])
        names = folders[0].parent.name
    else:
        with err.status("reading …"):
            made = evaluation_page.from_models(html, folders, data)
        found, names = made.tables, ", ".join(s.spec for s in made.cases.scorers)
        if cases_file is not None:
            scored_file.write(cases_file, made.cases)
    write_json(json_file, {"schema_version": 1, "tables": [t.as_dict() for t in found]})
    if markdown is not None:
        markdown.write_text(tables.as_markdown(found))
    if csv is not None:
        csv.write_text("\n".join(t.csv() for t in found))
    out.print(f"{html}: {names}", highlight=False)


def folder_of(values: "Settings", text: str, scenario: str | None = None) -> Path:
    """The folder of a model: a path that holds a card, or an installed version.

    `wang2016` (with or without a version) and a scenario name `wang2016-SCENARIO`.

    Raises
    ------
    SettingsError
        There is none; the message names those that exist.
    """
    from cadnode.models import store
    from cadnode.node import model_overview
    from cadnode.registry.catalogue import parse

    path = Path(text).expanduser()
    if (path / store.CARD).is_file():
        return path
    name, version = parse(text)
    if scenario is not None and not name.endswith(f"-{scenario}"):
        name = f"{name}-{scenario}"
    return model_overview.stores(values).catalogue().find(name, version).folder


def _preview(folders: list[Path], data: str, files: list[Path], seed: int) -> None:
    """Print what a comparison would read and write."""
    from cadnode_training.results import evaluation_preview

    with err.status("counting …"):
        seen = evaluation_preview.preview(folders, data, files, seed, contrast_only=True)
    seen.show(out)


def _two(models: list[str]) -> tuple[str, str]:
    if len(models) != 2:
        raise SettingsError(
            f"a comparison takes two models, A and B, not {len(models)}: two versions of one "
            "(NAME@1.0.0 NAME@1.1.0), or two of one kind; `cadnode models list` has their names"
        )
    return models[0], models[1]


def _is_comparable(values: "Settings", one: Path, other: Path) -> None:
    """Refuse models of two kinds, and name what the first can be compared with."""
    from cadnode.models import store
    from cadnode.node import model_overview
    from cadnode_training.results.reading import reads_of

    card, its = store.read_card(one), store.read_card(other)
    if reads_of(card) == reads_of(its):
        return
    entries = model_overview.stores(values).catalogue().entries
    alike = [
        entry.spec
        for entry in entries
        if entry.folder != one and reads_of(store.read_card(entry.folder)) == reads_of(card)
    ]
    raise SettingsError(
        f"{card.name} reads {reads_of(card)} and {its.name} {reads_of(its)}: only models of one "
        f"kind can be compared. With {card.name} can be: {', '.join(alike) or 'none installed'}"
    )
