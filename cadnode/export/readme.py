"""A bundle's `docs/README.md` and `docs/data_license.txt`, made of the model's card."""

from cadnode.export.metadata import TASKS
from cadnode.models.card import CnnCard, FeatureCard, ModelCard

_RUN = "python -m monai.bundle run --meta_file configs/metadata.json --config_file configs/"


def readme(card: ModelCard) -> str:
    """Markdown: what the model is, what it was measured to do, its limits, how it is run."""
    return "\n\n".join(
        [
            f"# {card.name} {card.version}",
            f"{TASKS[card.kind]}. {card.algorithm}.",
            f"> {card.intended_use}",
            "## Limits\n\n" + "\n".join(f"- {limit}" for limit in card.limits),
            "## Measured\n\n" + _metrics(card),
            f"## Data\n\n{card.training_data}\n\nSplit: {card.split}.",
            f"Calibrated on: {card.calibration.fitted_on}; share of malignant cases there: "
            f"{card.calibration.prevalence:g}.",
            "## Use\n\n" + _use(card),
            f"## Reference\n\n{card.paper}.",
            f"## Licence\n\n{card.licence}.\n",
        ]
    )


def data_licence(card: ModelCard) -> str:
    """The terms of the data that the weights saw, a line each."""
    return "".join(f"{s.name}: {s.terms}\n" for s in card.training_sets) or "none\n"


def _metrics(card: ModelCard) -> str:
    head = "| what | AUC | 95 % | positive | negative | contrast |\n|---|---|---|---|---|---|"
    rows = [
        f"| {m.name} ({m.data}) | {m.auc:.3f} | {m.auc_ci[0]:.3f}–{m.auc_ci[1]:.3f} "
        f"| {m.n_pos} | {m.n_neg} | {m.contrast} |"
        for m in card.metrics
    ]
    return "\n".join([head, *rows]) if rows else "Nothing was measured."


def _use(card: ModelCard) -> str:
    """The commands, run in the bundle's folder."""
    marks = ""
    if isinstance(card, CnnCard | FeatureCard):
        marks = (
            "Regions that people marked and those that the detector finds are read; further ones "
            "are named with `--rois \"['RCC:1200,800,1700,1300']\"` (row, column, row, column).\n\n"
        )
    return (
        "In this folder, with `pip install 'cadnode[export,train]'`:\n\n"
        "```\n"
        f"{_RUN}inference.json --dataset_dir DICOM_FOLDER --output_file scores.json\n"
        f"{_RUN}evaluate.json --data KIND:PATH\n"
        f"{_RUN}train.json --data \"['KIND:PATH']\" --output_dir trained\n"
        "python -m monai.bundle verify_metadata --meta_file configs/metadata.json "
        "--filepath configs/metadata.schema.json\n"
        "```\n\n"
        f"{marks}"
        "The scores are those of `cadnode read`: the same code computes them. The weights are "
        "safetensors; this bundle holds no pickle. `cadnode models add .` puts the model into a "
        "node."
    )
