"""Which instances of a study are fetched, by what a source says of them."""

import pytest

from cadnode.receive.fetch.listing import Listed, wanted

MG = "1.2.840.10008.5.1.4.1.1.1.2"
TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
CT = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
DOSE_SR = "1.2.840.10008.5.1.4.1.1.88.67"
CAD_SR = "1.2.840.10008.5.1.4.1.1.88.50"
GSPS = "1.2.840.10008.5.1.4.1.1.11.1"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"

MAMMOGRAM = Listed("1.1", "here", MG, "MG", "Maker")


def is_wanted(sop_class_uid: str, modality: str, maker: str = "Maker", part: str = "") -> bool:
    """Whether an instance beside a mammogram is fetched."""
    one = Listed("1.2", "here", sop_class_uid, modality, maker, part)
    return one in wanted([MAMMOGRAM, one])


@pytest.mark.parametrize(
    ("sop_class_uid", "modality"),
    [
        (MG, "MG"),
        (TOMOSYNTHESIS, "MG"),  # not read, but its coded reason is part of the result
        (SECONDARY_CAPTURE, "MG"),  # digitized film
        ("", "MG"),
        (COMPREHENSIVE_SR, "SR"),
        (GSPS, "PR"),
        (SEG, "SEG"),
        ("", "SR"),
        (KEY_OBJECTS, "KO"),  # perhaps a rejection note
        ("", "KO"),
    ],
)
def test_mammograms_and_what_may_mark_or_reject_them_are_fetched(sop_class_uid, modality) -> None:
    assert is_wanted(sop_class_uid, modality)


@pytest.mark.parametrize(
    ("sop_class_uid", "modality"),
    [(CT, "CT"), (SECONDARY_CAPTURE, "OT"), (DOSE_SR, "SR"), (CAD_SR, "SR"), ("", "US"), ("", "")],
)
def test_all_else_stays_where_it_is(sop_class_uid, modality) -> None:
    assert not is_wanted(sop_class_uid, modality)


@pytest.mark.parametrize(
    "sop_class_uid", [COMPREHENSIVE_SR, SECONDARY_CAPTURE, GSPS, SEG, KEY_OBJECTS, MG, ""]
)
@pytest.mark.parametrize("maker", ["cadnode", "CADNODE", " cadnode "])
def test_our_own_outputs_are_never_fetched(sop_class_uid, maker) -> None:
    assert not is_wanted(sop_class_uid, "MG", maker)
    assert not is_wanted(sop_class_uid, "SR", maker)


def test_without_a_mammogram_nothing_is_fetched() -> None:
    assert wanted([Listed("1.1", "", COMPREHENSIVE_SR, "SR"), Listed("1.2", "", CT, "CT")]) == []


def test_an_instance_that_is_listed_twice_is_fetched_once() -> None:
    assert wanted([MAMMOGRAM, MAMMOGRAM]) == [MAMMOGRAM]


def test_a_film_without_modality_counts_by_its_body_part() -> None:
    assert is_wanted(SECONDARY_CAPTURE, "", part="BREAST")


def test_odd_values_make_no_warning_that_quotes_them() -> None:
    assert not is_wanted("no uid at all", "a modality that is much too long", "x" * 100)
