"""exam/view.py and exam/labels.py: side and view from the best source there is."""

import pytest
from pydicom import Dataset

from cadnode.domain import Laterality, SkipReason, ViewModifier, ViewPosition
from cadnode.errors import NotProcessable
from cadnode.exam.labels import Label, parse_label
from cadnode.exam.view import laterality_of, modifiers_of, refuse_unsupported, view_of
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
        ({"Laterality": "L", "SeriesDescription": "L CC"}, L, "Laterality"),
        ({"ImageLaterality": "", "Laterality": "R"}, R, "Laterality"),
        ({"ImageLaterality": "L", "SeriesDescription": "R CC"}, L, "ImageLaterality"),
        ({"ViewPosition": "LMLO", "Laterality": "L"}, L, "ViewPosition"),
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
    found = laterality_of(header(**attributes))
    assert (found.value, found.source, found.contradiction) == (side, source, "")


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"ImageLaterality": "B"},
        {"ImageLaterality": "B", "Laterality": "R"},
        {"ImageLaterality": "U"},
        {"Laterality": "B"},
        {"PatientOrientation": ["A", "R"]},
        {"ImageLaterality": ""},
        {"StudyDescription": "MAMMOGRAPHY DIAGNOSTIC LEFT"},
        {"PerformedProcedureStepDescription": "L CC"},
        {"RequestedProcedureDescription": "RIGHT MLO"},
        {"ImageComments": "L CC"},
        {"SeriesDescription": "MAMMO LEFT"},
        {"SeriesDescription": "L CC", "StudyDescription": "L CC"},
        {"SeriesDescription": "RCC LCC RMLO LMLO"},
        {"AnatomicRegionSequence": [code("80248007", "SCT", ""), code("73056007", "SCT", "")]},
    ],
)
def test_a_side_that_nothing_of_the_image_states_is_never_guessed(
    attributes: dict[str, object],
) -> None:
    found = laterality_of(header(**attributes))
    assert (found.value, found.contradiction) == ("", "")
    assert not any(e.counts for e in found.evidence)


@pytest.mark.parametrize(
    ("attributes", "sources"),
    [
        ({"ImageLaterality": "R", "ViewPosition": "LCC"}, ("ImageLaterality", "ViewPosition")),
        (
            {"ImageLaterality": "R", "PatientOrientation": ["A", "FR"]},
            ("ImageLaterality", "Orient"),
        ),
        (
            {"ImageLaterality": "R", "AnatomicRegionSequence": [code("80248007", "SCT", "")]},
            ("ImageLaterality", "AnatomicRegion"),
        ),
        (
            {"ImageLaterality": "R", "SharedFunctionalGroupsSequence": frame_laterality("L")},
            ("ImageLaterality", "FrameLaterality"),
        ),
        ({"Laterality": "R", "ViewPosition": "LCC"}, ("ViewPosition", "Laterality")),
        ({"Laterality": "R", "PatientOrientation": ["H", "HL"]}, ("PatientOrient", "Laterality")),
        ({"Laterality": "R", "SeriesDescription": "L CC"}, ("Laterality", "SeriesDescription")),
        ({"Laterality": "R", "SeriesDescription": "MAMMO LEFT"}, ("Laterality", "SeriesDescr")),
        ({"ViewPosition": "RCC", "ProtocolName": "LCC"}, ("ViewPosition", "ProtocolName")),
        ({"SeriesDescription": "L CC", "ProtocolName": "R CC"}, ("SeriesDescr", "ProtocolName")),
        (
            {"PatientID": "Mass-Test_P_00173_LEFT_CC", "Laterality": "R"},
            ("PatientID", "Laterality"),
        ),
    ],
)
def test_sources_that_contradict_each_other_leave_the_side_unknown_and_are_both_named(
    attributes: dict[str, object], sources: tuple[str, str]
) -> None:
    found = laterality_of(header(**attributes))
    assert found.value == ""
    one, other = found.contradiction.replace(" ", "").split(",0", 1)[0], found.contradiction
    assert sources[0][:8] in one
    assert sources[1][:8] in other.replace(" ", "")
    assert {"L", "R"} == {e.says for e in found.evidence}
    assert not any(e.counts for e in found.evidence)


def test_what_an_attribute_of_the_image_overrules_stays_among_the_evidence() -> None:
    found = laterality_of(header(ImageLaterality="L", Laterality="R", StudyDescription="RIGHT"))
    assert [(e.source, e.says, e.counts) for e in found.evidence] == [
        ("ImageLaterality", "L", True),
        ("Laterality", "R", False),
        ("StudyDescription", "R", False),
    ]


@pytest.mark.parametrize(
    ("attributes", "view", "source"),
    [
        ({"ViewCodeSequence": [code("R-10226", "SNM3", "")]}, "MLO", "ViewCodeSequence"),
        ({"ViewCodeSequence": [code("R-10242", "SRT", "")]}, "CC", "ViewCodeSequence"),
        ({"ViewCodeSequence": [code("399260004", "SCT", "")]}, "ML", "ViewCodeSequence"),
        (
            {"ViewCodeSequence": [code("399162004", "SCT", "")], "SeriesDescription": "R MLO"},
            "CC",
            "ViewCodeSequence",
        ),
        ({"ViewPosition": "R CC", "PatientOrientation": ["P", "L"]}, "CC", "ViewPosition"),
        ({"ViewPosition": "XCCL"}, "XCCL", "ViewPosition"),
        ({"PatientOrientation": "MLO"}, "MLO", "PatientOrientation"),
        ({"SeriesDescription": "R CC Mammogram"}, "CC", "SeriesDescription"),
        ({"PatientID": "Mass-Test_P_00173_LEFT_CC"}, "CC", "PatientID"),
    ],
)
def test_the_view_comes_from_the_best_source(
    attributes: dict[str, object], view: str, source: str
) -> None:
    found = view_of(header(**attributes))
    assert (found.value, found.source, found.contradiction) == (view, source, "")


@pytest.mark.parametrize(
    "attributes",
    [
        {"ViewPosition": "", "SeriesDescription": "screening"},
        {"StudyDescription": "R CC"},
        {"ImageComments": "R CC"},
        {"PerformedProcedureStepDescription": "LEFT MLO"},
    ],
)
def test_a_view_that_nothing_of_the_image_states_is_unknown(attributes: dict[str, object]) -> None:
    found = view_of(header(**attributes))
    assert (found.value, found.contradiction) == ("", "")


@pytest.mark.parametrize(
    "attributes",
    [
        {"ViewCodeSequence": [code("399162004", "SCT", "")], "ViewPosition": "MLO"},
        {"ViewCodeSequence": [code("399162004", "SCT", ""), code("399368009", "SCT", "")]},
        {"ViewPosition": "CC", "PatientOrientation": ["A", "FR"]},
        {"ViewPosition": "L CC", "SeriesDescription": "L MLO"},
        {"PatientOrientation": "CC", "PatientID": "Mass-Test_P_00173_LEFT_MLO"},
        {"SeriesDescription": "L CC", "ProtocolName": "MLO"},
    ],
)
def test_sources_that_contradict_each_other_leave_the_view_unknown(
    attributes: dict[str, object],
) -> None:
    found = view_of(header(**attributes))
    assert found.value == ""
    assert "says CC" in found.contradiction
    assert len(found.contradiction.split(" says ")) == 3


def test_the_inferomedial_oblique_is_unsupported_not_unknown() -> None:
    with pytest.raises(NotProcessable) as caught:
        refuse_unsupported(header(ViewCodeSequence=[code("441555000", "SCT", "")]))
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


@pytest.mark.parametrize(
    "attributes",
    [
        {"EstimatedRadiographicMagnificationFactor": "1.8"},
        {"DistanceSourceToDetector": "660", "DistanceSourceToPatient": "350"},
        {
            "EstimatedRadiographicMagnificationFactor": "1",
            "DistanceSourceToDetector": "650",
            "DistanceSourceToPatient": "400",
        },
        {"SeriesDescription": "R CC MAG"},
        {"ProtocolName": "Magnification"},
        {"ViewPosition": "MAG CC"},
        {"PaddleDescription": "10CM MAG"},
    ],
)
def test_magnification_is_known_by_factor_distances_labels_and_paddle(
    attributes: dict[str, object],
) -> None:
    assert modifiers_of(header(**attributes))[0] == {ViewModifier.MAGNIFICATION}


@pytest.mark.parametrize(
    "attributes",
    [
        {"EstimatedRadiographicMagnificationFactor": "1.07"},
        {"DistanceSourceToDetector": "660", "DistanceSourceToPatient": "660"},
        {"DistanceSourceToDetector": "650", "DistanceSourceToPatient": "607"},
        {"DistanceSourceToDetector": "660", "DistanceSourceToPatient": "0"},
        {"PaddleDescription": "24x30 cm IMAGE"},
        {"StudyDescription": "MAG VIEWS"},
    ],
)
def test_contact_views_are_not_taken_for_magnified(attributes: dict[str, object]) -> None:
    assert modifiers_of(header(**attributes))[0] == frozenset()
