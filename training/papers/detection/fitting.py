"""How the learned filter is fitted to candidates, and candidates scored by women left out."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cadnode import terminal
from cadnode.networks.patch_filter import CandidateFilter, CandidateNet, DetectorConfig
from cadnode_training.engine.phase_loop import Kept, NumpyRandom, Phase, Stateful, learn
from cadnode_training.papers.detection.config import FilterSchedule
from cadnode_training.papers.detection.samples import Samples

Floats = NDArray[np.float64]

# How often a sample of a source is drawn, beside its share; simulated ones are plenty.
WEIGHTS: Final = {"mini-mias": 3.0, "pisa-calcifications": 1.0, "phantom": 1.0, "implant": 1.0}
_REAL_POSITIVE: Final = 4.0
_WITHOUT_STATISTICS: Final = 0.15


def fit(
    samples: Samples, config: DetectorConfig, schedule: FilterSchedule, seed: int, *,
    quiet: bool = False, kept: Kept | None = None,
) -> CandidateFilter:  # fmt: skip
    """The networks trained on the samples, each from a seed of its own, in evaluation mode.

    A training that `kept` holds is resumed, and ends as if it had never stopped.
    """
    fitted = CandidateFilter(config)
    for number in range(config.members):
        network = _member(
            samples, config, schedule, 100 * seed + number, quiet=quiet,
            kept=replace(kept, folder=kept.folder / f"network-{number + 1}") if kept else None,
        )  # fmt: skip
        fitted.members[number].load_state_dict(network.state_dict())
    return fitted.eval()


def _member(
    samples: Samples, config: DetectorConfig, schedule: FilterSchedule, seed: int, *, quiet: bool,
    kept: Kept | None,
) -> CandidateNet:  # fmt: skip
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 5])
    network = CandidateNet(config)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=schedule.rate, weight_decay=schedule.weight_decay
    )
    plan = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=schedule.rate, total_steps=schedule.steps * schedule.epochs,
        pct_start=schedule.warm_up,
    )  # fmt: skip
    odds, console = _odds(samples), terminal.console(stderr=True, quiet=quiet)

    def batches() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        network.train()
        for _ in range(schedule.steps):
            yield _batch(rng, samples, rng.choice(len(samples), schedule.batch, p=odds))

    def step(batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        patches, statistics, labels = batch
        smooth = labels * (1 - schedule.smoothing) + schedule.smoothing / 2
        loss = functional.binary_cross_entropy_with_logits(network(patches, statistics), smooth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
        optimizer.step()
        plan.step()
        return loss

    def after(epoch: int, loss: float) -> None:
        console.print(f"epoch {epoch + 1}/{schedule.epochs}: loss {loss:.3f}")

    parts: dict[str, Stateful] = {"network": network, "optimizer": optimizer, "rate": plan}
    phase = Phase(
        "last", parts | {"random": NumpyRandom(rng)}, batches, step,
        steps=schedule.steps, epochs=schedule.epochs, after=after,
    )  # fmt: skip
    learn(phase, kept)
    return network


def logits(network: CandidateFilter, samples: Samples) -> Floats:
    """`(n,) float64` log-odds, in float32 arithmetic."""
    found = []
    with torch.inference_mode():
        for first in range(0, len(samples), 256):
            part = samples.where(np.arange(first, min(first + 256, len(samples))))
            found.append(
                network(
                    torch.from_numpy(part.patches.astype(np.float32))[:, None],
                    torch.from_numpy(part.statistics),
                ).double()
            )
    return np.asarray(torch.cat(found).numpy(), np.float64)


def folds(samples: Samples, number: int) -> NDArray[np.intp]:
    """`(n,)` fold of each sample: real women are spread evenly, the women with clusters first."""
    positive = {g for g, y, s in zip(samples.groups, samples.labels, samples.sources, strict=True)
                if y and s == "mini-mias"}  # fmt: skip
    order = sorted(set(samples.groups.tolist()), key=lambda g: (g not in positive, g))
    fold = {group: i % number for i, group in enumerate(order)}
    return np.array([fold[g] for g in samples.groups], np.intp)


def _odds(samples: Samples) -> Floats:
    """`(n,)` probabilities of being drawn: both classes alike, and sources as in `WEIGHTS`."""
    names = [s.split(" ")[0] for s in samples.sources.tolist()]
    weight = np.array([WEIGHTS[name] for name in names])
    weight[samples.labels & (samples.sources == "mini-mias")] *= _REAL_POSITIVE
    for label in (False, True):
        mine = samples.labels == label
        weight[mine] *= 0.5 / weight[mine].sum()
    return np.asarray(weight / weight.sum(), np.float64)


def _batch(
    rng: Generator, samples: Samples, chosen: NDArray[np.intp]
) -> tuple[Tensor, Tensor, Tensor]:
    """Patches turned, mirrored and changed in gain; statistics left out now and then."""
    patches = samples.patches[chosen].astype(np.float32)
    for patch in patches:
        turned = np.rot90(patch, int(rng.integers(4)))
        patch[:] = turned[:, ::-1] if rng.random() < 0.5 else turned
    patches *= np.exp(rng.normal(0, 0.15, (len(chosen), 1, 1))).astype(np.float32)
    statistics = samples.statistics[chosen].copy()
    without = rng.random(len(chosen)) < _WITHOUT_STATISTICS
    statistics[without] = samples.statistics[rng.integers(0, len(samples), int(without.sum()))]
    return (
        torch.from_numpy(patches)[:, None],
        torch.from_numpy(statistics),
        torch.from_numpy(samples.labels[chosen].astype(np.float32)),
    )
