"""The worker's fingerprint: what makes a study be read again, and what does not."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from cadnode.node.worker_steps import WorkerSteps
from cadnode.receive.spool import Spool
from cadnode.settings import Settings, StorageSection
from tests.spool_cases import add_file
from tests.synthetic import write
from tests.unit.region_cases import (
    COLUMNS,
    ROWS,
    item,
    mammogram,
    presentation_state,
    report_of,
    segmentation,
    tid1500,
)

CIRCLE = [("CIRCLE", [(40, 40), (43, 44)])]
MASK = np.pad(np.ones((9, 9), np.uint8), ((0, ROWS - 9), (0, COLUMNS - 9)))


class Node:
    """A worker's spool and what the worker says of the study that is in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spool = Spool(folder / "spool")
        self._worker = WorkerSteps(Settings(storage=StorageSection(folder=folder)), self._spool, ())
        self._study = ""

    def receive(self, ds: Dataset) -> str:
        """The study's fingerprint after this object has come."""
        self._study = add_file(self._spool, write(ds, self._folder / "in.dcm")).study_key
        return self._worker.fingerprint(self._study)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.mark.parametrize(
    "drawn",
    [tid1500(CIRCLE), presentation_state(CIRCLE), segmentation(MASK)],
    ids=["SR", "PR", "SEG"],
)
def test_a_region_that_a_person_sends_later_has_the_study_read_again(
    node: Node, drawn: Dataset
) -> None:
    before = node.receive(mammogram())
    after = node.receive(drawn)
    assert before
    assert after not in ("", before)
    assert node.receive(drawn) == after  # sent twice, it is the same


@pytest.mark.parametrize(
    "other",
    [
        tid1500(CIRCLE, by="device"),
        presentation_state(CIRCLE, manufacturer="cadnode"),
        segmentation(MASK, algorithm="AUTOMATIC"),
        report_of(item("TEXT", "121071")),
        report_of(item("TEXT", "121071"), Manufacturer="cadnode"),
    ],
    ids=["device's SR", "own PR", "algorithm's SEG", "SR without region", "own SR"],
)
def test_what_no_person_drew_never_causes_a_reading(node: Node, other: Dataset) -> None:
    before = node.receive(mammogram())
    assert node.receive(other) == before


def test_a_region_without_mammograms_is_no_study_of_ours(node: Node) -> None:
    assert node.receive(presentation_state(CIRCLE)) == ""
    assert node.receive(mammogram()) != ""
