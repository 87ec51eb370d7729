"""The images of the exam in hand are decoded once, and never a file that has changed."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cadnode.exam.read import read_instance
from cadnode.imaging import pixels
from tests.synthetic import view_dataset, write, write_exam


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were decoded."""
    names: list[str] = []
    load = pixels.load

    def counted(mammogram: pixels.Mammogram) -> pixels.FloatImage:
        names.append(mammogram.path.name)
        return load(mammogram)

    monkeypatch.setattr(pixels, "load", counted)
    return names


def test_an_image_is_decoded_once(tmp_path: Path, decoded: list[str]) -> None:
    mammograms = [read_instance(path) for path in write_exam(tmp_path)]
    images = pixels.ImageCache()

    first = [images.load(m) for m in mammograms]
    second = [images.load(m) for m in mammograms]

    assert len(decoded) == len(mammograms) == 4
    assert all(one is other for one, other in zip(first, second, strict=True))


def test_a_file_that_changed_is_decoded_again(tmp_path: Path, decoded: list[str]) -> None:
    path = write(view_dataset(seed=1), tmp_path / "a.dcm")
    images = pixels.ImageCache()
    before = images.load(read_instance(path))

    write(view_dataset(seed=2), path)
    after = images.load(read_instance(path))

    assert len(decoded) == 2
    assert not np.array_equal(before, after)


def test_the_oldest_image_goes_when_there_is_no_room(tmp_path: Path, decoded: list[str]) -> None:
    one, other = (read_instance(path) for path in write_exam(tmp_path)[:2])
    images = pixels.ImageCache(most_bytes=pixels.load(one).nbytes)
    decoded.clear()

    for mammogram in (one, other, other, one):
        images.load(mammogram)

    assert len(decoded) == 3


def test_nothing_is_kept_of_an_exam_that_is_reported(tmp_path: Path, decoded: list[str]) -> None:
    mammogram = read_instance(write(view_dataset(), tmp_path / "a.dcm"))
    images = pixels.ImageCache()

    images.load(mammogram)
    images.clear()
    images.load(mammogram)

    assert len(decoded) == 2


def test_threads_that_ask_for_the_same_image_decode_it_once(
    tmp_path: Path, decoded: list[str]
) -> None:
    mammogram = read_instance(write(view_dataset(), tmp_path / "a.dcm"))
    images, start = pixels.ImageCache(), threading.Barrier(4)

    def ask(_: int) -> pixels.FloatImage:
        start.wait(30)
        return images.load(mammogram)

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(ask, range(4)))

    assert len(decoded) == 1
    assert all(one is got[0] for one in got)
