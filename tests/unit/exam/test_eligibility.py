"""exam/eligibility.py: which image of a side and view is read, and why the others are not."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import JPEG2000Lossless

from cadnode.domain import (
    Acquisition,
    Intent,
    Laterality,
    SkipReason,
    ViewModifier,
    ViewPosition,
)
from cadnode.errors import NotProcessable
from cadnode.exam.eligibility import choose
from cadnode.exam.exam import Mammogram
from cadnode.exam.pixel_checks import PixelChecks
from cadnode.exam.read import exam_of
from cadnode.imaging.pixels import CHECKS
from tests.synthetic import encode, uid, view_dataset, write

SPOT, MAGNIFIED = ViewModifier.SPOT_COMPRESSION, ViewModifier.MAGNIFICATION
DISPLACED = ViewModifier.IMPLANT_DISPLACED


def image(name: str, **attributes: Any) -> Mammogram:
    """A left CC whose SOP Instance UID is `name`."""
    header = Dataset()
    for keyword, value in attributes.pop("header", {}).items():
        setattr(header, keyword, value)
    defaults: dict[str, Any] = {
        "path": Path(name),
        "header": header,
        "sop_instance_uid": name,
        "sop_class_uid": "",
        "transfer_syntax_uid": "",
        "laterality": Laterality.LEFT,
        "view": ViewPosition.CC,
        "modifiers": frozenset(),
        "paddle": "",
        "intent": Intent.PRESENTATION,
        "acquisition": Acquisition.DIGITAL,
        "rows": 400,
        "columns": 300,
        "spacing_mm": None,
        "magnification": 1.0,
        "implant": False,
        "partial": False,
        "vendor": "",
    }
    return Mammogram(**{**defaults, **attributes})


def checks(*damaged: str, same: bool = False) -> PixelChecks:
    """Answers that depend on names alone: `damaged` cannot be decoded."""
    error = NotProcessable(SkipReason.PIXELS_CORRUPT)
    return PixelChecks(
        same=lambda _one, _other: same,
        fault=lambda image: error if image.sop_instance_uid in damaged else None,
    )


def outcome(*images: Mammogram, same: bool = False) -> tuple[list[str], dict[str, SkipReason]]:
    chosen, skipped = choose(images, checks(same=same))
    return [m.sop_instance_uid for m in chosen], {s.sop_instance_uid: s.reason for s in skipped}


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"modifiers": frozenset({SPOT})}, SkipReason.MAGNIFIED_OR_SPOT),
        ({"modifiers": frozenset({MAGNIFIED})}, SkipReason.MAGNIFIED_OR_SPOT),
        ({"view": ViewPosition.ML}, SkipReason.UNSUPPORTED_VIEW),
        ({"view": ViewPosition.XCCL}, SkipReason.UNSUPPORTED_VIEW),
        ({"modifiers": frozenset({ViewModifier.CLEAVAGE})}, SkipReason.UNSUPPORTED_VIEW),
        ({"modifiers": frozenset({ViewModifier.ROLLED})}, SkipReason.UNSUPPORTED_VIEW),
        ({"implant": True}, SkipReason.IMPLANT),
        ({"partial": True}, SkipReason.PARTIAL_BREAST),
    ],
)
def test_an_unfit_image_is_never_read_even_alone(
    attributes: dict[str, Any], reason: SkipReason
) -> None:
    assert outcome(image("1", **attributes)) == ([], {"1": reason})


def test_an_implant_displaced_view_is_read_and_the_implant_view_is_not() -> None:
    displaced = image("1", implant=True, modifiers=frozenset({DISPLACED}))
    assert outcome(image("2", implant=True, rows=999), displaced) == (
        ["1"],
        {"2": SkipReason.IMPLANT},
    )


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({}, {"intent": Intent.PROCESSING, "rows": 999}),
        ({}, {"header": {"ImageType": ["DERIVED", "PRIMARY", "", "GENERATED_2D"]}, "rows": 999}),
        ({}, {"modifiers": frozenset({ViewModifier.NIPPLE_IN_PROFILE}), "rows": 999}),
        ({"rows": 401}, {"header": {"AcquisitionDate": "20300101"}}),
        (
            {"header": {"AcquisitionDate": "20200102", "AcquisitionTime": "101500"}},
            {"header": {"AcquisitionDate": "20200102", "AcquisitionTime": "101400"}},
        ),
        ({"header": {"ContentDate": "20200102"}}, {}),
    ],
)
def test_the_better_image_supersedes_the_other(
    better: dict[str, Any], worse: dict[str, Any]
) -> None:
    expected = (["9"], {"1": SkipReason.SUPERSEDED})
    assert outcome(image("9", **better), image("1", **worse)) == expected
    assert outcome(image("1", **worse), image("9", **better)) == expected


def test_the_same_pixels_under_another_uid_are_a_duplicate() -> None:
    assert outcome(image("1"), image("2"), same=True) == (["1"], {"2": SkipReason.DUPLICATE})
    larger = image("2", rows=401)
    assert outcome(image("1"), larger, same=True) == (["2"], {"1": SkipReason.SUPERSEDED})


def test_an_image_that_cannot_be_decoded_displaces_none_that_can() -> None:
    better, good, worse = image("9", rows=800), image("5", rows=600), image("1")

    chosen, skipped = choose((worse, good, better), checks("9"))

    assert [m.sop_instance_uid for m in chosen] == ["5"]
    assert {s.sop_instance_uid: s.reason for s in skipped} == {
        "9": SkipReason.PIXELS_CORRUPT,
        "1": SkipReason.SUPERSEDED,
    }


def test_where_none_can_be_decoded_the_better_one_says_why() -> None:
    chosen, skipped = choose((image("1"), image("9", rows=800)), checks("1", "9"))

    assert [m.sop_instance_uid for m in chosen] == ["9"]
    assert {s.sop_instance_uid: s.reason for s in skipped} == {"1": SkipReason.SUPERSEDED}


def test_the_same_instance_twice_is_read_once() -> None:
    chosen, skipped = outcome(image("1"), image("1", path=Path("copy")))
    assert (chosen, skipped) == (["1"], {"1": SkipReason.DUPLICATE})


def test_an_ml_is_not_read_in_place_of_a_missing_mlo() -> None:
    chosen, skipped = outcome(image("1"), image("2", view=ViewPosition.ML))
    assert (chosen, skipped) == (["1"], {"2": SkipReason.UNSUPPORTED_VIEW})


IMAGES = st.builds(
    image,
    st.sampled_from("12345"),
    laterality=st.sampled_from(Laterality),
    view=st.sampled_from([ViewPosition.CC, ViewPosition.MLO, ViewPosition.ML]),
    modifiers=st.frozensets(st.sampled_from([SPOT, DISPLACED]), max_size=2),
    implant=st.booleans(),
    partial=st.booleans(),
    rows=st.sampled_from([400, 800]),
)


@given(st.lists(IMAGES, max_size=7), st.randoms())
def test_every_image_is_read_or_skipped_once_whatever_their_order(
    images: list[Mammogram], random: Any
) -> None:
    chosen, skipped = choose(images, checks())
    assert len(chosen) + len(skipped) == len(images)
    assert len({(m.laterality, m.view) for m in chosen}) == len(chosen)
    # Images that share a UID differ by path in life; here the outcome by UID is compared.
    shuffled = list(images)
    random.shuffle(shuffled)
    again, _ = choose(shuffled, checks())
    assert [m.sop_instance_uid for m in again] == [m.sop_instance_uid for m in chosen]


def test_copies_and_retakes_in_files_are_told_apart(tmp_path: Path) -> None:
    first = view_dataset(rows=256, columns=200)
    copy = view_dataset(rows=256, columns=200, SOPInstanceUID=uid("copy"))
    retake = view_dataset(
        rows=256, columns=200, seed=3, study_uid=uid("study", 0), AcquisitionTime="040000"
    )
    for number, ds in enumerate((first, copy, retake, first)):
        write(encode(ds, "1.2.840.10008.1.2"), tmp_path / f"{number}.dcm")
    exam = exam_of([tmp_path])
    assert [m.sop_instance_uid for m in exam.mammograms] == [retake.SOPInstanceUID]
    reasons = sorted(s.reason for s in exam.skipped)
    assert reasons == [SkipReason.DUPLICATE, SkipReason.SUPERSEDED, SkipReason.SUPERSEDED]


def test_a_larger_image_whose_stream_is_damaged_leaves_the_view_to_a_whole_one(
    tmp_path: Path,
) -> None:
    good = view_dataset(rows=256, columns=200)
    larger = view_dataset(rows=512, columns=400, SOPInstanceUID=uid("larger"))
    write(good, tmp_path / "good.dcm")
    path = write(encode(larger, JPEG2000Lossless), tmp_path / "larger.dcm")
    stream = path.read_bytes()
    start = stream.index(b"\xff\x4f\xff\x51")  # a JPEG 2000 codestream begins
    path.write_bytes(stream[: start + 200] + bytes(len(stream) - start - 200))

    exam = exam_of([tmp_path], checks=CHECKS)

    assert [m.sop_instance_uid for m in exam.mammograms] == [good.SOPInstanceUID]
    assert [(s.sop_instance_uid, s.reason) for s in exam.skipped] == [
        (larger.SOPInstanceUID, SkipReason.PIXELS_CORRUPT)
    ]
