"""How the stacked denoising autoencoder is trained: layer by layer, then as a whole.

Wang 2016 (Deep learning model) gives sigmoids, squared error (eq. 3), greedy layer-wise training
and the softmax on top; it is silent on everything that is marked `Choice` in `AutoencoderRecipe`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cadnode.networks.autoencoder import (
    AveragedAutoencoders,
    MalignancyNetwork,
    StackedAutoencoder,
    StackedAutoencoderConfig,
    autoencoder,
)
from cadnode_training.engine.phase_loop import Best, Kept, Phase, Stateful, TorchRandom, learn

Scaled = NDArray[np.float32]
Labels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class AutoencoderRecipe:
    """How the autoencoder is trained.

    Parameters
    ----------
    masked
        Share of the inputs that are set to 0 in pretraining (masking noise, Vincent et al. 2010).
        Choice: a fifth, because a quarter or less served there.
    pretrain_updates, pretrain_rate
        Of each layer. Choice: Adam; the reconstruction hardly improves after these updates.
    epochs, rate, weight_decay
        Of the fine-tuning, all layers together: at most, where validation data end it earlier.
    updates
        Of the fine-tuning where there are no validation data, or no patience.
    patience
        Epochs without a lower validation loss after which the fine-tuning ends; 0: it makes its
        `updates`, whatever the validation loss.
    cosine
        Whether the fine-tuning's rate falls along a cosine to 0 over its updates.
    members
        Networks that are trained beside each other from different weights, and averaged.
    batch
        Regions at a time.
    stellate
        Whether twelve features of lines that run towards a mass are read beside the paper's 26.
    """

    masked: float = 0.2
    pretrain_updates: int = 300
    pretrain_rate: float = 2e-3
    epochs: int = 400
    updates: int = 1000
    rate: float = 1e-3
    weight_decay: float = 0.05
    patience: int = 0
    cosine: bool = True
    members: int = 5
    batch: int = 64
    stellate: bool = True

    def with_epochs(self, epochs: int) -> "AutoencoderRecipe":
        """The recipe with so many epochs of fine-tuning, everything else in proportion."""
        share = epochs / self.epochs
        return replace(
            self,
            epochs=epochs,
            updates=max(1, round(share * self.updates)),
            pretrain_updates=max(1, round(share * self.pretrain_updates)),
        )

    def epochs_of(self, updates: int, n: int) -> int:
        """Passes over `n` regions that make at least so many updates."""
        return -(-updates // -(-max(n, 1) // self.batch))


def train(
    config: StackedAutoencoderConfig,
    scaled: Scaled,
    malignant: Labels,
    validation: tuple[Scaled, Labels] | None,
    recipe: AutoencoderRecipe,
    seed: int,
    kept: Kept | None = None,
) -> MalignancyNetwork:
    """The trained network, in evaluation mode.

    The epoch with the lowest validation loss is taken; the last one without validation data or
    patience. Members share the minibatches: their first weights and their noise differ. A
    training that `kept` holds is resumed, and ends as if it had never stopped.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = autoencoder(config)
        decoders = [[nn.Linear(e.out_features, e.in_features) for e in _encoders(member)]
                    for member in members_of(network)]  # fmt: skip
    x, y = torch.from_numpy(scaled), torch.from_numpy(malignant.astype(np.int64))
    for layer, these in enumerate(zip(*decoders, strict=True)):
        pretrain(network, layer, these, x, recipe, generator, kept)
    _finetune(network, x, y, validation, recipe, generator, kept)
    return network.eval()


def members_of(network: MalignancyNetwork) -> list[StackedAutoencoder]:
    """The autoencoders of which a network is the mean."""
    inner = network.members if isinstance(network, AveragedAutoencoders) else [network]
    return [member for member in inner if isinstance(member, StackedAutoencoder)]


def reconstruction_error(encoder: nn.Linear, decoder: nn.Linear, x: Tensor, seen: Tensor) -> Tensor:
    """½ Σ (z − x)², mean over the batch (eq. 3): `seen` is x with noise, x what z should be."""
    z = torch.sigmoid(decoder(torch.sigmoid(encoder(seen))))
    return 0.5 * ((z - x) ** 2).sum(1).mean()


def masked(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The values `x` with that share of them set to 0, at random."""
    return x * (torch.rand(x.shape, generator=generator) >= share)


def pretrain(
    network: MalignancyNetwork,
    layer: int,
    decoders: Sequence[nn.Linear],
    x: Tensor,
    recipe: AutoencoderRecipe,
    generator: torch.Generator,
    kept: Kept | None = None,
) -> None:
    """Train one encoder of each member to be undone by its decoder.

    What it encodes is what the layers below make of `x`.
    """
    members = members_of(network)
    encoders = [_encoders(member)[layer] for member in members]
    with torch.no_grad():
        below = [member.encode(x, layer) for member in members]
    trained = nn.ModuleList([*encoders, *decoders])
    optimizer = torch.optim.Adam(trained.parameters(), lr=recipe.pretrain_rate)

    def loss(rows: Tensor) -> Tensor:
        errors = [
            reconstruction_error(encoder, decoder, target[rows],
                                 masked(target[rows], recipe.masked, generator))
            for encoder, decoder, target in zip(encoders, decoders, below, strict=True)
        ]  # fmt: skip
        return torch.stack(errors).sum()

    epochs = recipe.epochs_of(recipe.pretrain_updates, len(x))
    parts: dict[str, Stateful] = {"network": network, "decoders": nn.ModuleList(decoders)}
    name = f"{layer + 1}-layer"
    learn(_phase(name, parts, optimizer, loss, len(x), epochs, recipe, generator), kept)


def _finetune(
    network: MalignancyNetwork,
    x: Tensor,
    y: Tensor,
    validation: tuple[Scaled, Labels] | None,
    recipe: AutoencoderRecipe,
    generator: torch.Generator,
    kept: Kept | None,
) -> None:
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
    )
    best = Best()

    members = members_of(network)
    stopping = validation is not None and recipe.patience > 0
    epochs = recipe.epochs if stopping else recipe.epochs_of(recipe.updates, len(x))
    steps = epochs * -(-len(x) // recipe.batch)
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda done: 0.5 * (1 + math.cos(math.pi * min(done / steps, 1)))
        if recipe.cosine else 1.0
    )  # fmt: skip

    def loss(rows: Tensor) -> Tensor:
        """Summed over the members: each learns as if it were alone."""
        return torch.stack([functional.cross_entropy(m(x[rows]), y[rows]) for m in members]).sum()

    def after(epoch: int, _: float) -> None:
        if stopping and validation is not None:
            best.offer(_loss(network, *validation), epoch, network)

    def ended(done: int) -> bool:
        return stopping and done - 1 - best.epoch >= recipe.patience

    parts: dict[str, Stateful] = {"network": network, "best": best, "rates": rates}
    phase = _phase("tuning", parts, optimizer, loss, len(x), epochs, recipe, generator, rates)
    learn(replace(phase, after=after, ended=ended), kept)
    if best.weights:
        network.load_state_dict(best.weights)


def _phase(
    name: str, parts: Mapping[str, Stateful], optimizer: torch.optim.Optimizer,
    loss: Callable[[Tensor], Tensor], n: int, epochs: int, recipe: AutoencoderRecipe,
    generator: torch.Generator, rates: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> Phase:  # fmt: skip
    """Epochs over `n` rows in a new order each, `loss` being that of the rows of a minibatch."""

    def step(rows: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        value = loss(rows)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if rates is not None:
            rates.step()
        return value

    return Phase(
        name=name,
        parts={**parts, "optimizer": optimizer, "random": TorchRandom(generator)},
        batches=lambda: torch.split(torch.randperm(n, generator=generator), recipe.batch),
        step=step,
        steps=-(-n // recipe.batch),
        epochs=epochs,
    )


@torch.no_grad()
def _loss(network: MalignancyNetwork, scaled: Scaled, malignant: Labels) -> float:
    target = torch.from_numpy(malignant.astype(np.int64))
    return float(functional.cross_entropy(network(torch.from_numpy(scaled)), target))


def _encoders(network: StackedAutoencoder) -> list[nn.Linear]:
    return [layer for layer in network.encoders if isinstance(layer, nn.Linear)]
