"""Readers' verdicts as a file: made once, and from then on those bytes."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pydicom
from pydicom import Dataset

from cadnode.exam.dicom_file import tolerant
from cadnode.files import written_whole
from cadnode.report.objects import as_report_error
from cadnode.report.profiles import VERDICTS
from cadnode.report.sr.verdict_report import SaidOfFinding, verdict_sr


def write_verdicts(
    report: Path,
    said: Sequence[SaidOfFinding],
    folder: Path,
    *,
    made_at: datetime,
    disclaimer: str,
    before: Dataset | None = None,
) -> Path:
    """The verdicts' SR in `folder`, whose name its UID depends on; one that is there stays.

    Raises
    ------
    ReportError
        It cannot be made or written, or the report in that file cannot be read.
    """
    path = folder / VERDICTS
    if not path.exists():
        with as_report_error(), tolerant():
            ds = verdict_sr(
                pydicom.dcmread(report), said, name=folder.name, made_at=made_at,
                disclaimer=disclaimer, before=before,
            )  # fmt: skip
            with written_whole(path) as file:
                ds.save_as(file, enforce_file_format=True)
    return path
