"""One policy of device and memory for every model."""

import pytest
import torch

from cadnode.errors import ModelError, SettingsError
from cadnode.models import device
from cadnode.models.device import choose_device, is_out_of_memory, run_within_memory

CPU_FULL = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
BROKEN = RuntimeError("Doe^Jane")


class Compute:
    """A computation that fails on some devices; the batch sizes it was tried with."""

    def __init__(self, error: Exception, most: dict[str, int]) -> None:
        self.error, self.most = error, most
        self.tried: list[tuple[str, int]] = []

    def __call__(self, on: str, size: int) -> str:
        self.tried.append((on, size))
        if size > self.most[on]:
            raise self.error
        return on


@pytest.mark.parametrize(
    ("wanted", "available", "chosen"),
    [
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_auto_takes_cuda_where_there_is_one(
    wanted: str, available: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert choose_device(wanted) == chosen


def test_cuda_that_is_not_there_is_an_error_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match=r"reading\.device is 'cuda'"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (CPU_FULL, True),
        (BROKEN, False),
        (ValueError("not enough memory"), False),
    ],
)
def test_a_lack_of_memory_is_recognised_on_every_device(error: Exception, lacks: bool) -> None:
    assert is_out_of_memory(error) is lacks


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), CPU_FULL])
def test_the_batch_is_halved_before_the_cpu_is_asked(error: Exception) -> None:
    compute = Compute(error, {"cuda": 0, "cpu": 8})

    assert run_within_memory(compute, "cuda", 4, name="toy", cpu_too=True) == "cpu"
    assert compute.tried == [("cuda", 4), ("cuda", 2), ("cuda", 1), ("cpu", 1)]


def test_a_model_that_stays_on_its_device_fails_there() -> None:
    compute = Compute(torch.OutOfMemoryError("CUDA out of memory"), {"cuda": 0, "cpu": 8})

    with pytest.raises(ModelError, match="toy does not fit into the memory"):
        run_within_memory(compute, "cuda", 2, name="toy", cpu_too=False)
    assert compute.tried == [("cuda", 2), ("cuda", 1)]


@pytest.mark.parametrize("cpu_too", [False, True])
def test_another_failure_is_not_tried_with_smaller_batches(cpu_too: bool) -> None:
    compute = Compute(BROKEN, {"cpu": 0})

    with pytest.raises(ModelError, match="toy failed on cpu") as caught:
        run_within_memory(compute, "cpu", 8, name="toy", cpu_too=cpu_too)
    assert compute.tried == [("cpu", 8)]
    assert "Doe" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_no_threads_wanted_leaves_the_number_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", counts.append)

    device.use_threads(0)
    device.use_threads(3)

    assert counts == [3]
