"""What a bundle's `evaluate.json` and `train.json` call: names that stay wherever training lies."""

from importlib import import_module
from typing import Any


def evaluate(system: str, **options: Any) -> dict[str, Any]:
    """The numbers of `cadnode evaluate SYSTEM`; `options` as that paper's `evaluate.run`."""
    return dict(import_module(f"cadnode_training.papers.{system}.evaluate").run(**options))


def train(system: str, **options: Any) -> Any:
    """What `cadnode train SYSTEM` returns; `options` as that paper's `train.run`."""
    return import_module(f"cadnode_training.papers.{system}.train").run(**options)
