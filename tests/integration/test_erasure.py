"""A patient is erased from a running node; the others stay, and nothing writes her back."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from cadnode.demo.archive import DemoArchive, find_orthanc, with_orthanc
from cadnode.log import hashed
from cadnode.node.erasure.places import files_below, place_of
from tests.erasure_cases import ANN, BEA, hits_of
from tests.integration.node import Node, running_node, wait_until
from tests.synthetic import uid, view_dataset, write

N_OBJECTS = 5  # of an exam of four views: one SR and four heat maps
VIEWS = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))
WORDS = (ANN["PatientID"], "Älfa", ANN["AccessionNumber"])


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[DemoArchive]:
    executable = find_orthanc()
    assert executable, "Orthanc is missing: deploy/system-packages.sh test"
    with with_orthanc(executable, tmp_path / "orthanc") as running:
        yield running


def views(patient: dict[str, str], study: str, seed: int) -> list[Dataset]:
    return [view_dataset(*v, seed=seed, study_uid=uid("node", study), **patient) for v in VIEWS]


def files(folder: Path, datasets: list[Dataset]) -> list[Path]:
    return [write(ds, folder / f"{ds.SOPInstanceUID}.dcm") for ds in datasets]


def erase(node: Node, *more: str) -> dict[str, Any]:
    done = subprocess.run(
        [
            sys.executable, "-m", "cadnode", "patients", "erase", "--patient-id", "-", "--yes",
            "--json", "--config", str(node.config), *more,
        ],
        input=f"{ANN['PatientID']}\n", capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def kept(data: Path, study: str) -> dict[Path, bytes]:
    """Images and results of a study."""
    return {
        path: path.read_bytes()
        for folder in ("spool/studies", "results")
        for path in (data / folder / study).rglob("*")
        if path.is_file()
    }


@pytest.mark.timeout(900)
def test_one_of_two_patients_is_erased_while_the_node_runs(
    tmp_path: Path, archive: DemoArchive
) -> None:
    anns, beas = views(ANN, "ann", 1), views(BEA, "bea", 2)
    hers, others = hashed(uid("node", "ann")), hashed(uid("node", "bea"))
    data = tmp_path / "data"
    with running_node(tmp_path, archive, quiet_s=1.0) as node:
        node.send(*files(tmp_path / "a", anns))
        node.send(*files(tmp_path / "b", beas))
        wait_until(lambda: archive.count() >= 2 * N_OBJECTS, "both are in the archive")
        wait_until(node.is_idle, "nothing is left to do")
        unknown = [p for p in files_below(data) if place_of(p.relative_to(data)) is None]
        assert unknown == []
        before = kept(data, others)
        assert hits_of(data, WORDS)

        erased = erase(node)

        assert erased["search"]["found"] == 0
        assert erased["removed"]["images"] == 4
        assert erased["delivered"] == [
            {
                "destination": "archive",
                "results": 1,
                "objects": {"heatmap": 4, "sr": 1},
                "how": erased["delivered"][0]["how"],
            }
        ]
        assert hits_of(data, (*WORDS, hers, uid("node", "ann"))) == []
        assert kept(data, others) == before
        workers = node.events("working")

        node.send(*files(tmp_path / "again", anns))  # sent anew later: received as new
        wait_until(lambda: node.events("study_reported") == 3, "she is read again")
        wait_until(node.is_idle, "nothing is left to do")
        assert node.events("working") == workers  # no process began again
        assert kept(data, others) == before

        # Arriving and being read just now: waited for, then erased.
        node.send(*files(tmp_path / "third", views(ANN, "third", 3)))
        erased = erase(node, "--undelivered-too")
        assert erased["search"]["found"] == 0
        wait_until(node.is_idle, "nothing is left to do")
        assert hits_of(data, (*WORDS, hers, hashed(uid("node", "third")))) == []
        assert kept(data, others) == before
        assert node.events("not_caught") == 0
        assert not any(word in node.log for word in WORDS)
    assert hits_of(data, (*WORDS, hers)) == []
    assert [p for p in files_below(data) if place_of(p.relative_to(data)) is None] == []
