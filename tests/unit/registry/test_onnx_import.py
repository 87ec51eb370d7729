"""A network of another maker becomes a model of the node, with everything that models have."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pydicom
import pytest

from cadnode.domain import ExamResult, System, in_order
from cadnode.errors import ModelError, SettingsError
from cadnode.exam.read import exam_of
from cadnode.models import onnx_child, onnx_gate, store
from cadnode.models.card import OnnxViewCard
from cadnode.models.loading import load
from cadnode.models.systems import system_statuses
from cadnode.node import shadow_reading
from cadnode.node.outputs import write_outputs
from cadnode.node.readers import readers_of
from cadnode.reading import Choices, read_exam
from cadnode.registry import installation, onnx_import, shadow_set
from cadnode.registry.installation import Stores
from cadnode.settings import ReadingSection, ReportSection, Settings, StorageSection
from tests.synthetic import write_exam
from tests.unit import onnx_cases, store_cases
from tests.unit.store_cases import ANNA


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of its own takes seconds; `test_onnx_child` has it."""
    monkeypatch.setattr(onnx_child, "brought", onnx_gate.brought)


def make(files: tuple[Path, Path, Path], folder: Path, kind: Any = "view") -> Any:
    return onnx_import.make(files[0], kind, files[1], files[2], folder)


def test_the_card_states_what_was_stated_and_where_it_came_from(tmp_path: Path) -> None:
    files = onnx_cases.written(tmp_path)

    card = make(files, tmp_path / "out")

    assert isinstance(card, OnnxViewCard)
    assert card == store.read_card(tmp_path / "out")
    assert (card.name, card.version, card.own_system) == ("brought", "1.0.0", System("maker"))
    assert card.limits[0] == "it was never trained"
    assert "which women it was trained on is unknown" in card.limits[1]
    assert card.curve.at().threshold == 0.4
    assert (card.calibration.slope, card.calibration.prevalence) == (1, 3 / 7)
    assert card.source.producer == "test"
    assert card.seed is None


@pytest.mark.parametrize("choice", ["youden", "sensitivity=0.99", "specificity=0.99"])
def test_a_point_that_was_stated_is_the_operating_point_whatever_is_wished(choice: str) -> None:
    stated = onnx_import.StatedPoint(
        threshold=0.4, sensitivity=0.5, specificity=0.4, measured_on="a test", n_pos=9, n_neg=9
    )

    point = stated.curve.at(choice)

    assert (point.threshold, point.sensitivity, point.specificity) == (0.4, 0.5, 0.4)


@pytest.mark.parametrize(
    ("which", "old", "new", "message"),
    [
        (2, 'limits = ["it was never trained"]', "", "card.toml: limits: Field required"),
        (2, "limits", "limit", "limit: Extra inputs are not permitted"),
        (2, 'system = "maker"', 'system = "kim2018"', "kim2018 is a paper's"),
        (2, 'system = "maker"', 'system = "shared"', "'shared' stands for something else"),
        (2, 'name = "brought"', 'name = "maker"', "'maker' stands for something else"),
        (2, 'name = "brought"', 'name = "kang2021"', "'kang2021' stands for something else"),
        (2, 'system = "maker"', 'system = "far_too_long_a_name"', "system: String should match"),
        (
            2,
            "[operating_point]\nthreshold",
            "[no]\nthreshold",
            "no: Extra inputs are not permitted",
        ),
        (2, "threshold = 0.4", "threshold = 1.4", "operating_point.threshold: Input should be"),
        (1, 'name = "image"', "", "spec.toml: input.name: Field required"),
        (1, "channels = 1", "channels = 2", "input.channels: Input should be 1 or 3"),
        (1, "channels = 1", "channels = 1\nstd = 0", "input: std: must be above 0"),
        (1, "channels = 1", "channels = 1\nrange = [1, 1]", "black and white are the same"),
        (1, "channels = 1", "channels = 1\npixel_mm = 0.1", "input.pixel_mm: of regions alone"),
        (1, "channels = 1", "channels = 1\nmean = nan", "input.mean.0: Input should be a finite"),
        (
            2,
            "n_neg = 4",
            'n_neg = 4\n[calibration]\nslope = inf\nintercept = 0.0\nfitted_on = "x"\n'
            "prevalence = 0.5",
            "calibration.slope: Input should be a finite",
        ),
        (1, '"probability"', '"softmax"', "malignant: which of the softmax classes"),
        (1, '"none"', '"output"', "output, meaning: a map that the graph gives"),
        (1, "[input]", "[input", "spec.toml is no TOML"),
    ],
)
def test_what_is_missing_or_wrong_is_named_with_its_file_and_key(
    tmp_path: Path, which: int, old: str, new: str, message: str
) -> None:
    files = onnx_cases.written(tmp_path)
    text = files[which].read_text()
    assert old in text
    files[which].write_text(text.replace(old, new))

    with pytest.raises(ModelError) as caught:
        make(files, tmp_path / "out")

    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_card_without_an_operating_point_is_refused(tmp_path: Path) -> None:
    files = onnx_cases.written(tmp_path)
    files[2].write_text(files[2].read_text().partition("[operating_point]")[0])

    with pytest.raises(ModelError, match="operating_point: one of it and roc is needed"):
        make(files, tmp_path / "out")


def bundle(folder: Path, *names: str, inputs: Any = None) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        content = onnx_cases.network().SerializeToString() if name.endswith(".onnx") else b"x"
        (folder / name).write_bytes(content)
    if inputs is not None:
        (folder / "configs").mkdir(parents=True)
        content = {"network_data_format": {"inputs": {"image": inputs}}}
        (folder / "configs/metadata.json").write_text(json.dumps(content))
    return folder


def zipped(folder: Path) -> Path:
    file = folder.with_suffix(".zip")
    with zipfile.ZipFile(file, "w") as archive:
        for path in (p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, f"theirs/{path.relative_to(folder)}")
    return file


def test_a_bundle_with_an_onnx_file_is_taken_as_it_is(tmp_path: Path) -> None:
    _, spec, card = onnx_cases.written(tmp_path)
    inputs = {"num_channels": 1, "spatial_shape": [64, "*"]}
    theirs = bundle(tmp_path / "b", "models/model.onnx", "models/model.pt", inputs=inputs)

    one = make((theirs, spec, card), tmp_path / "one")
    other = make((zipped(theirs), spec, card), tmp_path / "other")

    assert one == other


@pytest.mark.parametrize(
    ("names", "inputs", "message"),
    [
        (("models/model.ts",), None, "it is TorchScript, a program that runs when it is loaded"),
        (("models/model.pt", "configs/train.json"), None, "model.pt was refused: it is a pickle"),
        (("models/card.json", "models/model.safetensors"), None, "`cadnode models add"),
        (("docs/README.md",), None, "no MONAI bundle with models/model.onnx"),
        (("models/model.onnx",), {"num_channels": 3, "spatial_shape": [64, 64]}, "(3, 64, 64)"),
    ],
)
def test_other_bundles_are_refused_with_the_reason(
    tmp_path: Path, names: tuple[str, ...], inputs: Any, message: str
) -> None:
    _, spec, card = onnx_cases.written(tmp_path)
    theirs = bundle(tmp_path / "b", *names, inputs=inputs)

    for path in (theirs, zipped(theirs)):
        with pytest.raises(ModelError) as caught:
            make((path, spec, card), tmp_path / "out")
        assert message in str(caught.value)


def test_a_pickle_and_a_missing_file_are_not_opened(tmp_path: Path) -> None:
    _, spec, card = onnx_cases.written(tmp_path)
    (tmp_path / "model.pt").write_bytes(b"x")

    with pytest.raises(ModelError, match="it is a pickle"):
        make((tmp_path / "model.pt", spec, card), tmp_path / "out")
    with pytest.raises(SettingsError, match="there is no"):
        make((tmp_path / "gone.onnx", spec, card), tmp_path / "out")


def test_it_is_a_version_like_others_and_switched_off_at_first(tmp_path: Path) -> None:
    stores = Stores(tmp_path / "own", tmp_path / "packaged")
    folder, card = onnx_cases.made(tmp_path)

    (added,) = installation.add(folder, stores, ANNA, store.read_card, starts_off=True)

    assert added.active is None
    assert stores.catalogue().active() == ()
    assert installation.activate(stores, "brought", None, ANNA, store.read_card) == "1.0.0"
    assert [e.spec for e in stores.catalogue().active()] == ["brought@1.0.0"]
    assert installation.rollback(stores, "brought", ANNA, store.read_card) is None
    (maker,) = [s for s in system_statuses((), (card,)) if s.system.is_brought]
    assert maker.reason.endswith("`cadnode models activate brought` switches brought on")
    assert not [s for s in system_statuses((card,)) if s.system.is_brought and not s.active]


def brought_beside_ours(tmp_path: Path, of: str = "none", **changes: Any) -> tuple[Path, Path]:
    folder, _ = onnx_cases.made(tmp_path, spec=onnx_cases.spec_text(of=of), **changes)
    return store_cases.made(tmp_path / "ours"), folder


def read(tmp_path: Path, *folders: Path) -> ExamResult:
    exam = exam_of(
        write_exam(tmp_path / "exam", (("L", "CC"), ("R", "CC")), rows=320, columns=240,
                   mass=(150.0, 60.0, 14.0))
    )  # fmt: skip
    models = [load(folder) for folder in folders]
    statuses = system_statuses([m.card for m in models])
    return read_exam(exam, readers_of(models, statuses), choices=Choices())


@pytest.mark.parametrize(("of", "n_maps"), [("none", 0), ("grad_cam", 2)])
def test_an_exam_is_read_under_its_name_with_or_without_a_map(
    tmp_path: Path, of: str, n_maps: int
) -> None:
    ours, theirs = brought_beside_ours(tmp_path, of)

    result = read(tmp_path, theirs, ours)

    assert {v.algorithm for v in result.views} == {"brought"}
    assert result.exam_score == pytest.approx(max(v.score for v in result.views))
    assert [m.system for m in result.models] == [System("maker")]
    assert len(result.heat_maps) == n_maps
    assert result.findings == ()  # its map holds no scores, and nobody else reads regions
    states = {s.system.value: s.active for s in result.systems}
    assert states["maker"]
    assert states["kim2018"]


@pytest.mark.parametrize(("of", "n_maps"), [("none", 0), ("grad_cam", 2)])
def test_reports_name_it_and_show_a_map_only_where_there_is_one(
    tmp_path: Path, of: str, n_maps: int
) -> None:
    _, theirs = brought_beside_ours(tmp_path, of)
    result = read(tmp_path, theirs)
    exam = exam_of(sorted((tmp_path / "exam").rglob("*.dcm")))

    made = write_outputs(
        exam, result, tmp_path / "out", ReportSection(), made_at=ANNA.at,
        cards=[store.read_card(theirs)],
    )  # fmt: skip

    assert len([p for p in made if p.name.startswith("heatmap")]) == n_maps
    page = (tmp_path / "out" / "report.html").read_text()
    assert "brought 1.0.0" in page
    assert "network of another maker" in page
    report = str(pydicom.dcmread(tmp_path / "out" / "sr.dcm"))
    assert "SYS_MAKER" in report
    assert "CAD score of maker, 1.0.0; trained on phantoms" in report


def test_ours_scores_views_where_it_comes_first(tmp_path: Path) -> None:
    ours, theirs = brought_beside_ours(tmp_path)

    assert {v.algorithm for v in read(tmp_path, ours, theirs).views} == {"toy"}


def test_its_shadow_is_compared_with_what_scored_the_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = Stores(tmp_path / "data" / "models", tmp_path / "nothing")
    monkeypatch.setattr("cadnode.node.outputs.stores", lambda values: stores)
    ours, theirs = brought_beside_ours(tmp_path)
    installation.add(ours, stores, ANNA, store.read_card)
    installation.add(theirs, stores, ANNA, store.read_card, starts_off=True)
    active = read(tmp_path, ours)
    chosen = shadow_set.resolve(stores.catalogue(), ["brought@1.0.0"])
    values = Settings(
        storage=StorageSection(folder=tmp_path / "data"), reading=ReadingSection(engine="torch")
    )
    exam = exam_of(sorted((tmp_path / "exam").rglob("*.dcm")))

    told = shadow_reading.read(exam, active, chosen, values)

    rows = {row["what"]: row for row in told["scores"]}
    assert {row["system"] for row in told["scores"]} == {"maker"}
    assert rows["exam"]["active"] == active.exam_score
    assert rows["exam"]["shadow"] == read(tmp_path, theirs).exam_score
    assert set(rows) == {"exam", "R", "L"}


def test_names_of_systems_are_one_object_each_and_in_order() -> None:
    maker = System("maker")

    assert System("maker") is maker
    assert maker.is_brought
    assert not System.KIM2018.is_brought
    assert in_order([maker, None, System.WANG2016, System("a"), maker]) == (
        System.WANG2016, System("a"), maker,
    )  # fmt: skip
    for wrong in ("", "Maker", "far_too_long_a_name", "a b", "../x"):
        with pytest.raises(ValueError, match="not a valid System"):
            System(wrong)
