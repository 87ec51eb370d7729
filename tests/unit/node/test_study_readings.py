"""Which reading a study's page shows, and that it opens no heat maps."""

from pathlib import Path

import pytest

from cadnode.log import hashed
from cadnode.node import results
from cadnode.node.study_readings import StudyReadings
from cadnode.settings import Settings
from tests.report_cases import digital_exam, result_of

UID = "1.2.55"
KEY = hashed(UID)
RESULT = result_of(digital_exam(), "systems")


class Present:
    """Studies that hold this content."""

    def __init__(self, content: str) -> None:
        self._content = content

    def present_content(self, name: str) -> str:
        return self._content


def readings(tmp_path: Path, present: str) -> StudyReadings:
    settings = Settings(storage={"folder": tmp_path})
    return StudyReadings(settings, Present(present))  # type: ignore[arg-type]


def read(tmp_path: Path, content: str, *parts: str) -> list[Path]:
    """A content that was read and reported, of one patient or several."""
    folders = [tmp_path / "results" / KEY / content / part for part in parts or ("",)]
    for folder in folders:
        folder.mkdir(parents=True)
        results.save_reading(folder, RESULT)
        (folder / results.RESULT).write_text("{}")
    return folders


def test_the_present_contents_scores_come_back_without_maps(tmp_path: Path) -> None:
    (folder,) = read(tmp_path, "aa")
    (folder / results.MAPS).write_bytes(b"not looked at")
    (found,) = readings(tmp_path, "aa").of(UID)
    assert (found.content, found.patient, found.is_current) == ("aa", 1, True)
    assert found.result == RESULT
    assert found.result.heat_maps == ()


def test_each_patient_of_a_study_has_a_reading(tmp_path: Path) -> None:
    read(tmp_path, "aa", "1", "2")
    assert [one.patient for one in readings(tmp_path, "aa").of(UID)] == [1, 2]


def test_until_new_images_are_read_the_earlier_reading_is_shown_as_such(tmp_path: Path) -> None:
    read(tmp_path, "aa")
    (found,) = readings(tmp_path, "bb").of(KEY)
    assert (found.content, found.is_current) == ("aa", False)


@pytest.mark.parametrize("damage", ["answer", "reading", "unreported"])
def test_what_is_no_reading_is_not_shown(tmp_path: Path, damage: str) -> None:
    (folder,) = read(tmp_path, "aa")
    if damage == "answer":
        results.mark_answer(folder)
    elif damage == "reading":
        (folder / results.READING).write_text('{"views": [{}]}')
    else:
        (folder / results.RESULT).unlink()
    assert readings(tmp_path, "aa").of(UID) == ()


def test_a_study_that_was_never_read_has_none(tmp_path: Path) -> None:
    assert readings(tmp_path, "").of(UID) == ()
