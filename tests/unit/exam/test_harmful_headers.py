"""Whatever a header does to what reads it, that file alone is out, with its coded reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from cadnode.domain import SkipReason
from cadnode.errors import DecoderUnavailable, NotProcessable
from cadnode.exam import mammogram, read
from cadnode.exam.dicom_file import open_file, read_pixel_data
from cadnode.exam.exam import Exam
from cadnode.exam.markings import regions
from cadnode.exam.read import exam_of, read_exams, read_study
from cadnode.reading.views import load_view
from tests.synthetic import uid, view_dataset, write, write_exam
from tests.unit import region_cases

HARM = "1.2.826.0.1.3680043.8.498.666"


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    """Four views, and a fifth instance whose UID is `HARM`."""
    write_exam(tmp_path, rows=64, columns=48)
    ds = view_dataset("L", "CC", rows=64, columns=48)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = HARM
    write(ds, tmp_path / "harm.dcm")
    return tmp_path


def views(exam: Exam) -> set[str]:
    return {f"{m.laterality}{m.view}" for m in exam.mammograms}


@pytest.mark.parametrize("value", [b"1.2.840.10008.1.2.1\\1.2.3\0", b"\\\\\\\0", b"1.2\\1.3\0"])
def test_several_transfer_syntaxes_stop_no_study(exam: Path, value: bytes) -> None:
    path = exam / "harm.dcm"
    whole = path.read_bytes()
    at = whole.index(b"\x02\x00\x10\x00UI")
    length = int.from_bytes(whole[at + 6 : at + 8], "little")
    value += b"\0" * (len(value) % 2)
    head = whole[: at + 6] + len(value).to_bytes(2, "little") + value
    path.write_bytes(head + whole[at + 8 + length :])
    (found,) = read_study([exam])
    assert views(found) == {"LCC", "LMLO", "RCC", "RMLO"}
    syntax = str(open_file(path).header.file_meta.TransferSyntaxUID)
    assert "\\" not in syntax
    assert read_pixel_data(path)


def failing(of: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    """`of`, which fails where the harmful instance is among what it is given."""

    def wrapped(*args: Any, **options: Any) -> Any:
        first = args[0] if isinstance(args[0], Dataset) else list(args[0])
        given = [first] if isinstance(first, Dataset) else first
        uids = {str(getattr(one, "SOPInstanceUID", "")) for one in given}
        if HARM in uids | {str(getattr(one, "sop_instance_uid", "")) for one in given}:
            raise error
        return of(first, *args[1:], **options)

    return wrapped


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (mammogram, "evidence_of"), (read, "stated_by"), (read, "rejections"), (read, "by_patient"),
        (read, "choose"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("error", [AttributeError("ZZ"), RecursionError(), KeyError("ZZ")])
def test_a_header_that_nothing_was_prepared_for_costs_its_file_alone(
    exam: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, error: Exception
) -> None:
    if name == "stated_by":  # asked only of copies of one UID
        (exam / "again.dcm").write_bytes((exam / "harm.dcm").read_bytes())
    monkeypatch.setattr(module, name, failing(getattr(module, name), error))
    for found in (exam_of([exam]), *read_exams([exam])):
        assert views(found) == {"LCC", "LMLO", "RCC", "RMLO"}
        out = [s for s in found.skipped if s.reason is SkipReason.NOT_DICOM]
        assert [(s.sop_instance_uid, "ZZ" in s.detail) for s in out] == [(HARM, False)]
        assert type(error).__name__ in out[0].detail


@pytest.mark.parametrize("error", [OSError(5, "EIO"), MemoryError(), DecoderUnavailable("")])
def test_what_may_be_better_at_the_next_try_is_no_files_fault(
    exam: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(read, "by_patient", failing(read.by_patient, error))
    with pytest.raises(type(error)):
        exam_of([exam])


def test_an_object_of_regions_that_nothing_was_prepared_for_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(region_cases.mammogram(), tmp_path / "view.dcm")
    report = region_cases.tid1500([("POINT", [(10.0, 20.0)])])
    write(report, tmp_path / "report.dcm")
    assert exam_of([tmp_path]).regions

    def fails(*_: object) -> None:
        raise AttributeError("ZZ")

    monkeypatch.setattr(regions.sr, "markings", fails)
    found = exam_of([tmp_path])
    assert len(found.mammograms) == 1
    assert [(s.sop_instance_uid, s.reason, s.detail) for s in found.skipped] == [
        (report.SOPInstanceUID, SkipReason.ROI_UNUSABLE, "it cannot be read (AttributeError)")
    ]


def test_pixels_that_nothing_was_prepared_for_cost_their_view_alone(exam: Path) -> None:
    (found, *_) = exam_of([exam]).mammograms

    def fails(_: object) -> Any:
        raise ZeroDivisionError(uid("ZZ"))

    with pytest.raises(NotProcessable) as caught:
        load_view(found, fails)
    assert caught.value.reason is SkipReason.PIXELS_CORRUPT
    assert caught.value.__suppress_context__
