"""Whose study it is, read from headers in many scripts, whole and odd."""

from datetime import date

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from cadnode.exam.patient import Patient, patient_of


def raw_header(character_set: str | list[str], name: bytes) -> Dataset:
    """A header as it is read from a file: the name's bytes, not yet decoded."""
    ds = Dataset()
    ds.SpecificCharacterSet = character_set
    tag = Tag(0x0010, 0x0010)
    ds[tag] = RawDataElement(tag, "PN", len(name), name, 0, False, True)
    return ds


@pytest.mark.parametrize(
    ("character_set", "name", "expected"),
    [
        # PS3.5 annexes H.3.1, I.2 and J.1 print the bytes of these names.
        ("ISO_IR 100", "Müller^Änne".encode("latin-1"), ("Müller, Änne",)),
        (
            ["", "ISO 2022 IR 87"],
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            ("Yamada, Tarou", "山田 太郎", "やまだ たろう"),
        ),
        (
            ["", "ISO 2022 IR 149"],
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"
            b"=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            ("Hong, Gildong", "洪 吉洞", "홍 길동"),
        ),
        ("ISO_IR 127", b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", ("قباني, لنزار",)),
        ("GB18030", "Wang^XiaoDong=王^小东".encode("gb18030"), ("Wang, XiaoDong", "王 小东")),
    ],
)
def test_names_in_their_own_script(
    character_set: str | list[str], name: bytes, expected: tuple[str, ...]
) -> None:
    assert patient_of(raw_header(character_set, name)).names == expected


def test_a_name_is_written_family_first_with_what_follows() -> None:
    ds = Dataset()
    ds.PatientName = "Adams^John Robert^Quincy^Rev.^B.A. M.Div."

    assert patient_of(ds).names == ("Adams, John Robert Quincy Rev. B.A. M.Div.",)


def test_dates_sex_and_numbers_are_read() -> None:
    ds = Dataset()
    ds.PatientID, ds.IssuerOfPatientID, ds.PatientSex = " 42 ", "Clinic", "F"
    ds.PatientBirthDate, ds.StudyDate, ds.AccessionNumber = "19610203", "20260304", "A1"

    patient = patient_of(ds)

    assert patient == Patient(
        patient_id="42", issuer="Clinic", sex="F", birth_date=date(1961, 2, 3),
        study_date=date(2026, 3, 4), accession_number="A1",
    )  # fmt: skip


def test_what_is_missing_or_odd_is_nothing_and_warns_nobody() -> None:
    ds = raw_header("ISO_IR 999", b"\xff\xfe")
    tag = Tag(0x0010, 0x0030)
    ds[tag] = RawDataElement(tag, "DA", 8, b"1961-??-", 0, False, True)

    assert patient_of(ds).birth_date is None
    assert patient_of(None) == patient_of(Dataset()) == Patient()
