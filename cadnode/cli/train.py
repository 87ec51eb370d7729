"""`cadnode train`: five systems, one shape."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cadnode.cli.command import AsJson, command, err, out, print_json, spread, to_folder

train_app = typer.Typer(
    no_args_is_help=True,
    help="Train a paper's system on your own data. Try `--data phantom:small --epochs 2` first: "
    "drawn images, minutes on any computer. `--dry-run` tells what would happen.",
)

PHANTOM: Final = "phantom:small"
_MACHINE, _RUN = "Machine", "Run"


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What every training takes."""

    out_folder: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="DIR", help="checkpoints, history, card and weights",
            rich_help_panel=_RUN, callback=to_folder,
        ),
    ]  # fmt: skip
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", metavar="FILE", rich_help_panel=_RUN,
            help="recipe (TOML), or a committed one: [bold]paper[/], [bold]cpu[/], "
            "[bold]transfer[/] or [bold]boxes[/] (kim2018); default: the paper's on a GPU, the "
            "small one without",
        ),
    ] = None  # fmt: skip
    epochs: Annotated[
        int | None, typer.Option(min=1, help="instead of the recipe's", rich_help_panel=_RUN)
    ] = None
    seed: Annotated[
        int, typer.Option(help="all random numbers follow from it", rich_help_panel=_RUN)
    ] = 0
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", rich_help_panel=_RUN,
            help="go on from what DIR holds; ends as if it had never stopped",
        ),
    ] = False  # fmt: skip
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", rich_help_panel=_RUN,
            help="print data, differences to the paper, steps and files; write nothing",
        ),
    ] = False  # fmt: skip
    licensed: Annotated[
        bool,
        typer.Option(
            "--licensed", rich_help_panel=_RUN,
            help="learn also from a data set that states no licence: you have one",
        ),
    ] = False  # fmt: skip
    as_json: AsJson = False
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|bf16|fp16|fp32", rich_help_panel=_MACHINE,
            help="of the network's passes; auto: as the recipe says",
        ),
    ] = "auto"  # fmt: skip
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, rich_help_panel=_MACHINE,
            help="threads that prepare minibatches; they do not change the result",
        ),
    ] = None  # fmt: skip
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic", rich_help_panel=_MACHINE,
            help="the same bits each time on a GPU too, and slower; a CPU does so anyway",
        ),
    ] = False  # fmt: skip
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard", help="scalars into DIR/…/tensorboard", rich_help_panel=_MACHINE
        ),
    ] = False
    mlflow: Annotated[
        str,
        typer.Option(
            metavar="URI", help="scalars to this tracking server", rich_help_panel=_MACHINE
        ),
    ] = ""


Members = Annotated[
    list[str] | None,
    typer.Option(help="of the five CNNs, by timm's name; may be repeated; default: the recipe's"),
]
Init = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="weights to start from (safetensors): ImageNet's by timm's names, a folder of them, "
        "or those of a stage",
    ),
]
_ROIS: Final = (
    "phantom:small, phantom:N, or regions of KIND:PATH (mini-mias, cbis-ddsm, manifest …); "
    "STAGE=KIND:… for one learning stage"
)


@train_app.command("kim2018")
@command
@spread
def train_kim2018(
    common: TrainOptions,
    data: Annotated[
        list[str],
        typer.Option(
            metavar="KIND:PATH", help="phantom:small, rsna-views:PATH, ddsm-exams:PATH …; repeat"
        ),
    ] = [PHANTOM],  # noqa: B006  (typer copies it)
) -> None:
    """Train DIB-MG (Kim 2018): weakly supervised, exam-level labels, map as explanation."""
    _train("kim2018", common, data)


@train_app.command("kang2021")
@command
@spread
def train_kang2021(
    common: TrainOptions,
    data: Annotated[list[str], typer.Option(metavar="KIND:PATH", help=_ROIS)] = [PHANTOM],  # noqa: B006
    members: Members = None,
    init: Init = None,
) -> None:
    """Train the CNNs of Kang 2021 on regions of interest around microcalcifications.

    The paper fine-tunes five networks from ImageNet's weights for days on a GPU; the recipe for
    CPUs trains one from scratch. Weights that cannot be fetched are done without, and it says so.
    """
    _train("kang2021", common, data, members=members, init=init)


@train_app.command("helsinki_dtl")
@command
@spread
def train_helsinki_dtl(
    common: TrainOptions,
    data: Annotated[list[str], typer.Option(metavar="KIND:PATH", help=_ROIS)] = [PHANTOM],  # noqa: B006
    init: Init = None,
) -> None:
    """Train the ResNeXt of the Helsinki study by double transfer learning, in three stages.

    ImageNet, then an intermediate mammography task, then the target; each stage starts from any
    checkpoint, and may have data of its own.
    """
    _train("helsinki_dtl", common, data, init=init)


@train_app.command("wang2016")
@command
@spread
def train_wang2016(
    common: TrainOptions,
    data: Annotated[
        list[str],
        typer.Option(
            metavar="KIND:PATH", help="phantom:small, phantom:N, cbis-mass-rois:PATH …; repeat"
        ),
    ] = [PHANTOM],  # noqa: B006
    scenario: Annotated[
        str, typer.Option(help="[bold]calcifications[/], [bold]masses[/] or [bold]both[/]")
    ] = "calcifications",
    folds: Annotated[
        int,
        typer.Option(
            min=0,
            help="of the cross-validation by woman, which is done after the training; 0: none",
        ),
    ] = 10,
    all_women: Annotated[
        bool,
        typer.Option(
            "--all-women",
            help="learn from all real regions; the card's numbers are the cross-validation's",
        ),
    ] = False,
    measured_on: Annotated[
        str | None,
        typer.Option(
            metavar="KIND:PATH", help="real masses that only measure, such as pisa-masses:PATH"
        ),
    ] = None,
) -> None:
    """Train the stacked autoencoder (Wang 2016) on the features of segmented regions.

    SVM, KNN and LDA are fitted beside it, and compared in a cross-validation, as in the paper.
    """
    run_only = {} if common.dry_run else {"all_women": all_women, "measured_on": measured_on}
    _train("wang2016", common, data, scenario=scenario, folds=folds, **run_only)


@train_app.command("detection")
@command
@spread
def train_detection(
    common: TrainOptions,
    data: Annotated[
        list[str],
        typer.Option(
            metavar="KIND:PATH",
            help="phantom:small, phantom:N, mini-mias:PATH, cbis-mass-views:PATH …; repeat",
        ),
    ] = [PHANTOM],  # noqa: B006
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="calcifications or masses")
    ] = "calcifications",
) -> None:
    """Train the filter that tells calcifications from what looks like them, or find masses.

    `--kind masses` learns from views with boxes: cbis-mass-views:PATH or manifest:FILE.
    """
    _train("detection", common, data, kind=kind)


def _train(system: str, options: TrainOptions, data: list[str], **own: Any) -> None:
    """Train, or report what would be done; `own` are the system's own options."""
    from cadnode.export.papers import step_of
    from cadnode_training.data.contents import require_unchanged
    from cadnode_training.data.licences import require_licensed
    from cadnode_training.engine.machine import Machine

    require_licensed(data, allowed=options.licensed)
    train = step_of(system, "train")
    machine = Machine.here(
        precision=options.precision, workers=options.workers, deterministic=options.deterministic,
        tensorboard=options.tensorboard, mlflow=options.mlflow,
    )  # fmt: skip
    own |= {"config": options.config, "epochs": options.epochs, "machine": machine}
    if options.dry_run:
        preview = train.preview(data, options.out_folder, **own)
        print_json(preview.as_dict()) if options.as_json else preview.show(out)
        return
    if machine.first:
        require_unchanged(data)
    if machine.first and not options.as_json:
        err.print(f"{system} on {', '.join(data)}", highlight=False)
    result = train.run(
        data, options.out_folder, seed=options.seed, resume=options.resume, quiet=options.as_json,
        **own,
    )  # fmt: skip
    if machine.first:
        _print_result(result, as_json=options.as_json)


def _print_result(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    for model in result.get("models", ()):
        folder = model["folder"]
        advice = f"{folder}: `cadnode models add {shlex.quote(folder)} --activate` puts it to use"
        out.print(advice, highlight=False, soft_wrap=True)
