"""The order of findings: what a reader must see first comes first."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

from cadnode.domain import (
    Assessment,
    Box,
    Finding,
    FindingKind,
    ModelUse,
    RoiReference,
    System,
    TrainingMaterial,
)
from cadnode.reading.exam import in_reading_order
from cadnode.reading.readers import Readers

TRAINED_ON = {
    "view": (TrainingMaterial.DIGITAL,),
    "a": (TrainingMaterial.PHANTOMS,),
    "b": (TrainingMaterial.PHANTOMS,),
    "unknown": (),
}


class Named(Readers):
    """Readers that know what the models of these tests learnt from."""

    def __iter__(self) -> Iterator[object]:  # type: ignore[override]
        return iter(())

    def use(self, name: str) -> ModelUse | None:
        if name not in TRAINED_ON:
            return None
        return ModelUse(name, "1.0.0", "0" * 64, trained_on=TRAINED_ON[name])


def view(probability: float, *, suspicious: bool) -> Assessment:
    return Assessment(System.KIM2018, "view", probability, suspicious)


def ensemble(probability: float, *, suspicious: bool) -> Assessment:
    members = (("a", probability), ("b", probability))
    return Assessment(System.KANG2021, "kang2021", probability, suspicious, members)


def finding(*told: Assessment, **more: object) -> Finding:
    values = {"probability": told[0].probability, "algorithm": told[0].algorithm, **more}
    return Finding(
        "1.2",
        Box(0, 0, 9, 9),
        (),
        FindingKind.MASS,
        assessments=told,
        **values,  # type: ignore[arg-type]
    )


ORDER = [
    finding(view(0.9, suspicious=True)),
    finding(view(0.6, suspicious=True), ensemble(0.99, suspicious=True), probability=0.99),
    finding(view(0.5, suspicious=True), marked_by=RoiReference("1", "2")),
    finding(ensemble(0.1, suspicious=False), marked_by=RoiReference("1", "2")),
    finding(ensemble(0.95, suspicious=True), marked_by=RoiReference("1", "3", by_person=False)),
    finding(view(0.3, suspicious=False), ensemble(0.97, suspicious=True)),
    finding(ensemble(0.99, suspicious=True)),
    finding(view(0.4, suspicious=False)),
    finding(view(0.2, suspicious=False), certainty=0.9),
    finding(view(0.2, suspicious=False), certainty=0.1),
]


def test_what_must_be_seen_first_comes_first_whatever_the_order_of_detection() -> None:
    for start in permutations(range(3)):
        mixed = [f for n in start for f in ORDER[n::3]]

        assert in_reading_order(mixed, Named()) == ORDER


def test_unknown_training_is_not_taken_for_phantoms() -> None:
    unknown = finding(Assessment(System.WANG2016, "unknown", 0.5, True))
    drawn = ORDER[3]

    assert in_reading_order([drawn, unknown], Named()) == [unknown, drawn]


def test_equal_findings_stay_as_they_were() -> None:
    first, second = (replace(ORDER[0], sop_instance_uid=uid) for uid in ("1.1", "1.2"))

    assert in_reading_order([first, second], Named()) == [first, second]
    assert in_reading_order([second, first], Named()) == [second, first]
