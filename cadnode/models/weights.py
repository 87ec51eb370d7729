"""Weights as bytes: safetensors, as float32 or as int8 with a scale per output channel.

Nothing is unpickled: no code runs from a weights file.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cadnode.errors import ModelError

Network = TypeVar("Network", bound=nn.Module)
StoredAs = Literal["float32", "int8"]
_SCALE: Final = ".int8_scale"
# Kernels and matrices; vectors (biases, normalisation) are few and stay float32.
_LEAST_AXES: Final = 2


def pack(state: Mapping[str, Tensor], stored_as: StoredAs = "float32") -> bytes:
    """The tensors as safetensors.

    With `"int8"` a tensor of two axes or more is stored as q = round(w / s), where s is the
    largest absolute value of the output channel (first axis) over 127; a fifth of a per cent of a
    channel's largest weight is the most that a weight can move.
    """
    packed: dict[str, Tensor] = {}
    for name, value in state.items():
        tensor = value.detach().cpu().contiguous()
        if stored_as == "int8" and tensor.is_floating_point() and tensor.ndim >= _LEAST_AXES:
            scale = tensor.flatten(1).abs().amax(1).clamp_min(1e-12) / 127
            shape = (-1,) + (1,) * (tensor.ndim - 1)
            packed[name] = (tensor / scale.view(shape)).round().to(torch.int8)
            packed[name + _SCALE] = scale.float()
        else:
            packed[name] = tensor
    return bytes(save_tensors(packed))


def unpack(content: bytes, only: Container[str] | None = None) -> dict[str, Tensor]:
    """The tensors that `pack` made bytes of, floating point again; of those names only, if given.

    Raises
    ------
    ModelError
        The bytes are no safetensors.
    """
    try:
        packed = load_tensors(content)
        if only is not None:
            packed = {k: v for k, v in packed.items() if k.removesuffix(_SCALE) in only}
        return _unpacked(packed)
    # The last three: a type of numbers that torch has not, a scale without its tensor, or of
    # another shape.
    except (SafetensorError, ValueError, KeyError, RuntimeError, TypeError):
        raise ModelError("the weights are no safetensors file, or a damaged one") from None


def _unpacked(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with the scales of int8 applied."""
    state = {name: value for name, value in packed.items() if not name.endswith(_SCALE)}
    for name, scale in packed.items():
        if name.endswith(_SCALE):
            whole = state[name.removesuffix(_SCALE)]
            shape = (-1,) + (1,) * (whole.ndim - 1)
            state[name.removesuffix(_SCALE)] = whole.float() * scale.view(shape)
    return state


class _Undrawn(TorchFunctionMode):
    """In it, a new network's weights stay as the memory is: no random numbers are drawn for them.

    Buffers and constants get their values. To be left before weights are loaded.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """What `func` gives; of those that draw, the tensor as it is."""
        given = kwargs or {}
        if func in _DRAWING:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


# `nn.init`'s own functions come as a whole; other libraries fill a tensor by its methods.
_DRAWING: Final = frozenset(
    {
        nn.init.kaiming_normal_,
        nn.init.kaiming_uniform_,
        nn.init.normal_,
        nn.init.trunc_normal_,
        nn.init.uniform_,
        Tensor.erfinv_,  # what a truncated normal distribution is made by
        Tensor.normal_,
        Tensor.uniform_,
    }
)


def fitted(make: Callable[[], Network], state: dict[str, Tensor], name: str) -> Network:
    """A network with these weights, in evaluation mode.

    `make` gives the network; drawing its first weights, all of which are replaced, would be most
    of the time of the whole.

    Raises
    ------
    ModelError
        They do not fit.
    """
    with _Undrawn():
        network = make()
    try:
        network.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError):
        raise ModelError(f"the weights of {name} do not fit its architecture") from None
    return network.eval()
