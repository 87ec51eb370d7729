"""`cadnode evaluate` on folders of real regions: few of them, one class, nothing of the kind."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.imaging.roi_chain import Roi, RoiSpec
from cadnode.models import store
from cadnode.models.operating_point import Roc
from cadnode.models.roi import RoiModel
from cadnode_training.papers.roi_cnn import evaluate as roi_evaluate
from cadnode_training.papers.roi_cnn import real_evaluate
from cadnode_training.papers.wang2016 import evaluate as wang
from cadnode_training.papers.wang2016 import real_evaluate as wang_real
from cadnode_training.papers.wang2016 import regions
from cadnode_training.results import reading
from cadnode_training.statistics.grouped import GroupedCases, auc_of, strata
from tests.training import film_layouts
from tests.unit import store_cases


class Bright:
    """In the place of a network: its probability is the share of bright pixels."""

    card = SimpleNamespace(
        name="bright", version="0.0.1", roi=RoiSpec(size=64, spacing_mm=0.2, intensity=None),
        roc=Roc(points=((1.0, 0.0, 1.0), (0.5, 1.0, 1.0)), measured_on="", n_pos=1, n_neg=1),
        validation=None,
    )  # fmt: skip
    choice = "youden"
    operating_point = SimpleNamespace(threshold=0.5)
    sha256 = "0" * 64

    def read(self, rois: Sequence[Roi], *, cam: bool) -> list[SimpleNamespace]:
        return [SimpleNamespace(probability=float((r.image > 0.8).mean())) for r in rois]


MODEL = cast(RoiModel, Bright())


def seen(folder: Path, women: Sequence[str] = ()) -> Path:
    """A model's folder that says which women it has seen."""
    folder.mkdir()
    (folder / store.SPLIT).write_text(json.dumps({"train": list(women), "validation": []}))
    return folder


def shown(result: dict[str, Any]) -> str:
    """What the terminal prints; the JSON must be JSON."""
    json.dumps(result, allow_nan=False)
    console = Console(width=200, record=True, file=io.StringIO())
    roi_evaluate.show(console, result | {"models": [{"name": "bright", "version": "1"}]})
    return console.export_text()


def test_networks_read_the_regions_of_women_whom_they_have_not_seen(tmp_path: Path) -> None:
    folder = film_layouts.mini_mias(tmp_path / "mias", women=8)
    known = [store.woman_key("mini-mias", "p000"), store.woman_key("mini-mias", "p001")]

    result = real_evaluate.run([MODEL], [seen(tmp_path / "m", known)], f"mini-mias:{folder}")

    # Malignant regions have 30 specks, benign ones 4.
    assert result["auc"] == 1
    assert (result["n_pos"], result["n_neg"], result["women"]) == (3, 3, 6)
    assert result["women_left_out_as_seen_in_training"] == 2
    assert result["contrast"] == "mini-mias: malignant against benign calcifications"
    assert result["left_out"]["mass: not of calcifications"] == 4
    assert [row["stratum"] for row in result["by_acquisition"]] == ["film"]
    assert "AUC 1.000" in shown(result)


def test_one_class_gives_counts_and_no_area(tmp_path: Path) -> None:
    folder = film_layouts.mini_mias(tmp_path / "mias", women=3, severity="B")

    result = real_evaluate.run([MODEL], [seen(tmp_path / "m")], f"mini-mias:{folder}")

    assert result["auc"] is result["auc_ci"] is None
    assert (result["n_pos"], result["n_neg"]) == (0, 3)
    assert result["message"] == (
        "No AUC: 0 malignant and 3 benign ROIs could be read, and both are needed."
    )
    assert "No AUC" in shown(result)


def test_presence_is_not_called_malignancy(tmp_path: Path) -> None:
    folder = film_layouts.pisa_calcifications(tmp_path / "c", women=3)

    result = real_evaluate.run([MODEL], [seen(tmp_path / "m")], f"pisa-calcifications:{folder}")

    assert (result["n_pos"], result["n_neg"]) == (3, 3)
    assert "whether these are malignant is not known" in result["contrast"]
    assert "made for another" in result["contrast"]


def test_a_kind_without_calcifications_gives_reasons(tmp_path: Path) -> None:
    folder = film_layouts.pisa_masses(tmp_path / "p", women=2)

    result = real_evaluate.run([MODEL], [seen(tmp_path / "m")], f"pisa-masses:{folder}")

    assert (result["auc"], result["n_pos"], result["n_neg"]) == (None, 0, 0)
    assert result["left_out"] == {"mass: not of calcifications": 2}
    assert "left out: 2 × mass: not of calcifications" in shown(result)


def test_an_area_of_one_woman_a_class_has_no_interval() -> None:
    labels, scores = np.array([True, True, False]), np.array([0.9, 0.2, 0.5])
    women = np.array(["a", "a", "b"])

    found = auc_of(GroupedCases(labels, scores, women))

    assert (found["auc"], found["auc_ci"]) == (0.5, None)
    assert "two women" in found["ci_method"]


def test_strata_are_those_of_what_anybody_states() -> None:
    cases = GroupedCases(
        np.array([True, False, True]), np.array([3.0, 2.0, 1.0]), np.array(["a", "b", "c"])
    )
    facts = [{"size": "small", "type": ""}, {"size": "small"}, {}]

    found = strata(cases, facts, ("size", "type"))

    assert list(found) == ["by_size"]
    assert [(r["stratum"], r["auc"], r["n_pos"]) for r in found["by_size"]] == [
        ("not stated", None, 1), ("small", 1.0, 1)
    ]  # fmt: skip


@pytest.fixture
def autoencoder(tmp_path: Path) -> Path:
    """A model of masses, on two features."""
    return store_cases.made_features(tmp_path / "models")


def of_features(result: dict[str, Any]) -> str:
    json.dumps(result, allow_nan=False)
    console = Console(width=200, record=True, file=io.StringIO())
    wang.show(console, result)
    return console.export_text()


def test_an_autoencoder_reads_the_masses_of_mini_mias(tmp_path: Path, autoencoder: Path) -> None:
    folder = film_layouts.mini_mias(tmp_path / "mias", women=6)

    result = wang.run(f"mini-mias:{folder}", model=autoencoder)

    assert (result["n_pos"], result["n_neg"]) == (2, 2)
    assert 0 <= result["auc"] <= 1
    assert result["contrast"].startswith("mini-mias: malignant against benign masses")
    assert result["left_out"]["calcification: not of masses"] == 6
    assert list(result["scenarios"]) == ["masses"]
    assert "4 × whole view" not in of_features(result)


def test_masses_of_one_class_have_no_area_and_no_cross_validation(
    tmp_path: Path, autoencoder: Path
) -> None:
    folder = film_layouts.pisa_masses(tmp_path / "p", women=3)

    result = wang.run(f"pisa-masses:{folder}", model=autoencoder)

    assert (result["auc"], result["n_pos"], result["n_neg"]) == (None, 0, 3)
    assert result["cross_validation"] is None
    assert "10 women" in of_features(result)


def test_presence_is_scored_by_what_the_segmentation_finds(
    tmp_path: Path, autoencoder: Path
) -> None:
    folder = film_layouts.pisa_calcifications(tmp_path / "c", women=4)

    result = wang.run(f"pisa-calcifications:{folder}", model=autoencoder)

    assert (result["n_pos"], result["n_neg"]) == (4, 4)
    assert result["auc"] > 0.8
    assert "area of the calcifications" in result["contrast"]
    of_features(result)


def test_the_whole_is_read_by_the_model_of_each_kind(tmp_path: Path) -> None:
    folder = film_layouts.mini_mias(tmp_path / "mias", women=4)
    found = regions.measure(f"mini-mias:{folder}").of("both")

    class Flat:
        def __init__(self, value: float) -> None:
            self.value = value

    def told(model: Any, table: Any) -> dict[str, Any]:
        return {"sae": np.full(len(table), model.value)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wang_real, "read", told)
        models = {"calcifications": Flat(0.2), "masses": Flat(0.7), "both": Flat(0.5)}
        folders = {name: (model, seen(tmp_path / name)) for name, model in models.items()}
        result = wang_real._by_kind(found, cast(Any, folders))

    # Calcifications B, M, B, M score 0.2; the masses B and M score 0.7: all ties but by kind.
    assert result["auc"] == 0.5
    assert (result["n_pos"], result["n_neg"]) == (3, 3)
    assert result["as_the_node"]["nothing_segmented"] + sum(
        result["as_the_node"][key] for key in ("n_pos", "n_neg")
    ) == len(found.table)


def test_measured_regions_are_kept_and_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = film_layouts.pisa_masses(tmp_path / "p", women=2)
    first = regions.measure(f"pisa-masses:{folder}", tmp_path / "kept").of("masses")
    monkeypatch.setattr(regions, "measured", lambda *_: pytest.fail("measured again"))

    again = regions.measure(f"pisa-masses:{folder}", tmp_path / "kept").of("masses")

    np.testing.assert_array_equal(first.table.values, again.table.values)
    assert first.table.women.tolist() == again.table.women.tolist()


def test_models_are_compared_on_the_same_kinds(tmp_path: Path, autoencoder: Path) -> None:
    folder = film_layouts.mini_mias(tmp_path / "mias", women=4)

    found = reading.score([autoencoder], f"mini-mias:{folder}")

    assert (int(found.labels.sum()), len(found)) == (1, 2)
    assert found.contrast == "mini-mias: malignant against benign masses"
    assert found.values("lesion") == ("mass",)


def test_a_page_of_seen_women_is_refused(tmp_path: Path) -> None:
    page = str(tmp_path / "page.html")

    told = CliRunner().invoke(
        app, ["evaluate", "kim2018", "--data", "phantom:8", "--split", "all", "--html", page]
    )

    assert told.exit_code == 2
    assert "--split" in told.output
