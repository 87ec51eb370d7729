"""A CNN with its card: probabilities, maps, devices that fail."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cadnode.errors import ModelError
from cadnode.explain import maps
from cadnode.imaging import roi_chain
from cadnode.imaging.roi_chain import PlaceRoi, Roi, RoiSpec
from cadnode.models.engine import Engine
from cadnode.models.roi import RoiModel
from cadnode.networks.cnn import Cells, CnnConfig, RoiNetwork, network
from tests.unit.roi_cases import SPEC, Toy, card, peak, toy

BARE = RoiSpec(size=64, spacing_mm=0.2, intensity=None)


def rois(count: int, spec: RoiSpec = SPEC) -> list[Roi]:
    rng = np.random.default_rng(5)
    image = (0.2 + 0.5 * rng.random((200, 180))).astype(np.float32)
    centres = rng.uniform(20, 160, (count, 2))
    return [roi_chain.cut(image, (float(r), float(c)), (0.2, 0.2), spec) for r, c in centres]


def test_a_reading_is_what_training_would_compute() -> None:
    torch.manual_seed(0)
    cnn = network(CnnConfig(name="resnext50_32x4d")).eval()
    image = np.random.default_rng(1).random((90, 120), np.float32)
    chain = roi_chain.build(SPEC)

    batch = torch.stack([
        torch.from_numpy(chain(PlaceRoi(image, (45.0, c), (0.2, 0.15))).image) for c in (10.0, 70.0)
    ])  # fmt: skip
    with torch.inference_mode():
        expected = cnn(batch).softmax(1)[:, 1]
    readings = RoiModel(card(), cnn, "cpu").read(
        [roi_chain.cut(image, (45.0, c), (0.2, 0.15), SPEC) for c in (10.0, 70.0)]
    )

    found = [reading.probability for reading in readings]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def test_a_bright_dots_map_comes_back_to_its_source_pixel() -> None:
    image = np.full((300, 260), 0.3, np.float32)
    image[140:143, 33:36] = 1
    ready = roi_chain.cut(image, (120, 20), (0.1, 0.1), SPEC)

    (reading,) = RoiModel(card(), toy(), "cpu").read([ready])

    assert reading.cam is not None
    row, col = peak(reading.cam, ready.placement)
    # One pixel of the region is two of the view.
    assert abs(row - 141.5) <= 2
    assert abs(col - 34.5) <= 2
    heat_map = maps.heat_map(reading.cam, ready.placement, "1.2", "toy-cnn")
    assert heat_map.box == ready.placement.crop
    assert heat_map.values.max() == pytest.approx(reading.probability, abs=0.02)


def test_probabilities_are_calibrated_as_the_card_says() -> None:
    (ready,) = rois(1, BARE)
    mean = float(ready.image.mean())

    (reading,) = RoiModel(card(slope=0.5, intercept=-1.0, spec=BARE), toy(gain=8), "cpu").read(
        [ready]
    )

    assert reading.logit == pytest.approx(8 * mean, abs=1e-5)
    assert reading.probability == pytest.approx(1 / (1 + math.exp(1 - 4 * mean)), abs=1e-6)


def test_weak_evidence_stays_pale() -> None:
    ready = rois(1)

    (sure,) = RoiModel(card(), toy(bias=5), "cpu").read(ready)
    (unsure,) = RoiModel(card(), toy(gain=-25), "cpu").read(ready)

    assert sure.cam is not None
    assert unsure.cam is not None
    assert sure.cam.max() == pytest.approx(sure.probability, abs=1e-5)
    assert sure.probability > 0.99
    assert unsure.cam.max() == pytest.approx(unsure.probability, abs=1e-5)
    assert unsure.probability < 0.01


def test_a_reading_does_not_depend_on_the_other_regions() -> None:
    torch.manual_seed(0)
    model = RoiModel(card(), network(CnnConfig(name="resnext50_32x4d")), "cpu")
    ready = rois(3)

    together = model.read(ready)
    alone = model.read(ready[1:2])
    in_pairs = model.read(ready, batch_size=2)

    assert alone[0].probability == pytest.approx(together[1].probability, abs=1e-6)
    assert in_pairs[2].probability == pytest.approx(together[2].probability, abs=1e-6)


def test_flips_average_the_log_odds_and_turn_the_maps_back() -> None:
    torch.manual_seed(0)
    cnn = network(CnnConfig(name="resnext50_32x4d")).eval()
    model = RoiModel(card(), cnn, "cpu")
    (ready,) = rois(1)
    x = torch.from_numpy(ready.image)[None]

    (flipped,) = model.read([ready], flips=True)

    with torch.inference_mode():
        four = [cnn.log_odds(cnn(x.flip(axes))).item() for axes in ((), (2,), (3,), (2, 3))]
    assert flipped.logit == pytest.approx(np.mean(four), abs=1e-5)
    assert max(four) - min(four) > 1e-5
    (plain,) = RoiModel(card(), toy(), "cpu").read([ready])
    (turned,) = RoiModel(card(), toy(), "cpu").read([ready], flips=True)
    np.testing.assert_allclose(turned.cam, plain.cam, atol=1e-4)


class Sparse(Toy):
    """Looks at every fourth pixel only: cells at 0.5, 4.5, … 60.5, not in the middle of theirs."""

    def forward_features(self, x: Tensor) -> Tensor:
        return super().forward_features(x[..., ::4, ::4])


@pytest.mark.parametrize("flips", [False, True])
def test_a_map_lies_right_also_where_cells_do_not_lie_in_the_middle(flips: bool) -> None:
    row, col = np.mgrid[:64, :64] + 0.5
    blob = np.exp(-((row - 20.5) ** 2 + (col - 40.5) ** 2) / (2 * 6**2)).astype(np.float32)
    ready = Roi(blob[None], rois(1)[0].placement)
    model = RoiModel(card(), RoiNetwork(toy().config, Sparse(), Cells(0.5, 4)), "cpu")

    (reading,) = model.read([ready], flips=flips)

    assert reading.cam is not None
    weight = reading.cam / reading.cam.sum()
    assert (weight * row).sum() == pytest.approx(20.5, abs=0.2)
    assert (weight * col).sum() == pytest.approx(40.5, abs=0.2)


def test_without_maps_the_probabilities_are_the_same() -> None:
    model = RoiModel(card(), toy(), "cpu")
    ready = rois(2)

    bare = model.read(ready, cam=False)

    assert [r.cam for r in bare] == [None, None]
    assert [r.probability for r in bare] == [r.probability for r in model.read(ready)]


def test_no_regions_are_no_readings() -> None:
    assert RoiModel(card(), toy(), "cpu").read([]) == []


def test_regions_of_another_size_are_refused() -> None:
    with pytest.raises(ModelError, match="64 × 64"):
        RoiModel(card(), toy(), "cpu").read(rois(1, RoiSpec(size=96, spacing_mm=0.2)))


def full_above(cnn: torch.nn.Module, most: int, error: Exception) -> list[int]:
    """Make the body fail on more regions than `most`; returns the sizes of the batches tried."""
    tried: list[int] = []
    whole = cnn.body.forward_features

    def limited(x: Tensor) -> Tensor:
        tried.append(len(x))
        if len(x) > most:
            raise error
        out: Tensor = whole(x)
        return out

    cnn.body.forward_features = limited
    return tried


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
)
def test_out_of_memory_halves_the_batch(error: Exception) -> None:
    ready = rois(8)
    expected = RoiModel(card(), toy(), "cpu").read(ready)
    cnn = toy()
    tried = full_above(cnn, 2, error)

    readings = RoiModel(card(), cnn, "cpu").read(ready)

    assert tried == [8, 4, 2, 2, 2, 2]
    assert [r.probability for r in readings] == [r.probability for r in expected]


class Elsewhere(RoiModel):
    """A model on a device that takes fewer regions than it is given, and a CPU that takes all."""

    def __init__(self, error: Exception, most: int = 0) -> None:
        super().__init__(card(), toy(), "cpu")
        self.device, self.error, self.most = "small", error, most
        self.tried: list[tuple[str, int]] = []

    def _run_on(
        self, device: str, tensor: Tensor, flips: bool, batch_size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        self.tried.append((device, batch_size))
        if device == "small" and batch_size > self.most:
            raise self.error
        return super()._run_on("cpu", tensor, flips, batch_size)


def test_a_device_that_takes_not_even_one_region_leaves_it_to_the_cpu() -> None:
    ready = rois(4)
    model = Elsewhere(torch.OutOfMemoryError("CUDA out of memory"))

    readings = model.read(ready, batch_size=4)

    assert model.tried == [("small", 4), ("small", 2), ("small", 1), ("cpu", 1)]
    expected = RoiModel(card(), toy(), "cpu").read(ready)
    assert [r.probability for r in readings] == [r.probability for r in expected]


def test_a_device_that_breaks_leaves_the_work_to_the_cpu_at_once() -> None:
    model = Elsewhere(RuntimeError("CUDA error: an illegal memory access was encountered"))

    assert len(model.read(rois(2))) == 2
    assert model.tried == [("small", 8), ("cpu", 8)]


def test_the_next_call_tries_the_device_again() -> None:
    model = Elsewhere(torch.OutOfMemoryError("CUDA out of memory"), most=2)

    model.read(rois(4), batch_size=4)
    model.read(rois(2), batch_size=2)

    assert model.tried == [("small", 4), ("small", 2), ("small", 2)]


def test_a_network_that_fails_on_the_cpu_says_so_without_the_librarys_text() -> None:
    cnn = toy()
    full_above(cnn, 0, RuntimeError("Doe^Jane"))

    with pytest.raises(ModelError, match="toy-cnn failed") as caught:
        RoiModel(card(), cnn, "cpu").read(rois(1))
    assert "Doe" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_operating_point_is_the_cards() -> None:
    model = RoiModel(card(), toy(), "cpu", "sensitivity=0.9")

    assert model.operating_point.threshold == 0.0
    assert RoiModel(card(), toy(), "cpu").operating_point.threshold == 0.5
    assert model.sha256 == "0" * 64


@pytest.mark.parametrize(
    ("measured", "wanted", "used"),
    [(0.002, True, True), (0.002, False, False), (0.05, True, False), (None, True, False)],
)
def test_bfloat16_is_used_only_where_the_card_says_that_scores_agree(
    measured: float | None, wanted: bool, used: bool
) -> None:
    told = card().model_copy(update={"bf16_difference": measured})

    assert RoiModel(told, toy(), "cpu", engine=Engine("torch", bf16=wanted)).bf16 is used


def test_the_trunk_runs_once_and_without_gradients() -> None:
    cnn = toy()
    seen = []
    cnn.body.register_forward_pre_hook(lambda *_: None)
    forward_features = cnn.body.forward_features

    def watched(x: Tensor) -> Tensor:
        seen.append(torch.is_inference_mode_enabled())
        out: Tensor = forward_features(x)
        return out

    cnn.body.forward_features = watched
    RoiModel(card(), cnn, "cpu").run(torch.rand(1, 1, 64, 64))

    assert seen == [True]
    assert all(parameter.grad is None for parameter in cnn.parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cpu_and_gpu_agree() -> None:
    torch.manual_seed(0)
    cnn = network(CnnConfig(name="resnext50_32x4d"))
    ready = rois(4)

    on_cpu = RoiModel(card(), cnn, "cpu").read(ready)
    on_gpu = RoiModel(card(), cnn, "cuda").read(ready)

    for a, b in zip(on_cpu, on_gpu, strict=True):
        assert a.probability == pytest.approx(b.probability, abs=1e-3)
        np.testing.assert_allclose(a.cam, b.cam, atol=1e-2)
