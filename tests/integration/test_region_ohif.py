"""The answer to a region, opened in OHIF: its outline is drawn, its scores are shown."""

import subprocess
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cadnode.domain import (
    Assessment,
    Box,
    ExamResult,
    Finding,
    FindingKind,
    ModelUse,
    RoiReference,
    System,
    SystemStatus,
)
from cadnode.exam.read import exam_of
from cadnode.report.answer import write_answer
from cadnode.report.edition import Edition
from cadnode.report.sr.region_answer import SERIES_DESCRIPTION
from tests.integration.test_viewer_ohif import (
    DICOM_WEB,
    VIEWS,
    WINDOW,
    green,
    lit,
    near,
    write_views,
)
from tests.peers import orthanc
from tests.viewers.ohif import FOLDER, ohif
from tests.viewers.session import PATIENCE_S, TRIES, Reader
from tests.viewers.webdriver import chromium

BOX = Box(1000, 200, 1200, 420)
OUTLINE = ((1000.0, 200.0), (1000.0, 420.0), (1200.0, 420.0), (1200.0, 200.0))

pytestmark = pytest.mark.timeout(1200)  # a busy machine is no failure; an idle one needs a minute


def answered(views: list[Path], folder: Path) -> tuple[Edition, Path]:
    """A region of the first view, as two systems might have assessed it."""
    exam = exam_of(views)
    mammogram = next(m for m in exam.mammograms if m.path.stem == VIEWS[0])
    scores = (
        Assessment(System.KIM2018, "dib-mg-digital", 0.83, suspicious=True),
        Assessment(System.WANG2016, "wang2016-masses", 0.42, suspicious=False),
    )
    finding = Finding(
        mammogram.sop_instance_uid, BOX, OUTLINE, FindingKind.MARKED_REGION, 0.83,
        "dib-mg-digital", scores, marked_by=RoiReference("", ""),
    )  # fmt: skip
    models = tuple(ModelUse(a.algorithm, "1.0.0", "ab" * 32, None, a.system) for a in scores)
    systems = tuple(SystemStatus(a.system, active=True) for a in scores)
    result = ExamResult(
        exam.study_instance_uid, None, (), (), (finding,), (), models, systems=systems
    )
    alone = type(exam)(exam.study_instance_uid, (mammogram,), (), exam.reference, exam.headers)
    edition = Edition(alone, result, datetime.now(UTC))
    return edition, write_answer(edition, "a" * 16, folder)


def test_ohif_draws_the_region_that_the_answer_is_about_and_shows_its_scores(
    tmp_path: Path,
) -> None:
    views = write_views(tmp_path / "exam")
    edition, answer = answered(views, tmp_path / "answer")
    mammogram = edition.exam.mammograms[0]
    with orthanc(tmp_path / "archive", Plugins=[DICOM_WEB]) as archive:
        send = ["storescu", "--required", "127.0.0.1", str(archive.dicom_port)]
        subprocess.run([*send, *map(str, [*views, answer])], check=True, timeout=120)
        pictures = FOLDER / "pictures"
        pictures.mkdir(parents=True, exist_ok=True)
        with ohif(archive.http_port) as site, chromium(tmp_path / "browser", WINDOW) as browser:
            reader = Reader(browser, pictures)
            for left in reversed(range(TRIES)):
                reader.open_study(site, edition.exam.study_instance_uid)
                reader.open_series(VIEWS[0], lambda: reader.titled(VIEWS[0]))
                try:
                    reader.look("answer-view", lit, PATIENCE_S / TRIES)
                    break
                except AssertionError:
                    if not left:
                        raise
            reader.open_series(SERIES_DESCRIPTION, lambda: reader.labelled("CAD score of"))
            reader.decline()
            shown = reader.look("answer", lambda p: lit(p) and green(p).any())
    outline = shown.place(np.array(OUTLINE), mammogram.rows, mammogram.columns)
    corners = np.vstack([outline, outline[:1]])
    edges = np.vstack([np.linspace(a, b, 30) for a, b in pairwise(corners)])
    assert near(green(shown.picture), edges, 5).mean() > 0.9
    (label,) = (one for one in shown.labels if "CAD score of kim2018" in one)
    assert ": 0.83 1" in label
    assert ": 0.42 1" in label
