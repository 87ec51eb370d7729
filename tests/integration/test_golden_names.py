"""Names that databases, folders, bundles and logs of older versions hold are what they were.

A mismatch that is meant: see `tests.golden.update`. What an older node has written must still be
read, whatever the new name is.
"""

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.golden import names
from tests.golden.update import kept_json

KEPT = kept_json("names.json")
TARGETS = sorted({target for targets in KEPT["bundles"].values() for target in targets})


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    return names.all_names()


@pytest.mark.parametrize("part", KEPT)
def test_names_are_what_they_were(now: dict[str, Any], part: str) -> None:
    assert now.get(part) == KEPT[part]


@pytest.mark.parametrize("target", TARGETS)
def test_a_component_that_exported_bundles_name_is_there(target: str) -> None:
    module, _, name = target.rpartition(".")

    assert isinstance(getattr(importlib.import_module(module), name), Callable)


def test_literals_that_no_regenerated_file_may_change() -> None:
    """Changed, jobs on their way are lost, or objects sent before are sent again as others."""
    assert KEPT["uids"]["namespace"] == "5b1b2c64-6a2f-5f0c-9d3e-0f5d1a7c9e21"
    assert KEPT["jobs"]["workflows"] == [
        "answer", "consider", "deliver", "fetch", "marks", "process", "region", "shadow",
    ]  # fmt: skip
    assert KEPT["jobs"]["queues"] == [
        "answers", "arrivals", "deliver-pacs", "fetches", "regions", "retry-pacs", "shadows",
        "studies",
    ]  # fmt: skip
    assert KEPT["jobs"]["identifiers"] == ["process-S-C-0", "deliver-S-C-D"]
    assert KEPT["jobs"]["serializer"] == "cadnode_json"
    assert KEPT["series_numbers"] == {
        "sr": 901, "heatmap": 902, "region-sr": 903, "segmentation": 904, "outlines": 905,
        "key-objects": 906, "ai-results-sr": 907, "report-pdf": 908, "small-heatmap": 909,
        "cad-sr": 910,
    }  # fmt: skip
