"""A region that a viewer stores in Orthanc: announced by the plugin, answered by an SR there."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from tests.integration.node import wait_until
from tests.integration.orthanc_host import OrthancHost
from tests.integration.orthanc_site import Site, running_site, uid_of
from tests.synthetic import write
from tests.unit.region_cases import tid1500

ANSWER = "cadnode answer to a region"
DRAWN = [("POLYLINE", [(30, 100), (80, 100), (80, 150), (30, 150), (30, 100)])]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as one:
        yield one


def answers(orthanc: OrthancHost, uid: str) -> list[Dataset]:
    """The answers to regions that Orthanc has of a study."""
    instances = orthanc.get(f"/studies/{orthanc.study_id(uid)}/instances")
    files = [orthanc.request("GET", f"/instances/{i['ID']}/file").content for i in instances]
    found = [pydicom.dcmread(BytesIO(data), stop_before_pixels=True) for data in files]
    return [ds for ds in found if ds.get("SeriesDescription") == ANSWER]


def has_answer(orthanc: OrthancHost, uid: str) -> bool:
    series = orthanc.get(f"/studies/{orthanc.study_id(uid)}/series")
    return any(one["MainDicomTags"].get("SeriesDescription") == ANSWER for one in series)


@pytest.mark.parametrize("mode", ["pull", "store"])
def test_a_measurement_that_is_saved_in_orthanc_is_answered_there_by_an_sr_that_refers_to_it(
    running: Site, tmp_path: Path, mode: str
) -> None:
    running.use(mode)
    files = running.exam(tmp_path)
    uid, image = uid_of(files[0]), pydicom.dcmread(files[0])
    running.orthanc.send(*files)
    wait_until(lambda: running.is_read(uid), "the study is read")
    running.settle()
    assert not has_answer(running.orthanc, uid)

    drawn = tid1500(DRAWN, image, sop=f"drawn-{mode}")
    running.orthanc.send(write(drawn, tmp_path / "drawn.dcm"))

    wait_until(lambda: has_answer(running.orthanc, uid), "the answer is in Orthanc")
    running.settle()
    (answer,) = answers(running.orthanc, uid)
    assert answer.StudyInstanceUID == image.StudyInstanceUID
    assert answer.PatientID == image.PatientID
    said = str(answer.ContentSequence)
    assert drawn.SOPInstanceUID in said, "the object that it was drawn in"
    assert image.SOPInstanceUID in said
    assert "CAD score of kim2018" in said
    assert running.node.events("region_assessed") >= 1
