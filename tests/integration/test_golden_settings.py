"""Every setting is what it was: names, types, defaults, the example, environment variables.

A mismatch that is meant: see `tests.golden.update`.
"""

import json

import pytest

from tests.golden import settings
from tests.golden.code import load
from tests.golden.update import kept_json, kept_text


def test_there_are_the_settings_that_there_were() -> None:
    assert list(settings.keys()) == list(kept_json("settings.json"))


@pytest.mark.parametrize("key", kept_json("settings.json"))
def test_a_setting_accepts_what_it_did_and_has_its_default(key: str) -> None:
    assert settings.keys().get(key) == kept_json("settings.json")[key]


def test_the_example_file_is_what_it_was() -> None:
    assert settings.example_file() == kept_text("example.toml")


def test_every_setting_has_an_environment_variable() -> None:
    keys = {k for k in kept_json("settings.json") if "[]" not in k}

    assert {v.removeprefix("CADNODE_").lower().replace("__", ".") for v in settings.VALUES} == keys


@pytest.mark.parametrize("variable", settings.VALUES)
def test_an_environment_variable_sets_what_it_did(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in {variable, *settings.TOGETHER.get(variable, ())}:
        monkeypatch.setenv(name, settings.VALUES[name])

    value = settings.loaded(load(), variable)

    written = settings.VALUES[variable]
    assert json.loads(value) == settings.meant(written)
