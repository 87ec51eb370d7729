"""Pixels for viewers: decoded once, bounded in memory, refused in words."""

import threading
from pathlib import Path

import numpy as np
import pytest

from cadnode.exam.mammogram import read_instance
from cadnode.imaging.pixels import load
from cadnode.node.view_pixels import PixelCache, ShownPixels, decoded
from cadnode.web.viewing import NotShown
from tests.synthetic import view_dataset, write


def file(folder: Path, name: str = "a", seed: int = 0, **more: object) -> Path:
    ds = view_dataset("L", "CC", seed=seed)
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return write(ds, folder / f"{name}.dcm")


def test_tiles_are_the_stored_values_and_the_grey_table_is_the_readings(tmp_path: Path) -> None:
    path = file(tmp_path, RescaleSlope="2", RescaleIntercept="-100")
    mammogram = read_instance(path)
    pixels = decoded(path)
    tile = pixels.tile(0, 0, 0)
    assert tile is not None
    cells = np.frombuffer(tile, "<u2").reshape(mammogram.rows, mammogram.columns)
    table = pixels.grey()
    count = (len(table) - 1) // 5
    values = np.frombuffer(table, "<f4", count)
    brightness = np.frombuffer(table, np.uint8, count, 4 * count)
    assert count == 2**pixels.pyramid.bits
    assert values[7] == 2 * 7 - 100
    assert np.array_equal(brightness[cells], np.round(255 * load(mammogram)).astype(np.uint8))


def test_padding_has_no_value_and_is_black(tmp_path: Path) -> None:
    pixels = decoded(file(tmp_path, PixelPaddingValue=0))
    table = pixels.grey()
    count = (len(table) - 1) // 5
    assert np.isnan(np.frombuffer(table, "<f4", count)[0])
    assert table[4 * count] == 0


def test_monochrome1_is_told_as_inverse(tmp_path: Path) -> None:
    assert decoded(file(tmp_path)).grey()[-1] == 0
    inverse = view_dataset("L", "CC", photometric="MONOCHROME1")
    assert decoded(write(inverse, tmp_path / "m1.dcm")).grey()[-1] == 1


def test_several_frames_and_no_image_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(NotShown, match="several frames") as refused:
        decoded(file(tmp_path, NumberOfFrames="3"))
    assert refused.value.code == "multi_frame"
    (tmp_path / "text.dcm").write_text("no image")
    with pytest.raises(NotShown, match="not DICOM"):
        decoded(tmp_path / "text.dcm")


def test_an_image_that_several_ask_for_is_decoded_once(tmp_path: Path) -> None:
    path, begun, n = file(tmp_path), threading.Event(), []

    def slow(wanted: Path) -> ShownPixels:
        n.append(wanted)
        begun.wait(10)
        return decoded(wanted)

    cache = PixelCache(decode=slow)
    found: list[ShownPixels | None] = []
    threads = [threading.Thread(target=lambda: found.append(cache.pixels(path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.set()
    for thread in threads:
        thread.join()
    assert len(n) == 1
    assert len(set(map(id, found))) == 1


def test_memory_is_bounded_idle_images_go_and_removed_ones_are_not_shown(tmp_path: Path) -> None:
    now, n = [0.0], []

    def counted(wanted: Path) -> ShownPixels:
        n.append(wanted.stem)
        return decoded(wanted)

    paths = [file(tmp_path, name, seed) for seed, name in enumerate("abc")]
    size = decoded(paths[0]).pyramid.n_bytes
    cache = PixelCache(2 * size, 60.0, lambda: now[0], counted)
    for path in (*paths, paths[2], paths[0]):
        cache.pixels(path)
    assert n == ["a", "b", "c", "a"]
    now[0] = 61.0
    cache.expire()
    cache.pixels(paths[0])
    assert n[-2:] == ["a", "a"]
    paths[0].unlink()
    assert cache.pixels(paths[0]) is None


def test_a_file_that_fails_fails_again_and_holds_up_nobody(tmp_path: Path) -> None:
    bad, good = file(tmp_path, "bad", NumberOfFrames="3"), file(tmp_path, "good")
    cache = PixelCache()
    for _ in range(3):
        with pytest.raises(NotShown):
            cache.pixels(bad)
    assert cache.pixels(good) is not None


def test_a_preview_is_a_jpeg_of_the_whole_image(tmp_path: Path) -> None:
    ds = view_dataset("L", "CC", rows=2048, columns=1600)
    picture = decoded(write(ds, tmp_path / "a.dcm")).preview()
    assert picture[:3] == b"\xff\xd8\xff"
    assert len(picture) < 200_000
