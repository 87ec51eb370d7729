"""Models are looked at and changed by what `cadnode models` calls, in a process of its own."""

import json
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cadnode.errors import SettingsError
from cadnode.models import store
from cadnode.node import model_desk, model_process
from cadnode.node.model_desk import ModelDesk
from cadnode.node.model_facts import facts
from cadnode.registry import history
from cadnode.settings import Settings, StorageSection
from cadnode.web.models import ModelOrder, ModelRefused, ModelsShown
from cadnode.web.node import Unavailable
from tests.peers import wait_until
from tests.unit import store_cases

NOW = datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC)


def values(folder: Path) -> Settings:
    return Settings(storage=StorageSection(folder=folder))


def two(folder: Path) -> str:
    """Two versions of a small model in the node's own store; its name."""
    store_cases.made(folder / "models", "0.0.1")
    made = store_cases.made(folder / "models", "0.0.2", seed=1)
    return made.parent.name


def done(folder: Path, act: str, **order: Any) -> Any:
    asked = ModelOrder(act=act, by="anna, HTTP", **order)  # type: ignore[arg-type]
    return model_process.carry_out(values(folder), asked, NOW)


def test_facts_have_every_model_and_who_made_it_active(tmp_path: Path) -> None:
    name = two(tmp_path)
    done(tmp_path, "activate", name=name, version="0.0.1", reason="as before")
    found = facts(values(tmp_path))
    (active,) = [m for m in found.models if m.name == name and m.is_active]
    assert (active.version, active.by, active.since) == ("0.0.1", "anna, HTTP", NOW)
    assert active.card is not None
    assert sum(point.is_used for point in active.card.points) == 1
    assert found.history[-1].reason == "as before"
    assert {one.system for one in found.systems} == {
        "kim2018", "kang2021", "helsinki_dtl", "wang2016"
    }  # fmt: skip
    assert json.loads(found.model_dump_json())["operating_point"] == "youden"


def test_models_are_activated_rolled_back_and_switched_off(tmp_path: Path) -> None:
    name = two(tmp_path)
    assert done(tmp_path, "activate", name=name, version="0.0.1").version == "0.0.1"
    assert done(tmp_path, "rollback", name=name).version == "0.0.2"
    done(tmp_path, "shadow_start", name=name, version="0.0.1")
    assert history.read(tmp_path / "models").shadow == {name: "0.0.1"}
    done(tmp_path, "shadow_stop", name=name)
    done(tmp_path, "deactivate", name=name)
    assert history.read(tmp_path / "models").active[name] is None
    with pytest.raises(SettingsError, match="there is no model"):
        done(tmp_path, "activate", name="other")


def evidence(folder: Path, name: str) -> str:
    cards = [store.read_card(folder / "models" / name / v) for v in ("0.0.1", "0.0.2")]
    a, b = ({"name": c.name, "version": c.version, "sha256": c.weights_sha256} for c in cards)
    whole = {"fact": "", "stratum": "all", "n_pos": 60, "n_neg": 90, "auc_a": 0.8, "auc_b": 0.7,
             "difference": -0.1, "difference_ci": [-0.2, 0.0]}  # fmt: skip
    return json.dumps({"schema_version": 1, "kind": "cadnode-comparison", "data": "toys", "a": a,
                       "b": b, "whole": whole, "strata": []})  # fmt: skip


def test_a_promotion_is_judged_refused_and_forced_with_a_reason(tmp_path: Path) -> None:
    name = two(tmp_path)
    done(tmp_path, "activate", name=name, version="0.0.1")
    asked = {"name": name, "version": "0.0.2", "evidence": evidence(tmp_path, name)}
    for act in ("judge", "promote"):
        found = done(tmp_path, act, **asked)
        assert (found.is_done, found.is_allowed) == (False, False)
        assert "all cases: the AUC is 0.100 lower" in found.sentences[0]
    assert done(tmp_path, "judge", **asked, rule="most_drop = 0.2").is_allowed
    assert history.read(tmp_path / "models").active[name] == "0.0.1"
    assert done(tmp_path, "promote", **asked, forced="the site asked").is_done
    last = history.read(tmp_path / "models").history[-1]
    assert (last.to_version, last.reason, last.by) == ("0.0.2", "the site asked", "anna, HTTP")
    assert last.evidence is not None
    assert not last.evidence.allowed


def test_an_answer_is_what_was_done_or_why_not(tmp_path: Path) -> None:
    name = two(tmp_path)
    task = {"settings": values(tmp_path).model_dump(mode="json")}
    order = {"act": "deactivate", "name": name, "by": "anna"}
    assert model_process.answer({**task, "order": order})["done"]["is_done"]
    answer = model_process.answer({**task, "order": {**order, "name": "other"}})
    assert "there is no model" in answer["error"]


def test_the_desk_asks_a_process_and_asks_again_only_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = two(tmp_path)
    desk, asked = ModelDesk(values(tmp_path)), []
    run = model_desk.subprocess.run

    def counted(*args: Any, **how: Any) -> Any:
        asked.append(1)
        return run(*args, **how)

    monkeypatch.setattr(model_desk.subprocess, "run", counted)
    assert name in {m.name for m in desk.look().models}
    desk.look()
    assert len(asked) == 1
    assert desk.order(ModelOrder(act="deactivate", name=name, by="anna")).is_done
    assert not [m for m in desk.look().models if m.name == name and m.is_active]
    assert len(asked) == 3
    with pytest.raises(ModelRefused, match="there is no model"):
        desk.order(ModelOrder(act="activate", name="other", by="anna"))


def test_a_process_that_does_not_answer_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_desk, "LOOK_WITHIN_S", 0.05)
    with pytest.raises(Unavailable):
        ModelDesk(values(tmp_path)).look()


def test_a_page_waits_for_no_look_and_the_next_process_knows_what_was_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = ModelsShown(models=(), systems=(), history=(), operating_point="youden",
                        needs_signature=False, rule="a rule")  # fmt: skip
    may_answer, asked = threading.Event(), []

    def answers(*_: Any, **how: Any) -> Any:
        asked.append(1)
        assert may_answer.wait(30)
        document = {"shown": shown.model_dump(mode="json")}
        return subprocess.CompletedProcess([], 0, json.dumps(document).encode())

    monkeypatch.setattr(model_desk.subprocess, "run", answers)
    desk = ModelDesk(values(tmp_path))
    assert desk.known() is None
    assert desk.known() is None
    may_answer.set()
    found = wait_until(desk.known)
    assert (found.rule, found.running, len(asked)) == ("a rule", None, 1)
    wait_until(lambda: not desk.is_looking)  # what is shown is kept on the disk after that
    later = ModelDesk(values(tmp_path))
    kept = later.known()
    assert kept is not None, "it was kept on the disk"
    assert (kept.rule, len(asked)) == ("a rule", 1)
    wait_until(lambda: not later.is_looking)  # how shadows agree is found out again, behind it
    folder = tmp_path / "models"
    folder.mkdir(exist_ok=True)
    (folder / "active.json").write_text("{}")
    assert later.known() is None, "a file has changed"
    wait_until(later.known)
    assert len(asked) == 2


def test_no_page_waits_for_a_look_that_ended_as_nobody_foresaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = ModelDesk(values(tmp_path))

    def broken() -> ModelsShown:
        raise ZeroDivisionError

    monkeypatch.setattr(desk, "look", broken)
    desk._looks.acquire()
    with pytest.raises(ZeroDivisionError):
        desk._look_behind()
    assert not desk.is_looking
    with pytest.raises(Unavailable):
        desk.known()


def test_what_a_look_behind_a_page_raised_is_raised_once_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(*_: Any, **how: Any) -> Any:
        return subprocess.CompletedProcess([], 0, b'{"error": "active.json is damaged"}')

    monkeypatch.setattr(model_desk.subprocess, "run", answers)
    desk = ModelDesk(values(tmp_path))
    assert desk.known() is None
    with pytest.raises(ModelRefused, match="damaged"):
        wait_until(desk.known)
    assert desk.known() is None
    with pytest.raises(ModelRefused, match="damaged"):
        wait_until(desk.known)
