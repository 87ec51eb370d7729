"""How a minibatch that memory cannot hold is trained: recomputed blocks first, then parts.

Recomputing a block's activations in the backward pass (Chen et al. 2016, arXiv:1604.06174) changes
no number, batch normalisation included. Dividing the minibatch (`engine.gradients`) changes none
either, but where a network normalises by the batch: its statistics are then a part's.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

Forward = Callable[[Any, Tensor], Tensor]
# Of the memory that is free: gradients, optimizer and a convolution's workspace need the rest.
_SHARE: Final = 0.5
_UNLIMITED: Final = 1 << 50
_CGROUP: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """In how many parts a minibatch is run, and whether its blocks are recomputed."""

    parts: int
    recompute: bool


def plan(
    rows: int, parts: int, kept: tuple[int, int], free: int, *, divisible: bool = True
) -> MemoryPlan:
    """The plan that fits: as it is, then with recomputed blocks, then in more parts.

    Parameters
    ----------
    rows, parts
        Of the minibatch, and in how many parts the recipe runs it anyway.
    kept
        Bytes that one row keeps for the backward pass (`kept_for_backward`).
    free
        Bytes that are free.
    divisible
        Whether the minibatch may be divided further.
    """
    room, (plain, recomputed) = int(free * _SHARE), kept
    at_a_time = -(-rows // parts)
    if at_a_time * plain <= room:
        return MemoryPlan(parts, recompute=False)
    fitting = max(1, room // max(recomputed, 1))
    if at_a_time <= fitting or not divisible:
        return MemoryPlan(parts, recompute=True)
    return MemoryPlan(-(-rows // fitting), recompute=True)


def recompute(blocks: Sequence[nn.Module]) -> None:
    """Let each block forget its activations, and compute them again in the backward pass.

    A block's batch normalisation counts its statistics once. Outside of training nothing changes.
    """
    for block in blocks:
        block.forward = _Recomputed(block)


class _Recomputed:
    """The forward pass of a block; a class, so that a copied network has its own."""

    def __init__(self, block: nn.Module) -> None:
        self.block = block

    def __call__(self, *inputs: Tensor) -> Any:
        whole = type(self.block).forward
        if not (torch.is_grad_enabled() and self.block.training):
            return whole(self.block, *inputs)
        return checkpoint(
            whole, self.block, *inputs, use_reentrant=False, context_fn=self._contexts
        )

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(self.block)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """The block's running statistics stay as they are: the first pass has counted the batch."""
    before = [(buffer, buffer.clone()) for buffer in block.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)


def kept_for_backward(
    network: nn.Module, forward: Forward, row: Tensor, blocks: Sequence[nn.Module] = ()
) -> tuple[int, int]:
    """Bytes that a row keeps for its backward pass: as it is, and with recomputed `blocks`.

    Weights are left out. The second is what enters the blocks, and what the largest keeps while it
    is recomputed. The pass is made in training mode; running statistics are put back.
    """
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    seen: list[dict[int, int]] = [{} for _ in range(len(blocks) + 1)]
    inputs, at = [0] * len(blocks), [len(blocks)]

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[at[-1]][storage.data_ptr()] = storage.nbytes()
        return tensor

    def enter(number: int, given: tuple[Tensor, ...]) -> None:
        inputs[number] = sum(x.nbytes for x in given)
        at.append(number)

    def leave() -> None:
        at.pop()

    hooks = []
    for number, block in enumerate(blocks):
        hooks.append(block.register_forward_pre_hook(lambda _, given, n=number: enter(n, given)))
        hooks.append(block.register_forward_hook(lambda *_: leave()))
    was_training, before = network.training, [b.clone() for b in network.buffers()]
    network.train()
    try:
        with saved_tensors_hooks(pack, lambda tensor: tensor):
            outputs = forward(network, row)
        del outputs
    finally:
        for hook in hooks:
            hook.remove()
        with torch.no_grad():
            for buffer, value in zip(network.buffers(), before, strict=True):
                buffer.copy_(value)
        network.train(was_training)
    whole = {at: size for one in seen for at, size in one.items()}
    each = [sum(one.values()) for one in seen]
    return sum(whole.values()), each[-1] + sum(inputs) + max(each[:-1], default=0)


def free_bytes(device: str) -> int:
    """Memory that a process can still take on the device: of the GPU, or of the machine.

    On Linux the limit of the process' control group counts, as in a container. Where nothing
    states it, no limit is known.
    """
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    return min(_available(), _of_group())


def _available() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        stated = dict(line.split(":", 1) for line in lines)
        return 1024 * int(stated["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return _UNLIMITED


def _of_group() -> int:
    """What the control group (version 2) has left; file pages that it can give back count."""
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        stated = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        return max(limit - used + int(stated.get("inactive_file", 0)), 0)
    except (OSError, ValueError):
        return _UNLIMITED
