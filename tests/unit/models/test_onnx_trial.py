"""What a network of another maker answers is checked before a node trusts it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cadnode.domain import Laterality, System
from cadnode.errors import ModelError
from cadnode.models import onnx_child, onnx_network, onnx_trial, store
from cadnode.models.examination import examine
from cadnode.models.loading import load
from cadnode.models.onnx_gate import Graph
from cadnode.models.onnx_models import OnnxRegionModel, OnnxViewModel
from cadnode.models.onnx_network import OnnxNetwork
from cadnode.models.onnx_trial import tried
from cadnode.models.view import assesses_regions, view_system
from tests.unit import onnx_cases


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of its own takes seconds; `test_onnx_child` has it."""
    monkeypatch.setattr(onnx_child, "brought", lambda file: Graph(file.read_bytes(), 17, "test"))
    monkeypatch.setattr(
        onnx_child, "tried", lambda folder, name, views=(): onnx_trial.tried(folder, views)
    )


def breast(brightness: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A half disc at the left edge with a bright square."""
    row, col = np.mgrid[:200, :160]
    image = np.where(np.hypot(row - 100, col) < 90, 0.3, 0).astype(np.float32)
    image[90:110, 30:50] = brightness
    return image


def views() -> list[onnx_trial.View]:
    return [(breast(0.6), Laterality.LEFT), (breast(1.0)[:, ::-1].copy(), Laterality.RIGHT)]


@pytest.mark.parametrize("kind", ["view", "region"])
@pytest.mark.parametrize("of", ["none", "grad_cam", "occlusion"])
def test_a_network_that_works_passes_with_what_it_answered(
    tmp_path: Path, kind: Any, of: str
) -> None:
    folder, card = onnx_cases.made(tmp_path, kind, spec=onnx_cases.spec_text(kind, of=of))

    trial = tried(folder, views())

    assert len(trial.scores) == 2
    assert all(0 < score < 1 for score in trial.scores)
    assert trial.onnxruntime == pytest.approx(0, abs=1e-3)
    assert trial.map_cells == {"none": None, "grad_cam": (8, 8), "occlusion": (12, 8)}[of]
    assert examine(folder) == card


def changed(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    model = onnx_cases.network()
    change(model)
    return model


def no_head(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(0 * onnx_cases.HEAD, "head"))


def not_finite(model: onnx.ModelProto) -> None:
    broken = onnx_cases.HEAD * np.float32("nan")
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(broken, "head"))


@pytest.mark.parametrize(
    ("change", "spec", "message"),
    [
        (no_head, {}, "the same score for all"),
        (not_finite, {}, "not finite"),
        (lambda m: None, {"meaning": "softmax", "output": "malignant = 0"}, "no class 0"),
        (lambda m: m.graph.node[-1].__setattr__("op_type", "Identity"), {}, "no probability"),
        (lambda m: None, {"of": "output", "more": 'output = "pooled"\nmeaning = "logit"'},
         "no output 'pooled'"),
    ],
)  # fmt: skip
def test_numbers_that_cannot_be_a_score_are_refused(
    tmp_path: Path, change: Callable[[onnx.ModelProto], object], spec: Any, message: str
) -> None:
    text = onnx_cases.spec_text(**spec)
    folder, _ = onnx_cases.made(tmp_path, model=changed(change), spec=text)

    with pytest.raises(ModelError, match=message):
        examine(folder)


def test_a_network_that_answers_otherwise_the_second_time_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = onnx_cases.made(tmp_path)
    count, honest = iter(range(100)), OnnxNetwork.log_odds
    monkeypatch.setattr(
        onnx_network.OnnxNetwork, "log_odds",
        lambda self, values: honest(self, values) + np.float32(0.01 * next(count)),
    )  # fmt: skip

    with pytest.raises(ModelError, match="other scores for the same images"):
        tried(folder)


def test_runtimes_that_disagree_refuse_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = onnx_cases.made(tmp_path)
    honest = onnx_trial._row
    monkeypatch.setattr(onnx_trial, "_row", lambda *given: honest(*given) * np.float32(0.9))

    with pytest.raises(ModelError, match="OpenVINO and onnxruntime disagree"):
        tried(folder)


def test_weights_that_were_brought_with_another_spec_are_refused(tmp_path: Path) -> None:
    folder, card = onnx_cases.made(tmp_path)
    other = card.spec.input.model_copy(update={"range": (1.0, 0.0)})
    spec = card.spec.model_copy(update={"input": other})
    (folder / store.CARD).write_bytes(store.card_bytes(card.model_copy(update={"spec": spec})))

    with pytest.raises(ModelError, match="brought with another spec"):
        examine(folder)


def test_a_view_without_a_map_has_a_score_and_no_regions(tmp_path: Path) -> None:
    folder, _ = onnx_cases.made(tmp_path)

    model = load(folder)

    assert isinstance(model, OnnxViewModel)
    assert view_system(model.card) is System("maker")
    assert not assesses_regions(model.card)
    left, right = model.score(views())
    assert left.cancer_map is None
    assert left.hot_regions == ()
    assert right.score != left.score


def test_evidence_is_brought_to_the_score_and_a_stated_map_is_calibrated_like_it(
    tmp_path: Path,
) -> None:
    folder, _ = onnx_cases.made(tmp_path / "a", spec=onnx_cases.spec_text(of="grad_cam"))
    given = onnx_cases.spec_text(of="output", more='output = "map"\nmeaning = "logit"')
    hot = '[hot_region]\nthreshold = 0.6\nchosen = "by hand"\n'
    other, _ = onnx_cases.made(tmp_path / "b", spec=given, card=hot)

    cam, stated = load(folder), load(other)

    assert isinstance(cam, OnnxViewModel)
    assert isinstance(stated, OnnxViewModel)
    (seen,) = cam.score(views()[:1])
    assert seen.cancer_map is not None
    assert seen.cancer_map.max() == pytest.approx(seen.score, abs=1e-4)
    (found,) = stated.score(views()[:1])
    assert assesses_regions(stated.card)
    assert found.cancer_map is not None
    assert found.cancer_map.min() == pytest.approx(0.5)  # log-odds of 0
    (region,) = found.hot_regions
    assert region.box.row0 <= 100 < region.box.row1
    assert region.box.col0 <= 40 < region.box.col1


def test_regions_are_read_alike_with_and_without_a_map(tmp_path: Path) -> None:
    folder, card = onnx_cases.made(
        tmp_path, "region", spec=onnx_cases.spec_text("region", of="grad_cam")
    )
    model = load(folder)
    assert isinstance(model, OnnxRegionModel)
    from cadnode.imaging.roi_chain import cut

    roi = cut(breast(1.0), (100.0, 40.0), (0.4, 0.4), model.card.roi)
    (seen,), (bare,) = model.read([roi]), model.read([roi], cam=False)

    assert bare.cam is None
    assert seen.probability == pytest.approx(bare.probability)
    assert seen.cam is not None
    assert seen.cam.max() == pytest.approx(seen.probability, abs=1e-4)
    assert card.own_system is System("maker")
