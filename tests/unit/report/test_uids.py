"""What UIDs are made of: all that went in and how it ended, and no computed number."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from cadnode.domain import Box, ExamResult, RoiReference, SkipReason, System
from cadnode.exam.content import stated_input
from cadnode.exam.exam import Exam, PersonRegion
from cadnode.exam.read import exam_of
from cadnode.reading import Choices, Readers
from cadnode.report import edition
from cadnode.report.edition import OFFLINE_OBSERVER_UID, Edition
from cadnode.report.identity import IMPLEMENTATION_CLASS_UID
from cadnode.report.objects import make_objects
from cadnode.report.profiles import STRUCTURED, ObjectKind
from cadnode.report.uids import fingerprint
from tests.cad_cases import CURVE, cad_result
from tests.report_cases import MADE_AT, digital_exam, image_of, result_of
from tests.synthetic import view_dataset, write, write_exam
from tests.unit import model_cases

READ_WITH = "ab" * 32
PDF = b"%PDF-1.4\n%%EOF"


def reading(exam: Exam, outcome: str = "pairs", **changes: Any) -> ExamResult:
    """A made reading that says what it was read with, as a real one does."""
    return replace(cad_result(exam, outcome), read_with=READ_WITH, **changes)


def every_uid(exam: Exam, result: ExamResult, **options: Any) -> dict[str, str]:
    """Instance, series and tracking UIDs of every object of every kind, by where they stand."""
    given = {"longest_side": 96, "small_side": 64, "pdf": lambda: PDF, **options}
    made = make_objects(
        exam, result, partial(image_of, exam), MADE_AT, kinds=frozenset(ObjectKind), **given
    )
    return {f"{n} {k}": str(ds[k].value) for n, ds in enumerate(made) for k in _OWN} | {
        f"{n} {element.tag} {place}": str(element.value)
        for n, ds in enumerate(made)
        for place, element in enumerate(ds.iterall())
        if element.VR == "UI" and str(element.value).startswith("2.25.")
        and element.keyword in ("UID", "TrackingUID")
    }  # fmt: skip


_OWN = ("SOPInstanceUID", "SeriesInstanceUID")


def uid(exam: Exam, result: ExamResult | None = None, **options: Any) -> str:
    return Edition(exam, result or reading(exam), MADE_AT, **options).uid("sr")


def shaken(value: Any, shake: Callable[[float], float]) -> Any:
    """The value with each computed number in it moved; heat maps too."""
    if is_dataclass(value) and not isinstance(value, type):
        kept = {"curve", "operating_point"}  # a card's and a setting's, not computed
        moved = {
            f.name: shaken(getattr(value, f.name), shake)
            for f in fields(value)
            if f.name not in kept
        }
        return replace(value, **moved)
    if isinstance(value, np.ndarray):
        return np.clip(value + np.float32(shake(0.0)), 0, 1).astype(np.float32)
    if isinstance(value, tuple):
        return tuple(shaken(part, shake) for part in value)
    return shake(value) if isinstance(value, float) else value


@settings(max_examples=40, deadline=None)
@given(
    outcome=st.sampled_from(["pairs", "systems", "marked", "one_view", "partial"]),
    noise=st.lists(st.floats(-1e-4, 1e-4), min_size=3, max_size=9),
)
def test_noise_in_the_last_digits_changes_no_fingerprint(outcome: str, noise: list[float]) -> None:
    exam = digital_exam()
    result = reading(exam, outcome)
    steps = iter(noise * 10_000)

    moved = shaken(result, lambda value: value + next(steps))

    assert fingerprint(moved) == fingerprint(result)
    assert uid(exam, moved) == uid(exam, result)
    if max(map(abs, noise)) > 1e-6:
        assert moved != result


def test_noise_changes_no_uid_of_any_kind_of_object() -> None:
    exam = digital_exam()
    result = reading(exam)

    assert every_uid(exam, shaken(result, lambda value: value + 1e-5)) == every_uid(exam, result)


def test_a_finding_at_the_edge_changes_the_uids_of_no_other_object() -> None:
    """Its objects are gone; those of the other findings and views are who they were."""
    exam = digital_exam()
    result = reading(exam, "findings")
    without = replace(result, findings=result.findings[1:])

    both, one = every_uid(exam, result), every_uid(exam, without)
    instances = {value for key, value in both.items() if "SOPInstance" in key}
    fewer = {value for key, value in one.items() if "SOPInstance" in key}

    assert fewer < instances
    assert len(instances - fewer) == 1  # the outlines of its view


COPIED = {
    "PatientName": "Other^Name",
    "PatientID": "OTHER",
    "PatientBirthDate": "19510101",
    "PatientSex": "O",
    "IssuerOfPatientID": "OTHER",
    "AccessionNumber": "OTHER",
    "StudyDate": "20200101",
    "StudyID": "OTHER",
    "StudyDescription": "other",
    "ReferringPhysicianName": "Other^Doctor",
    "SpecificCharacterSet": "ISO_IR 192",
}


@pytest.mark.parametrize("keyword", [*COPIED, "StationName"])
def test_an_attribute_of_the_source_changes_it(keyword: str) -> None:
    changed = digital_exam(**{keyword: COPIED.get(keyword, "OTHER")})

    assert uid(changed) != uid(digital_exam())


@pytest.mark.parametrize("keyword", COPIED)
def test_an_attribute_that_is_copied_counts_beside_the_content(keyword: str) -> None:
    exam = digital_exam()
    before = uid(exam)
    assert exam.reference is not None

    setattr(exam.reference, keyword, COPIED[keyword])  # the content was found before

    assert uid(exam) != before


def test_one_pixel_changes_every_uid(tmp_path: Path) -> None:
    files = write_exam(tmp_path)
    exam = exam_of(files)
    before = every_uid(exam, reading(exam, "findings"))
    ds = pydicom.dcmread(files[2])
    pixels = bytearray(ds.PixelData)
    pixels[len(pixels) // 2] ^= 1
    ds.PixelData = bytes(pixels)
    ds.save_as(files[2], enforce_file_format=True)

    changed = exam_of(files)
    after = every_uid(changed, reading(changed, "findings"))

    assert before.keys() == after.keys()
    ours = {IMPLEMENTATION_CLASS_UID, OFFLINE_OBSERVER_UID}
    assert set(before.values()) & set(after.values()) <= ours


def with_region(exam: Exam, box: Box) -> Exam:
    region = PersonRegion(exam.mammograms[0].sop_instance_uid, box, (), RoiReference("", ""))
    return replace(exam, regions=(region,))


def test_a_region_that_a_person_marked_changes_it() -> None:
    exam = digital_exam()
    marked = [exam, with_region(exam, Box(1, 2, 3, 4)), with_region(exam, Box(1, 2, 3, 5))]

    assert len({uid(one) for one in marked}) == 3


ENDINGS: dict[str, Callable[[ExamResult], ExamResult]] = {
    "what it was read with": lambda r: replace(r, read_with="cd" * 32),
    "a scorer's weights": lambda r: replace(
        r, models=(replace(r.models[0], sha256="ef" * 32), *r.models[1:])
    ),
    "a scorer's curve": lambda r: replace(
        r, models=(replace(r.models[0], curve=CURVE), *r.models[1:])
    ),
    "the operating point": lambda r: replace(r, operating_point=0.25),
    "a view skipped": lambda r: replace(r, views=r.views[:-1], heat_maps=r.heat_maps[:-1]),
    "the reason of a skip": lambda r: replace(
        r, skipped=(replace(r.skipped[0], reason=SkipReason.IMPLANT),)
    ),
    "a system failed": lambda r: replace(
        r, systems=(replace(r.systems[0], failed=True), *r.systems[1:])
    ),
    "a system inactive": lambda r: replace(
        r, systems=(replace(r.systems[0], active=False), *r.systems[1:])
    ),
    "why it is in part": lambda r: replace(
        r, systems=(replace(r.systems[0], reason="1 of 5"), *r.systems[1:])
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_how_the_reading_ended_changes_it(ending: str) -> None:
    exam = digital_exam()
    result = reading(exam, "systems", skipped=result_of(exam, "partial").skipped)

    assert uid(exam, ENDINGS[ending](result)) != uid(exam, result)


@pytest.mark.parametrize(
    "option", [{"disclaimer": "other"}, {"longest_side": 640}, {"observer_uid": "2.25.1"}], ids=str
)
def test_an_option_of_the_report_changes_it(option: dict[str, Any]) -> None:
    assert uid(digital_exam(), **option) != uid(digital_exam())


def test_another_version_of_this_software_makes_other_uids(monkeypatch: pytest.MonkeyPatch) -> None:
    before = uid(digital_exam())

    monkeypatch.setattr(edition, "__version__", "99.0.0")

    assert uid(digital_exam()) != before


def test_the_size_of_small_heat_maps_changes_theirs_alone() -> None:
    exam = digital_exam()
    one, other = (every_uid(exam, reading(exam), small_side=side) for side in (64, 80))

    changed = {key for key in one if one[key] != other[key]}

    assert len(changed) == 2 * 4


def reads(**changes: Any) -> Readers:
    """Readers of one view model whose card and chosen point are these."""

    class Model:
        card = model_cases.card().model_copy(update=changes)
        operating_point = card.roc.at("youden")

    model: Any = Model()
    return Readers(views=(model,))


CARDS = {
    "version": "0.0.2",
    "weights_sha256": "1" * 64,
    "calibration": model_cases.card().calibration.model_copy(update={"slope": 1.5}),
    "limits": ("none",),
    "command": "other",
}


@pytest.mark.parametrize("field", CARDS)
def test_a_card_changes_what_it_was_read_with(field: str) -> None:
    assert reads(**{field: CARDS[field]}).digest(Choices()) != reads().digest(Choices())


@pytest.mark.parametrize(
    "choices",
    [Choices(flips=True), Choices(most_regions=3), Choices(counts=(System.WANG2016,))],
    ids=["flips", "most_regions", "counts"],
)
def test_a_choice_of_the_settings_changes_what_it_was_read_with(choices: Choices) -> None:
    assert reads().digest(choices) != reads().digest(Choices())
    assert reads().digest(choices) == reads().digest(replace(choices))


def test_the_chosen_operating_point_changes_what_it_was_read_with() -> None:
    strict = reads()
    strict.views[0].operating_point = model_cases.card().roc.at("specificity=1")

    assert strict.digest(Choices()) != reads().digest(Choices())


def test_the_order_in_which_models_are_found_does_not_matter() -> None:
    one, other = reads().views[0], reads(version="0.0.2").views[0]

    assert Readers((one, other)).digest(Choices()) == Readers((other, one)).digest(Choices())


def test_a_corrected_patient_has_other_objects_which_name_those_they_replace() -> None:
    exam, corrected = digital_exam(), digital_exam(PatientName="Right^Name", PatientID="RIGHT")
    options: dict[str, Any] = {"kinds": STRUCTURED}
    old = make_objects(exam, reading(exam), partial(image_of, exam), MADE_AT, **options)
    of_kind = {
        k: [ds] for k, ds in zip([k for k in ObjectKind if k in STRUCTURED], old, strict=True)
    }

    new = make_objects(
        corrected, reading(corrected), partial(image_of, corrected), MADE_AT,
        predecessors=of_kind, **options,
    )  # fmt: skip

    for before, after in zip(old, new, strict=True):
        (study,) = after.PredecessorDocumentsSequence
        (named,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
        assert named.ReferencedSOPInstanceUID == before.SOPInstanceUID
        assert after.SOPInstanceUID != before.SOPInstanceUID
        assert after.SeriesInstanceUID != before.SeriesInstanceUID


def test_every_object_states_the_digest_of_its_input(tmp_path: Path) -> None:
    write_exam(tmp_path)
    write(view_dataset(seed=3, intent="FOR PROCESSING"), tmp_path / "raw.dcm")
    exam = exam_of([tmp_path])
    objects: list[Dataset] = make_objects(
        exam, reading(exam, "findings"), partial(image_of, exam), MADE_AT,
        kinds=frozenset(ObjectKind), longest_side=96, small_side=64, pdf=lambda: PDF,
    )  # fmt: skip

    assert len(exam.files) == 5
    assert {stated_input(ds) for ds in objects} == {exam.content}
