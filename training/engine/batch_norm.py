"""Batch normalisation over all processes of a training: two of them learn as one does.

Statistics are of the whole minibatch, wherever its rows are (Ioffe and Szegedy 2015, algorithm 1).
GPUs have PyTorch's kernel for it; on CPUs, where PyTorch has none, they are summed here.
"""

from typing import Any, Final

import torch
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, distributed, nn


def over_processes(network: nn.Module, device: str) -> nn.Module:
    """The network, whose batch normalisation counts the rows of all processes.

    Names and values of its parameters stay. Layers in evaluation mode use what they have kept, as
    before.
    """
    if device != "cpu":
        return convert_sync_batchnorm(network)  # type: ignore[no-any-return]
    for layer in network.modules():
        kind = _KINDS.get(type(layer))
        if kind is not None:
            layer.__class__ = kind  # the same weights, under the same names
    return network


class _OverProcesses:
    """What replaces the forward pass of a layer of batch normalisation, beside that layer's."""

    def forward(self: Any, inputs: Tensor) -> Tensor:
        """`(N, C, …)` float, N being this process' rows, one at least; the same of the output."""
        if not self.training:
            return super().forward(inputs)  # type: ignore[misc,no-any-return]
        found = _normalised(self, inputs)
        return self.act(self.drop(found)) if isinstance(self, BatchNormAct2d) else found


class SharedBatchNorm1d(_OverProcesses, nn.BatchNorm1d):
    """`nn.BatchNorm1d` over all processes."""


class SharedBatchNorm2d(_OverProcesses, nn.BatchNorm2d):
    """`nn.BatchNorm2d` over all processes."""


class SharedBatchNormAct2d(_OverProcesses, BatchNormAct2d):  # type: ignore[misc]
    """timm's layer of batch normalisation and activation over all processes."""


_KINDS: Final[dict[type[nn.Module], type[nn.Module]]] = {
    nn.BatchNorm1d: SharedBatchNorm1d,
    nn.BatchNorm2d: SharedBatchNorm2d,
    BatchNormAct2d: SharedBatchNormAct2d,
}


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(_: Any, mine: Tensor) -> Tensor:
        total = mine.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


def _summed(mine: Tensor) -> Tensor:
    return _Sum.apply(mine)  # type: ignore[no-any-return]


def _normalised(layer: Any, inputs: Tensor) -> Tensor:
    rows = inputs.float()
    axes = [0, *range(2, rows.ndim)]
    shape = (1, -1, *(1,) * (rows.ndim - 2))
    n = _summed(torch.tensor(float(rows.numel() // rows.shape[1])))
    mean = _summed(rows.sum(axes)) / n
    centred = rows - mean.view(shape)
    variance = _summed(centred.square().sum(axes)) / n
    if layer.track_running_stats:
        _keep(layer, mean.detach(), variance.detach() * (n / (n - 1).clamp(min=1)))
    found = centred * torch.rsqrt(variance + layer.eps).view(shape)
    if layer.affine:
        found = found * layer.weight.view(shape) + layer.bias.view(shape)
    return found.to(inputs.dtype)


@torch.no_grad()
def _keep(layer: Any, mean: Tensor, variance: Tensor) -> None:
    """Count the minibatch in what the layer uses in evaluation mode."""
    layer.num_batches_tracked += 1
    share = layer.momentum
    if share is None:
        share = 1.0 / float(layer.num_batches_tracked)
    layer.running_mean.lerp_(mean, share)
    layer.running_var.lerp_(variance, share)
