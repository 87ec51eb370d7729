"""What is taken into a cohort: the awaited study of the case's woman, and nothing of others."""

from pathlib import Path

import pytest

from cadnode.errors import DataError
from cadnode.node.cohort import intake
from cadnode.node.cohort.cases import Case, NotCollected, read_cases
from cadnode.node.cohort.exams import CollectedExam, collect_exam, record_of
from cadnode.node.cohort.intake import AwaitedStudies, OwnListener
from cadnode.receive.identity import InstanceIdentity
from cadnode.report.pseudonyms.key import PseudonymKey
from cadnode.settings import Settings, Source
from tests.synthetic import MARK, view_dataset, write

KEY = PseudonymKey(b"k" * 32)
STUDY = "1.2.3"


def case(**change: str) -> Case:
    row = {"laterality": "L", "outcome": "benign", "outcome_date": "2020-02-01"}
    (found,), _ = read_cases([{**row, "study_instance_uid": STUDY, **change}], "cases.csv")
    return found


def image(folder: Path, name: str, **values: object) -> Path:
    ds = view_dataset(study_uid=STUDY, rows=256, columns=256, **values)  # type: ignore[arg-type]
    return write(ds, folder / f"{name}.dcm")


def test_a_study_that_is_not_awaited_is_refused_so_that_its_sender_keeps_it(
    tmp_path: Path,
) -> None:
    spool = AwaitedStudies(tmp_path)
    for study, is_taken in (("1.2.9", False), (STUDY, True)):
        incoming = spool.open()
        incoming.write(b"data set")
        identity = InstanceIdentity("1.1", f"{study}.1", study)
        with spool.awaiting(STUDY):
            if is_taken:
                spool.publish(incoming, identity)
                continue
            with pytest.raises(PermissionError):
                spool.publish(incoming, identity)

    assert len(spool.studies()) == 1
    assert list((tmp_path / "incoming").iterdir()) == []


def test_two_runs_into_one_folder_are_one_too_many(tmp_path: Path) -> None:
    source = Source(name="web", kind="orthanc", url="http://127.0.0.1:1")
    out = tmp_path / "cohort"
    with intake.opened(source, Settings(), OwnListener(), out):
        assert (tmp_path / "cohort.incoming").stat().st_mode & 0o777 == 0o700
        with (
            pytest.raises(DataError, match="another run"),
            intake.opened(source, Settings(), OwnListener(), out),
        ):
            pass

    assert list(tmp_path.iterdir()) == []


def test_of_a_study_with_two_patients_only_the_named_one_is_taken(tmp_path: Path) -> None:
    files = [
        image(tmp_path, "hers", PatientID=f"{MARK}-1"),
        image(tmp_path, "other", view="MLO", PatientID=f"{MARK}-2", PatientName="OTHER"),
    ]

    hers = collect_exam(files, [case(patient_id=f"{MARK}-1")], KEY, tmp_path / "out")
    unnamed = collect_exam(files, [case()], KEY, tmp_path / "no")
    nobody = collect_exam(files, [case(patient_id=f"{MARK}-3")], KEY, tmp_path / "no")

    assert isinstance(hers, CollectedExam)
    assert [one.view for one in hers.images] == ["CC"]
    assert (unnamed, nobody) == (NotCollected.SEVERAL_PATIENTS, NotCollected.ANOTHER_PATIENT)
    assert not (tmp_path / "no").exists()


def test_an_exam_with_another_accession_number_is_not_the_one_that_was_asked_for(
    tmp_path: Path,
) -> None:
    asked = case(study_instance_uid="", accession_number=f"{MARK}-ACC-0002")

    assert collect_exam([image(tmp_path, "a")], [asked], KEY, tmp_path / "out") is (
        NotCollected.ANOTHER_PATIENT
    )


def test_a_record_counts_while_its_files_are_whole_and_of_the_breasts_asked_for(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    made = collect_exam([image(tmp_path, "a")], [case()], KEY, out)
    assert isinstance(made, CollectedExam)

    assert record_of(made.exam, ["L"], out) == made
    assert record_of(made.exam, ["L", "R"], out) is None
    file = out / made.images[0].file
    file.write_bytes(file.read_bytes()[:-1])
    assert record_of(made.exam, ["L"], out) is None
