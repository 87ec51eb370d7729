"""The buttons for Orthanc Explorer 2: as it documents them, on routes that there are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cadnode.orthanc_setup import jsonc
from tests.orthanc_bench import Bench
from tests.unit.orthanc.test_plugin_parts import STUDY, UID

FILE = Path(__file__).parents[3] / "orthanc" / "explorer2.json"
# Of Plugin/DefaultConfiguration.json of Orthanc Explorer 2, 1.8.0 and later.
BY_METHOD = {
    "POST": {"HttpMethod", "Id", "Tooltip", "Icon", "Url", "Payload", "Refresh"},
    "GET": {"HttpMethod", "Id", "Tooltip", "Icon", "Url", "Target"},
}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.worker.queue.close()


def buttons() -> list[dict[str, Any]]:
    options = jsonc.parse(FILE.read_text())["OrthancExplorer2"]["UiOptions"]
    assert set(options) == {"EnableLabelsCount", "CustomButtons"}
    assert set(options["CustomButtons"]) == {"study"}
    return list(options["CustomButtons"]["study"])


def test_each_button_has_the_documented_keys_and_a_name_of_its_own() -> None:
    for button in buttons():
        assert set(button) == BY_METHOD[button["HttpMethod"]]
        assert button["Icon"].startswith("bi bi-")
    assert len({button["Id"] for button in buttons()}) == 2


def test_each_button_asks_a_route_of_the_plugin(bench: Bench) -> None:
    for button in buttons():
        path = button["Url"].removeprefix("../..").replace("{UUID}", STUDY)
        (pattern,) = [one for one in bench.orthanc.routes if re.fullmatch(one, path)]
        bench.orthanc.add(STUDY, "MG", "i1")
        answer = bench.ask(button["HttpMethod"], pattern, STUDY)
        assert answer.status in (202, 301)


def test_the_page_is_the_one_at_the_address_for_people(bench: Bench) -> None:
    bench.orthanc.add(STUDY, "MG", "i1")
    (pattern,) = [one for one in bench.orthanc.routes if one.endswith("/page")]
    answer = bench.ask("GET", pattern, STUDY)
    assert re.fullmatch(rf"https?://.*/studies/{re.escape(UID)}", answer.location)
    assert bench.ask("GET", pattern, "no such").status == 404
    assert bench.ask("POST", pattern, STUDY).status == 405


@pytest.mark.parametrize("button", [0, 1])
def test_people_are_told_what_it_is_for(button: int) -> None:
    assert "cadnode" in buttons()[button]["Tooltip"]
