"""Patient and study are copied unharmed, silently, and UIDs follow from what they stand for."""

import io
from datetime import UTC, datetime, timedelta, timezone

import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, SecondaryCaptureImageStorage

from cadnode.errors import ReportError
from cadnode.report.identity import contributing_equipment, patient_and_study, stamp
from cadnode.report.uids import object_uid

# Person names of PS3.5 annexes H, I, J and K, and one in Latin 1; the bytes as the annexes print.
NAMES = {
    "latin1": ("ISO_IR 100", "Äneas^Rüdiger", None),
    "utf8": ("ISO_IR 192", "Wang^XiaoDong=王^小東", None),
    "korean": (
        ["", "ISO 2022 IR 149"],
        "Hong^Gildong=洪^吉洞=홍^길동",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
    ),
    "japanese": (
        ["", "ISO 2022 IR 87"],
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
    ),
    "chinese": ("GB18030", "Wang^XiaoDong=王^小东", None),
    "arabic": ("ISO_IR 127", "قباني^لنزار", None),
}


def source(charset: object, name: str, raw: bytes | None, *, implicit: bool = False) -> Dataset:
    """A header as it is read from a file, so that values are still the file's bytes."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    ds.SpecificCharacterSet = charset
    ds.SOPClassUID, ds.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    ds.StudyInstanceUID = "1.2.3.4"
    ds.PatientName = name
    if raw is not None:
        ds.PatientName.original_string = raw
    return reread(ds)


def reread(ds: Dataset) -> Dataset:
    """The data set after a round through a file."""
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO(buffer.getvalue()))


def written(ds: Dataset) -> Dataset:
    """What a reader gets of a copy."""
    ds.SOPClassUID, ds.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.5"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return reread(ds)


def bytes_of(ds: Dataset, keyword: str) -> bytes:
    return bytes(ds.get_item(keyword).value)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("script", NAMES)
def test_a_name_in_any_script_is_copied_byte_for_byte(script: str, implicit: bool) -> None:
    charset, name, raw = NAMES[script]
    header = source(charset, name, raw, implicit=implicit)
    expected = bytes_of(header, "PatientName")

    copy = written(patient_and_study(header))

    assert bytes_of(copy, "PatientName") == expected
    assert copy.SpecificCharacterSet == charset
    assert str(copy.PatientName) == name


@pytest.mark.parametrize("script", NAMES)
def test_a_name_already_decoded_by_a_reader_is_copied_unharmed(script: str) -> None:
    charset, name, raw = NAMES[script]
    header = source(charset, name, raw)
    assert str(header.PatientName) == name

    copy = written(patient_and_study(header))

    assert str(copy.PatientName) == name
    assert copy.SpecificCharacterSet == charset


@pytest.mark.parametrize("script", NAMES)
def test_text_the_source_set_cannot_carry_turns_the_copy_to_utf8(script: str) -> None:
    charset, name, raw = NAMES[script]
    header = source(charset, name, raw)

    copy = written(patient_and_study(header, ["仅供研究 – nur für Forschung ✓"]))

    assert copy.SpecificCharacterSet == ("GB18030" if script == "chinese" else "ISO_IR 192")
    assert str(copy.PatientName) == name


def test_the_source_set_stays_when_it_can_carry_our_text() -> None:
    header = source("ISO_IR 100", "Äneas^Rüdiger", None)

    copy = patient_and_study(header, ["Nur für Forschung"])

    assert copy.SpecificCharacterSet == "ISO_IR 100"


def test_empty_type_2_attributes_are_made_present() -> None:
    header = Dataset()
    header.StudyInstanceUID = "1.2.3.4"

    copy = patient_and_study(header)

    for keyword in ("PatientBirthDate", "PatientSex", "StudyID", "StudyTime", "AccessionNumber"):
        assert keyword in copy
        assert copy[keyword].is_empty


def test_values_that_break_rules_are_copied_without_a_word() -> None:
    # Warnings are errors in this test run: a value printed in one would fail it.
    header = source("ISO_IR 100", "Single", None)
    with pydicom.config.disable_value_validation():
        header.PatientID = "X" * 80
        header.PatientAge = "sixty"
        header.PatientBirthDate = "around 1950"
        header = reread(header)

    copy = patient_and_study(header)

    with pydicom.config.disable_value_validation():
        assert copy.PatientID == "X" * 80
        assert copy.PatientAge == "sixty"


def test_pixel_and_series_attributes_are_not_copied() -> None:
    header = source("ISO_IR 100", "A^B", None)
    header.SeriesInstanceUID = "1.2.9"
    header.Rows = 5

    copy = patient_and_study(header)

    assert "SeriesInstanceUID" not in copy
    assert "SOPInstanceUID" not in copy
    assert "Rows" not in copy


def test_a_header_without_a_study_is_refused() -> None:
    with pytest.raises(ReportError, match="no Study Instance UID"):
        patient_and_study(Dataset())


def test_times_are_in_the_zone_the_source_states() -> None:
    header = source("ISO_IR 100", "A^B", None)
    header.TimezoneOffsetFromUTC = "+0900"
    ds = patient_and_study(header)

    stamp(ds, made_at=datetime(2026, 3, 4, 20, 30, tzinfo=UTC), series_number=1, description="x")

    assert (ds.ContentDate, ds.ContentTime) == ("20260305", "053000")
    assert ds.TimezoneOffsetFromUTC == "+0900"


def test_no_zone_is_claimed_for_a_source_that_states_none() -> None:
    ds = patient_and_study(source("ISO_IR 100", "A^B", None))
    zone = timezone(timedelta(hours=2))

    stamp(ds, made_at=datetime(2026, 3, 4, 20, 30, tzinfo=zone), series_number=1, description="x")

    assert (ds.ContentDate, ds.ContentTime) == ("20260304", "203000")
    assert "TimezoneOffsetFromUTC" not in ds


def test_contributing_equipment_names_the_modality_and_this_software() -> None:
    header = Dataset()
    header.Manufacturer, header.ManufacturerModelName = "Maker", "Detector 1"

    theirs, ours = contributing_equipment(header, datetime(2026, 3, 4, tzinfo=UTC))

    assert theirs.Manufacturer == "Maker"
    assert theirs.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
    assert ours.Manufacturer == "cadnode"
    assert ours.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert ours.ContributionDateTime == "20260304000000+0000"


def uid(**changes: object) -> str:
    """UID of a fixed object, but for `changes`."""
    told = {
        "study_instance_uid": "1.2",
        "source_uids": ["1.2.1", "1.2.2"],
        "models": ["kim2018 1.0.0 ab"],
        "fingerprint": "f",
        "kind": "sr",
        "index": 0,
    }
    return object_uid(**{**told, **changes})  # type: ignore[arg-type]


def test_a_uid_is_valid_and_the_same_each_time_and_in_any_order_of_sources() -> None:
    assert pydicom.uid.UID(uid()).is_valid
    assert uid().startswith("2.25.")
    assert uid() == uid(source_uids=["1.2.2", "1.2.1"])


@pytest.mark.parametrize(
    "change",
    [
        {"study_instance_uid": "1.3"},
        {"source_uids": ["1.2.1"]},
        {"models": ["kim2018 1.0.1 ab"]},
        {"fingerprint": "g"},
        {"kind": "heatmap"},
        {"index": 1},
    ],
)
def test_any_change_in_what_it_stands_for_changes_the_uid(change: dict[str, object]) -> None:
    assert uid(**change) != uid()
