"""exam/view.py and exam/labels.py: side and view from the best source there is."""

import pytest
from pydicom import Dataset

from cadnode.domain import Laterality, SkipReason, ViewModifier, ViewPosition
from cadnode.errors import NotProcessable
from cadnode.exam.labels import Label, parse_label
from cadnode.exam.view import laterality_of, modifiers_of, view_of
from tests.synthetic import code

L, R = Laterality.LEFT, Laterality.RIGHT


def header(**attributes: object) -> Dataset:
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def frame_laterality(side: str) -> list[Dataset]:
    return [header(FrameAnatomySequence=[header(FrameLaterality=side)])]


@pytest.mark.parametrize(
    ("words", "side", "view", "modifiers"),
    [
        ("L CC", L, "CC", ()),
        ("RMLO", R, "MLO", ()),
        ("LEFT MLO", L, "MLO", ()),
        ("Mammo - R-XCCL", R, "XCCL", ()),
        ("LMLO", L, "MLO", ()),
        ("ML", None, "ML", ()),
        ("LM", None, "LM", ()),
        ("LML", L, "ML", ()),
        ("LMO", None, "LMO", ()),
        ("RMCC", R, "CC", ("magnification",)),
        ("LSMCC", L, "CC", ("spot_compression", "magnification")),
        ("RMLOID", R, "MLO", ("implant_displaced",)),
        ("L CC ID", L, "CC", ("implant_displaced",)),
        ("LEFT RIGHT CC", None, "CC", ()),
        ("L CC R MLO", None, None, ()),
        ("R2 CLINIC", None, None, ()),
        ("MAMMO SCREENING", None, None, ()),
        ("", None, None, ()),
    ],
)
def test_labels_are_read_as_people_write_them(
    words: str, side: Laterality | None, view: str | None, modifiers: tuple[str, ...]
) -> None:
    expected = Label(
        side,
        None if view is None else ViewPosition(view),
        frozenset(map(ViewModifier, modifiers)),
    )
    assert parse_label(words) == expected


@pytest.mark.parametrize(
    ("attributes", "side", "source"),
    [
        ({"ImageLaterality": "R", "Laterality": "L"}, R, "ImageLaterality"),
        ({"SharedFunctionalGroupsSequence": frame_laterality("L")}, L, "FrameLaterality"),
        ({"Laterality": "L"}, L, "Laterality"),
        ({"ImageLaterality": "B", "Laterality": "R"}, R, "Laterality"),
        (
            {"AnatomicRegionSequence": [code("T-04030", "SRT", "Left breast")]},
            L,
            "AnatomicRegionSequence",
        ),
        ({"PatientOrientation": ["A", "FR"]}, L, "PatientOrientation"),
        ({"PatientOrientation": ["P", "FL"]}, R, "PatientOrientation"),
        ({"SeriesDescription": "LEFT CC"}, L, "SeriesDescription"),
        ({"ProtocolName": "R MLO"}, R, "ProtocolName"),
        ({"PatientID": "Calc-Training_P_01234_RIGHT_MLO"}, R, "PatientID"),
    ],
)
def test_the_side_comes_from_the_best_source(
    attributes: dict[str, object], side: Laterality, source: str
) -> None:
    assert laterality_of(header(**attributes)) == (side, source)


@pytest.mark.parametrize(
    "attributes",
    [{}, {"ImageLaterality": "B"}, {"PatientOrientation": ["A", "R"]}, {"ImageLaterality": ""}],
)
def test_a_side_that_nothing_states_is_never_guessed(attributes: dict[str, object]) -> None:
    with pytest.raises(NotProcessable) as caught:
        laterality_of(header(**attributes))
    assert caught.value.reason is SkipReason.LATERALITY_UNKNOWN


@pytest.mark.parametrize(
    ("attributes", "view", "source"),
    [
        ({"ViewCodeSequence": [code("R-10226", "SNM3", "")]}, "MLO", "ViewCodeSequence"),
        ({"ViewCodeSequence": [code("R-10242", "SRT", "")]}, "CC", "ViewCodeSequence"),
        ({"ViewCodeSequence": [code("399260004", "SCT", "")]}, "ML", "ViewCodeSequence"),
        (
            {"ViewCodeSequence": [code("399162004", "SCT", "")], "ViewPosition": "MLO"},
            "CC",
            "ViewCodeSequence",
        ),
        ({"ViewPosition": "XCCL"}, "XCCL", "ViewPosition"),
        ({"PatientOrientation": "MLO"}, "MLO", "PatientOrientation"),
        ({"SeriesDescription": "R CC Mammogram"}, "CC", "SeriesDescription"),
        ({"PatientID": "Mass-Test_P_00173_LEFT_CC"}, "CC", "PatientID"),
    ],
)
def test_the_view_comes_from_the_best_source(
    attributes: dict[str, object], view: str, source: str
) -> None:
    assert view_of(header(**attributes)) == (ViewPosition(view), source)


def test_a_view_that_nothing_states_is_unknown() -> None:
    with pytest.raises(NotProcessable) as caught:
        view_of(header(ViewPosition="", SeriesDescription="screening"))
    assert caught.value.reason is SkipReason.VIEW_UNKNOWN


def test_the_inferomedial_oblique_is_unsupported_not_unknown() -> None:
    with pytest.raises(NotProcessable) as caught:
        view_of(header(ViewCodeSequence=[code("441555000", "SCT", "")]))
    assert caught.value.reason is SkipReason.UNSUPPORTED_VIEW


def test_modifiers_are_gathered_from_all_sources() -> None:
    view = code("R-10242", "SRT", "cranio-caudal")
    view.ViewModifierCodeSequence = [
        code("399209000", "SCT", "Implant Displaced"),
        code("R-102D3", "SRT", "Rolled Lateral"),
    ]
    found, source = modifiers_of(header(ViewCodeSequence=[view], PaddleDescription="Spot 9cm"))
    assert found == {
        ViewModifier.IMPLANT_DISPLACED,
        ViewModifier.ROLLED,
        ViewModifier.SPOT_COMPRESSION,
    }
    assert source == "PaddleDescription+ViewModifierCodeSequence"
