"""`cadnode evaluate`: every system on your own data, with intervals."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cadnode import settings
from cadnode.cli.command import (
    ConfigFile,
    DryRun,
    Seed,
    command,
    given,
    out,
    spread,
    to_file,
    to_folder,
    write_json,
)
from cadnode.errors import SettingsError
from cadnode.statistics.draws import seeded

if TYPE_CHECKING:
    from cadnode.models.card import ModelCard

evaluate_app = typer.Typer(no_args_is_help=True, help="Measure a system, with intervals.")

NUMBERS: Final = "result.json"
PAGE: Final = "result.html"
ResultFolder = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="DIR", help=f"numbers and page: {NUMBERS}, {PAGE}",
        callback=to_folder,
    ),
]  # fmt: skip
_ROIS: Final = "phantom:N, mini-mias:PATH, pisa-calcifications …"


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What every evaluation takes."""

    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="write the numbers", callback=to_file),
    ] = None
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", callback=to_file,
            help="a page to read: result, ROC, strata, pictures",
        ),
    ] = None  # fmt: skip
    out_folder: ResultFolder = None
    seed: Seed = 0
    dry_run: DryRun = False
    config: ConfigFile = None

    @property
    def number_files(self) -> list[Path]:
        """Where the numbers go."""
        return given(self.json_file, self.out_folder and self.out_folder / NUMBERS)

    @property
    def page_files(self) -> list[Path]:
        """Where the page goes."""
        return given(self.html, self.out_folder and self.out_folder / PAGE)


Model = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="NAME, NAME@VERSION or a folder with card.json; default: the packaged model",
    ),
]


@evaluate_app.command("kim2018")
@command
@spread
def evaluate_kim2018(
    common: EvaluateOptions,
    data: Annotated[
        str,
        typer.Option(metavar="KIND:PATH", help="rsna-views:PATH, ddsm-exams:PATH or phantom:N …"),
    ],
    model: Model = None,
    split: Annotated[
        str,
        typer.Option(help="[bold]unseen[/]: women the model never saw; [bold]all[/]: everybody"),
    ] = "unseen",
) -> None:
    """AUC of DIB-MG with its 95 % interval, overall and per stratum, on women it never saw."""
    if (common.html or common.out_folder) and split != "unseen":
        raise SettingsError("a page shows women the model never saw: leave --split away")
    _evaluate("kim2018", common, data, _folder("kim2018", model, common), split=split)


@evaluate_app.command("wang2016")
@command
@spread
def evaluate_wang2016(
    common: EvaluateOptions,
    data: Annotated[
        str,
        typer.Option(metavar="KIND:PATH", help="cbis-mass-rois:PATH, mini-mias:PATH, phantom:N …"),
    ],
    model: Model = None,
    scenario: Annotated[
        str | None,
        typer.Option(help="calcifications, masses or both; default: all that are packaged"),
    ] = None,
) -> None:
    """AUC of the autoencoder beside SVM, KNN and LDA, with intervals; by woman where there are.

    On sets of real masses the four are also trained from scratch, in ten folds by woman as in the
    paper, and every feature is measured by itself.
    """
    folder = _folder("wang2016", model, common, scenario)
    _evaluate("wang2016", common, data, folder, scenario=scenario)


@evaluate_app.command("kang2021")
@command
@spread
def evaluate_kang2021(
    common: EvaluateOptions,
    data: Annotated[str, typer.Option(metavar="KIND:PATH", help=_ROIS)],
    model: Model = None,
) -> None:
    """AUC of the CNNs and their mean, and where their Grad-CAM peaks."""
    _evaluate("kang2021", common, data, _folder("kang2021", model, common))


@evaluate_app.command("helsinki_dtl")
@command
@spread
def evaluate_helsinki_dtl(
    common: EvaluateOptions,
    data: Annotated[str, typer.Option(metavar="KIND:PATH", help=_ROIS)],
    model: Model = None,
) -> None:
    """AUC of the ResNeXt, and where its Grad-CAM peaks."""
    _evaluate("helsinki_dtl", common, data, _folder("helsinki_dtl", model, common))


@evaluate_app.command("detection")
@command
@spread
def evaluate_detection(
    common: EvaluateOptions,
    data: Annotated[
        str,
        typer.Option(
            metavar="KIND:PATH",
            help="phantom:N, mini-mias:PATH, pisa-calcifications:PATH, "
            "cbis-mass-views:PATH or manifest:FILE",
        ),
    ],
    model: Model = None,
) -> None:
    """FROC of the detection: lesions found against false marks an image, with intervals."""
    _evaluate("detection", common, data, _folder("detection", model, common))


@evaluate_app.command("model")
@command
def evaluate_model(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="NAME, NAME@VERSION or a folder with card.json")
    ],
    data: Annotated[
        str,
        typer.Option(metavar="KIND:PATH", help="as `evaluate` of that model's system takes it"),
    ],
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="write the numbers", callback=to_file),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="a page to read", callback=to_file),
    ] = None,
    out_folder: ResultFolder = None,
    seed: Seed = 0,
    dry_run: DryRun = False,
    config: ConfigFile = None,
) -> None:
    """AUC (or FROC) of any model by its name, also of one that you brought as ONNX."""
    from cadnode.cli.compare import folder_of
    from cadnode.models import store
    from cadnode.models.card import OnnxRegionCard

    options = EvaluateOptions(json_file, html, out_folder, seed, dry_run, config)
    folder = folder_of(settings.load(config), model)
    card = store.read_card(folder)
    # Where a map peaks is measured by the cells of the paper's own networks.
    own = {"peaks": 0} if isinstance(card, OnnxRegionCard) else {}
    _evaluate(_command_of(card), options, data, folder, **own)


def _command_of(card: "ModelCard") -> str:
    """The command that measures models of this kind."""
    from cadnode.models.card import DetectorCard, FeatureCard, MassFinderCard, ViewCard

    if isinstance(card, ViewCard):
        return "kim2018"
    if isinstance(card, FeatureCard):
        return "wang2016"
    if isinstance(card, DetectorCard | MassFinderCard):
        return "detection"
    return "helsinki_dtl" if card.system == "helsinki_dtl" else "kang2021"


def _folder(
    name: str, model: str | None, options: EvaluateOptions, scenario: str | None = None
) -> Path | None:
    """The folder of `--model`; None without one.

    Raises
    ------
    SettingsError
        There is no such model, another command measures it, or it is of another scenario.
    """
    if model is None:
        return None
    from cadnode.cli.compare import folder_of
    from cadnode.models import store
    from cadnode.models.card import FeatureCard

    folder = folder_of(settings.load(options.config), model)
    card = store.read_card(folder)
    fits = _command_of(card)
    # Both read regions, and a network of another maker belongs to neither.
    regions = {"kang2021", "helsinki_dtl"}
    if fits != name and not {fits, name} <= regions:
        raise SettingsError(
            f"{card.name} is not measured by `evaluate {name}`: `cadnode evaluate {fits} --model "
            f"{model}`, or `cadnode evaluate model {model}`"
        )
    if isinstance(card, FeatureCard) and scenario not in (None, card.scenario):
        raise SettingsError(
            f"{card.name} reads {card.scenario}: --scenario {scenario} goes with another model; "
            "leave it away, or leave --model away"
        )
    return folder


def _evaluate(
    system: str, options: EvaluateOptions, data: str, model: Path | None, **own: Any
) -> None:
    """Measure, write the numbers and the page, print; `own` are the system's own options."""
    if options.dry_run:
        _preview(system, options, data, model, own)
        return
    with seeded(options.seed):
        _measure(system, options, data, model, own)


def _preview(
    system: str, options: EvaluateOptions, data: str, model: Path | None, own: dict[str, Any]
) -> None:
    """Print what `_measure` would read and write."""
    from cadnode_training.results import evaluation_preview

    scenario, split = own.get("scenario"), own.get("split", "unseen")
    folders = [model] if model else evaluation_preview.packaged(system, data, scenario)
    files = [*options.number_files, *options.page_files]
    evaluation_preview.preview(folders, data, files, options.seed, split=split).show(out)


def _measure(
    system: str, options: EvaluateOptions, data: str, model: Path | None, own: dict[str, Any]
) -> None:
    from cadnode.export.papers import step_of
    from cadnode_training.data.read_cache import ReadCache

    evaluate = step_of(system, "evaluate")
    cache = ReadCache()
    result = evaluate.run(data, model=model, cache=cache, **own) | {"seed": options.seed}
    for file in options.number_files:
        write_json(file, result)
    evaluate.show(out, result)
    if pages := options.page_files:
        from cadnode_training.results import evaluation_page

        evaluation_page.of_command(pages[0], system, data, model, cache)
        for copy in pages[1:]:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(pages[0].read_bytes())
        out.print(f"page: {', '.join(map(str, pages))}", highlight=False)
