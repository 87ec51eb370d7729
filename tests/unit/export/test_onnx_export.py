"""ONNX files: they answer as the model does, or they are not written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import Result
from torch import Tensor
from typer.testing import CliRunner

from cadnode.cli.models import models_app
from cadnode.errors import ModelError
from cadnode.export import networks, onnx_file
from cadnode.export.metadata import metadata
from cadnode.imaging.view_chain import PreprocessSpec
from cadnode.models import loading, store
from cadnode.networks import dib_mg
from cadnode.networks.cnn import Cells, RoiNetwork
from cadnode.networks.dib_mg import DibMgConfig
from tests.synthetic import write_exam
from tests.unit import model_cases, roi_cases, store_cases


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that reads views."""
    return store_cases.made(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exam")
    write_exam(folder, rows=256, columns=200)
    return folder


@pytest.fixture(scope="module")
def written(
    views: Path, images: Path, tmp_path_factory: pytest.TempPathFactory
) -> onnx_file.OnnxFile:
    """The model of views as an ONNX file."""
    return onnx_file.write(views, tmp_path_factory.mktemp("onnx") / "m.onnx", images=[images])


def off_by(error: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the exporter's calibration wrong by an amount."""
    right = networks.Calibrated.forward

    def wrong(self: networks.Calibrated, log_odds: Tensor) -> Tensor:
        return right(self, log_odds) + error

    monkeypatch.setattr(networks.Calibrated, "forward", wrong)


def test_a_view_models_file_gives_map_log_odds_and_probability_of_any_number_of_views(
    written: onnx_file.OnnxFile, views: Path
) -> None:
    model = loading.load_view_model(views)
    tensor = torch.rand(5, 1, 64, 48, generator=torch.Generator().manual_seed(1))
    maps, logits = model.run(tensor)

    session = onnxruntime.InferenceSession(str(written.file))
    found = session.run(["logit_map", "logit", "probability"], {"views": tensor.numpy()})

    np.testing.assert_allclose(found[0], maps, atol=1e-5)
    np.testing.assert_allclose(found[1], logits, atol=1e-5)
    np.testing.assert_allclose(found[2], 1 / (1 + np.exp(-logits)), atol=1e-6)


@pytest.mark.parametrize(
    "shape",
    [
        DibMgConfig(trunk="tf_efficientnet_lite0", top_cells=3),
        DibMgConfig(widths=(4, 4, 8, 8, 8, 8), top_cells=3, members=2),
    ],
    ids=["imagenet trunk", "two members"],
)
def test_other_map_networks_are_exported_too(
    shape: DibMgConfig, images: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    card = model_cases.card().model_copy(update={"architecture": shape})
    network = dib_mg.network(shape)
    store.save(tmp_path / "model", card, network.state_dict(), store_cases.SPLIT)

    file = onnx_file.write(tmp_path / "model", tmp_path / "m.onnx", images=[images])
    described = metadata(*(store.read_card(tmp_path / "model"), network.eval()))

    rows = json.loads(file.report.read_text())["max_difference"]
    assert all(row["probability"] <= 1e-4 for row in rows)
    output = described["network_data_format"]["outputs"]["pred"]
    assert output["num_channels"] == 1
    assert output["spatial_shape"] == list(network(torch.zeros(1, 1, 64, 48)).shape[2:])


def test_the_report_says_how_far_the_file_is_on_random_and_on_real_inputs(
    written: onnx_file.OnnxFile,
) -> None:
    report = json.loads(written.report.read_text())

    assert written.report.name == "m.onnx.json"
    rows = report["max_difference"]
    assert [(row["inputs"], row["n"]) for row in rows] == [("random", 4), ("real", 4)]
    assert all(0 <= row["probability"] <= 1e-4 for row in rows)
    assert all(row["logit_map"] < 1e-4 for row in rows)


def test_the_file_names_its_card_preprocessing_and_classes(
    written: onnx_file.OnnxFile, views: Path
) -> None:
    facts = {p.key: p.value for p in onnx.load(str(written.file)).metadata_props}

    assert facts["weights_sha256"] == store.read_card(views).weights_sha256
    assert len(facts["card_sha256"]) == 64
    assert json.loads(facts["classes"]) == ["cancer", "normal"]
    spec = PreprocessSpec.model_validate_json(facts["preprocessing"])
    assert (spec.height, spec.width, spec.stretch_to) == (64, 48, 96)


def test_an_autoencoders_file_takes_features_as_they_are_measured(tmp_path: Path) -> None:
    folder = store_cases.made_features(tmp_path)

    made = onnx_file.write(folder, tmp_path / "m.onnx")

    state = store.read_weights(folder)[1]
    measured = np.array([[0.5, -1.0]])
    # unit 1, low 0, high 1: ln(1 + 0.5), and a negative number is clipped to 0.
    scaled = np.array([[np.log(1.5), 0.0]])
    first = state["sae.encoders.0.weight"].numpy(), state["sae.encoders.0.bias"].numpy()
    hidden = 1 / (1 + np.exp(-(scaled @ first[0].T + first[1])))
    logits = hidden @ state["sae.softmax.weight"].numpy().T + state["sae.softmax.bias"].numpy()
    session = onnxruntime.InferenceSession(str(made.file))
    found = session.run(["logits", "log_odds"], {"features": measured.astype(np.float32)})
    np.testing.assert_allclose(found[0], logits, atol=1e-6)
    np.testing.assert_allclose(found[1], logits[:, 1] - logits[:, 0], atol=1e-6)


class PlainToy(roi_cases.Toy):
    """Without the list of batch sizes, which a graph cannot keep."""

    def forward_features(self, x: Tensor) -> Tensor:
        return torch.cat([x, 1 - x], 1) + self.anchor


def saved_toy(folder: Path, body: roi_cases.Toy, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CNN with that body, calibrated as 2 · log-odds − 1."""
    made = RoiNetwork(roi_cases.CONFIG, body, Cells(0.5, 1)).eval()
    for room in (networks, loading):
        monkeypatch.setattr(room, "cnn", lambda config: made)
    card = roi_cases.card(slope=2.0, intercept=-1.0)
    store.save(folder, card, made.state_dict(), store_cases.SPLIT)
    return folder


def test_a_cnns_file_gives_the_probability_of_malignancy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved_toy(tmp_path, PlainToy(gain=4.0, bias=-1.0), monkeypatch)

    made = onnx_file.write(folder, tmp_path / "m.onnx")

    session = onnxruntime.InferenceSession(str(made.file))
    regions = np.full((3, 1, 64, 64), 0.5, np.float32)
    log_odds, probability = session.run(["log_odds", "probability"], {"regions": regions})
    np.testing.assert_allclose(log_odds, [1.0] * 3, atol=1e-6)  # 4 · 0.5 − 1
    np.testing.assert_allclose(probability, [0.7310586] * 3, atol=1e-6)  # σ(2 · 1 − 1)


def test_a_file_that_answers_otherwise_is_refused_and_nothing_is_left_of_it(
    views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    off_by(2e-4, monkeypatch)

    with pytest.raises(ModelError, match=r"a probability differs by 0\.0002"):
        onnx_file.write(views, tmp_path / "m.onnx")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("crash_at", [0, 1])
def test_a_crash_leaves_no_report_of_another_file(
    crash_at: int,
    views: Path,
    written: onnx_file.OnnxFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, report = tmp_path / "m.onnx", tmp_path / "m.onnx.json"
    converted = written.file.read_bytes()  # the conversion itself takes five seconds
    monkeypatch.setattr(onnx_file, "_convert", lambda *given: given[2].write_bytes(converted))
    file.write_bytes(b"old")
    report.write_bytes(b"of the old")
    replace, moved = Path.replace, []

    def crashing(self: Path, target: Path) -> Path:
        if target in (file, report):
            moved.append(target)
            if len(moved) > crash_at:
                raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", crashing)
    with pytest.raises(KeyboardInterrupt):
        onnx_file.write(views, file)

    assert (file.read_bytes() == b"old") is (crash_at == 0)
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_takes_one_number_of_inputs_only_is_refused(
    views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two(self: networks.Calibrated, log_odds: Tensor) -> Tensor:
        return torch.sigmoid(log_odds.reshape(2))

    monkeypatch.setattr(networks.Calibrated, "forward", two)

    with pytest.raises(ModelError, match="ONNX"):
        onnx_file.write(views, tmp_path / "m.onnx")

    assert list(tmp_path.iterdir()) == []


def test_a_difference_within_the_tolerance_is_let_pass(
    views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    off_by(5e-5, monkeypatch)

    made = onnx_file.write(views, tmp_path / "m.onnx")

    assert 4e-5 < made.differences[0].probability < 6e-5


def run(tmp_path: Path, *arguments: object) -> Result:
    settings = tmp_path / "cadnode.toml"
    settings.write_text(f"[storage]\nfolder = '{tmp_path / 'data'}'\n")
    words = ["export", *map(str, arguments), "--config", str(settings)]
    return CliRunner().invoke(models_app, words, env={"COLUMNS": "200", "TERM": "dumb"})


def test_the_command_writes_both_and_prints_the_differences(
    views: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"

    result = run(
        tmp_path, views, "--bundle", out, "--onnx", out / "models/model.onnx",
        "--images", images, "--json",
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    said: Any = json.loads(result.stdout)
    assert (out / "configs/inference.json").is_file()
    assert (out / "models/model.onnx").is_file()
    assert [d["n"] for d in said["onnx"]["max_difference"]] == [4, 4]


def test_the_command_refuses_with_exit_code_4(
    views: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    off_by(2e-4, monkeypatch)

    result = run(tmp_path, views, "--onnx", tmp_path / "m.onnx", "--images", images)

    assert result.exit_code == 4
    assert not (tmp_path / "m.onnx").exists()


def test_a_detector_has_no_onnx_file_and_the_reason_is_said(tmp_path: Path) -> None:
    folder = store_cases.made_detector(tmp_path)

    result = run(tmp_path, folder, "--onnx", tmp_path / "m.onnx")

    assert result.exit_code == 4
    assert "means nothing without cadnode's detection around it" in " ".join(result.output.split())
    assert not (tmp_path / "m.onnx").exists()


def test_a_model_that_is_not_there_and_an_order_without_a_target_are_wrong_arguments(
    tmp_path: Path, views: Path
) -> None:
    assert run(tmp_path, views).exit_code == 2
    assert run(tmp_path, "no-such-model", "--bundle", tmp_path / "b").exit_code == 2
