"""Training's loading: steps a second with real minibatches beside the same without any loading.

    python -m benchmarks.loading [--systems kang2021,kim2018] [--rounds 2] [--steps 3]
        [--out benchmarks/loading.md]

Each training is the one of `cadnode train` with its own recipe for this machine, on phantoms. In
the middle of an epoch blocks of steps take turns: real minibatches, read, drawn and augmented by
the training's own threads, and one minibatch of the same size that is there already. A block is
timed from its first minibatch on, so that all but the first are made beside the network's work;
the first block of each kind warms up. The rate's goal is 0.95 of the second.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import torch

from benchmarks.ingest import machine
from cadnode_training.engine import loop
from cadnode_training.engine.prefetch import Feed, ahead
from cadnode_training.papers.kang2021 import train as kang2021
from cadnode_training.papers.kim2018 import train as kim2018

Train = Callable[..., object]
TRAININGS: dict[str, tuple[Train, str]] = {
    "kang2021": (kang2021.run, "phantom:600"),
    "kim2018": (kim2018.run, "phantom:8"),
}


class Measured(Exception):
    """Enough steps were made: the training is not needed any further."""


class Blocks(Feed):
    """Blocks of real minibatches and of one that is repeated, in turn, with their seconds."""

    def __init__(self, *found: Any, rounds: int, steps: int, into: dict[str, list[float]]) -> None:
        super().__init__(*found)
        self.rounds, self.steps, self.into = rounds, steps, into

    def __iter__(self) -> Iterator[Any]:
        epoch, n = self.data.epoch, len(self.data)
        first = self.data.make(epoch, 0)
        for number in range(self.rounds + 1):

            def make(step: int, offset: int = number * self.steps) -> Any:
                return self.data.make(epoch, (offset + step) % n)

            real = ahead(make, self.steps, self.machine.workers)
            ready = itertools.repeat(first, self.steps)
            for name, source in (("real", real), ("ready", ready)):
                began = 0.0
                for batch in source:
                    began = began or time.perf_counter()
                    yield batch
                if number:
                    self.into[name].append((time.perf_counter() - began) / self.steps)
        raise Measured


def measured(name: str, rounds: int, steps: int) -> dict[str, float]:
    """Seconds a step: `real` and `ready`, medians of the blocks."""
    train, data = TRAININGS[name]
    into: dict[str, list[float]] = {"real": [], "ready": []}
    blocks = partial(Blocks, rounds=rounds, steps=steps, into=into)
    with tempfile.TemporaryDirectory() as scratch, mock.patch.object(loop, "Feed", blocks):
        try:
            train([data], Path(scratch) / "out", quiet=True)
        except Measured:
            return {name: median(found) for name, found in into.items()}
    raise RuntimeError(f"{name} has fewer steps than are measured")


def markdown(found: dict[str, dict[str, float]], rounds: int, steps: int) -> str:
    """The table, in the columns of `benchmarks.bench`."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    lines = [
        "# Training's loading",
        "",
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine()}, {device}; {rounds} interleaved "
        f"blocks of {steps} steps; `python -m benchmarks.loading`. The ratio is the rate of steps "
        "with real minibatches by that with one that is there already.",
        "",
        "| what | goal | ours | peer | ratio | note |",
        "|---|---|---|---|---|---|",
    ]
    for name, seconds in found.items():
        ratio = seconds["ready"] / seconds["real"]
        lines.append(
            f"| training's loading, {name} | ≥ 0.95 × none | {seconds['real']:.2f} s a step "
            f"| {seconds['ready']:.2f} s | {ratio:.2f} | {TRAININGS[name][1]}, {device} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Entry point of `python -m benchmarks.loading`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", default=",".join(TRAININGS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    names = options.systems.split(",")
    if unknown := [name for name in names if name not in TRAININGS]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(TRAININGS)}")
    found = {name: measured(name, options.rounds, options.steps) for name in names}
    text = markdown(found, options.rounds, options.steps)
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
