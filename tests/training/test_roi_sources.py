"""ROIs of real images for training: cut as the node cuts them, by woman, kept on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cadnode.errors import DataError
from cadnode.imaging import roi_chain
from cadnode.imaging.roi_chain import RoiSpec
from cadnode_training.data.manifest import MALIGNANT
from cadnode_training.data.manifest_file import write_manifest
from cadnode_training.data.rois import PARTS
from cadnode_training.data.sets.mini_mias import SPACING_MM
from cadnode_training.data.sources import open_manifest
from cadnode_training.data.views import read_grey
from cadnode_training.papers.roi_cnn import real_rois
from cadnode_training.papers.roi_cnn.config import Augmentation, RoiInput, RoiRecipe, Stage
from cadnode_training.papers.roi_cnn.export import is_real
from cadnode_training.papers.roi_cnn.sources import Sources, parse
from tests.training import film_layouts

SPEC = RoiSpec(size=64, spacing_mm=0.4)
RECIPE = RoiRecipe(
    stages=(Stage("first", init="scratch"), Stage("target", init="previous")),
    input=RoiInput(64, 0.4),
    augmentation=Augmentation(translation_px=4),
)


@pytest.fixture(scope="module")
def mias(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film_layouts.mini_mias(tmp_path_factory.mktemp("mias"), women=24)


def test_a_stored_roi_is_what_the_node_cuts_around_the_boxs_middle(
    mias: Path, tmp_path: Path
) -> None:
    source = real_rois.open_real(f"mini-mias:{mias}")

    stored = real_rois.prepare(source, "train", SPEC, tmp_path, margin=0, quiet=True)

    first = source.regions.part("train").items[0].row
    image = read_grey(first.image)
    assert image is not None
    assert first.box is not None
    middle = (first.box.row0 + first.box.row1) / 2, (first.box.col0 + first.box.col1) / 2
    served = roi_chain.cut(image, middle, (SPACING_MM, SPACING_MM), SPEC).image[0]
    np.testing.assert_allclose(stored.images[0] / 255, served, atol=0.5 / 255 + 1e-6)
    # 40 pixels of 0.2 mm are 20 of 0.4 mm, around the middle of 64.
    assert stored.records[0].box == (22, 22, 42, 42)
    assert stored.records[0].malignant == (first.label == MALIGNANT)
    assert is_real(stored)


def test_parts_share_no_woman_and_hold_every_region(mias: Path, tmp_path: Path) -> None:
    source = real_rois.open_real(f"mini-mias:{mias}")

    parts = [
        real_rois.prepare(source, part, SPEC, tmp_path, margin=0, quiet=True) for part in PARTS
    ]

    women = [{r.key for r in part.records} for part in parts]
    assert sum(map(len, women)) == len(set().union(*women)) == 24
    assert sum(map(len, parts)) == len(source.regions)


def test_rois_are_made_once_and_again_when_what_they_depend_on_changes(
    mias: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = real_rois.open_real(f"mini-mias:{mias}")
    once = real_rois.prepare(source, "test", SPEC, tmp_path, margin=2, quiet=True)
    monkeypatch.setattr(real_rois, "placed", lambda _: pytest.fail("read again"))

    again = real_rois.prepare(source, "test", SPEC, tmp_path, margin=2, quiet=True)

    assert again.records == once.records
    assert once.images.shape[1:] == (68, 68)
    with pytest.raises(pytest.fail.Exception):
        real_rois.prepare(source, "test", SPEC, tmp_path, margin=3, quiet=True)


def test_each_stage_takes_its_own_or_the_common_source(mias: Path, tmp_path: Path) -> None:
    sources = Sources([f"target=mini-mias:{mias}", "phantom:tiny"], RECIPE, tmp_path, quiet=True)

    train = sources.part(RECIPE.stages[1], "train")

    assert sources.by_stage["first"].name == "phantom:24/16/16"
    assert train.images.shape[1:] == (72, 72)
    assert train.malignant.any()
    assert not train.malignant.all()


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["phantom:tiny", "phantom:small"], "same stages"),
        (["third=phantom:tiny"], "no stage third"),
        (["target=phantom:tiny"], "nothing for stage first"),
        (["mias:3"], "phantom"),
    ],
)
def test_sources_that_fit_no_stage_are_refused(
    texts: list[str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=words):
        Sources(texts, RECIPE, tmp_path, quiet=True)


def test_sources_that_tell_nothing_of_malignancy_are_refused(tmp_path: Path) -> None:
    calcifications = film_layouts.pisa_calcifications(tmp_path / "c", women=2)
    masses = film_layouts.pisa_masses(tmp_path / "m", women=2)
    benign = film_layouts.mini_mias(tmp_path / "b", women=4, severity="B")

    with pytest.raises(DataError, match="not whether they are malignant"):
        parse(f"pisa-calcifications:{calcifications}")
    with pytest.raises(DataError, match="2 × mass: not of calcifications"):
        parse(f"pisa-masses:{masses}")
    sources = Sources([f"mini-mias:{benign}"], RECIPE, tmp_path, quiet=True)
    with pytest.raises(DataError, match="0 malignant"):
        sources.part(RECIPE.stages[0], "train")


def test_a_woman_in_different_parts_of_two_stages_is_refused(mias: Path, tmp_path: Path) -> None:
    rows = open_manifest(f"mini-mias:{mias}").rows
    files = []
    for name, part in (("one", "train"), ("other", "test")):
        split = [replace(row, split=part) for row in rows]
        files.append(tmp_path / f"{name}.csv")
        write_manifest(files[-1], split)

    texts = [f"target=manifest:{files[0]}", f"manifest:{files[1]}"]

    with pytest.raises(DataError, match="a woman is in the"):
        Sources(texts, RECIPE, tmp_path, quiet=True)
