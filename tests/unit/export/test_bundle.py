"""MONAI bundles: verified by MONAI itself, and scoring as the node does."""

import inspect
import json
import runpy
import shutil
import sys
from pathlib import Path
from pydoc import locate
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out
from monai.bundle import run as run_bundle

from cadnode.domain import Acquisition, FindingKind
from cadnode.errors import ModelError, SettingsError
from cadnode.export import bundle, cases
from cadnode.export.source import model_folder
from cadnode.models import loading, store
from cadnode.models.detector import Detector
from cadnode.models.feature import FeatureModel
from cadnode.models.roi import RoiModel
from cadnode.models.view import ViewModel
from cadnode.networks.cnn import CnnConfig, network
from cadnode.networks.patch_filter import CandidateFilter, DetectorConfig
from cadnode.reading import Readers, read_exam
from tests.synthetic import write_exam
from tests.unit import store_cases

# MONAI warns before it reads any config, and before it takes a file without a checksum.
pytestmark = [
    pytest.mark.filterwarnings("ignore:parsing config_file"),
    pytest.mark.filterwarnings("ignore:No hash value provided"),
]
KINDS = ("dib_mg", "cnn", "features", "detector")
ROIS = ("RCC:180,230,290,340", "LMLO:200,100,330,240")


def trained_cnn(root: Path) -> Path:
    """A CNN whose weights are not zero: regions differ in their probabilities."""
    folder = store_cases.made_cnn(root)
    torch.manual_seed(0)
    made = network(CnnConfig(name="densenet201"))
    store.save(folder, store.read_card(folder), made.state_dict(), store_cases.SPLIT)
    return folder


def detector(root: Path) -> Path:
    """A filter of as many statistics as the detection measures of a candidate."""
    folder = store_cases.made_detector(root)
    torch.manual_seed(0)
    config = DetectorConfig(patch=32, widths=(4, 4))
    card = store.read_card(folder).model_copy(update={"architecture": config})
    store.save(folder, card, CandidateFilter(config).state_dict(), store_cases.SPLIT)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model's folder of each kind."""
    root = tmp_path_factory.mktemp("models")
    return {
        "dib_mg": store_cases.made(root),
        "cnn": trained_cnn(root),
        "features": store_cases.made_features(root),
        "detector": detector(root),
    }


@pytest.fixture(scope="module")
def bundles(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle of each kind."""
    root = tmp_path_factory.mktemp("bundles")
    return {
        kind: bundle.write(folder, root / kind, folders["detector"]).folder
        for kind, folder in folders.items()
    }


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A digital exam with a mass in each view."""
    folder = tmp_path_factory.mktemp("exam")
    write_exam(folder, rows=512, columns=400, mass=(0.45, 0.3, 0.06))
    return folder


@pytest.fixture(scope="module")
def readers(folders: dict[str, Path]) -> Readers:
    """A node with these models alone."""
    view, cnn, features, detector = (loading.load(folders[kind]) for kind in KINDS)
    assert isinstance(view, ViewModel)
    assert isinstance(cnn, RoiModel)
    assert isinstance(features, FeatureModel)
    assert isinstance(detector, Detector)
    return Readers((view,), (cnn,), (features,), detector)


def scores(folder: Path, images: Path, out: Path, **changes: Any) -> Any:
    """What `monai.bundle.run` writes."""
    run_bundle(
        config_file=str(folder / "configs/inference.json"),
        meta_file=str(folder / "configs/metadata.json"),
        bundle_root=str(folder), dataset_dir=str(images), output_file=str(out), **changes,
    )  # fmt: skip
    return json.loads(out.read_text())


def config(folder: Path, name: str) -> Any:
    return json.loads((folder / "configs" / f"{name}.json").read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_monai_verifies_the_metadata_without_a_network(
    kind: str, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monai.apps.utils.urlopen", None)  # a download would fail

    verify_metadata(
        meta_file=str(bundles[kind] / "configs/metadata.json"),
        filepath=str(bundles[kind] / "configs/metadata.schema.json"),
    )


@pytest.mark.parametrize("missing", ["version", "task", "network_data_format"])
def test_metadata_that_lack_a_field_are_refused(
    missing: str, bundles: dict[str, Path], tmp_path: Path
) -> None:
    content = config(bundles["cnn"], "metadata")
    del content[missing]
    (tmp_path / "metadata.json").write_text(json.dumps(content))

    with pytest.raises(ValueError, match="is a required property"):
        verify_metadata(
            meta_file=str(tmp_path / "metadata.json"),
            filepath=str(bundles["cnn"] / "configs/metadata.schema.json"),
        )


@pytest.mark.parametrize("kind", ["dib_mg", "cnn", "features"])
def test_the_network_takes_and_gives_what_the_metadata_say(
    kind: str, bundles: dict[str, Path]
) -> None:
    verify_net_in_out(
        "network_def",
        meta_file=str(bundles[kind] / "configs/metadata.json"),
        config_file=str(bundles[kind] / "configs/inference.json"),
        bundle_root=str(bundles[kind]),
        device="cpu",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_inference_config_has_every_part_that_monai_asks_for(
    kind: str, bundles: dict[str, Path], images: Path
) -> None:
    folder = bundles[kind]
    workflow = ConfigWorkflow(
        str(folder / "configs/inference.json"), logging_file=False, workflow_type="inference",
        bundle_root=str(folder), dataset_dir=str(images),
    )  # fmt: skip
    workflow.initialize()

    assert workflow.check_properties() == []


def test_views_have_exactly_the_scores_of_the_node(
    bundles: dict[str, Path], images: Path, readers: Readers, tmp_path: Path
) -> None:
    (exam,) = cases.exams(images)
    expected = read_exam(exam, readers)

    said = scores(bundles["dib_mg"], images, tmp_path / "scores.json")

    (found,) = said["exams"]
    assert said["model"]["sha256"] == readers.views[0].sha256
    assert found["study_instance_uid"] == exam.study_instance_uid
    assert found["exam_score"] == expected.exam_score
    assert [(b["laterality"], b["score"]) for b in found["breasts"]] == [
        (b.laterality, b.score) for b in expected.breasts
    ]
    assert [(v["sop_instance_uid"], v["score"]) for v in found["views"]] == [
        (v.sop_instance_uid, v.score) for v in expected.views
    ]
    assert len({v["score"] for v in found["views"]}) > 1


@pytest.mark.parametrize("kind", ["cnn", "features"])
def test_regions_have_exactly_the_probabilities_of_the_node(
    kind: str, bundles: dict[str, Path], images: Path, readers: Readers, tmp_path: Path
) -> None:
    (exam,) = cases.exams(images, ROIS)
    model = readers.rois[0] if kind == "cnn" else readers.features[0]
    expected = {
        (finding.sop_instance_uid, tuple(finding.box), said.probability)
        for finding in read_exam(exam, readers).findings
        if finding.kind is not FindingKind.SUSPICIOUS_REGION  # a peak: another model's
        for said in finding.assessments
        if said.algorithm == model.card.name
    }

    said = scores(bundles[kind], images, tmp_path / "scores.json", rois=list(ROIS))

    found = {
        (view["sop_instance_uid"], tuple(region["box"]), region["probability"])
        for view in said["exams"][0]["views"]
        for region in view["regions"]
    }
    assert len({probability for _, _, probability in found}) >= len(ROIS)
    assert found == expected


def test_the_detector_marks_exactly_what_the_node_marks(
    bundles: dict[str, Path], images: Path, readers: Readers, tmp_path: Path
) -> None:
    (exam,) = cases.exams(images)
    expected = {
        (finding.sop_instance_uid, tuple(finding.box), finding.certainty)
        for finding in read_exam(exam, readers).findings
        if finding.certainty is not None
    }

    said = scores(bundles["detector"], images, tmp_path / "scores.json")

    found = {
        (view["sop_instance_uid"], tuple(region["box"]), region["certainty"])
        for view in said["exams"][0]["views"]
        for region in view["regions"]
    }
    assert found == expected
    assert found


def test_the_bundle_runs_from_the_command_line(
    bundles: dict[str, Path], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundles["dib_mg"])
    words = [
        "--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json",
        "--dataset_dir", str(images), "--output_file", str(tmp_path / "scores.json"),
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["monai.bundle", "run", *words])

    runpy.run_module("monai.bundle", run_name="__main__")

    assert len(json.loads((tmp_path / "scores.json").read_text())["exams"][0]["views"]) == 4


def test_views_of_an_acquisition_that_the_model_does_not_read_are_skipped_with_the_reason(
    folders: dict[str, Path], images: Path, tmp_path: Path
) -> None:
    root = tmp_path / "models"
    film = store_cases.made(root, applies_to=(Acquisition.FILM,))
    written = bundle.write(film, tmp_path / "film")

    said = scores(written.folder, images, tmp_path / "scores.json")

    assert said["exams"][0]["views"] == []
    assert {s["reason"] for s in said["exams"][0]["skipped"]} == {"no_model_applies"}


def test_an_empty_folder_of_images_is_a_result_without_exams(
    bundles: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()

    assert scores(bundles["dib_mg"], tmp_path / "none", tmp_path / "scores.json")["exams"] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "step"), [("train", "training"), ("evaluate", "evaluation")])
def test_train_and_evaluate_call_the_papers_workflow_with_arguments_that_it_has(
    name: str, step: str, kind: str, bundles: dict[str, Path]
) -> None:
    call = config(bundles[kind], name)[step]
    assert callable(locate(call.pop("_target_")))
    workflow = locate(f"cadnode_training.papers.{call.pop('system')}.{name}.run")

    inspect.signature(workflow).bind(**call)  # raises where a name is unknown or missing


def test_evaluate_runs_the_workflow_and_writes_its_numbers(
    bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Path]] = []

    def run(data: str, *, model: Path) -> dict[str, float]:
        asked.append((data, model))
        return {"auc": 0.75}

    monkeypatch.setattr("cadnode_training.papers.kim2018.evaluate.run", run)
    folder = bundles["dib_mg"]
    run_bundle(
        config_file=str(folder / "configs/evaluate.json"), bundle_root=str(folder),
        data="rsna-views:somewhere", output_file=str(tmp_path / "numbers.json"),
    )  # fmt: skip

    assert asked == [("rsna-views:somewhere", folder / "models")]
    assert json.loads((tmp_path / "numbers.json").read_text()) == {"auc": 0.75}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_holds_card_weights_licence_and_readme_and_no_pickle(
    kind: str, bundles: dict[str, Path], folders: dict[str, Path]
) -> None:
    card = store.read_card(folders[kind])

    found = store.read_card(bundles[kind] / "models")

    assert found == card
    assert "Apache License" in (bundles[kind] / "LICENSE").read_text()
    assert (bundles[kind] / "docs/README.md").read_text().startswith(f"# {card.name} 0.0.1\n")
    terms = "".join(f"{s.name}: {s.terms}\n" for s in card.training_sets) or "none\n"
    assert (bundles[kind] / "docs/data_license.txt").read_text() == terms
    assert not [f for f in bundles[kind].rglob("*") if f.suffix in {".pt", ".pth", ".pkl"}]


def test_a_bundle_is_a_model_that_can_be_exported_or_added_again(
    bundles: dict[str, Path], tmp_path: Path
) -> None:
    assert model_folder(bundles["cnn"]) == bundles["cnn"] / "models"
    assert model_folder(bundles["dib_mg"]) == bundles["dib_mg"] / "models"


def test_a_bundle_is_not_written_into_a_folder_that_holds_something(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(SettingsError, match="holds something"):
        bundle.write(folders["dib_mg"], tmp_path)

    assert [f.name for f in tmp_path.iterdir()] == ["mine.txt"]


def test_nothing_is_left_of_the_bundle_of_a_damaged_model(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "toy" / "0.0.1"
    shutil.copytree(folders["dib_mg"], broken)
    (broken / store.SPLIT).write_text("{}")

    with pytest.raises(ModelError, match=r"split\.json"):
        bundle.write(broken, tmp_path / "out" / "bundle")

    assert list((tmp_path / "out").iterdir()) == []


def test_a_finished_run_is_exported_by_its_folder(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path / "run")
    (tmp_path / "run" / "last.pt").write_bytes(b"")

    assert model_folder(tmp_path / "run") == folder


def test_an_unfinished_run_says_which_files_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "inception_v3-0" / "1-cluster").mkdir(parents=True)
    (tmp_path / "inception_v3-0" / "1-cluster" / "last.pt").write_bytes(b"")

    with pytest.raises(ModelError, match=r"last\.pt, but lacks NAME/VERSION/card\.json"):
        model_folder(tmp_path)


@pytest.mark.parametrize("name", [store.CARD, store.WEIGHTS, store.SPLIT])
def test_a_model_says_which_of_its_files_is_missing(name: str, tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path)
    (folder / name).unlink()

    with pytest.raises(ModelError, match=name):
        model_folder(folder)


def test_of_several_models_one_must_be_named(tmp_path: Path) -> None:
    store_cases.made(tmp_path, "0.0.1")
    store_cases.made(tmp_path, "0.0.2")

    with pytest.raises(SettingsError, match="holds several models"):
        model_folder(tmp_path)
