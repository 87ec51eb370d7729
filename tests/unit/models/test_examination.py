"""A model is examined before a node trusts it."""

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cadnode.errors import ModelError
from cadnode.models import store
from cadnode.models.examination import examine
from cadnode.models.weights import pack, unpack
from cadnode.node.model_overview import examine as examine_here
from tests.unit import store_cases


def change_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / store.CARD).read_text())
    change(content)
    (folder / store.CARD).write_text(json.dumps(content))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """The card is given the new sum: only what the weights are can be found wrong."""
    state = unpack((folder / store.WEIGHTS).read_bytes())
    change(state)
    replace_weights(folder, pack(state))


def replace_weights(folder: Path, content: bytes) -> None:
    (folder / store.WEIGHTS).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    change_card(folder, lambda card: card.update(weights_sha256=digest))


@pytest.fixture(scope="module")
def cnn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes seconds to make."""
    return store_cases.made_cnn(tmp_path_factory.mktemp("cnn"))


@pytest.mark.parametrize(
    "make", [store_cases.made, store_cases.made_features, store_cases.made_detector]
)
def test_a_whole_model_of_each_kind_passes(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    folder = make(tmp_path)

    assert examine(folder) == store.read_card(folder)


def test_a_whole_cnn_passes_and_one_with_a_class_too_many_does_not(cnn_folder: Path) -> None:
    assert examine(cnn_folder).kind == "cnn"

    classes = ["benign", "malignant", "benign"]
    change_card(cnn_folder, lambda card: card["architecture"].update(classes=classes))
    with pytest.raises(ModelError, match="has the shape"):
        examine(cnn_folder)

    change_card(cnn_folder, lambda card: card["architecture"].update(classes=["benign"]))
    with pytest.raises(ModelError, match=r"card .* is not valid"):
        examine(cnn_folder)


def test_a_bit_that_turned_is_found_by_the_sum(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path)
    content = bytearray((folder / store.WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / store.WEIGHTS).write_bytes(content)

    with pytest.raises(ModelError, match="sha256"):
        examine(folder)


def test_the_tensor_whose_shape_does_not_fit_is_named_with_both_shapes(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path)
    change_card(folder, lambda card: card["architecture"].update(widths=[4, 4, 8, 8, 8, 16]))

    with pytest.raises(ModelError, match=r"aggregate\.weight .*\(2, 8, 1, 1\).*\(2, 16, 1, 1\)"):
        examine(folder)


def test_a_missing_and_a_superfluous_tensor_are_named(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path)
    change_weights(folder, lambda state: state.pop("aggregate.bias"))
    with pytest.raises(ModelError, match=r"lack aggregate\.bias"):
        examine(folder)

    folder = store_cases.made(tmp_path)
    change_weights(folder, lambda state: state.update(surprise=torch.zeros(1)))
    with pytest.raises(ModelError, match="hold surprise"):
        examine(folder)


def test_a_card_that_claims_a_huge_network_takes_no_memory(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path)
    change_card(folder, lambda card: card["architecture"].update(widths=[4] * 5 + [10**6]))

    with pytest.raises(ModelError, match="shape"):  # 36 TB of weights otherwise
        examine(folder)


def test_a_huge_input_is_refused(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path)
    change_card(folder, lambda card: card["preprocess"].update(height=10**9))

    with pytest.raises(ModelError, match="side of 1000000000 pixels"):
        examine(folder)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path)
    change_weights(folder, lambda state: state["aggregate.bias"].fill_(torch.nan))

    with pytest.raises(ModelError, match=r"aggregate\.bias holds values that are not finite"):
        examine(folder)


def test_an_answer_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path)
    change_weights(folder, lambda state: state["aggregate.weight"].fill_(3e38))

    with pytest.raises(ModelError, match="not finite"):
        examine(folder)


def test_a_network_that_its_own_input_is_too_small_for_is_refused(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path)
    change_card(folder, lambda card: card["preprocess"].update(height=2, width=2))

    with pytest.raises(ModelError, match="does not work"):
        examine(folder)


def test_a_feature_that_this_node_does_not_measure_is_refused(tmp_path: Path) -> None:
    folder = store_cases.made_features(tmp_path, ("area_mm2", "colour"))

    with pytest.raises(ModelError, match="colour"):
        examine_here(folder)


def test_without_the_list_of_women_a_model_is_refused(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path)
    (folder / store.SPLIT).unlink()

    with pytest.raises(ModelError, match=store.SPLIT):
        examine(folder)


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_a_pickle_in_the_place_of_weights_is_refused_and_not_executed(
    tmp_path: Path, how: str
) -> None:
    folder, file, sprung = store_cases.made(tmp_path), tmp_path / "trap", tmp_path / "sprung"
    if how == "pickle":
        file.write_bytes(pickle.dumps(Trap(sprung)))
    else:
        torch.save({"weights": Trap(sprung)}, file)
    replace_weights(folder, file.read_bytes())

    with pytest.raises(ModelError, match="safetensors"):
        examine(folder)
    assert not sprung.exists()
    if how == "pickle":  # the trap is one that works
        pickle.loads(file.read_bytes())
        assert sprung.exists()


def test_a_detector_of_another_number_of_statistics_is_refused_before_it_reads(
    tmp_path: Path,
) -> None:
    folder = store_cases.made_detector(tmp_path)  # with three

    with pytest.raises(ModelError, match=r"3 numbers about a candidate.*measures 10"):
        examine_here(folder)
