"""Which scalars TensorBoard and MLflow get, by MONAI's handlers."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ignite.engine import Engine

from cadnode import extras
from cadnode_training.engine.machine import Machine


def check(machine: Machine) -> None:
    """Raise `MissingExtra`, naming the extra, where a tracker is asked for and not installed."""
    wanted = {"tensorboard": machine.tensorboard, "mlflow": bool(machine.mlflow)}
    for package, asked in wanted.items():
        if asked and find_spec(package) is None:
            raise extras.lacking(package, f"--{package}", [package])


def attach(trainer: Engine, machine: Machine, out: Path) -> None:
    """Write the loss of each step, and the numbers of each epoch (`trainer.state.metrics`).

    TensorBoard's files lie in `out/tensorboard`; a run of MLflow is called as `out` is.
    """
    check(machine)
    if not machine.first:
        return
    if machine.tensorboard:
        from monai.handlers import TensorBoardStatsHandler

        TensorBoardStatsHandler(
            log_dir=str(out / "tensorboard"), output_transform=_loss, tag_name="loss"
        ).attach(trainer)
    if machine.mlflow:
        from monai.handlers import MLFlowHandler

        MLFlowHandler(
            tracking_uri=machine.mlflow, output_transform=_loss, tag_name="loss",
            experiment_name="cadnode", run_name=out.name, close_on_complete=True,
        ).attach(trainer)  # fmt: skip


def _loss(output: Any) -> float:
    """Of a step's output."""
    return float(output["loss"])
