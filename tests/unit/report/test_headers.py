"""Headers as archives have them: none costs the patient's report, few cost an object."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from pydicom import Dataset
from pydicom.dataset import Dataset as Item

from cadnode.domain import Calcification
from cadnode.report import objects
from cadnode.report.objects import make_objects
from cadnode.report.profiles import ObjectKind
from tests.report_cases import MADE_AT, digital_exam, image_of, result_of

ALL = frozenset(ObjectKind)
ACCOMPANY = {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.11.1"}


def lut() -> Item:
    item = Item()
    item.LUTDescriptor = [2, 0, 8]
    item.LUTData = [0, 255]
    return item


def made(change: Callable[[Dataset], None]) -> list[Dataset]:
    """All objects of an exam whose every header was changed."""
    exam = digital_exam()
    for mammogram in exam.mammograms:
        change(mammogram.header)
    result = result_of(exam, "systems")
    speck = Calcification(50, 60, 0.5, 0.8, 0.3)
    first = replace(result.findings[0], calcifications=(speck,))
    result = replace(result, findings=(first, *result.findings[1:]))
    pixels = partial(image_of, exam)
    return make_objects(exam, result, pixels, made_at=MADE_AT, longest_side=256, kinds=ALL)


@pytest.mark.parametrize(
    "values",
    [
        {"VOILUTSequence": [lut()], "WindowCenter": 500, "WindowWidth": 800},
        {"WindowCenter": None, "WindowWidth": None},
        {"WindowCenter": [500, 600], "WindowWidth": [800]},
        {"WindowCenter": 500, "WindowWidth": 0},
        {"WindowCenter": 5, "WindowWidth": 8, "WindowCenterWidthExplanation": ["a", "b"]},
        {"WindowCenter": 500, "WindowWidth": 800, "VOILUTFunction": ""},
    ],
    ids=["both", "empty", "unequal", "no width", "explained twice", "no function"],
)
def test_whatever_a_header_says_of_its_window_every_object_is_made(values: dict) -> None:
    def change(header: Dataset) -> None:
        for keyword, value in values.items():
            setattr(header, keyword, value)

    classes = {str(ds.SOPClassUID) for ds in made(change)}

    assert classes >= ACCOMPANY


@pytest.mark.parametrize(
    "character_set",
    [
        ["", "ISO 2022 IR 87"],
        ["", "ISO 2022 IR 100"],
        "ISO 2022 IR 100",
        "",
        "ISO_IR 192",
        "GB18030",
    ],
)
def test_every_character_set_of_a_source_is_taken(character_set: object) -> None:
    def change(header: Dataset) -> None:
        header.SpecificCharacterSet = character_set

    assert {str(ds.SOPClassUID) for ds in made(change)} >= ACCOMPANY


def test_an_object_that_cannot_be_made_costs_no_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: object) -> list[Dataset]:
        raise ValueError("a name that nobody may read")

    monkeypatch.setattr(objects.presentation_state, "presentation_states", fails)

    classes = {str(ds.SOPClassUID) for ds in made(lambda header: None)}

    assert "1.2.840.10008.5.1.4.1.1.11.1" not in classes
    assert "1.2.840.10008.5.1.4.1.1.88.33" in classes
    told = "".join(capsys.readouterr())
    assert "object_not_made" in told
    assert "nobody may read" not in told
