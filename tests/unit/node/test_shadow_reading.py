"""The shadow computes only what differs, and says exactly what a whole reading would have said."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cadnode.domain import Acquisition, Box, ExamResult, RoiReference, System
from cadnode.exam.exam import Exam, PersonRegion
from cadnode.exam.read import exam_of as exam_of
from cadnode.models import store
from cadnode.models.card import CnnCard
from cadnode.models.loading import Model, load
from cadnode.models.roi import RoiModel
from cadnode.networks.patch_filter import CandidateFilter, DetectorConfig
from cadnode.node import shadow_reading
from cadnode.node.readers import choices_of, readers_of
from cadnode.node.shadow_reading import read
from cadnode.reading import read_exam
from cadnode.registry import installation, shadow_log, shadow_set
from cadnode.registry.installation import Stores
from cadnode.registry.shadow_set import ShadowSet
from cadnode.settings import ReadingSection, Settings, StorageSection
from tests.synthetic import write_exam
from tests.unit import roi_cases, store_cases
from tests.unit.store_cases import ANNA

VIEWS = (("L", "CC"), ("R", "CC"))


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """The node's own store alone, without what is packaged."""
    found = Stores(tmp_path / "data" / "models", tmp_path / "nothing")
    monkeypatch.setattr("cadnode.node.outputs.stores", lambda values: found)
    return found


@pytest.fixture
def values(tmp_path: Path) -> Settings:
    return Settings(
        storage=StorageSection(folder=tmp_path / "data"), reading=ReadingSection(engine="torch")
    )


@pytest.fixture
def exam(tmp_path: Path) -> Exam:
    """Two views with a mass each, which a person has marked in one of them."""
    found = exam_of(
        write_exam(tmp_path / "exam", VIEWS, rows=320, columns=240, mass=(150.0, 60.0, 14.0))
    )
    left = next(m for m in found.mammograms if m.laterality == "L")
    boxes = (Box(120, 30, 180, 90), Box(40, 20, 90, 60))
    regions = tuple(
        PersonRegion(left.sop_instance_uid, box, _corners(box), RoiReference("", ""))
        for box in boxes
    )
    return replace(found, regions=regions)


def _corners(box: Box) -> tuple[tuple[float, float], ...]:
    return tuple((float(r), float(c)) for r in (box.row0, box.row1) for c in (box.col0, box.col1))


def add(stores: Stores, *folders: Path) -> None:
    for folder in folders:
        installation.add(folder, stores, ANNA, store.read_card)


def made_cnn(root: Path, version: str, name: str = "toy-cnn", of: str = "densenet201") -> Path:
    """The folder of a CNN; `loaded` gives it a network whose gain follows the version."""
    architecture = roi_cases.CONFIG.model_copy(update={"name": of})
    changes = {"version": version, "name": name, "architecture": architecture}
    folder = root / name / version
    card = roi_cases.card(slope=0.1).model_copy(update=changes)
    store.save(folder, card, {"anchor": torch.zeros(1)}, store_cases.SPLIT)
    return folder


def loaded(folder: Path, **_: object) -> Model:
    """As `load`, without the big networks."""
    card, _state = store.read_weights(folder)
    if isinstance(card, CnnCard):
        return RoiModel(card, roi_cases.toy(gain=10.0 * int(card.version[-1])))
    return load(folder)


def whole(exam: Exam, folders: list[Path], values: Settings) -> ExamResult:
    """What a whole reading with these models says."""
    return read_exam(
        exam, readers_of([loaded(f) for f in folders]), choices=choices_of(values.reading)
    )


def folders(stores: Stores, *instead: str) -> list[Path]:
    """Folders of the active models, with those versions instead."""
    chosen = dict(spec.split("@") for spec in instead)
    entries = stores.catalogue().active()
    return [stores.own / e.name / chosen.get(e.name, e.version) for e in entries]


def chosen(stores: Stores, *specs: str) -> ShadowSet:
    found = shadow_set.resolve(stores.catalogue(), specs)
    assert not found.problems
    return found


def test_view_models_say_what_a_whole_reading_says_without_looking_for_regions(
    stores: Stores, values: Settings, exam: Exam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(
        stores,
        *(store_cases.made(tmp_path / "new", v, seed=int(v[-1])) for v in ("0.0.1", "0.0.2")),
    )
    active = whole(exam, folders(stores), values)
    expected = whole(exam, folders(stores, "toy@0.0.2"), values)
    monkeypatch.setattr(shadow_reading, "read_exam", None)  # a whole reading would fail

    told = read(exam, active, chosen(stores, "toy@0.0.2"), values)

    rows = {row["what"]: row for row in told["scores"]}
    assert rows["exam"]["active"] == active.exam_score
    assert rows["exam"]["shadow"] == expected.exam_score != active.exam_score
    assert {b.laterality.value: b.score for b in expected.breasts} == {
        side: rows[side]["shadow"] for side in ("R", "L")
    }
    assert [(m["name"], m["version"]) for m in told["shadow"]] == [("toy", "0.0.2")]


def test_regions_are_those_of_the_active_reading_and_other_systems_are_not_asked_again(
    stores: Stores, values: Settings, exam: Exam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new"
    add(stores, store_cases.made(new), made_cnn(new, "0.0.1"), made_cnn(new, "0.0.2"))
    add(stores, made_cnn(new, "0.0.4", "unchanged", of="resnext50_32x4d"))
    add(stores, store_cases.made_features(new))
    active = whole(exam, folders(stores), values)
    expected = whole(exam, folders(stores, "toy-cnn@0.0.2"), values)
    asked: list[str] = []

    def noted(folder: Path, **_: object) -> Model:
        asked.append(folder.parent.name)
        return loaded(folder)

    monkeypatch.setattr(shadow_reading, "load", noted)
    monkeypatch.setattr(shadow_reading, "read_exam", None)

    told = read(exam, active, chosen(stores, "toy-cnn@0.0.2"), values)

    said = [a for f in expected.findings for a in f.assessments if a.system is System.KANG2021]
    assert [len(a.members) for a in said] == [2] * len(expected.findings)
    assert sorted(asked) == ["toy-cnn", "unchanged"]
    (row,) = told["scores"]
    assert (row["system"], row["what"]) == ("kang2021", "exam")
    assert row["shadow"] == max(a.probability for a in said) != row["active"]
    assert row["shadow_called"] == any(a.suspicious for a in said)


def test_features_are_measured_again_in_the_very_same_region(
    stores: Stores, values: Settings, exam: Exam, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    first = store_cases.made_features(new)
    other = new / "toy-features" / "0.0.2"
    card, state = store.read_weights(first)
    moved = {k: v + 0.5 if k.endswith("bias") else v for k, v in state.items()}
    store.save(other, card.model_copy(update={"version": "0.0.2"}), moved, store_cases.SPLIT)
    add(stores, store_cases.made(new), first, other)
    active = whole(exam, folders(stores), values)
    expected = whole(exam, folders(stores, "toy-features@0.0.2"), values)

    told = read(exam, active, chosen(stores, "toy-features@0.0.2"), values)

    said = [a for f in expected.findings for a in f.assessments if a.system is System.WANG2016]
    (row,) = told["scores"]
    assert said
    assert row["shadow"] == max(a.probability for a in said) != row["active"]


def test_another_detector_has_everything_read_again_and_counts_its_marks(
    stores: Stores, values: Settings, exam: Exam, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    card = store.read_card(store_cases.made_detector(new))
    config = DetectorConfig(patch=16, widths=(4, 4), statistics=10)
    state = CandidateFilter(config).state_dict()
    for version in ("0.0.1", "0.0.2"):
        changes = {"version": version, "architecture": config}
        folder = new / "toy-detector" / version
        store.save(folder, card.model_copy(update=changes), state, store_cases.SPLIT)
        add(stores, folder)
    add(stores, store_cases.made(new), store_cases.made_features(new))
    active = whole(exam, folders(stores), values)

    told = read(exam, active, chosen(stores, "toy-detector@0.0.2"), values)

    # Its regions reach those systems that have a model; the others say nothing on either side.
    assert {row["system"] for row in told["scores"]} == {"wang2016"}
    assert told["marks"]["active"] == told["marks"]["shadow"]  # the weights are the same


def test_what_reads_no_such_images_has_nothing_to_say_and_reads_nothing(
    stores: Stores, values: Settings, exam: Exam, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    for version in ("0.0.1", "0.0.2"):
        made = store_cases.made(
            new, version, seed=int(version[-1]), name="film", applies_to=(Acquisition.FILM,)
        )
        add(stores, made)

    told = read(exam, whole(exam, [], values), chosen(stores, "film@0.0.2"), values)

    assert told == shadow_log.without_reading(shadow_log.ShadowStatus.UNAFFECTED, ["film@0.0.2"])
