"""A card with local calibrations is a version like any other: added, shadowed, promoted, undone."""

from datetime import date
from pathlib import Path

import pytest

from cadnode.models import store
from cadnode.models.card import DibMgCard
from cadnode.models.examination import examine
from cadnode.registry import installation, shadow_set
from cadnode.registry.installation import Stores
from cadnode_training.results import recalibrate
from tests.unit.models.test_scanners import local
from tests.unit.store_cases import ANNA, made


def active(stores: Stores) -> str | None:
    return stores.catalogue().active_version("toy")


def test_a_calibrated_version_is_shadowed_activated_and_rolled_back(tmp_path: Path) -> None:
    stores = Stores(tmp_path / "own", tmp_path / "packaged")
    installation.add(made(tmp_path / "first", "0.0.1"), stores, ANNA, examine)
    calibrated = made(tmp_path / "second", "0.0.2", scanners=(local(station="MG4"),))
    installation.add(calibrated, stores, ANNA, examine)
    assert active(stores) == "0.0.1"  # it is there, and nothing reads with it yet

    shadow = shadow_set.start(stores, "toy@0.0.2", (), ANNA, examine)
    assert shadow.spec == "toy@0.0.2"
    assert shadow_set.stop(stores, "toy", (), ANNA) == ("toy",)

    installation.activate(stores, "toy", "0.0.2", ANNA, examine)
    card = store.read_card(stores.catalogue().find("toy").folder)
    assert isinstance(card, DibMgCard)
    assert [str(one.match) for one in card.scanners] == ["any scanner, station MG4"]

    installation.rollback(stores, "toy", ANNA, examine)
    assert active(stores) == "0.0.1"


def test_another_general_calibration_leaves_none_that_was_fitted_on_top_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, "0.0.1", scanners=(local(station="MG4"),))
    folder = tmp_path / "toy" / "0.0.1"
    before = store.read_card(folder)
    assert isinstance(before, DibMgCard)
    other = before.breast.model_copy(update={"intercept": before.breast.intercept + 1})
    monkeypatch.setattr(recalibrate, "_fitted", lambda *_: ({"breast": other}, []))
    done = recalibrate.refit(folder, ["data"], [], date(2026, 11, 30))
    assert done is not None
    assert isinstance(done.card, DibMgCard)
    assert (done.card.breast, done.card.scanners) == (other, ())
