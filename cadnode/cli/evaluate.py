"""`cadnode evaluate`: every system on your own data, with intervals."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cadnode import settings
from cadnode.cli.command import ConfigFile, command, out, to_file
from cadnode.errors import SettingsError

evaluate_app = typer.Typer(no_args_is_help=True, help="Measure a system, with intervals.")

RoiData = Annotated[
    str, typer.Option(metavar="KIND:PATH", help="phantom:N, mini-mias:PATH, pisa-calcifications …")
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="OUT", help="write the numbers to OUT", callback=to_file),
]
HtmlFile = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="OUT",
        help="a page to read: tables, curves, strata, pictures",
        callback=to_file,
    ),
]
ModelFolder = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="folder with card.json; default: the packaged model"),
]


@evaluate_app.command("kim2018")
@command
def evaluate_kim2018(
    data: Annotated[
        str,
        typer.Option(metavar="KIND:PATH", help="rsna-views:PATH, ddsm-exams:PATH or phantom:N …"),
    ],
    json_file: JsonFile = None,
    html: HtmlFile = None,
    model: ModelFolder = None,
    split: Annotated[
        str,
        typer.Option(help="[bold]unseen[/]: women the model never saw; [bold]all[/]: everybody"),
    ] = "unseen",
) -> None:
    """AUC of DIB-MG with its 95 % interval, overall and per stratum, on women it never saw."""
    if html is not None and split != "unseen":
        raise SettingsError("--html shows women the model never saw: leave --split away")
    _evaluate("kim2018", data, json_file, html, model, split=split)


@evaluate_app.command("wang2016")
@command
def evaluate_wang2016(
    data: Annotated[
        str,
        typer.Option(metavar="KIND:PATH", help="cbis-mass-rois:PATH, mini-mias:PATH, phantom:N …"),
    ],
    json_file: JsonFile = None,
    html: HtmlFile = None,
    model: ModelFolder = None,
    scenario: Annotated[
        str | None,
        typer.Option(help="calcifications, masses or both; default: all that are packaged"),
    ] = None,
) -> None:
    """AUC of the autoencoder beside SVM, KNN and LDA, with intervals; by woman where there are.

    On sets of real masses the four are also trained from scratch, in ten folds by woman as in the
    paper, and every feature is measured by itself.
    """
    _evaluate("wang2016", data, json_file, html, model, scenario=scenario)


@evaluate_app.command("kang2021")
@command
def evaluate_kang2021(
    data: RoiData,
    json_file: JsonFile = None,
    html: HtmlFile = None,
    model: ModelFolder = None,
) -> None:
    """AUC of the CNNs and their mean, and where their Grad-CAM peaks."""
    _evaluate("kang2021", data, json_file, html, model)


@evaluate_app.command("helsinki_dtl")
@command
def evaluate_helsinki_dtl(
    data: RoiData,
    json_file: JsonFile = None,
    html: HtmlFile = None,
    model: ModelFolder = None,
) -> None:
    """AUC of the ResNeXt, and where its Grad-CAM peaks."""
    _evaluate("helsinki_dtl", data, json_file, html, model)


@evaluate_app.command("model")
@command
def evaluate_model(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="NAME, NAME@VERSION or a folder with card.json")
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="KIND:PATH", help="as `evaluate kim2018` takes it, of regions kang2021"
        ),
    ],
    json_file: JsonFile = None,
    html: HtmlFile = None,
    config: ConfigFile = None,
) -> None:
    """AUC of a model that reads views or regions, also of one that you brought as ONNX."""
    from cadnode.cli.compare import folder_of
    from cadnode.models import store
    from cadnode.models.card import CnnCard, OnnxRegionCard, ViewCard

    folder = folder_of(settings.load(config), model)
    card = store.read_card(folder)
    if isinstance(card, ViewCard):
        _evaluate("kim2018", data, json_file, html, folder)
    elif isinstance(card, CnnCard | OnnxRegionCard):
        # Where a map peaks is measured by the cells of the paper's own networks.
        own = {"peaks": 0} if isinstance(card, OnnxRegionCard) else {}
        _evaluate("kang2021", data, json_file, html, folder, **own)
    else:
        raise SettingsError(f"{card.name} reads neither views nor regions of pixels: {card.kind}")


@evaluate_app.command("detection")
@command
def evaluate_detection(
    data: Annotated[
        str,
        typer.Option(
            metavar="KIND:PATH",
            help="phantom:N, mini-mias:PATH, pisa-calcifications:PATH, "
            "cbis-mass-views:PATH or manifest:FILE",
        ),
    ],
    json_file: JsonFile = None,
    html: HtmlFile = None,
    model: ModelFolder = None,
) -> None:
    """FROC of the detection: lesions found against false marks an image, with intervals."""
    _evaluate("detection", data, json_file, html, model)


def _evaluate(
    system: str,
    data: str,
    json_file: Path | None,
    html: Path | None,
    model: Path | None,
    **own: Any,
) -> None:
    """Measure, write the numbers and the page, print; `own` are the system's own options."""
    from cadnode.export.papers import step_of
    from cadnode_training.data.read_cache import ReadCache

    evaluate = step_of(system, "evaluate")
    cache = ReadCache()
    result = evaluate.run(data, model=model, cache=cache, **own)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(result, indent=2) + "\n")
    evaluate.show(out, result)
    if html is not None:
        from cadnode_training.results import evaluation_page

        evaluation_page.of_command(html, system, data, model, cache)
        out.print(f"page: {html}", highlight=False)
