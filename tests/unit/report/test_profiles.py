"""Which objects a destination gets."""

from functools import partial
from pathlib import Path
from typing import Any

import pydicom
import pytest

from cadnode.deliver.folder import deliver
from cadnode.domain import Profile
from cadnode.errors import SettingsError
from cadnode.node.destination_profiles import profiles_of
from cadnode.node.outputs import write_outputs
from cadnode.node.worker_steps import WorkerSteps
from cadnode.report.objects import make_objects, write_objects
from cadnode.report.profiles import ObjectKind, chosen, is_ours, kind_of, kinds_of
from cadnode.settings import Destination, ReportSection, Settings, example, load
from tests.cad_cases import cad_result
from tests.report_cases import MADE_AT, digital_exam, image_of

MAPS = {"heatmap-1-RCC", "heatmap-2-LCC", "heatmap-3-RMLO", "heatmap-4-LMLO"}
SMALL_MAPS = {f"small-{name}" for name in MAPS}
SEGMENTATIONS = {"segmentation-1", "segmentation-2"}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every file that a reading with two clusters can have."""
    exam = digital_exam()
    objects = make_objects(
        exam,
        cad_result(exam, "pairs"),
        partial(image_of, exam),
        MADE_AT,
        longest_side=64,
        small_side=32,
        kinds=kinds_of([Profile.ALL]),
        pdf=lambda: b"%PDF-1.7",
    )
    return write_objects(objects, tmp_path_factory.mktemp("objects"))


@pytest.mark.parametrize(
    ("profile", "files"),
    [
        (Profile.STANDARD, {"sr", *MAPS}),
        (Profile.TID1500, {"sr"}),
        (Profile.CAD_SR, {"cad-sr"}),
        (Profile.CAPTURES, MAPS),
        (Profile.SMALL_CAPTURES, SMALL_MAPS),
        (Profile.PDF, {"report-pdf"}),
        (Profile.FHIR, set()),
        (Profile.OHIF, {"region-sr", *MAPS, *SEGMENTATIONS}),
        (Profile.IHE_AI_RESULTS, {"ai-results-sr", "key-objects", *SEGMENTATIONS}),
    ],
)
def test_a_profile_has_its_files_and_no_others(
    everything: list[Path], profile: Profile, files: set[str]
) -> None:
    assert {path.stem for path in chosen(everything, profile)} == files


def test_all_has_every_kind_and_every_kind_has_files_of_its_own(everything: list[Path]) -> None:
    assert chosen(everything, Profile.ALL) == everything
    assert {kind_of(path) for path in everything} == set(ObjectKind)
    assert len({path.name for path in everything}) == len(everything)


def test_every_kind_lies_in_series_of_its_own(everything: list[Path]) -> None:
    series: dict[str, set[ObjectKind | None]] = {}
    for path in everything:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        series.setdefault(str(header.SeriesInstanceUID), set()).add(kind_of(path))

    assert all(len(kinds) == 1 for kinds in series.values())


def test_files_that_are_no_objects_are_of_no_kind() -> None:
    assert kind_of(Path("result.json")) is None
    assert kind_of(Path("maps.npz")) is None
    assert kind_of(Path("srx.dcm")) is None


def test_an_exam_that_was_not_read_has_reports_alone() -> None:
    exam = digital_exam()
    objects = make_objects(
        exam,
        cad_result(exam, "failed"),
        partial(image_of, exam),
        MADE_AT,
        kinds=kinds_of([Profile.ALL]),
    )

    assert {str(ds.SOPClassUID.name) for ds in objects} == {
        "Comprehensive SR Storage",
        "Mammography CAD SR Storage",
        "Comprehensive 3D SR Storage",
    }


def test_without_a_word_the_node_makes_what_it_always_made(tmp_path: Path) -> None:
    exam = digital_exam()

    written = write_outputs(
        exam, cad_result(exam, "failed"), tmp_path, ReportSection(), made_at=MADE_AT
    )

    assert [path.name for path in written] == ["sr.dcm"]


def test_a_second_reading_names_the_cad_report_of_the_first(tmp_path: Path) -> None:
    exam, report = digital_exam(), ReportSection(profile=Profile.CAD_SR)
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()

    (old,) = write_outputs(exam, cad_result(exam, "failed"), first, report, made_at=MADE_AT)
    (new,) = write_outputs(
        exam,
        cad_result(exam, "nothing_tried"),
        second,
        report,
        made_at=MADE_AT,
        predecessors=[first],
    )

    (named,) = pydicom.dcmread(new).PredecessorDocumentsSequence
    instance = named.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert instance.ReferencedSOPInstanceUID == pydicom.dcmread(old).SOPInstanceUID


def folder_destination(tmp_path: Path, name: str, profile: Profile | None = None) -> Destination:
    return Destination(name=name, kind="folder", folder=tmp_path / name, profile=profile)


def test_destinations_without_a_profile_have_the_reports(tmp_path: Path) -> None:
    plain = folder_destination(tmp_path, "plain")
    own = folder_destination(tmp_path, "own", Profile.CAD_SR)
    report = ReportSection(profile=Profile.TID1500)

    assert profiles_of(Settings(report=report)) == (Profile.TID1500,)
    assert profiles_of(Settings(report=report, destinations=(plain, own))) == (
        Profile.TID1500,
        Profile.CAD_SR,
    )
    assert profiles_of(Settings(report=report, destinations=(own,))) == (Profile.CAD_SR,)


def test_each_destination_gets_its_own_objects(tmp_path: Path) -> None:
    made = tmp_path / "data" / "results" / "study" / "content"
    made.mkdir(parents=True)
    for name in ("sr.dcm", "cad-sr.dcm", "heatmap-1-RCC.dcm", "region-sr.dcm"):
        (made / name).write_bytes(b"x")
    values: Any = {
        "storage": {"folder": tmp_path / "data"},
        "destinations": (
            folder_destination(tmp_path, "workstation", Profile.CAD_SR),
            folder_destination(tmp_path, "archive"),
        ),
    }
    nobody: Any = None  # neither spool nor models take part in a delivery
    worker = WorkerSteps(Settings(**values), nobody, nobody)

    names = ("workstation", "archive")
    said = [worker.deliver("study", "content", name) for name in names]

    got = {name: {p.name for p in (tmp_path / name / "study").iterdir()} for name in names}
    assert said == ["delivered", "delivered"]
    assert got == {
        "workstation": {"cad-sr.dcm"},
        "archive": {"sr.dcm", "heatmap-1-RCC.dcm"},
    }


def test_a_folder_loses_what_the_new_reading_no_longer_has_and_nothing_else(
    tmp_path: Path,
) -> None:
    before, after, out = (tmp_path / name for name in ("before", "after", "out"))
    for folder, names in ((before, ("sr.dcm", "outlines-2.dcm")), (after, ("sr.dcm",))):
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(folder.name.encode())
    deliver(sorted(before.iterdir()), out, is_ours)
    (out / "radiologist.dcm").write_bytes(b"not ours")

    deliver(sorted(after.iterdir()), out, is_ours)

    assert {p.name: p.read_bytes() for p in out.iterdir()} == {
        "sr.dcm": b"after", "radiologist.dcm": b"not ours",
    }  # fmt: skip


def test_what_was_never_made_is_refused_and_not_called_delivered(tmp_path: Path) -> None:
    made = tmp_path / "data" / "results" / "study" / "content"
    made.mkdir(parents=True)
    (made / "sr.dcm").write_bytes(b"x")
    values: Any = {
        "storage": {"folder": tmp_path / "data"},
        "destinations": (folder_destination(tmp_path, "workstation", Profile.CAD_SR),),
    }
    nobody: Any = None
    worker = WorkerSteps(Settings(**values), nobody, nobody)

    assert worker.deliver("study", "content", "workstation") == "refused"


def test_an_unknown_profile_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    file = tmp_path / "cadnode.toml"
    file.write_text('[report]\nprofile = "hologic"\n')

    with pytest.raises(SettingsError, match=r"report\.profile: .*'cad-sr'"):
        load(file)


def test_the_example_says_which_profiles_there_are() -> None:
    assert '# profile = "standard"' in example()
    assert all(profile.value in example() for profile in Profile)
