"""One exam read with one thread and with two: other last digits, the same objects."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pydicom
import pytest
import torch

from cadnode import settings
from cadnode.domain import ExamResult
from cadnode.exam.read import exam_of as read_files
from cadnode.node.outputs import image_loader
from cadnode.node.readers import choices_of, load_readers
from cadnode.reading import Readers, read_exam
from cadnode.report.objects import make_objects, write_objects
from cadnode.report.profiles import ObjectKind, kind_of
from cadnode_training.phantom import PhantomSpec, exam
from cadnode_training.phantom.dicom import write_dicom
from tests.report_cases import MADE_AT

PDF = b"%PDF-1.4\n%%EOF"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    spec = PhantomSpec(0.35, rows=656, columns=547)
    return write_dicom(exam(11, spec), tmp_path_factory.mktemp("phantom"))[::2]  # one breast


@pytest.fixture(scope="module")
def readers() -> Readers:
    """What the package brings, without the CNNs: they take most of the time."""
    return replace(load_readers(settings.Settings(), "cpu"), rois=())


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def reading(files: list[Path], readers: Readers, n_threads: int) -> ExamResult:
    torch.set_num_threads(n_threads)
    return read_exam(read_files(files), readers, choices=choices_of(settings.Settings().reading))


def uids(files: list[Path], result: ExamResult, folder: Path) -> dict[str, tuple[str, str]]:
    """Instance and series of every kind of object, by the name of its file."""
    found = read_files(files)
    made = make_objects(
        found, result, partial(image_loader(found)), MADE_AT, kinds=frozenset(ObjectKind),
        longest_side=256, small_side=128, pdf=lambda: PDF,
    )  # fmt: skip
    folder.mkdir()
    headers = {p: pydicom.dcmread(p) for p in write_objects(made, folder)}
    assert {kind_of(path) for path in headers} == set(ObjectKind)
    return {p.name: (ds.SOPInstanceUID, ds.SeriesInstanceUID) for p, ds in headers.items()}


def test_the_number_of_threads_changes_no_uid(
    files: list[Path], readers: Readers, threads: None, tmp_path: Path
) -> None:
    one, two = (reading(files, readers, n) for n in (1, 2))

    assert [v.score for v in one.views] == pytest.approx([v.score for v in two.views], abs=1e-4)
    assert uids(files, one, tmp_path / "1") == uids(files, two, tmp_path / "2")


def test_a_model_that_is_not_there_changes_every_uid(
    files: list[Path], readers: Readers, threads: None, tmp_path: Path
) -> None:
    all_of_them = reading(files, readers, 1)
    fewer = reading(files, replace(readers, features=readers.features[1:]), 1)

    one = uids(files, all_of_them, tmp_path / "1")
    other = uids(files, fewer, tmp_path / "2")

    assert not {u for pair in one.values() for u in pair} & {
        u for pair in other.values() for u in pair
    }
