"""Folders and zip files with models that somebody hands over."""

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch

from cadnode.errors import ModelError, SettingsError
from cadnode.models import store
from cadnode.models.weights import unpack
from cadnode.registry import parcel
from tests.unit import store_cases


def zipped(folder: Path, file: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, prefix + path.relative_to(folder).as_posix())
    return file


def with_member(tmp_path: Path, name: str, content: bytes = b"x") -> Path:
    file = zipped(store_cases.made(tmp_path / "made"), tmp_path / "model.zip")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, content)
    return file


def names(path: Path) -> list[str]:
    with parcel.opened(path) as folders:
        return [f"{c.name}@{c.version}" for c in map(store.read_card, folders)]


@pytest.mark.parametrize("depth", ["toy/0.0.1", "toy", "."])
def test_models_are_found_in_a_folder_as_training_writes_it(tmp_path: Path, depth: str) -> None:
    store_cases.made(tmp_path)

    assert names(tmp_path / depth) == ["toy@0.0.1"]


@pytest.mark.parametrize("prefix", ["", "0.0.1/", "toy/0.0.1/", "out/toy/0.0.1/"])
def test_models_are_found_in_a_zip_file(tmp_path: Path, prefix: str) -> None:
    folder = store_cases.made(tmp_path)

    assert names(zipped(folder, tmp_path / "model.zip", prefix)) == ["toy@0.0.1"]


def test_several_models_in_one_zip_file_share_their_weights(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = store_cases.made(tmp_path / "out", name=name)
        (folder / store.WEIGHTS).rename(folder / "w")
    card = store.read_card(folder)
    shared = store.blob(tmp_path / "out", card.weights_sha256)
    shared.parent.mkdir()
    (folder / "w").rename(shared)
    (tmp_path / "out" / "one" / "0.0.1" / "w").unlink()

    with parcel.opened(zipped(tmp_path / "out", tmp_path / "model.zip")) as folders:
        assert [store.read_weights(f)[0].name for f in folders] == ["one", "two"]


def test_what_was_unpacked_is_gone_afterwards(tmp_path: Path) -> None:
    with parcel.opened(zipped(store_cases.made(tmp_path), tmp_path / "model.zip")) as (folder,):
        assert folder.exists()
    assert not folder.exists()


@pytest.mark.parametrize(
    "name",
    ["../card.json", "a/../../card.json", "/tmp/card.json", "..\\card.json", "C:\\card.json"],
)
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    file = with_member(tmp_path, name)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(ModelError, match="leads out"), parcel.opened(file):
        pass
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["model.pt", "data.pkl", "run.py", "blobs/x.pt", "a/b/c/d/e/card.json"]
)
def test_what_is_no_part_of_a_model_is_refused(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(ModelError, match="is no part of a model"),
        parcel.opened(with_member(tmp_path, name)),
    ):
        pass


def test_a_checkpoint_of_torch_is_refused_though_it_is_a_zip_file(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(1)}, tmp_path / "model.pt")
    assert zipfile.is_zipfile(tmp_path / "model.pt")

    with (
        pytest.raises(ModelError, match="pickles are never read"),
        parcel.opened(tmp_path / "model.pt"),
    ):
        pass


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"weights": [0.0]}))

    with (
        pytest.raises(ModelError, match="neither a folder nor a zip file"),
        parcel.opened(tmp_path / "model.pkl"),
    ):
        pass


def test_a_link_in_a_zip_file_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("split.json")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")

    with pytest.raises(ModelError, match="is a link"), parcel.opened(tmp_path / "model.zip"):
        pass


def test_a_zip_file_that_unpacks_to_more_than_the_limit_is_refused_unopened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcel, "MOST_BYTES", 10**6)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.safetensors", bytes(2 * 10**6))
    assert (tmp_path / "bomb.zip").stat().st_size < 10**4

    with pytest.raises(ModelError, match="unpacked it has more"), parcel.opened(
        tmp_path / "bomb.zip"
    ):  # fmt: skip
        pass


def test_a_zip_file_that_lies_about_its_size_is_cut_off_and_refused(tmp_path: Path) -> None:
    file = tmp_path / "bomb.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.safetensors", bytes(10**6))
    content = bytearray(file.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 24  # uncompressed size in the central directory
    content[at : at + 4] = struct.pack("<I", 10)
    file.write_bytes(content)

    with pytest.raises(ModelError, match="damaged"), parcel.opened(file):
        pass


def test_a_card_of_many_megabytes_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("card.json", bytes(parcel.MOST_TEXT + 1))

    with pytest.raises(ModelError, match="more than 32 MB"), parcel.opened(tmp_path / "model.zip"):
        pass


def test_a_truncated_zip_file_is_refused(tmp_path: Path) -> None:
    file = zipped(store_cases.made(tmp_path), tmp_path / "model.zip")
    content = bytearray(file.read_bytes())
    content[200:260] = os.urandom(60)
    file.write_bytes(content)

    with pytest.raises(ModelError, match="damaged"), parcel.opened(file):
        pass


def test_a_folder_without_a_card_and_a_missing_path_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no card\.json"), parcel.opened(tmp_path):
        pass
    with pytest.raises(SettingsError, match="there is no"), parcel.opened(tmp_path / "none"):
        pass


@pytest.mark.parametrize(
    "names",
    [["split.json", "split.json/card.json"], ["split.json/card.json", "split.json"]],
)
def test_a_name_that_is_a_file_and_a_folder_is_refused(tmp_path: Path, names: list[str]) -> None:
    file = tmp_path / "model.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    with pytest.raises(ModelError, match="a file and a folder"), parcel.opened(file):
        pass


def test_a_name_longer_than_file_systems_take_is_refused(tmp_path: Path) -> None:
    file = with_member(tmp_path, "é" * 150 + "/card.json")
    with pytest.raises(ModelError, match="too long"), parcel.opened(file):
        pass


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_what_deflate_or_nothing_compressed_is_unpacked(tmp_path: Path, kind: int) -> None:
    file = tmp_path / "model.zip"
    with zipfile.ZipFile(file, "w", kind) as archive:
        archive.writestr("card.json", "{}")
    with pytest.raises(ModelError, match="another way"), parcel.opened(file):
        pass


def safetensors(header: dict[str, object], n_bytes: int) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"\0" * n_bytes


def tensor(dtype: str, shape: list[int], start: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("header", "n_bytes"),
    [
        ({"x.int8_scale": tensor("F32", [1], 0, 4)}, 4),
        ({"x": tensor("I8", [4], 0, 4), "x.int8_scale": tensor("F32", [3], 4, 16)}, 16),
    ],
)
def test_scales_that_fit_no_tensor_make_damaged_weights(
    header: dict[str, object], n_bytes: int
) -> None:
    with pytest.raises(ModelError, match="damaged"):
        unpack(safetensors(header, n_bytes))


@pytest.mark.parametrize("name", ["card.json", "split.json"])
def test_json_that_is_too_deep_is_no_card_and_no_list(tmp_path: Path, name: str) -> None:
    folder = store_cases.made(tmp_path)
    (folder / name).write_bytes(b"[" * 100_000)
    read = store.read_card if name == "card.json" else store.seen_women
    with pytest.raises(ModelError, match="valid"):
        read(folder)


def test_a_folder_in_place_of_a_card_is_no_card(tmp_path: Path) -> None:
    (tmp_path / "card.json").mkdir()
    with pytest.raises(ModelError, match="cannot be read"):
        store.read_card(tmp_path)
