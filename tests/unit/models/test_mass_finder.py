"""The detector of masses: peaks become boxes in the source, alike on both sides and in each way."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

from cadnode.domain import Acquisition, Box, FloatImage, Laterality
from cadnode.errors import ModelError
from cadnode.export.metadata import metadata
from cadnode.imaging.view_chain import PreprocessSpec
from cadnode.models import examination, loading, store
from cadnode.models.card import Calibration, MassFinderCard
from cadnode.models.engine import Engine
from cadnode.models.mass_finder import MassFinder, decode
from cadnode.models.operating_point import Roc
from cadnode.networks.mass_map import MassMap, MassMapConfig

CONFIG = MassMapConfig(members=2, channels=8)


def card(slope: float = 1.0) -> MassFinderCard:
    """A toy detector's: tensors of 64 × 48."""
    return MassFinderCard(
        name="mass-detector", version="0.0.1", system=None, paper="-", algorithm="-",
        intended_use="-", licence="-", applies_to=tuple(Acquisition), training_data="nothing",
        training_sets=(), split="-", metrics=(),
        roc=Roc(points=((1, 0, 1), (0, 1, 0)), measured_on="-", n_pos=1, n_neg=1),
        calibration=Calibration(slope=slope, intercept=0, fitted_on="-", prevalence=0.5),
        limits=(), weights_sha256="0" * 64, seed=0, command="-", trained_on=date(2026, 1, 1),
        architecture=CONFIG, preprocess=PreprocessSpec(height=64, width=48), mark_at=0.5,
    )  # fmt: skip


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return MassMap(CONFIG).state_dict()


def breast(rows: int = 256, cols: int = 200) -> FloatImage:
    """A view whose chest wall is on the left, with a bright disc."""
    row, col = np.mgrid[:rows, :cols]
    inside = ((row - rows / 2) / (0.46 * rows)) ** 2 + (col / (0.7 * cols)) ** 2 < 1
    disc = np.hypot(row - 100, col - 60) < 14
    texture = 0.03 * np.sin(row / 5) * np.cos(col / 7)
    return np.where(inside, 0.35 + texture + 0.4 * disc, 0).astype(np.float32)


def test_the_highest_cells_become_boxes_of_the_stated_sizes() -> None:
    found = np.full((3, 8, 6), -5, np.float32)
    found[1], found[2] = np.log(0.25), np.log(0.5)
    found[0, 2, 3], found[0, 6, 1] = 2.0, 1.0
    first, second = decode(found, np.ones((8, 6), np.bool_), 2)
    assert first[0] == 2.0
    assert first[1] == pytest.approx([20 - 8, 28 - 12, 20 + 8, 28 + 12])
    assert (second[0], second[1][0]) == (1.0, pytest.approx(52 - 8))


def test_cells_outside_the_breast_are_no_masses() -> None:
    found = np.zeros((3, 8, 6), np.float32)
    found[0, 2, 3] = 9.0
    seen = np.ones((8, 6), np.bool_)
    seen[2, 3] = False
    assert all(logit == 0 for logit, _ in decode(found, seen, 50))


def test_a_mirrored_view_has_the_mirrored_masses(state: dict[str, torch.Tensor]) -> None:
    finder, image = MassFinder(card(), state), breast()
    left = finder.find(image, Laterality.LEFT)
    right = finder.find(np.ascontiguousarray(image[:, ::-1]), Laterality.RIGHT)
    assert left
    for one, other in zip(left, right, strict=True):
        assert one.certainty == pytest.approx(other.certainty, abs=1e-4)
        mirrored = Box(
            other.box.row0, 200 - other.box.col1, other.box.row1, 200 - other.box.col0
        )  # fmt: skip
        assert np.abs(np.subtract(tuple(mirrored), tuple(one.box))).max() <= 1


def test_no_mass_lies_in_a_more_certain_one_and_all_lie_in_the_view(
    state: dict[str, torch.Tensor],
) -> None:
    found = MassFinder(card(), state).find(breast(), Laterality.LEFT)
    assert [m.certainty for m in found] == sorted((m.certainty for m in found), reverse=True)
    for number, mass in enumerate(found):
        box = mass.box
        assert 0 <= box.row0 < box.row1 <= 256
        assert 0 <= box.col0 < box.col1 <= 200
        row, col = (box.row0 + box.row1) / 2, (box.col0 + box.col1) / 2
        for other in found[:number]:
            inside = other.box.row0 <= row < other.box.row1
            assert not (inside and other.box.col0 <= col < other.box.col1)


def test_nothing_is_found_where_there_is_no_breast(state: dict[str, torch.Tensor]) -> None:
    assert MassFinder(card(), state).find(np.zeros((64, 64), np.float32), "L") == []


def test_a_network_that_fails_or_answers_nonsense_is_an_error_not_a_view_without_masses(
    state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = MassFinder(card(), state)
    monkeypatch.setattr(finder, "_map", lambda view: torch.full((1, 3, 8, 6), torch.nan))
    with pytest.raises(ModelError, match="not finite"):
        finder.find(breast(), Laterality.LEFT)

    def fails(view: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("its text is the library's")

    monkeypatch.setattr(finder, "_map", fails)
    with pytest.raises(ModelError, match="mass-detector failed on cpu"):
        finder.find(breast(), Laterality.LEFT)


def test_a_detector_that_is_kept_compiled_is_not_built_and_finds_the_same(
    state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    kept = Engine("openvino", bf16=False, folder=tmp_path / "compiled")
    store.save(tmp_path / "model", card(), state, {"train": [], "validation": []})
    built, bare = (loading.load(tmp_path / "model", engine=kept) for _ in range(2))
    assert isinstance(built, MassFinder)
    assert isinstance(bare, MassFinder)
    assert built.network.training is False
    with pytest.raises(ValueError, match="without PyTorch's network"):
        _ = bare.network
    assert bare.find(breast(), Laterality.LEFT) == built.find(breast(), Laterality.LEFT)


def test_the_mean_of_the_members_decides(state: dict[str, torch.Tensor]) -> None:
    finder = MassFinder(card(), state)
    image = torch.rand(1, 1, 64, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        alone = [finder.by_member(k)._map(image) for k in range(2)]
        assert torch.allclose(torch.stack(alone).mean(0), finder._map(image), atol=1e-5)


def test_a_folder_is_examined_and_loaded(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    folder = tmp_path / "mass-detector" / "0.0.1"
    split = {"train": ["a", "b"], "validation": [], "folds": [["a"], ["b"]]}
    store.save(folder, card(), state, split)
    assert examination.examine(folder).kind == "masses"
    assert isinstance(loading.load(folder), MassFinder)
    assert store.read_folds(folder) == (frozenset("a"), frozenset("b"))
    assert store.seen_women(folder) == frozenset("ab")


def test_a_bundle_states_timm_which_builds_the_network_and_what_its_map_holds() -> None:
    stated = metadata(card(), MassMap(CONFIG).eval())
    assert "timm" in stated["required_packages_version"]
    assert stated["network_data_format"]["outputs"]["pred"]["spatial_shape"] == [8, 6]


def test_weights_of_another_shape_are_refused(
    state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    wrong = dict(state)
    wrong.pop("members.1.head.bias")
    store.save(tmp_path / "x" / "1.0.0", card(), wrong, {"train": [], "validation": []})
    with pytest.raises(ModelError, match=r"lack members\.1\.head\.bias"):
        examination.examine(tmp_path / "x" / "1.0.0")
