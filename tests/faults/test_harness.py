"""What the soak rests on: each of its properties is violated by a ledger that violates it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.faults import soak
from tests.faults.harness import properties
from tests.faults.harness.growth import common_slope
from tests.faults.harness.ledger import Answer, Arrived
from tests.faults.harness.properties import Findings
from tests.faults.harness.studies import SentStudy, make_studies

REPORT, MAP = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7"


def arrived(study: SentStudy, kind: str, uid: str, act: int = 0, **changed: object) -> Arrived:
    images = tuple(sorted(f.sop_instance_uid for f in study.acts[act]))
    one = Arrived(
        uid, kind, study.study_instance_uid, study.patient_id, study.acts[act][0].accession,
        f"bytes of {uid}", 0, True, 0.0, images, (study.study_instance_uid, *images),
    )  # fmt: skip
    return replace(one, **changed)  # type: ignore[arg-type]


@pytest.fixture
def studies(tmp_path: Path) -> list[SentStudy]:
    return make_studies(tmp_path / "in", 3, 1, ["plain", "corrected", "plain"])


def everything(studies: Sequence[SentStudy]) -> list[Arrived]:
    return [
        arrived(study, kind, f"{study.number}.{kind}.{act}", act)
        for study in studies
        for act in range(len(study.acts))
        for kind in (REPORT, MAP)
    ]


def found(
    studies: Sequence[SentStudy], objects: Sequence[Arrived], storage: Path,
    taken: Sequence[Answer] = (),
) -> Findings:  # fmt: skip
    return properties.check(studies, taken, objects, storage)


def test_a_run_without_fault_has_no_defect(studies: list[SentStudy], tmp_path: Path) -> None:
    taken = [Answer(f.sop_instance_uid, f.digest, 0, 0.0) for s in studies for f in s.files]
    assert found(studies, everything(studies), tmp_path, taken).defects == []


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("doubled", {"sop_instance_uid": "9"}),
        ("rewritten", {"digest": "other bytes"}),
        ("mixed", {"patient_id": "somebody else"}),
        ("mixed", {"study_instance_uid": "9"}),
        ("not_parsed", {"problem": "InvalidDicomError"}),
    ],
)
@pytest.mark.parametrize("kind", [REPORT, MAP])
def test_each_property_is_violated_by_one_object_that_violates_it(
    studies: list[SentStudy], tmp_path: Path, name: str, changed: dict[str, str], kind: str
) -> None:
    objects = everything(studies)
    odd = replace(next(o for o in objects if o.sop_class_uid == kind), **changed)
    assert name in dict(found(studies, [*objects, odd], tmp_path).defects)


def test_an_object_that_names_another_study_is_mixed_up(
    studies: list[SentStudy], tmp_path: Path
) -> None:
    objects = everything(studies)
    objects[0] = replace(objects[0], uids=(studies[2].study_instance_uid,))
    assert [name for name, _ in found(studies, objects, tmp_path).defects] == ["mixed"]


def test_a_file_that_was_answered_and_is_nowhere_is_lost(
    studies: list[SentStudy], tmp_path: Path
) -> None:
    file = studies[0].acts[0][0]
    taken = [Answer(file.sop_instance_uid, file.digest, 0, 0.0)]
    assert dict(found(studies, [], tmp_path, taken).defects) == {"lost": "1: ['study 0']"}
    place = tmp_path / "spool" / "studies" / "key" / "name.dcm"
    place.parent.mkdir(parents=True)
    place.write_bytes(file.path.read_bytes())
    assert found(studies, [], tmp_path, taken).defects == []
    place.write_bytes(file.path.read_bytes()[:-100])
    assert set(dict(found(studies, [], tmp_path, taken).defects)) == {"lost", "torn"}


def test_a_result_of_an_older_content_is_not_the_expected_one(studies: list[SentStudy]) -> None:
    corrected = studies[1]
    first = [o for o in everything(studies) if o.accession == corrected.acts[0][0].accession]
    assert not properties.has_result(corrected, properties.by_study(first))
    assert properties.has_result(corrected, properties.by_study(everything(studies)))


def test_the_same_seed_makes_the_same_studies(tmp_path: Path) -> None:
    one, other = (make_studies(tmp_path / name, 6, 5) for name in "ab")
    assert [f.digest for s in one for f in s.files] == [f.digest for s in other for f in s.files]


def test_an_interval_of_growth_across_restarts_holds_the_growth_as_often_as_it_says() -> None:
    times = np.arange(0.0, 3600.0, 10.0)
    n_held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        lives = [
            (times, level + 3.0 * times / 3600 + rng.normal(0, 0.2, times.size))
            for level in (100.0, 50.0)
        ]
        slope = common_slope(lives)
        assert slope is not None
        assert slope.high - slope.low < 0.5
        n_held += slope.low < 3.0 < slope.high
    assert n_held >= 88  # of 95 expected


def test_a_kind_of_fault_that_does_not_exist_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        soak.arguments(["--faults", "kill,earthquake"])
    assert "earthquake" in capsys.readouterr().err
