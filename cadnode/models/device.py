"""Where models compute: device, number of threads, and what happens when memory runs out."""

import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import torch

from cadnode.errors import ModelError, SettingsError

T = TypeVar("T")
_M_ARENA_MAX: Final = -8

# What PyTorch's CPU allocator reports in a plain RuntimeError (c10/core/impl/alloc_cpu.cpp).
_CPU_ALLOCATOR: Final = ("allocate memory", "not enough memory")


def choose_device(wanted: str = "auto") -> str:
    """`"cuda"` or `"cpu"`; `"auto"` takes CUDA when it is available.

    Raises
    ------
    SettingsError
        CUDA is wanted and not there.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise SettingsError("reading.device is 'cuda', but torch finds no CUDA device; use 'auto'")
    return "cuda" if available and wanted != "cpu" else "cpu"


def gpu_memory() -> tuple[int, int]:
    """(free, size) of the GPU that is computed on, in bytes. Raises `RuntimeError`."""
    free, size = torch.cuda.mem_get_info()
    return int(free), int(size)


def use_threads(count: int) -> None:
    """Compute on `count` threads of the CPU; 0 leaves the number to PyTorch."""
    if count:
        torch.set_num_threads(count)


def share_heaps() -> None:
    """Let the C library's threads share two heaps, where it is glibc (mallopt(3), M_ARENA_MAX).

    By default each of many threads has one that keeps what it once needed: 75 to 95 MB of a read.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, a GPU's or the machine's.

    PyTorch has a class of its own for a GPU; the CPU's allocator raises a plain RuntimeError.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _CPU_ALLOCATOR)


def run_within_memory(
    compute: Callable[[str, int], T], device: str, batch_size: int, *, name: str, cpu_too: bool
) -> T:
    """What `compute(device, batch_size)` returns, of the largest batch size that fits.

    Out of memory: the batch is halved until it fits. `cpu_too`: where one input does not fit, or
    the device fails otherwise, the CPU continues, with the batch size reached.

    Raises
    ------
    ModelError
        The model `name` fails in every way tried; without the library's text.
    """
    while True:
        try:
            return compute(device, batch_size)
        except (RuntimeError, MemoryError) as error:
            lacks_memory = is_out_of_memory(error)
            if lacks_memory and batch_size > 1:
                batch_size //= 2
            elif cpu_too and device != "cpu":
                device = "cpu"
            elif lacks_memory:
                raise ModelError(f"one input of {name} does not fit into the memory") from None
            else:
                raise ModelError(f"{name} failed on {device}") from None
        # Outside of the handler: the exception's frames held on to the tensors.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
