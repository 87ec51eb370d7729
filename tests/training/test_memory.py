"""Minibatches that memory cannot hold: recomputed blocks, parts, and what they change."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from cadnode_training.engine import memory
from cadnode_training.engine.gradients import Gradients
from cadnode_training.engine.machine import Machine
from cadnode_training.engine.memory import MemoryPlan


def network(*, normalised: bool) -> nn.Sequential:
    """Two blocks and a last layer, with or without batch normalisation."""
    torch.manual_seed(0)
    norms = [nn.BatchNorm2d(4) if normalised else nn.Identity() for _ in range(2)]
    blocks = [
        nn.Sequential(nn.Conv2d(inputs, 4, 3, padding=1), norm, nn.ReLU())
        for inputs, norm in zip((1, 4), norms, strict=True)
    ]
    return nn.Sequential(*blocks, nn.Conv2d(4, 1, 1)).train()


def learnt(made: nn.Sequential, parts: int = 1) -> dict[str, Tensor]:
    """Gradients of a minibatch of eight, and the running statistics after it."""
    torch.manual_seed(1)
    views, wanted = torch.randn(8, 1, 6, 6), torch.randn(8, 1, 6, 6)
    gradients = Gradients(made, lambda n, x: n(x), Machine(), None, parts=parts)
    gradients.of(views, lambda outputs: mse_loss(outputs, wanted))
    found = {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}
    return found | {name: b.clone() for name, b in made.named_buffers()}


def apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.parametrize("parts", [1, 4])
def test_recomputed_blocks_change_no_number_and_count_statistics_once(parts: int) -> None:
    made = network(normalised=True)
    spared = copy.deepcopy(made)
    memory.recompute(list(spared)[:2])

    assert apart(learnt(made, parts), learnt(copy.deepcopy(spared), parts)) == 0


def test_parts_are_one_minibatch_where_nothing_normalises_by_it() -> None:
    plain, normalised = network(normalised=False), network(normalised=True)

    assert apart(learnt(plain), learnt(copy.deepcopy(plain), 4)) < 1e-6
    assert apart(learnt(normalised), learnt(copy.deepcopy(normalised), 4)) > 1e-3


def test_what_a_row_keeps_is_counted_with_and_without_recomputed_blocks() -> None:
    made, row = network(normalised=True), torch.zeros(1, 1, 32, 32)
    before = copy.deepcopy(made.state_dict())

    plain, recomputed = memory.kept_for_backward(made, lambda n, x: n(x), row, list(made)[:2])

    # In channels of 32 × 32 float32. A block keeps its input, what is normalised, and its output,
    # which is the next one's input: 1 + 4 + 4, then 4 + 4. Recomputed: both inputs (1 + 4), what
    # the larger block keeps (4 + 4 + 4), and the last layer's input (4).
    channel = 4 * 32 * 32
    assert plain == pytest.approx(17 * channel, rel=0.01)
    assert recomputed == pytest.approx((5 + 12 + 4) * channel, rel=0.01)
    assert all(torch.equal(before[name], value) for name, value in made.state_dict().items())


@pytest.mark.parametrize(
    ("free_rows", "divisible", "expected"),
    [
        (8, True, MemoryPlan(8, recompute=False)),  # 64 rows in 8 parts: eight at a time
        (7.9, True, MemoryPlan(8, recompute=True)),
        (4, True, MemoryPlan(8, recompute=True)),
        (2, True, MemoryPlan(16, recompute=True)),  # four at a time
        (0.1, True, MemoryPlan(64, recompute=True)),
        (0.1, False, MemoryPlan(8, recompute=True)),
    ],
)
def test_blocks_are_recomputed_before_a_minibatch_is_divided_further(
    free_rows: float, divisible: bool, expected: MemoryPlan
) -> None:
    plain, recomputed = 1000, 500
    free = int(2 * free_rows * plain)

    assert memory.plan(64, 8, (plain, recomputed), free, divisible=divisible) == expected


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("memory.max", "1000000"), ("memory.current", "700000"),
                       ("memory.stat", "anon 1\ninactive_file 50000\n")):  # fmt: skip
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.free_bytes("cpu") == 350000

    (tmp_path / "memory.max").write_text("max")
    assert memory.free_bytes("cpu") > 1 << 20
