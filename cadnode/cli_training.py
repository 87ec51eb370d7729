"""`cadnode train`, `cadnode evaluate` and `cadnode phantom`: systems on your own data."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cadnode.cli_base import AsJson, OutFolder, command, err, out, print_json
from cadnode.cli_views import counting_progress
from cadnode.domain import Acquisition

train_app = typer.Typer(no_args_is_help=True, help="Train a paper's system on your own data.")
evaluate_app = typer.Typer(no_args_is_help=True, help="Measure a system, with intervals.")

_PHANTOM = "phantom:small"

TrainedFolder = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="DIR", help="checkpoints, logs, card and weights"),
]
Epochs = Annotated[int | None, typer.Option(min=1, help="instead of the recipe's")]
Seed = Annotated[int, typer.Option(help="all random numbers follow from it")]
Recipe = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="TOML; default: the committed recipe"),
]
Resume = Annotated[bool, typer.Option("--resume", help="go on from DIR's last checkpoint")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="OUT", help="write the numbers to OUT")
]
ModelFolder = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="folder with card.json; default: the packaged model"),
]


@train_app.command("kim2018")
@command
def train_kim2018(
    data: Annotated[
        list[str],
        typer.Option(
            metavar="KIND:PATH", help="rsna-views:PATH or ddsm-exams:PATH; repeat for both"
        ),
    ],
    out_folder: TrainedFolder,
    config: Recipe = None,
    epochs: Epochs = None,
    seed: Seed = 0,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Train DIB-MG (Kim 2018): weakly supervised, exam-level labels, map as explanation."""
    from training.papers.kim2018 import train

    result = train.run(
        data, out_folder, config=config, epochs=epochs, seed=seed, resume=resume, quiet=as_json
    )
    _tell_trained(result, as_json=as_json)


@train_app.command("wang2016")
@command
def train_wang2016(
    out_folder: TrainedFolder,
    data: Annotated[
        str, typer.Option(metavar="KIND:PATH", help="phantom:small, phantom:N or pisa-masses:PATH")
    ] = _PHANTOM,
    scenario: Annotated[
        str, typer.Option(help="[bold]calcifications[/], [bold]masses[/] or [bold]both[/]")
    ] = "calcifications",
    epochs: Epochs = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Train the stacked autoencoder (Wang 2016) on the features of segmented regions.

    SVM, KNN and LDA are fitted beside it, as in the paper's tables.
    """
    from training.papers.wang2016 import train

    result = train.run(data, out_folder, scenario=scenario, epochs=epochs, seed=seed, quiet=as_json)
    _tell_trained(result, as_json=as_json)


@train_app.command("kang2021")
@command
def train_kang2021(
    out_folder: TrainedFolder,
    data: Annotated[
        list[str], typer.Option(metavar="KIND:PATH", help="phantom:small or phantom:N")
    ] = [_PHANTOM],  # noqa: B006  (typer copies it)
    members: Annotated[
        list[str] | None,
        typer.Option(help="of the five CNNs, by timm's name; may be repeated; default: all five"),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="ImageNet weights (safetensors) when offline"),
    ] = None,
    config: Recipe = None,
    epochs: Epochs = None,
    seed: Seed = 0,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Train the CNNs of Kang 2021 on regions of interest around microcalcifications."""
    from training.papers.kang2021 import train

    result = train.run(
        data, out_folder, config=config, members=members, epochs=epochs, seed=seed,
        resume=resume, init=init, quiet=as_json,
    )  # fmt: skip
    _tell_trained(result, as_json=as_json)


@train_app.command("helsinki_dtl")
@command
def train_helsinki_dtl(
    out_folder: TrainedFolder,
    data: Annotated[
        list[str], typer.Option(metavar="KIND:PATH", help="phantom:small or phantom:N")
    ] = [_PHANTOM],  # noqa: B006  (typer copies it)
    init: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="ImageNet weights (safetensors) when offline"),
    ] = None,
    config: Recipe = None,
    epochs: Epochs = None,
    seed: Seed = 0,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Train the ResNeXt of the Helsinki study by double transfer learning, in three stages."""
    from training.papers.helsinki_dtl import train

    result = train.run(
        data, out_folder, config=config, epochs=epochs, seed=seed, resume=resume, init=init,
        quiet=as_json,
    )  # fmt: skip
    _tell_trained(result, as_json=as_json)


@train_app.command("detection")
@command
def train_detection(
    out_folder: TrainedFolder,
    data: Annotated[
        list[str],
        typer.Option(metavar="KIND:PATH", help="phantom:N, pisa-calcifications:PATH; repeat"),
    ] = [_PHANTOM],  # noqa: B006  (typer copies it)
    epochs: Epochs = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Train the filter that tells calcifications from what looks like them."""
    from training.papers.detection import train

    result = train.run(data, out_folder, epochs=epochs, seed=seed, quiet=as_json)
    _tell_trained(result, as_json=as_json)


@evaluate_app.command("kim2018")
@command
def evaluate_kim2018(
    data: Annotated[
        str, typer.Option(metavar="KIND:PATH", help="rsna-views:PATH or ddsm-exams:PATH")
    ],
    json_file: JsonFile = None,
    model: ModelFolder = None,
    split: Annotated[
        str,
        typer.Option(help="[bold]unseen[/]: women the model never saw; [bold]all[/]: everybody"),
    ] = "unseen",
) -> None:
    """AUC of DIB-MG with its 95 % interval, overall and per stratum, on women it never saw."""
    from training.papers.kim2018 import evaluate

    result = evaluate.run(data, model=model, split=split)
    _write(json_file, result)
    evaluate.show(out, result)


@evaluate_app.command("wang2016")
@command
def evaluate_wang2016(
    data: Annotated[str, typer.Option(metavar="KIND:PATH", help="pisa-masses:PATH or phantom:N")],
    json_file: JsonFile = None,
    model: ModelFolder = None,
) -> None:
    """AUC of the autoencoder beside SVM, KNN and LDA, with intervals; by woman where there are."""
    from training.papers.wang2016 import evaluate

    result = evaluate.run(data, model=model)
    _write(json_file, result)
    evaluate.show(out, result)


@evaluate_app.command("kang2021")
@command
def evaluate_kang2021(
    data: Annotated[str, typer.Option(metavar="KIND:PATH", help="phantom:N")],
    json_file: JsonFile = None,
    model: ModelFolder = None,
) -> None:
    """AUC of the CNNs and their mean, and where their Grad-CAM peaks."""
    from training.papers.kang2021 import evaluate

    result = evaluate.run(data, model=model)
    _write(json_file, result)
    evaluate.show(out, result)


@evaluate_app.command("helsinki_dtl")
@command
def evaluate_helsinki_dtl(
    data: Annotated[str, typer.Option(metavar="KIND:PATH", help="phantom:N")],
    json_file: JsonFile = None,
    model: ModelFolder = None,
) -> None:
    """AUC of the ResNeXt, and where its Grad-CAM peaks."""
    from training.papers.helsinki_dtl import evaluate

    result = evaluate.run(data, model=model)
    _write(json_file, result)
    evaluate.show(out, result)


@evaluate_app.command("detection")
@command
def evaluate_detection(
    data: Annotated[
        str,
        typer.Option(
            metavar="KIND:PATH", help="phantom:N, mini-mias:PATH or pisa-calcifications:PATH"
        ),
    ],
    json_file: JsonFile = None,
    model: ModelFolder = None,
) -> None:
    """FROC of the detection: lesions found against false marks an image, with intervals."""
    from training.papers.detection import evaluate

    result = evaluate.run(data, model=model)
    _write(json_file, result)
    evaluate.show(out, result)


@command
def phantom(
    out_folder: OutFolder,
    exams: Annotated[int, typer.Option(min=1, help="how many exams")] = 1,
    seed: Annotated[int, typer.Option(help="of the first exam; the next ones follow")] = 0,
    acquisition: Annotated[
        Acquisition, typer.Option(help="a digital detector's or a digitized film's look")
    ] = Acquisition.DIGITAL,
    as_json: AsJson = False,
) -> None:
    """Make synthetic mammogram exams as DICOM, with lesions whose truth is known.

    Each exam has a folder with four MG For Presentation images; truth.csv says where lesions are,
    what they are by BI-RADS, and which are malignant. The same seed gives the same exams.
    """
    from training import phantom as phantoms

    spec = phantoms.PhantomSpec(acquisition=acquisition)
    with counting_progress(err, "exams", exams, quiet=as_json) as advance:
        truth = phantoms.write_exams(out_folder, exams, seed, spec, advance)
    if as_json:
        print_json({"exams": exams, "truth": str(truth)})
    else:
        out.print(f"{exams} exams in {out_folder}; what is in them: {truth}", highlight=False)


def _tell_trained(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    for model in result.get("models", ()):
        folder = model["folder"]
        out.print(f"{folder}: `cadnode models add {folder} --activate` puts it to use")


def _write(file: Path | None, result: dict[str, Any]) -> None:
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(result, indent=2) + "\n")
