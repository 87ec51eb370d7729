"""How a minibatch's gradients are computed, in as many parts as memory and processes need.

The loss is always taken of the whole minibatch's outputs, whatever it is made of (pairs of
breasts, unknown labels): in parts, the outputs are made first without a graph, the loss is derived
by them, and each part is run again to carry its share back (GradCache: Gao et al. 2021, section
3.2). So the step stays the same, but for batch normalisation, whose statistics are then a part's.
"""

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cadnode.errors import SettingsError
from cadnode_training.engine.machine import Machine

Forward = Callable[[Any, Tensor], Tensor]
Loss = Callable[[Tensor], Tensor]
_MEMORY: Final = torch.OutOfMemoryError


class _Outputs(nn.Module):
    """The network's outputs as a module's, for `DistributedDataParallel` to see them."""

    def __init__(self, network: nn.Module, forward: Forward) -> None:
        super().__init__()
        self.network, self._outputs = network, forward

    def forward(self, inputs: Tensor) -> Tensor:
        return self._outputs(self.network, inputs)


class Gradients:
    """Adds gradients to a network's parameters.

    Parameters
    ----------
    network, forward
        The network, and how outputs are made of it and inputs; the first axis is the minibatch's.
    machine
        Each of its processes runs its share of the rows; gradients are summed over them.
    dtype
        Of the forward pass; None is float32.
    scale
        Applied to the loss before it is derived (float16).
    notify
        Gets a line when the minibatch is divided.
    parts
        In how many parts a process that is alone runs a minibatch.
    """

    def __init__(
        self, network: nn.Module, forward: Forward, machine: Machine, dtype: torch.dtype | None,
        *, scale: Loss = lambda loss: loss, notify: Callable[[str], None] = lambda text: None,
        parts: int = 1,
    ) -> None:  # fmt: skip
        outputs = _Outputs(network, forward)
        several = machine.world > 1
        self._run: nn.Module = DistributedDataParallel(outputs) if several else outputs
        self.network, self.machine, self.dtype = network, machine, dtype
        self.parts = 1 if several else max(parts, 1)
        self._scale, self._notify = scale, notify

    def of(self, inputs: Tensor, loss: Loss) -> float:
        """The loss of `inputs` as a number, its gradients added to the parameters'.

        Raises
        ------
        SettingsError
            A single row, or with several processes a process' share, does not fit into memory.
        """
        while True:
            try:
                return self._of(inputs, loss)
            except _MEMORY:
                pass  # the failed pass' tensors are freed with its frames, before the next one
            self._halve(len(inputs))

    def _of(self, inputs: Tensor, loss: Loss) -> float:
        shares = self.machine.shares(len(inputs))
        if min(s.stop - s.start for s in shares) < 1:
            raise SettingsError("there are more processes than images in a minibatch")

        def whole(mine: Tensor) -> Tensor:
            # Every process has the same loss, and their gradients are averaged: the sum is wanted.
            value = loss(self.machine.gathered(mine, shares))
            (self._scale(value) * self.machine.world).backward()  # type: ignore[no-untyped-call]
            return value.detach()

        mine = inputs[shares[self.machine.rank]]
        return float(whole(self._outputs(mine)) if self.parts == 1 else self._in_parts(mine, whole))

    def _outputs(self, inputs: Tensor) -> Tensor:
        with torch.autocast(
            self.machine.device, self.dtype or torch.bfloat16, enabled=self.dtype is not None
        ):
            return self._run(inputs)  # type: ignore[no-any-return]

    def _in_parts(self, mine: Tensor, whole: Loss) -> Tensor:
        """The loss; only a process that is alone divides its rows (`_halve`)."""
        parts = torch.split(mine, -(-len(mine) // self.parts))
        before = [b.clone() for b in self.network.buffers()]
        states, found = [], []
        with torch.no_grad():
            for part in parts:
                states.append(self._random())
                found.append(self._outputs(part))
            for buffer, value in zip(self.network.buffers(), before, strict=True):
                buffer.copy_(value)
        outputs = torch.cat(found).requires_grad_()
        value = whole(outputs)
        assert outputs.grad is not None
        gradients = torch.split(outputs.grad, [len(p) for p in parts])
        for part, state, gradient in zip(parts, states, gradients, strict=True):
            self._random(state)
            self._outputs(part).backward(gradient)  # type: ignore[no-untyped-call]
        return value

    def _random(self, state: Tensor | None = None) -> Tensor:
        """The device's state of random numbers (dropout), set to `state` where it is given."""
        on_gpu = self.machine.device == "cuda"
        if state is not None:
            torch.cuda.set_rng_state(state) if on_gpu else torch.set_rng_state(state)
            return state
        return torch.cuda.get_rng_state() if on_gpu else torch.get_rng_state()

    def _halve(self, rows: int) -> None:
        """Divide the minibatch once more; gradients of the failed pass are dropped."""
        if self.machine.world > 1:
            # The others wait in the middle of their step: they cannot begin it again.
            raise SettingsError("out of GPU memory: use more processes, or a smaller batch")
        if self.parts >= rows:
            raise SettingsError("out of GPU memory: not even one image fits beside the network")
        self.parts = min(2 * self.parts, rows)
        self.network.zero_grad(set_to_none=True)
        if self.machine.device == "cuda":
            torch.cuda.empty_cache()
        self._notify(f"out of memory: minibatches run in {self.parts} parts from here on")
