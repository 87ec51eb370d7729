"""Where a paper's training and evaluation are, for commands and for bundles.

Bundles name `evaluate` and `train`, which therefore stay wherever training lies.
"""

from importlib import import_module
from types import ModuleType
from typing import Any


def step_of(system: str, step: str) -> ModuleType:
    """The module of a paper's step, `train` or `evaluate`; both have a function `run`."""
    return import_module(f"cadnode_training.papers.{system}.{step}")


def evaluate(system: str, **options: Any) -> dict[str, Any]:
    """The numbers of `cadnode evaluate SYSTEM`; `options` as that paper's `evaluate.run`."""
    return dict(step_of(system, "evaluate").run(**options))


def train(system: str, **options: Any) -> Any:
    """What `cadnode train SYSTEM` returns; `options` as that paper's `train.run`."""
    return step_of(system, "train").run(**options)
