"""One patient taken out of a training set: rows, images and caches; other rows stay as they are."""

import json
from pathlib import Path

import numpy as np
import pytest

from cadnode.domain import Laterality
from cadnode.errors import DataError
from cadnode.models.store import woman_key
from cadnode.node.erasure.patient import IdentifierKind, Identifiers
from cadnode.node.erasure.search import PatientSearch
from cadnode_training.data.erasure import TrainingFiles
from cadnode_training.data.manifest import ManifestRow
from cadnode_training.data.manifest_file import read_manifest, write_manifest
from cadnode_training.data.pathology import pseudonym
from cadnode_training.papers.detection.masses import material
from cadnode_training.papers.detection.masses.material import MassViews
from tests.synthetic import uid, view_dataset, write

HERS, OTHER = "ANN-4711-Q", "BEA-4712-Q"


def search() -> PatientSearch:
    known = Identifiers()
    known.values = {(IdentifierKind.PATIENT_ID, HERS)}
    known.add_uids([uid("her study")])
    return PatientSearch(known)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, patient in (("a", HERS), ("b", OTHER)):
        ds = view_dataset("L", "CC", PatientID=patient)
        write(ds, tmp_path / "images" / f"{name}.dcm")
    return tmp_path


def rows(folder: Path) -> list[ManifestRow]:
    images = folder / "images"
    return [
        ManifestRow(images / "a.dcm", "local", "w1", "benign", laterality=Laterality.LEFT.value),
        ManifestRow(images / "b.dcm", "local", pseudonym("local", OTHER), "malignant"),
        ManifestRow(images / "b.dcm", "own", pseudonym("own", HERS), "normal"),
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_of_hers_go_by_image_and_by_pseudonym_with_the_images_that_only_they_name(
    folder: Path, suffix: str
) -> None:
    manifest = folder / f"set{suffix}"
    write_manifest(manifest, rows(folder))
    files = TrainingFiles([manifest], [])

    assert files.find(search())["rows of manifests"] == 2
    assert (folder / "images" / "a.dcm").exists()
    assert files.remove(search()) == {
        "rows of manifests": 2, "training images": 1, "cached files": 0,
    }  # fmt: skip

    (left,) = read_manifest(manifest).rows
    assert left.woman == pseudonym("local", OTHER)
    assert [path.name for path in (folder / "images").iterdir()] == ["b.dcm"]
    assert pseudonym("own", HERS) in files.pseudonyms()
    assert files.remove(search())["rows of manifests"] == 0  # it may be repeated


def test_rows_of_others_stay_the_bytes_that_they_are(tmp_path: Path) -> None:
    table = tmp_path / "outcomes.csv"
    head = '\ufeff"patient_id",label,note\r\n'
    kept = [f'{OTHER},benign,"two\r\nlines"\r\n', "X-1,  malignant,\r\n"]
    hers = [f"{HERS},benign,\r\n", f'"{HERS}",normal,"more, ""quoted"""\r\n']
    table.write_text(head + hers[0] + kept[0] + hers[1] + kept[1], encoding="utf-8", newline="")

    assert TrainingFiles([table], []).remove(search())["rows of manifests"] == 2
    assert table.read_bytes().decode() == head + "".join(kept)


def test_cached_files_that_are_hers_or_cannot_tell_go(folder: Path) -> None:
    cache = folder / "cache"
    for name, woman in (("hers", pseudonym("local", HERS)), ("other", "w7")):
        (cache / name).mkdir(parents=True)
        (cache / name / "rois.json").write_text(
            json.dumps({"name": "x", "rois": [{"key": f"local:{woman}"}]})
        )
        (cache / name / "images.npy").write_bytes(b"pixels")
    np.savez(cache / "hers.npz", women=np.array(["x", pseudonym("local", HERS)]))
    np.savez(cache / "other.npz", women=np.array(["x", "y"]))
    np.savez(cache / "measured.npz", keys=np.array(["0123456789abcdef01234567"]))
    np.save(cache / "tensors.npy", np.zeros((1, 2, 2), np.uint8))
    views = MassViews(
        np.zeros((1, 8, 8), np.uint8), (np.zeros((0, 4), np.float32),),
        (woman_key("local", pseudonym("local", HERS)),), ("local",),
    )  # fmt: skip
    material.write(cache / "views.npz", views)
    (cache / "tensors.partial").write_bytes(b"of a training that was killed")
    (cache / "cut.npz").write_bytes(b"PK\x03\x04")
    write(view_dataset("L", "CC", PatientID=HERS), cache / "0a1b.dcm")

    n = TrainingFiles([], [cache]).remove(search())["cached files"]

    assert n == 9
    left = {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}
    assert left == {"other/rois.json", "other/images.npy", "other.npz"}


@pytest.mark.parametrize("name", ["missing.csv", "table.xlsx"])
def test_what_is_no_manifest_is_refused_before_anything_is_removed(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "table.xlsx").write_bytes(b"")
    with pytest.raises(DataError, match="no CSV or Parquet file"):
        TrainingFiles([tmp_path / name], [])
    with pytest.raises(DataError, match="no folder"):
        TrainingFiles([], [tmp_path / "nothing"])
