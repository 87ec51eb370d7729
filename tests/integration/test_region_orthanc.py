"""A region that a viewer stores in Orthanc: announced by the plugin, answered by an SR there."""

from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from cadnode.report.sr.region_answer import SERIES_DESCRIPTION
from tests.integration.node import wait_until
from tests.integration.orthanc_host import PLUGINS, OrthancHost
from tests.integration.orthanc_site import Site, running_site, uid_of
from tests.integration.test_viewer_ohif import WINDOW, green, lit, near
from tests.synthetic import write
from tests.unit.region_cases import tid1500
from tests.viewers.ohif import FOLDER, ohif
from tests.viewers.session import PATIENCE_S, TRIES, Reader, Shown
from tests.viewers.webdriver import chromium

DRAWN = [("POLYLINE", [(30, 100), (80, 100), (80, 150), (30, 150), (30, 100)])]
RECTANGLE = np.array([[70.0, 40.0], [120.0, 90.0]])  # (row, column), as the mouse is moved
DIAMETER = np.array([[140.0, 30.0], [170.0, 70.0]])

pytestmark = pytest.mark.timeout(1200)  # a busy machine is no failure; an idle one needs a minute


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site"), PLUGINS / "libOrthancDicomWeb.so") as one:
        yield one


def reports(orthanc: OrthancHost, uid: str, description: str) -> list[Dataset]:
    """The objects of a study in series of that description, the first that came first."""
    study = orthanc.study_id(uid)
    series = [
        one["Instances"]
        for one in orthanc.get(f"/studies/{study}/series")
        if one["MainDicomTags"].get("SeriesDescription") == description
    ]
    files = (orthanc.request("GET", f"/instances/{i}/file").content for s in series for i in s)
    return [pydicom.dcmread(BytesIO(data)) for data in files]


def outlines(item: Dataset) -> list[NDArray[np.float64]]:
    """Every SCOORD of a content tree, `(n, 2)` (row, column)."""
    here = [np.reshape(item.GraphicData, (-1, 2))[:, ::-1]] if "GraphicData" in item else []
    return here + [o for child in item.get("ContentSequence", ()) for o in outlines(child)]


def box_of(points: NDArray[np.float64]) -> list[float]:
    return [*points.min(axis=0), *points.max(axis=0)]


def score_of(answer: Dataset, system: str) -> float:
    """The score that an answer states of one system."""
    pending = [answer]
    while pending:
        item = pending.pop()
        pending += item.get("ContentSequence", ())
        name = item.get("ConceptNameCodeSequence")
        if name and name[0].CodeMeaning.startswith(f"CAD score of {system}"):
            return float(item.MeasuredValueSequence[0].NumericValue)
    raise AssertionError(f"no score of {system}")


def read_study(site: Site, folder: Path) -> tuple[str, Dataset]:
    """UID and image of a study of one view, once it is read and its result is in Orthanc."""
    files = site.exam(folder)
    uid = uid_of(files[0])
    site.orthanc.send(*files)
    wait_until(lambda: site.is_read(uid), "the study is read")
    site.settle()
    assert not reports(site.orthanc, uid, SERIES_DESCRIPTION)
    return uid, pydicom.dcmread(files[0])


def test_a_measurement_that_is_saved_in_orthanc_is_answered_there_by_an_sr_that_refers_to_it(
    running: Site, tmp_path: Path
) -> None:
    running.use("store")
    uid, image = read_study(running, tmp_path)

    drawn = tid1500(DRAWN, image, sop="drawn")
    running.orthanc.send(write(drawn, tmp_path / "drawn.dcm"))

    wait_until(lambda: reports(running.orthanc, uid, SERIES_DESCRIPTION), "the answer is there")
    running.settle()
    (answer,) = reports(running.orthanc, uid, SERIES_DESCRIPTION)
    assert answer.StudyInstanceUID == image.StudyInstanceUID
    assert answer.PatientID == image.PatientID
    said = str(answer.ContentSequence)
    assert drawn.SOPInstanceUID in said, "the object that it was drawn in"
    assert image.SOPInstanceUID in said
    assert "CAD score of kim2018" in said
    assert running.node.events("region_assessed") >= 1


def test_what_is_measured_and_saved_in_ohif_is_answered_in_ohif(
    running: Site, tmp_path: Path
) -> None:
    running.use("pull")
    uid, image = read_study(running, tmp_path)
    size = (image.Rows, image.Columns)
    FOLDER.joinpath("pictures").mkdir(parents=True, exist_ok=True)
    with (
        ohif(running.orthanc.http_port) as site,
        chromium(tmp_path / "browser", WINDOW) as browser,
    ):
        reader = Reader(browser, FOLDER / "pictures")
        open_image(reader, site, uid)
        reader.measure("RectangleROI", size, RECTANGLE)
        reader.measure("Bidirectional", size, DIAMETER)
        reader.save()

        def both() -> bool:
            return len(reports(running.orthanc, uid, SERIES_DESCRIPTION)) == 2

        wait_until(both, "both answers are in Orthanc")
        running.settle()
        (saved,) = reports(running.orthanc, uid, "Create Report")  # as OHIF calls it
        found = reports(running.orthanc, uid, SERIES_DESCRIPTION)
        reader.open_study(site, uid)
        reader.open_series(SERIES_DESCRIPTION, lambda: reader.labelled("CAD score of"))
        reader.decline()
        shown = reader.look("answer", lambda p: lit(p) and green(p).any())
    rectangle, *lines = outlines(saved)
    assert np.allclose(box_of(rectangle), RECTANGLE.ravel(), atol=0.6)  # a pixel of the screen
    assert len(lines) == 2, "the two diameters"
    drawn = [box_of(rectangle), box_of(np.concatenate(lines))]
    assert np.allclose(sorted(box_of(outlines(one)[0]) for one in found), sorted(drawn), atol=0.01)
    assert all(saved.SOPInstanceUID in str(one.ContentSequence) for one in found)
    (opened,) = (one for one in found if is_drawn(outlines(one)[0], shown, size))
    (label,) = (words for words in shown.labels if "CAD score of kim2018" in words)
    assert f": {score_of(opened, 'kim2018'):.2f} 1" in label


def open_image(reader: Reader, site: str, uid: str) -> None:
    """Open a study's first image; a page whose canvas stays black is loaded again."""
    for left in reversed(range(TRIES)):
        reader.open_study(site, uid)
        try:
            reader.look("measured-view", lit, PATIENCE_S / TRIES)
            return
        except AssertionError:
            if not left:
                raise


def is_drawn(outline: NDArray[np.float64], shown: Shown, size: tuple[int, int]) -> bool:
    """Whether the viewer has drawn along an outline of the image."""
    corners = shown.place(np.vstack([outline, outline[:1]]), *size)
    edges = np.vstack([np.linspace(a, b, 30) for a, b in pairwise(corners)])
    return bool(near(green(shown.picture), edges, 5).mean() > 0.9)
