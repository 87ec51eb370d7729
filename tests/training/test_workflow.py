"""The training loop's own promises, on a network of a few weights."""

import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from cadnode.errors import DataError, SettingsError
from cadnode.models import engine
from cadnode_training.engine import checkpoint, tracking
from cadnode_training.engine.gradients import Gradients
from cadnode_training.engine.loop import (
    CHECKPOINT,
    HISTORY,
    Training,
    TrainingPlan,
    seed_everything,
)
from cadnode_training.engine.machine import Machine, started
from cadnode_training.engine.prefetch import ahead
from cadnode_training.papers.wang2016.autoencoder import AutoencoderRecipe


@dataclass(frozen=True)
class Batch:
    """Eight inputs with their answers."""

    views: Tensor
    answers: Tensor


class Data:
    """Minibatches that depend on epoch and step alone; every fourth answer is unknown (0)."""

    epoch = 0

    def __len__(self) -> int:
        return 3

    def make(self, epoch: int, step: int) -> Batch:
        random = torch.Generator().manual_seed(100 * epoch + step)
        views = torch.randn(8, 1, 4, 4, generator=random)
        answers = views.mean((1, 2, 3)).sign()
        answers[::4] = 0
        return Batch(views, answers)


def network(*, dropout: float = 0.0, norm: bool = False) -> nn.Sequential:
    torch.manual_seed(1)
    middle: list[nn.Module] = [nn.BatchNorm1d(5)] if norm else []
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16, 5), *middle, nn.Tanh(), nn.Dropout(dropout), nn.Linear(5, 1)
    )


def loss_of(_: Any, outputs: Tensor, batch: Batch) -> Tensor:
    """Mean over the known answers: no mean of parts' means."""
    known = batch.answers != 0
    return nn.functional.soft_margin_loss(outputs[known, 0], batch.answers[known])


def plan(epochs: int = 3, patience: int = 9, scores: list[float] | None = None) -> TrainingPlan:
    def validate(_: Any, epoch: int) -> dict[str, float]:
        return {"score": scores[epoch] if scores else float(epoch)}

    return TrainingPlan(
        epochs=epochs, patience=patience, weight_decay=0.0, loss=loss_of,
        learning_rate=lambda epoch, step: 1e-2, validate=validate,
        forward=lambda network, views: network(views), amp=False,
    )  # fmt: skip


def train(
    out: Path, how: TrainingPlan, *, resume: bool = False, machine: Machine | None = None,
    of: Callable[[], nn.Module] = network,
) -> Training:  # fmt: skip
    seed_everything(0)
    training = Training(of(), Data(), how, out, quiet=True, machine=machine)
    training.run(resume=resume)
    return training


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / HISTORY).read_text().splitlines()]


def gradients_of(model: nn.Module, largest: int) -> tuple[list[Tensor], float, list[str]]:
    """Gradients where no more than `largest` rows fit into memory, and the lines given."""
    notes: list[str] = []

    def forward(net: Any, rows: Tensor) -> Tensor:
        if len(rows) > largest:
            raise torch.OutOfMemoryError("injected")
        return net(rows)

    batch = Data().make(0, 0)
    made = Gradients(model, forward, Machine(), None, notify=notes.append)
    torch.manual_seed(3)
    loss = made.of(batch.views, lambda outputs: loss_of(None, outputs, batch))
    return [p.grad.clone() for p in model.parameters()], loss, notes


@pytest.mark.parametrize("largest", [4, 3, 1])
def test_a_minibatch_that_does_not_fit_runs_in_parts_and_the_step_stays_the_same(
    largest: int,
) -> None:
    expected, whole, nothing = gradients_of(network(), 8)

    found, loss, notes = gradients_of(network(), largest)

    assert nothing == []
    assert notes[-1] == (
        f"out of memory: minibatches run in {({4: 2, 3: 4, 1: 8})[largest]} parts from here on"
    )
    assert loss == pytest.approx(whole, rel=1e-6)
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-7)


def test_parts_drop_the_same_units_in_both_passes() -> None:
    # Given dropout, whose masks differ from those of the whole minibatch
    model = network(dropout=0.5)
    found, _, _ = gradients_of(model, 4)

    # When the two parts' masks are drawn again in order and the loss derived as a whole
    other = network(dropout=0.5)
    batch = Data().make(0, 0)
    torch.manual_seed(3)
    outputs = torch.cat([other(part) for part in batch.views.split(4)])
    loss_of(None, outputs, batch).backward()

    for one, parameter in zip(found, other.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-5, atol=1e-7)


def test_running_statistics_see_each_part_once() -> None:
    model = network(norm=True)

    gradients_of(model, 4)

    assert int(model[2].num_batches_tracked) == 2


def test_a_single_row_that_does_not_fit_is_reported() -> None:
    with pytest.raises(SettingsError, match="not even one image fits"):
        gradients_of(network(), 0)


def test_workers_do_not_change_a_training(tmp_path: Path) -> None:
    train(tmp_path / "one", plan())
    train(tmp_path / "three", plan(), machine=Machine(workers=3))

    assert losses(tmp_path / "one") == losses(tmp_path / "three")


def test_minibatches_come_in_order_and_at_most_two_for_each_worker_wait() -> None:
    asked: list[int] = []

    def make(step: int) -> int:
        asked.append(step)
        return step

    found = ahead(make, 20, 3)
    assert next(found) == 0
    assert max(asked) < 6
    assert list(found) == list(range(1, 20))


def test_training_ends_after_so_many_epochs_without_a_better_score(tmp_path: Path) -> None:
    scores = [0.5, 0.7, 0.6, 0.7, 0.9]

    training = train(tmp_path, plan(5, patience=2, scores=scores))

    assert len(losses(tmp_path)) == 4
    assert training.progressed.best_epoch == 1


def test_a_training_that_was_stopped_early_stays_stopped(tmp_path: Path) -> None:
    how = plan(5, patience=2, scores=[0.5, 0.7, 0.6, 0.7, 0.9])
    train(tmp_path, how)

    again = train(tmp_path, how, resume=True)

    assert len(losses(tmp_path)) == 4
    assert again.progressed.best_epoch == 1


def test_patience_goes_on_where_it_was(tmp_path: Path) -> None:
    scores = [0.5, 0.7, 0.6, 0.7, 0.9]
    train(tmp_path, plan(3, patience=2, scores=scores))

    train(tmp_path, plan(5, patience=2, scores=scores), resume=True)

    assert len(losses(tmp_path)) == 4


def test_minibatches_stay_in_as_many_parts_as_before(tmp_path: Path) -> None:
    """Another machine's memory would else change the statistics of batch normalisation."""
    train(tmp_path, replace(plan(1), parts=4))

    assert train(tmp_path, plan(2), resume=True).gradients.parts == 4
    assert train(tmp_path, replace(plan(3), parts=8), resume=True).gradients.parts == 8


def test_an_epoch_that_the_checkpoint_does_not_know_leaves_the_history(tmp_path: Path) -> None:
    train(tmp_path, plan(2))
    with (tmp_path / HISTORY).open("a") as history:
        history.write('{"epoch": 2, "loss": 9.0}\n{"epoch": 3, "lo')

    train(tmp_path, plan(3), resume=True)

    rows = [json.loads(line)["epoch"] for line in (tmp_path / HISTORY).read_text().splitlines()]
    assert rows == [0, 1, 2]
    assert losses(tmp_path)[2] != 9.0


def test_a_damaged_checkpoint_is_reported(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")

    with pytest.raises(DataError, match="is damaged"):
        checkpoint.read(tmp_path / CHECKPOINT)


def _in_two_processes(work: Callable[[int], None]) -> None:
    """Run `work(rank)` in two forks that find each other as torchrun's processes do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [_forked(work, rank, port) for rank in range(2)]
    assert [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children] == [0, 0]


def _forked(work: Callable[[int], None], rank: int, port: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.environ |= {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }  # fmt: skip
        torch.set_num_threads(1)  # OpenMP's threads do not live on in a fork
        work(rank)
        code = 0
    finally:
        os._exit(code)
    return child


def normalised() -> nn.Module:
    """A network with each kind of batch normalisation, and no bias that it would take away."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(),
        nn.Conv2d(3, 4, 1, bias=False), BatchNormAct2d(4),
        nn.Flatten(), nn.Linear(16, 5, bias=False), nn.BatchNorm1d(5), nn.Linear(5, 1),
    )  # fmt: skip


def test_two_processes_learn_as_one_does(tmp_path: Path) -> None:
    """Each has half of every minibatch; sums of float32 in another order are all that differs."""
    networks: dict[str, Callable[[], nn.Module]] = {"plain": network, "norm": normalised}
    for name, of in networks.items():
        train(tmp_path / "one" / name, plan(), of=of)

    def work(rank: int) -> None:
        machine = Machine.here()
        assert (machine.rank, machine.world) == (rank, 2)
        with started(machine):
            for name, of in networks.items():
                trained = train(tmp_path / "two" / name, plan(), machine=machine, of=of)
                torch.save(trained.network.state_dict(), tmp_path / f"{name}{rank}.pt")

    _in_two_processes(work)

    for name in networks:
        alone = tmp_path / "one" / name
        assert losses(tmp_path / "two" / name) == pytest.approx(losses(alone), rel=1e-5)
        one, other = (torch.load(tmp_path / f"{name}{r}.pt", weights_only=True) for r in range(2))
        kept = checkpoint.read(alone / CHECKPOINT)
        assert kept is not None
        assert set(kept["network"]) == set(one)
        for key, value in one.items():
            torch.testing.assert_close(other[key], value, rtol=0, atol=0)
            torch.testing.assert_close(kept["network"][key], value, rtol=1e-4, atol=1e-5)


def test_processes_share_a_minibatch_out_evenly() -> None:
    shares = Machine(world=3).shares(10)

    assert [(s.start, s.stop) for s in shares] == [(0, 3), (3, 6), (6, 10)]


def test_tensorboard_gets_the_losses_and_the_validation(tmp_path: Path) -> None:
    train(tmp_path, plan(), machine=Machine(tensorboard=True))

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    written = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in written.Scalars("loss")] == list(range(1, 10))
    assert [event.value for event in written.Scalars("score")] == [0, 1, 2]


def test_a_tracker_that_is_not_installed_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda package: None)

    with pytest.raises(SettingsError, match=r"pip install 'cadnode\[mlflow\]'"):
        tracking.check(Machine(mlflow="http://127.0.0.1:1"))


@pytest.mark.parametrize("has_bf16", [True, False])
def test_precision_follows_recipe_option_and_machine(
    monkeypatch: pytest.MonkeyPatch, has_bf16: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(engine, "has_bf16", lambda: has_bf16)

    assert Machine().dtype(amp=False) is None
    assert Machine().dtype(amp=True) is (torch.bfloat16 if has_bf16 else None)
    assert Machine(precision="bf16").dtype(amp=False) is torch.bfloat16
    assert Machine("cuda").dtype(amp=True) is torch.float16
    assert Machine("cuda", "bf16").dtype(amp=False) is torch.bfloat16
    assert Machine("cuda", "fp32").dtype(amp=True) is None


def test_a_precision_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match="must be auto, bf16, fp16, fp32"):
        Machine.here(precision="int8")
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="needs a GPU"):
            Machine.here(precision="fp16")


def test_deterministic_mode_ends_with_the_training() -> None:
    with started(Machine(deterministic=True)):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_training_that_starts_from_scratch_forgets_what_an_earlier_one_left(
    tmp_path: Path,
) -> None:
    stage = tmp_path / "net-0" / "1-near"
    stage.mkdir(parents=True)
    model = tmp_path / "model" / "1.0.0" / "model.safetensors"
    model.parent.mkdir(parents=True)
    left = [tmp_path / CHECKPOINT, stage / CHECKPOINT, stage / checkpoint.STAGE_WEIGHTS]
    checkpoint.claim(tmp_path, AutoencoderRecipe(epochs=1), ["a"], 0, resume=False)
    for file in (*left, model):
        file.write_bytes(b"of the first")

    checkpoint.claim(tmp_path, AutoencoderRecipe(epochs=2), ["a"], 0, resume=False)

    assert not any(file.exists() for file in left)
    assert model.exists()  # what was exported stays until it is replaced


def test_files_in_a_folder_that_held_no_training_stay(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / CHECKPOINT
    other.parent.mkdir()
    other.write_bytes(b"somebody's")

    checkpoint.claim(tmp_path, AutoencoderRecipe(epochs=1), ["a"], 0, resume=False)

    assert other.exists()
