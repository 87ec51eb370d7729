"""`cadnode compare` and `cadnode report`: models on the same cases, with pages to read."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cadnode import settings
from cadnode.cli.command import ConfigFile, command, err, out, to_file

if TYPE_CHECKING:
    from cadnode.settings import Settings

ModelArgument = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="NAME@VERSION as `models list` has it, or a model folder"),
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
    a: ModelArgument,
    b: ModelArgument,
    data: Data,
    json_file: JsonOut = None,
    html: HtmlOut = None,
    cases_file: ScoredOut = None,
    config: ConfigFile = None,
) -> None:
    """Compare B (the new one) with A on the same cases: areas, changed calls, every stratum.

    Women whom either model saw in training are left out. The JSON is what
    [bold]cadnode models promote --evidence[/] asks for.
    """
    from cadnode_training.results import compare as comparing
    from cadnode_training.results import comparison_page, scored_file

    values = settings.load(config)
    with err.status("reading …"):
        found = comparing.between(folder_of(values, a), folder_of(values, b), data)
    _write(json_file, comparing.as_dict(found))
    if html is not None:
        comparison_page.write(html, found)
    if cases_file is not None:
        scored_file.write(cases_file, found.cases)
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
    _write(json_file, {"schema_version": 1, "tables": [t.as_dict() for t in found]})
    if markdown is not None:
        markdown.write_text(tables.as_markdown(found))
    if csv is not None:
        csv.write_text("\n".join(t.csv() for t in found))
    out.print(f"{html}: {names}", highlight=False)


def folder_of(values: "Settings", text: str) -> Path:
    """The folder of a model: a path that holds a card, or an installed version."""
    from cadnode.models import store
    from cadnode.node import model_overview
    from cadnode.registry.catalogue import parse

    path = Path(text).expanduser()
    if (path / store.CARD).is_file():
        return path
    return model_overview.stores(values).catalogue().find(*parse(text)).folder


def _write(file: Path | None, content: dict[str, Any]) -> None:
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=2) + "\n")
