"""Networks computed by OpenVINO: PyTorch's scores, or PyTorch."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from structlog.testing import capture_logs

from cadnode.errors import SettingsError
from cadnode.models import engine as engines
from cadnode.models import loading, roi
from cadnode.models.engine import TORCH, CompiledPass, Engine
from cadnode.models.loading import load, load_view_model
from cadnode.models.roi import RoiModel
from cadnode.models.view import ViewModel
from cadnode.networks.cnn import CnnConfig, head_names, head_of, network
from tests.unit import model_cases
from tests.unit.imaging.test_geometry import view
from tests.unit.models.test_roi import rois
from tests.unit.roi_cases import card, toy

WEIGHTS = Path(engines.__file__).parents[1] / "weights"


@pytest.fixture
def openvino(tmp_path: Path) -> Engine:
    return Engine("openvino", bf16=False, folder=tmp_path / "compiled")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model_cases.saved(tmp_path / "model")
    return tmp_path / "model"


def folder_of(name: str) -> Path:
    return next((WEIGHTS / name).iterdir())


def test_a_view_s_map_and_score_are_pytorch_s(folder: Path, openvino: Engine) -> None:
    views = [(view(), "L"), (view(right=True), "R"), (view(200, 200), "L")]

    expected = load_view_model(folder).score(views)
    model = load_view_model(folder, engine=openvino)
    found = model.score(views, batch_size=2)

    assert isinstance(model._logit_map, CompiledPass)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.logit == pytest.approx(theirs.logit, abs=1e-4)
        np.testing.assert_allclose(ours.cancer_map, theirs.cancer_map, atol=1e-4)


@pytest.mark.parametrize("flips", [False, True])
def test_a_region_s_probability_and_grad_cam_are_pytorch_s(flips: bool, openvino: Engine) -> None:
    ready = rois(3)

    expected = RoiModel(card(), toy(), "cpu").read(ready, flips=flips)
    model = RoiModel(card(), toy(), "cpu", engine=openvino)

    assert model._compiled is not None
    for ours, theirs in zip(model.read(ready, flips=flips), expected, strict=True):
        assert ours.logit == pytest.approx(theirs.logit, abs=1e-4)
        np.testing.assert_allclose(ours.cam, theirs.cam, atol=1e-4)


def test_a_cnn_s_trunk_is_in_memory_once(openvino: Engine) -> None:
    torch.manual_seed(0)
    cnn = network(CnnConfig(name="resnext50_32x4d"))
    ready = rois(2)

    expected = RoiModel(card(), cnn, "cpu").read(ready)
    found = RoiModel(card(), cnn, "cpu", engine=openvino).read(ready)

    in_memory = {name: p for name, p in cnn.named_parameters() if p.device.type == "cpu"}
    assert set(in_memory) == set(head_names(cnn.config)) == {"body.fc.weight", "body.fc.bias"}
    features = torch.rand(2, 2048, 3, 3)
    assert torch.equal(head_of(cnn.config, in_memory).head(features), cnn.head(features))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.logit == pytest.approx(theirs.logit, abs=1e-3)
        np.testing.assert_allclose(ours.cam, theirs.cam, atol=1e-3)


def test_a_network_that_is_kept_and_known_is_not_built_again(
    folder: Path, openvino: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = [(view(), "L"), (view(right=True), "R")]
    before = load_view_model(folder, engine=openvino).score(views)
    monkeypatch.setattr(loading, "fitted", lambda *_: pytest.fail("built again"))

    after = load_view_model(folder, engine=openvino).score(views)

    assert [one.logit for one in after] == [one.logit for one in before]


def test_a_known_trunk_and_the_head_alone_read_as_the_whole_network(openvino: Engine) -> None:
    whole, ready = toy(), rois(2)
    assert roi.known_trunk(card(), "cpu", openvino) is None
    expected = RoiModel(card(), whole, "cpu", engine=openvino).read(ready)

    trunk = roi.known_trunk(card(), "cpu", openvino)
    found = RoiModel(card(), whole, "cpu", compiled=trunk).read(ready)

    assert trunk is not None
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.logit == theirs.logit
        np.testing.assert_array_equal(ours.cam, theirs.cam)


def test_a_kept_network_that_nobody_compared_is_compared_first(
    folder: Path, openvino: Engine
) -> None:
    load_view_model(folder, engine=openvino)
    assert openvino.folder is not None
    (kept,) = openvino.folder.iterdir()
    (kept / engines._SEEN).unlink()

    assert isinstance(load_view_model(folder, engine=openvino)._logit_map, CompiledPass)

    assert (kept / engines._SEEN).is_file()


@pytest.mark.parametrize("bf16", [False, "auto"])
@pytest.mark.parametrize("name", ["dib-mg-film", "microcalcification-detector"])
def test_packaged_networks_agree_in_every_precision_that_is_used(
    name: str, bf16: bool, openvino: Engine
) -> None:
    plain = load(folder_of(name))
    model = load(folder_of(name), engine=Engine("openvino", bf16, openvino.folder))

    rng = np.random.default_rng(3)
    if isinstance(model, ViewModel):
        assert isinstance(plain, ViewModel)
        shape = (2, 1, model.card.preprocess.height, model.card.preprocess.width)
        given = torch.from_numpy(rng.random(shape, np.float32))
        found, expected = (m.run(given)[1] for m in (model, plain))
    else:
        patches = rng.standard_normal((5, 64, 64)).astype(np.float32)
        given_statistics = rng.standard_normal((5, 10))
        found, expected = (m.certainty(patches, given_statistics) for m in (model, plain))
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_a_precision_that_moves_scores_is_not_used(
    folder: Path, openvino: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Coarse(CompiledPass):
        """bfloat16 of a network that does not bear it."""

        def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
            return super().__call__(*inputs) + (0.03 if self.bf16 else 0)

    monkeypatch.setattr(engines, "CompiledPass", Coarse)
    with capture_logs() as logs:
        model = load_view_model(folder, engine=Engine("openvino", True, openvino.folder))

    assert isinstance(model._logit_map, Coarse)
    assert model.bf16 is False
    (line,) = [one for one in logs if one["event"] == "engine_disagrees"]
    assert line["precision"] == "bf16"
    assert line["log_odds"] == pytest.approx(0.03, abs=0.01)


@pytest.mark.parametrize(("measured", "wanted", "used"), [(0.002, True, True), (0.05, True, False)])
def test_a_card_that_has_measured_decides_where_bfloat16_is_asked_for(
    measured: float, wanted: bool, used: bool, openvino: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "AGREEMENT", -1.0)  # the references would say no
    told = card().model_copy(update={"bf16_difference": measured})

    model = RoiModel(told, toy(), "cpu", engine=Engine("openvino", wanted, openvino.folder))

    assert model.bf16 is used


def test_where_openvino_fails_pytorch_reads(
    folder: Path, openvino: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("unsupported operation")

    monkeypatch.setattr(engines, "_conversion", broken)
    with capture_logs() as logs:
        model = load_view_model(folder, engine=openvino)

    assert not isinstance(model._logit_map, CompiledPass)
    assert model.score([(view(), "L")])[0].score > 0
    assert [line["error"] for line in logs if line["event"] == "engine_failed"] == ["RuntimeError"]


def test_a_converted_network_is_kept_and_converted_once(
    folder: Path, openvino: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_view_model(folder, engine=openvino)
    monkeypatch.setattr(engines, "_conversion", lambda *_: pytest.fail("converted again"))

    assert isinstance(load_view_model(folder, engine=openvino)._logit_map, CompiledPass)


def test_an_agreement_is_looked_at_once_on_each_kind_of_processor(
    folder: Path, openvino: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_view_model(folder, engine=openvino)
    monkeypatch.setattr(engines, "references", lambda shapes: pytest.fail("looked at again"))
    assert isinstance(load_view_model(folder, engine=openvino)._logit_map, CompiledPass)

    monkeypatch.setattr(engines, "_processor", lambda: "another one")
    with pytest.raises(pytest.fail.Exception, match="looked at again"):
        load_view_model(folder, engine=openvino)


def test_what_was_seen_to_disagree_stays_unused_and_is_not_compiled_again(
    folder: Path, openvino: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_view_model(folder, engine=openvino)
    assert openvino.folder is not None
    (kept,) = openvino.folder.iterdir()
    (kept / engines._SEEN).write_text(json.dumps({engines._processor(): {"f32": 0.5}}))
    monkeypatch.setattr(engines, "CompiledPass", lambda *_: pytest.fail("compiled again"))

    with capture_logs() as logs:
        model = load_view_model(folder, engine=openvino)

    assert not isinstance(model._logit_map, CompiledPass)
    assert [line["event"] for line in logs] == ["engine_disagrees"]  # and nothing failed


def test_a_damaged_file_is_made_again(folder: Path, openvino: Engine) -> None:
    load_view_model(folder, engine=openvino)
    assert openvino.folder is not None
    (kept,) = openvino.folder.iterdir()
    weights = kept / "network.bin"
    before = weights.read_bytes()
    weights.write_bytes(bytes([before[0] ^ 1]) + before[1:])

    model = load_view_model(folder, engine=openvino)

    assert isinstance(model._logit_map, CompiledPass)
    assert weights.read_bytes() == before
    assert [one.name for one in openvino.folder.iterdir()] == [kept.name]


def test_a_folder_that_cannot_be_written_costs_only_time(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    model = load_view_model(folder, engine=Engine("openvino", False, tmp_path / "file" / "x"))

    assert isinstance(model._logit_map, CompiledPass)


def test_those_unused_for_the_longest_go(
    folder: Path, openvino: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert openvino.folder is not None
    for number in range(3):
        old = openvino.folder / f"old-{number}"
        old.mkdir(parents=True)
        for name in ("network.xml", "network.bin", "sha256"):
            (old / name).touch()
        os.utime(old, (1e9 + number, 1e9 + number))
    monkeypatch.setattr(engines, "_MOST_KEPT", 2)

    load_view_model(folder, engine=openvino)

    old_one, new_one = sorted(one.name for one in openvino.folder.iterdir())
    assert old_one == "old-2"
    assert new_one.startswith("toy-")


def test_what_computes_where(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Engine("auto").on("cpu").name == "openvino"
    assert Engine("auto").on("cuda") == TORCH
    assert Engine("torch").on("cpu") == TORCH
    assert "OpenVINO" in Engine("auto").on("cpu").describe()
    assert TORCH.describe().startswith("PyTorch")

    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    assert Engine("auto").on("cpu") == TORCH
    with pytest.raises(SettingsError, match="not installed"):
        Engine("openvino").on("cpu")


def test_where_converted_networks_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CACHE_DIRECTORY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/node")
    assert engines.default_folder() == Path("/home/node/.cache/cadnode/compiled")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert engines.default_folder() == Path("/x/cadnode/compiled")
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/cadnode:/other")
    assert engines.default_folder() == Path("/var/cache/cadnode/compiled")


def test_references_are_alike_everywhere() -> None:
    textures, numbers = engines.references([(1, 40, 30), (10,)])

    assert textures.shape == (16, 1, 40, 30)
    assert numbers.shape == (16, 10)
    assert 0 <= textures.min() < textures.max() <= 1
    assert textures[1::2].mean() > textures[::2].mean()
    torch.testing.assert_close(engines.references([(1, 40, 30)])[0], textures)
