"""Cards and weights on disk."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from cadnode.errors import ModelError
from cadnode.models import store
from cadnode.models.card import DibMgCard
from cadnode.models.loading import load, load_view_model
from tests.unit import model_cases


def test_a_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    card = model_cases.saved(tmp_path)

    loaded = load_view_model(tmp_path)

    assert loaded.card == card
    assert loaded.sha256 == card.weights_sha256
    assert not loaded.network.training


def test_other_weights_than_the_cards_are_refused(tmp_path: Path) -> None:
    model_cases.saved(tmp_path)
    weights = bytearray((tmp_path / store.WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (tmp_path / store.WEIGHTS).write_bytes(weights)

    with pytest.raises(ModelError, match="sha256"):
        load_view_model(tmp_path)


@pytest.mark.parametrize("missing", [store.CARD, store.WEIGHTS])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    model_cases.saved(tmp_path)
    (tmp_path / missing).unlink()

    with pytest.raises(ModelError, match=missing):
        load_view_model(tmp_path)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    model_cases.saved(tmp_path)
    content = json.loads((tmp_path / store.CARD).read_text())
    content["architecture"]["widths"] = [4, 4, 4, 4, 4, 4]
    (tmp_path / store.CARD).write_text(json.dumps(content))

    with pytest.raises(ModelError, match="architecture"):
        load_view_model(tmp_path)


def test_a_card_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    model_cases.saved(tmp_path)
    content = json.loads((tmp_path / store.CARD).read_text()) | {"surprise": 1}
    (tmp_path / store.CARD).write_text(json.dumps(content))

    with pytest.raises(ModelError, match="surprise"):
        store.read_card(tmp_path)


def test_a_card_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        model_cases.card().version = "2.0.0"


def test_a_version_has_three_numbers() -> None:
    content = model_cases.card().model_dump() | {"version": "latest"}

    with pytest.raises(ValidationError):
        DibMgCard.model_validate(content)


def test_women_that_were_kept_out_count_as_seen(tmp_path: Path) -> None:
    model_cases.saved(tmp_path)
    parts = json.loads((tmp_path / store.SPLIT).read_text()) | {"excluded": ["abc"]}
    (tmp_path / store.SPLIT).write_text(json.dumps(parts))

    women = {store.woman_key("set", "1"), store.woman_key("set", "2"), "abc"}
    assert store.seen_women(tmp_path) == women


def test_a_damaged_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / store.SPLIT).write_text("[]")

    with pytest.raises(ModelError, match=store.SPLIT):
        store.seen_women(tmp_path)


def test_the_newest_version_of_each_name_is_available(tmp_path: Path) -> None:
    for version in ("0.9.0", "0.10.0"):
        model_cases.saved(tmp_path / "a" / version)
    model_cases.saved(tmp_path / "b" / "1.0.0")

    assert store.available(tmp_path) == [tmp_path / "a" / "0.10.0", tmp_path / "b" / "1.0.0"]


@pytest.mark.parametrize("folder", store.available(), ids=lambda f: f.parent.name)
def test_every_packaged_model_loads(folder: Path) -> None:
    loaded = load(folder)

    assert (loaded.card.name, loaded.card.version) == (folder.parent.name, folder.name)
    assert store.seen_women(folder)


def test_a_folder_without_weights_takes_those_of_its_cards_sum(tmp_path: Path) -> None:
    folder = tmp_path / "toy" / "0.0.1"
    card = model_cases.saved(folder)
    shared = store.blob(tmp_path, card.weights_sha256)
    shared.parent.mkdir()
    (folder / store.WEIGHTS).rename(shared)

    assert store.read_weights(folder)[0] == card

    shared.write_bytes(shared.read_bytes() + b"x")
    with pytest.raises(ModelError, match="sha256"):
        store.read_weights(folder)
    shared.unlink()
    with pytest.raises(ModelError, match=f"nor blobs/{card.weights_sha256}"):
        store.read_weights(folder)
