"""A mammogram without its patient's identity: what stays, what goes, and that it reads the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from cadnode.errors import DataError
from cadnode.exam.exam import Mammogram
from cadnode.exam.read import read_instance
from cadnode.imaging import pixels
from cadnode.report.pseudonyms import attributes
from cadnode.report.pseudonyms.key import PseudonymKey, key_in
from cadnode.report.pseudonyms.pseudonymised import (
    CannotPseudonymise,
    Withheld,
    write_pseudonymised,
)
from tests.synthetic import IDENTIFIERS, MARK, encode, uid, view_dataset, write

_PROFILE = Path(__file__).with_name("confidentiality_profile.txt").read_text()
TAGS = {
    int(tag, 16)
    for line in _PROFILE.splitlines()
    if not line.startswith("#")
    for tag in line.split()
}

KEY = PseudonymKey(b"k" * 32)
OTHER = PseudonymKey(b"o" * 32)


def mammogram(folder: Path, syntax: str = ExplicitVRLittleEndian, **values: Any) -> Mammogram:
    return read_instance(write(encode(view_dataset(**values), syntax), folder / "given.dcm"))


def written(view: Mammogram, folder: Path, key: PseudonymKey = KEY) -> Path:
    path = folder / "out" / "image.dcm"
    write_pseudonymised(view, key, path)
    return path


def refused(folder: Path, **values: Any) -> Withheld:
    with pytest.raises(CannotPseudonymise) as failed:
        written(mammogram(folder, **values), folder)
    assert not (folder / "out" / "image.dcm").exists()
    return failed.value.reason


def test_no_attribute_of_the_confidentiality_profile_is_kept_as_it_is() -> None:
    kept = {tag_for_keyword(keyword) for keyword in (*attributes.KEPT, *attributes.OF_ITEMS)}

    assert None not in kept
    assert len(TAGS) == 652
    assert kept & TAGS == set()
    assert {tag_for_keyword(keyword) for keyword in attributes.DATES} < TAGS


def test_nothing_that_names_her_is_in_the_file_wherever_it_was(tmp_path: Path) -> None:
    private = Dataset()
    private.add_new(0x00091001, "LO", f"{MARK} in an item")
    ds = view_dataset(
        OtherPatientIDs=f"{MARK}-OLD", ImageComments=f"{MARK} was here", OperatorsName=f"{MARK}^OP",
        ManufacturerModelName=f"Senographe of {MARK}NAME", StationName=f"{MARK}-1",
        PatientBirthTime="010203", DerivationDescription=MARK,
    )  # fmt: skip
    ds.private_block(0x0011, "VENDOR", create=True).add_new(1, "LO", f"{MARK}-PRIVATE")
    ds.add_new(0x60000022, "LO", f"{MARK} overlay")
    ds.ViewCodeSequence[0].update(private)
    path = write(ds, tmp_path / "given.dcm")
    assert path.read_bytes().count(MARK.encode()) > 10

    data = written(read_instance(path), tmp_path).read_bytes()

    assert MARK.encode() not in data
    hers = [*IDENTIFIERS, "20200102", "030405", uid("study", 0), ds.SOPInstanceUID]
    assert [one for one in hers if str(one).encode() in data] == []


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless,
        JPEGLSLossless, JPEG2000Lossless,
    ],
)  # fmt: skip
def test_it_shows_the_same_picture_in_whatever_transfer_syntax_it_came(
    tmp_path: Path, syntax: str
) -> None:
    view = mammogram(tmp_path, syntax, photometric="MONOCHROME1", laterality="R", view="MLO")

    found = read_instance(written(view, tmp_path))

    assert (found.laterality, found.view, found.spacing_mm) == ("R", "MLO", view.spacing_mm)
    assert np.array_equal(pixels.load(found), pixels.load(view))


def test_the_days_between_her_exams_and_her_age_are_kept(tmp_path: Path) -> None:
    days, ages = [], []
    for number, date in enumerate(("20180301", "20200302")):
        view = mammogram(tmp_path / str(number), StudyDate=date, PatientBirthDate="19600601")
        ds = pydicom.dcmread(written(view, tmp_path / str(number)))
        days.append(np.datetime64(f"{ds.StudyDate[:4]}-{ds.StudyDate[4:6]}-{ds.StudyDate[6:]}"))
        ages.append(ds.PatientAge)
        assert not ds.PatientBirthDate

    assert days[1] - days[0] == np.datetime64("2020-03-02") - np.datetime64("2018-03-01")
    assert days[0] < np.datetime64("2018-03-01")
    assert ages == ["057Y", "059Y"]


def test_an_age_above_ninety_is_stated_as_ninety(tmp_path: Path) -> None:
    ds = pydicom.dcmread(written(mammogram(tmp_path, PatientBirthDate="19010203"), tmp_path))

    assert ds.PatientAge == "090Y"


def test_one_key_gives_the_same_bytes_and_another_key_other_pseudonyms(tmp_path: Path) -> None:
    view = mammogram(tmp_path)
    first = written(view, tmp_path).read_bytes()

    assert written(view, tmp_path).read_bytes() == first
    one = pydicom.dcmread(written(view, tmp_path))
    other = pydicom.dcmread(written(view, tmp_path, OTHER))
    for keyword in ("PatientID", "StudyInstanceUID", "SOPInstanceUID", "StudyDate"):
        assert one.get(keyword) != other.get(keyword)
    assert KEY.woman(" zzq-id-0001 ") == one.PatientID == one.PatientName


def test_the_profile_and_its_options_are_stated(tmp_path: Path) -> None:
    ds = pydicom.dcmread(written(mammogram(tmp_path), tmp_path))

    assert ds.PatientIdentityRemoved == "YES"
    codes = [item.CodeValue for item in ds.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107", "113108"]
    assert ds.LongitudinalTemporalInformationModified == "MODIFIED"


def test_text_that_may_be_burned_in_keeps_an_image_back(tmp_path: Path) -> None:
    assert refused(tmp_path, RecognizableVisualFeatures="YES") is Withheld.BURNED_IN
    assert refused(tmp_path, DetectorType="FILM", BurnedInAnnotation="YES") is Withheld.BURNED_IN
    assert refused(tmp_path, DetectorType="FILM", BurnedInAnnotation=None) is Withheld.FILM
    assert written(mammogram(tmp_path, DetectorType="FILM"), tmp_path).exists()
    assert written(mammogram(tmp_path, BurnedInAnnotation=None), tmp_path).exists()


def test_an_overlay_within_the_pixels_keeps_an_image_back(tmp_path: Path) -> None:
    ds = view_dataset()
    ds.add_new(0x60000010, "US", ds.Rows)
    ds.add_new(0x60000102, "US", 14)
    embedded = read_instance(write(ds, tmp_path / "embedded.dcm"))
    ds.add_new(0x60000102, "US", 0)
    ds.add_new(0x60000100, "US", 1)  # its data lay apart, and were taken out before
    apart = read_instance(write(ds, tmp_path / "apart.dcm"))

    with pytest.raises(CannotPseudonymise, match=Withheld.OVERLAY):
        written(embedded, tmp_path)
    assert written(apart, tmp_path).exists()


@pytest.mark.parametrize(
    ("syntax", "begin", "marker"),
    [(JPEG2000Lossless, None, b"\xff\x64"), (JPEGLSLossless, 2, b"\xff\xfe")],
)
def test_a_comment_of_a_compressed_frame_that_names_her_keeps_it_back(
    tmp_path: Path, syntax: str, begin: int | None, marker: bytes
) -> None:
    ds = encode(view_dataset(), syntax)
    frame = next(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=1))
    # After SOI; in JPEG 2000 after SIZ, which must be the first segment.
    at = begin or 4 + int.from_bytes(frame[4:6], "big")
    for text, is_kept_back in ((f"of {MARK}NAME".encode(), True), (b"by an encoder", False)):
        segment = marker + (len(text) + 4).to_bytes(2, "big") + b"\0\1" + text
        changed = frame[:at] + segment + frame[at:]
        ds.PixelData = pydicom.encaps.encapsulate([changed])
        view = read_instance(write(ds, tmp_path / "given.dcm"))
        pixels.load(view)
        if is_kept_back:
            with pytest.raises(CannotPseudonymise, match=Withheld.COMMENT):
                written(view, tmp_path)
        else:
            assert written(view, tmp_path).exists()


def test_a_date_that_no_exam_can_have_goes(tmp_path: Path) -> None:
    view = mammogram(tmp_path, AcquisitionDate="00010101", ContentDate="20200102")

    ds = pydicom.dcmread(written(view, tmp_path))

    assert "AcquisitionDate" not in ds
    assert ds.ContentDate == ds.StudyDate


def test_an_image_that_would_read_differently_is_kept_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tuple(k for k in attributes.KEPT if k != "ImagerPixelSpacing")
    monkeypatch.setattr(attributes, "KEPT", kept)

    assert refused(tmp_path) is Withheld.CHANGED


def test_a_side_that_the_series_alone_states_is_written_down(tmp_path: Path) -> None:
    view = mammogram(tmp_path, ImageLaterality=None, Laterality="L", ViewPosition=None)

    found = read_instance(written(view, tmp_path))

    assert (found.laterality, found.view) == ("L", "CC")
    assert found.header.ImageLaterality == "L"


def test_a_key_is_made_for_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "cohort.key"
    made = key_in(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert key_in(path) == made
    assert made.secret.hex() not in repr(made)
    path.chmod(0o644)
    with pytest.raises(DataError, match="chmod 600"):
        key_in(path)
    path.chmod(0o600)
    path.write_text("short")
    with pytest.raises(DataError, match="no key"):
        key_in(path)
