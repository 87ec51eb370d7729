"""The network of Wang 2016 and its training: equations by hand, learning on toy data."""

import numpy as np
import pytest
import torch
from torch import nn

from cadnode.networks.autoencoder import (
    AveragedAutoencoders,
    StackedAutoencoder,
    StackedAutoencoderConfig,
)
from cadnode_training.papers.wang2016 import autoencoder
from cadnode_training.papers.wang2016.autoencoder import AutoencoderRecipe

QUICK = AutoencoderRecipe(
    pretrain_updates=150, updates=150, epochs=40, patience=8, rate=5e-3, weight_decay=1e-4,
    cosine=False,
)  # fmt: skip


def network(hidden: tuple[int, ...] = (7, 5)) -> StackedAutoencoder:
    torch.manual_seed(0)
    return StackedAutoencoder(StackedAutoencoderConfig(inputs=3, hidden=hidden))


def two_clouds(n: int = 160, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`(n, 4)` features in [0, 1] whose first two tell malignant from benign."""
    rng = np.random.default_rng(seed)
    malignant = rng.random(n) < 0.5
    x = rng.normal(0.5, 0.12, (n, 4))
    x[:, :2] += np.where(malignant, 0.15, -0.15)[:, None]
    return np.clip(x, 0, 1).astype(np.float32), malignant


def test_layers_are_sigmoids_of_linear_maps() -> None:
    net, x = network(), torch.rand(4, 3)
    first, second = net.encoders

    by_hand = 1 / (1 + torch.exp(-(x @ first.weight.T + first.bias)))  # eq. 1
    both = torch.sigmoid(by_hand @ second.weight.T + second.bias)  # eqs. 4, 5

    torch.testing.assert_close(net.encode(x, 1), by_hand)
    torch.testing.assert_close(net.encode(x), both)
    torch.testing.assert_close(net(x), both @ net.softmax.weight.T + net.softmax.bias)


def test_log_odds_are_those_of_the_softmax() -> None:
    net, x = network(), torch.rand(4, 3)
    benign, malignant = torch.softmax(net(x), 1).T

    torch.testing.assert_close(net.log_odds(x), torch.log(malignant / benign))


@pytest.mark.parametrize(
    ("inputs", "hidden", "weights"),
    [(15, (200, 200), 43_802), (26, (200, 200), 46_002), (41, (400, 400), 178_002)],
)
def test_the_three_scenarios_have_the_papers_sizes(
    inputs: int, hidden: tuple[int, int], weights: int
) -> None:
    # 15 · 200 + 200, 200 · 200 + 200, 200 · 2 + 2; likewise for the others
    net = StackedAutoencoder(StackedAutoencoderConfig(inputs=inputs, hidden=hidden))

    assert sum(p.numel() for p in net.parameters()) == weights


def test_the_reconstruction_error_is_half_the_squared_distance() -> None:
    encoder, decoder = nn.Linear(2, 3), nn.Linear(3, 2)
    nn.init.zeros_(decoder.weight)
    nn.init.zeros_(decoder.bias)  # z is one half, whatever comes in
    x = torch.tensor([[1.0, 0.5], [0.5, 0.5]])

    error = autoencoder.reconstruction_error(encoder, decoder, x, x)

    assert error.item() == pytest.approx(0.5 * (0.25 + 0) / 2)  # eq. 3, mean of two


def test_masking_noise_sets_that_share_to_zero() -> None:
    x = torch.ones(200, 50)

    noisy = autoencoder.masked(x, 0.2, torch.Generator().manual_seed(0))

    assert set(noisy.unique().tolist()) == {0.0, 1.0}
    assert float((noisy == 0).float().mean()) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("layer", [0, 1])
def test_pretraining_teaches_a_layer_to_reconstruct_what_is_below(layer: int) -> None:
    x = torch.from_numpy(two_clouds()[0])
    net = StackedAutoencoder(StackedAutoencoderConfig(inputs=4, hidden=(12, 8)))
    encoder, decoder = net.encoders[layer], nn.Linear(*[(12, 4), (8, 12)][layer])
    below = net.encode(x, layer).detach()
    before = autoencoder.reconstruction_error(encoder, decoder, below, below).item()
    others = {n: p.clone() for n, p in net.named_parameters() if f"encoders.{layer}" not in n}

    recipe = AutoencoderRecipe(masked=0.05, pretrain_updates=400, pretrain_rate=1e-2)
    autoencoder.pretrain(net, layer, [decoder], x, recipe, torch.Generator().manual_seed(0))

    after = autoencoder.reconstruction_error(encoder, decoder, below, below).item()
    assert after < 0.6 * before
    for name, value in others.items():  # greedy: the other layers stay
        torch.testing.assert_close(dict(net.named_parameters())[name], value, rtol=0, atol=0)


def test_training_separates_two_clouds_that_it_has_not_seen() -> None:
    config = StackedAutoencoderConfig(inputs=4, hidden=(20, 20))
    x, malignant = two_clouds()
    held, test = two_clouds(80, seed=1), two_clouds(200, seed=2)

    net = autoencoder.train(config, x, malignant, held, QUICK, seed=0)

    called = net.log_odds(torch.from_numpy(test[0])).detach().numpy() > 0
    assert (called == test[1]).mean() > 0.85


def test_one_seed_gives_one_network() -> None:
    config, (x, malignant) = StackedAutoencoderConfig(inputs=4, hidden=(6,)), two_clouds(60)
    short = AutoencoderRecipe(pretrain_updates=5, updates=5)

    one, same, other = (
        autoencoder.train(config, x, malignant, None, short, seed=seed) for seed in (1, 1, 2)
    )

    probe = torch.from_numpy(x)
    torch.testing.assert_close(one.log_odds(probe), same.log_odds(probe), rtol=0, atol=0)
    assert not torch.equal(one.log_odds(probe), other.log_odds(probe))


def test_training_leaves_the_global_random_numbers_alone() -> None:
    config, (x, malignant) = StackedAutoencoderConfig(inputs=4, hidden=(6,)), two_clouds(60)
    torch.manual_seed(5)
    expected = torch.rand(3)

    torch.manual_seed(5)
    autoencoder.train(
        config, x, malignant, None, AutoencoderRecipe(pretrain_updates=2, updates=2), seed=0
    )

    torch.testing.assert_close(torch.rand(3), expected)


def test_fine_tuning_stops_when_validation_no_longer_improves() -> None:
    config, (x, malignant) = StackedAutoencoderConfig(inputs=4, hidden=(6,)), two_clouds(60)
    wrong = x, ~malignant  # whatever is learnt makes this worse
    long = AutoencoderRecipe(pretrain_updates=2, epochs=100_000, patience=2)

    autoencoder.train(config, x, malignant, wrong, long, seed=0)  # comes back


def test_several_networks_are_the_mean_of_their_log_odds_and_differ() -> None:
    config = StackedAutoencoderConfig(inputs=4, hidden=(6,), members=3)
    x, malignant = two_clouds(60)

    net = autoencoder.train(
        config, x, malignant, None, AutoencoderRecipe(pretrain_updates=5, updates=5), seed=0
    )

    assert isinstance(net, AveragedAutoencoders)
    each = [m.log_odds(torch.from_numpy(x)) for m in autoencoder.members_of(net)]
    torch.testing.assert_close(net.log_odds(torch.from_numpy(x)), torch.stack(each).mean(0))
    assert len(each) == 3
    assert not torch.equal(each[0], each[1])


def test_without_patience_the_validation_data_change_nothing() -> None:
    config, (x, malignant) = StackedAutoencoderConfig(inputs=4, hidden=(6,)), two_clouds(60)
    short = AutoencoderRecipe(pretrain_updates=5, updates=20, patience=0)

    alone = autoencoder.train(config, x, malignant, None, short, seed=0)
    beside = autoencoder.train(config, x, malignant, (x, ~malignant), short, seed=0)

    probe = torch.from_numpy(x)
    torch.testing.assert_close(alone.log_odds(probe), beside.log_odds(probe), rtol=0, atol=0)
