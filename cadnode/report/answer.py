"""The answer to a region as a file: made once, and from then on those bytes."""

from pathlib import Path

from cadnode.exam.dicom_file import tolerant
from cadnode.files import written_whole
from cadnode.report.edition import Edition
from cadnode.report.objects import as_report_error
from cadnode.report.profiles import ANSWER
from cadnode.report.sr.region_answer import region_answer_sr


def write_answer(edition: Edition, region: str, folder: Path) -> Path:
    """The answer's SR in `folder`; one that is there stays: a receiver may have it.

    Raises
    ------
    ReportError
        It cannot be made or written.
    """
    path = folder / ANSWER
    if not path.exists():
        with as_report_error(), tolerant():
            ds = region_answer_sr(edition, region)
            with written_whole(path) as file:
                ds.save_as(file, enforce_file_format=True)
    return path
