"""The digest of what went in: equal for equal content, and for nothing else."""

import hashlib
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pynetdicom.dsutils import split_dataset

from cadnode.domain import SkipReason
from cadnode.exam.content import (
    contribution,
    data_set_digest,
    header_digest,
    input_digest,
    stated_input,
)
from cadnode.exam.read import exam_of
from cadnode.receive.spool import Spool
from tests.report_cases import digital_exam
from tests.spool_cases import add_file
from tests.synthetic import encode, view_dataset, write, write_exam

KEYWORDS = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyDescription")


def saved(ds: Dataset, path: Path, **meta: object) -> Path:
    """The data set in a file whose file meta information says what it likes."""
    for keyword, value in meta.items():
        setattr(ds.file_meta, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    "meta",
    [
        {"ImplementationVersionName": "ANOTHER"},
        {"SourceApplicationEntityTitle": "SOMEBODY", "SendingApplicationEntityTitle": "ELSE"},
        {"PrivateInformationCreatorUID": "1.2.3", "PrivateInformation": b"long" * 99},
    ],
)
def test_who_wrote_the_file_and_where_it_lies_does_not_count(
    tmp_path: Path, meta: dict[str, object]
) -> None:
    one = saved(view_dataset(), tmp_path / "a.dcm")
    other = saved(view_dataset(), tmp_path / "elsewhere" / "b", **meta)

    assert one.read_bytes() != other.read_bytes()
    assert data_set_digest(one) == data_set_digest(other)


def test_a_wrong_group_length_a_missing_preamble_and_no_meta_at_all_do_not_count(
    tmp_path: Path,
) -> None:
    whole = saved(view_dataset(), tmp_path / "a.dcm").read_bytes()
    data_set = whole[split_dataset(tmp_path / "a.dcm")[1] :]
    wrong = whole[:140] + (7).to_bytes(4, "little") + whole[144:]
    files = [tmp_path / name for name in ("wrong", "short", "bare")]
    for path, content in zip(files, (wrong, whole[132:], data_set), strict=True):
        path.write_bytes(content)

    assert {data_set_digest(path) for path in files} == {data_set_digest(tmp_path / "a.dcm")}


def test_what_the_spool_stores_of_a_file_has_the_file_s_digest(tmp_path: Path) -> None:
    path = saved(view_dataset(), tmp_path / "a.dcm")

    stored = add_file(Spool(tmp_path / "spool"), path)

    assert data_set_digest(stored.path) == data_set_digest(path)


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_corrected_attribute_counts(tmp_path: Path, keyword: str) -> None:
    corrected = view_dataset()
    setattr(corrected, keyword, "19700101" if keyword.endswith("Date") else "Corrected")

    one, other = saved(view_dataset(), tmp_path / "1"), saved(corrected, tmp_path / "2")

    assert data_set_digest(one) != data_set_digest(other)
    assert header_digest(view_dataset()) != header_digest(corrected)


@pytest.mark.parametrize("place", [0, -2, 4321])
def test_one_pixel_counts(tmp_path: Path, place: int) -> None:
    changed = view_dataset()
    pixels = bytearray(changed.PixelData)
    pixels[place] ^= 1
    changed.PixelData = bytes(pixels)

    one, other = saved(view_dataset(), tmp_path / "1"), saved(changed, tmp_path / "2")

    assert data_set_digest(one) != data_set_digest(other)


def test_the_digest_is_of_the_bytes_after_the_meta_information(tmp_path: Path) -> None:
    """As a receiver may find it: with pydicom's own idea of where the data set begins."""
    ds = encode(view_dataset(), DeflatedExplicitVRLittleEndian)
    for name, made in (("plain", view_dataset()), ("deflated", ds)):
        path = write(made, tmp_path / name)
        with path.open("rb") as file:
            pydicom.filereader.read_preamble(file, False)
            pydicom.filereader._read_file_meta_info(file)
            rest = file.read()

        assert data_set_digest(path) == hashlib.sha256(rest).hexdigest()


def test_an_exam_s_content_does_not_depend_on_names_and_order(tmp_path: Path) -> None:
    files = write_exam(tmp_path / "exam")
    renamed = [f.rename(tmp_path / f"{9 - n}") for n, f in enumerate(files)]
    first = exam_of(renamed).content
    for n, path in enumerate(renamed):
        path.rename(tmp_path / f"again-{n}")

    again = exam_of(sorted(tmp_path.glob("again-*"), reverse=True))

    assert again.content == first
    assert again.content == input_digest(data_set_digest(p) for p in tmp_path.glob("again-*"))


def test_an_image_that_was_not_read_counts_as_well(tmp_path: Path) -> None:
    write_exam(tmp_path)
    odd = view_dataset("L", "CC", seed=7, intent="FOR PROCESSING")
    with_it = write(odd, tmp_path / "odd.dcm")
    exam = exam_of([tmp_path])
    assert SkipReason.FOR_PROCESSING in {s.reason for s in exam.skipped}
    before = exam.content

    odd.StationName = "CORRECTED"
    write(odd, with_it)

    assert exam_of([tmp_path]).content != before


def test_an_exam_without_files_has_the_content_of_its_headers() -> None:
    exam = digital_exam()

    assert exam.content == digital_exam().content
    assert exam.content != digital_exam(PatientID="another").content
    assert exam.content == input_digest(header_digest(m.header) for m in exam.mammograms)


def test_what_an_object_states_is_read_again_and_only_of_ours() -> None:
    digest = header_digest(view_dataset())
    ds, item = Dataset(), Dataset()
    item.Manufacturer, item.ContributionDescription = "cadnode", contribution(digest)
    ds.ContributingEquipmentSequence = [Dataset(), item]

    assert len(contribution(digest)) <= 1024  # ST
    assert stated_input(ds) == digest
    item.Manufacturer = "Somebody"
    assert stated_input(ds) == ""
    item.Manufacturer, item.ContributionDescription = "cadnode", contribution("")
    assert stated_input(ds) == stated_input(Dataset()) == ""
