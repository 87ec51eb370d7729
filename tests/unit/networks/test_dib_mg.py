"""The network of Kim 2018."""

import pytest
import torch

from cadnode.networks.dib_mg import DibMg, DibMgConfig, breast_logit, convolutions

SMALL = DibMgConfig(widths=(4, 4, 8, 8, 8, 8), top_cells=3)


def test_it_has_nineteen_convolutions_as_in_the_paper() -> None:
    assert convolutions(DibMg(DibMgConfig())) == 19


def test_the_last_convolution_makes_two_maps() -> None:
    network = DibMg(SMALL).eval()

    maps = network(torch.rand(2, 1, 64, 48))

    assert maps.shape == (2, 2, 4, 3)
    assert network.aggregate.kernel_size == (1, 1)


def test_the_logit_map_is_cancer_less_normal() -> None:
    network = DibMg(SMALL).eval()
    views = torch.rand(1, 1, 64, 48)

    maps = network(views)

    expected = torch.logit(maps.softmax(1)[:, 0])
    torch.testing.assert_close(network.logit_map(views), expected, atol=1e-5, rtol=1e-4)


def test_global_average_pooling_is_the_mean_of_the_map() -> None:
    network = DibMg(SMALL.model_copy(update={"pooling": "gap"}))
    cells = torch.arange(12.0).reshape(1, 3, 4)

    assert network.pool(cells).item() == pytest.approx(5.5)


def test_top_cells_are_averaged() -> None:
    cells = torch.arange(12.0).reshape(1, 3, 4)

    assert DibMg(SMALL).pool(cells).item() == pytest.approx(10.0)
    assert DibMg(SMALL.model_copy(update={"top_cells": 99})).pool(cells).item() == 5.5


def test_a_breast_is_the_mean_of_its_views() -> None:
    assert breast_logit(torch.tensor([[1.0, 3.0]])).tolist() == [2.0]


def test_a_views_map_does_not_depend_on_the_batch() -> None:
    network = DibMg(SMALL).eval()
    views = torch.rand(3, 1, 64, 48)

    torch.testing.assert_close(network(views)[1:2], network(views[1:2]), atol=1e-5, rtol=1e-5)
