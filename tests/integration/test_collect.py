"""`cadnode data collect` against a real Orthanc: by its own interface, by DICOMweb, by C-MOVE."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.errors import DataError
from cadnode.exam.read import read_instance
from cadnode.imaging import pixels
from cadnode.node.cohort import collecting, exams
from cadnode_training.data.contents import content_hashes, require_unchanged
from cadnode_training.data.manifest_file import read_manifest
from tests.integration.http_peers import web_orthanc
from tests.peers import Orthanc, free_port
from tests.synthetic import MARK, uid, view_dataset, write

Shown = dict[str, Any]
SIZE = {"rows": 256, "columns": 256}
TITLE = "COLLECTOR"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Orthanc]:
    """Six women with an exam each, of which one image must not go on; the last has an older one."""
    folder = tmp_path_factory.mktemp("archive")
    with web_orthanc(
        folder / "orthanc", modalities={"collector": (TITLE, port)},
        DicomAlwaysAllowFind=True, DicomAlwaysAllowMove=True,
    ) as peer:  # fmt: skip
        for number in range(6):
            for side in "LR":
                shows_her = "YES" if (number, side) == (0, "R") else "NO"
                image = view_dataset(
                    side, "CC", seed=number, PatientID=f"{MARK}-W{number}", **SIZE,
                    AccessionNumber=f"{MARK}-A{number}", StudyDate="20200102",
                    RecognizableVisualFeatures=shows_her, PatientBirthDate="19600601",
                )  # fmt: skip
                store(peer, image, folder)
        older = view_dataset(
            "L", "MLO", seed=99, PatientID=f"{MARK}-W5", StudyDate="20150102", **SIZE
        )
        store(peer, older, folder)
        yield peer


@pytest.fixture(scope="module")
def whole(archive: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Shown]:
    """A folder with a cohort by Orthanc's own interface, and what the run said."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, collected(web(archive), folder)


@pytest.fixture
def copied(whole: tuple[Path, Shown], tmp_path: Path) -> tuple[Path, Shown]:
    """The same in a folder of the test's own."""
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    return tmp_path, whole[1]


def store(peer: Orthanc, image: pydicom.Dataset, folder: Path) -> None:
    peer.post("/instances", write(image, folder / "sent.dcm").read_bytes())


def cases(folder: Path, *more: str) -> Path:
    """Outcomes: even women malignant on the left, odd ones normal on both sides."""
    lines = ["patient_id,accession_number,name,laterality,outcome,outcome_date"]
    for number in range(6):
        side, outcome = ("", "normal") if number % 2 else ("L", "malignant")
        accession = f"{MARK}-A{number}" if number < 4 else ""
        lines.append(f"{MARK}-W{number},{accession},{MARK}NAME,{side},{outcome},2020-03-01")
    lines.append(f"{MARK}-W0,,,R,benign,2020-03-01")
    path = folder / "cases.csv"
    path.write_text("\n".join([*lines, *more]) + "\n")
    return path


def run(*words: object) -> Any:
    given = ["data", "collect", *map(str, words)]
    return CliRunner().invoke(app, given, env={"COLUMNS": "200", "TERM": "dumb"})


def collected(source: str, folder: Path, *words: object) -> dict[str, Any]:
    """What a run says; a person's mark is nowhere in it."""
    if not (folder / "cases.csv").exists():
        cases(folder)
    found = run(
        "--from", source, "--cases", folder / "cases.csv", "--out", folder / "cohort",
        "--key", key(folder), "--json", *words,
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert MARK not in found.output
    return json.loads(found.stdout)  # type: ignore[no-any-return]


def key(folder: Path) -> Path:
    """The same key for all tests."""
    path = folder / "test.key"
    if not path.exists():
        path.write_text("ab" * 32)
        path.chmod(0o600)
    return path


def web(archive: Orthanc, kind: str = "orthanc") -> str:
    root = "" if kind == "orthanc" else "/dicom-web"
    return f"{kind}:http://127.0.0.1:{archive.http_port}{root}"


def test_three_ways_to_the_archive_give_the_same_cohort(
    archive: Orthanc, whole: tuple[Path, Shown], tmp_path: Path, port: int
) -> None:
    by_move = f"{archive.aet}@127.0.0.1:{archive.dicom_port}"
    cases(
        tmp_path,
        f"{MARK}-NOBODY,,,L,malignant,2020-03-01", f"{MARK}-W1,,,L,,2020-03-01",
        f"{MARK}-W1,,,inside,benign,2020-03-01", f"{MARK}-W1,{MARK}-A2,,L,benign,2020-03-01",
    )  # fmt: skip
    (tmp_path / "web").mkdir()
    shown = collected(by_move, tmp_path, "--ae-title", TITLE, "--port", port)
    by_web = collected(web(archive, "dicomweb"), tmp_path / "web")

    assert shown["content_sha256"] == by_web["content_sha256"] == whole[1]["content_sha256"]
    assert not (tmp_path / "cohort.incoming").exists()
    assert (shown["women"], shown["exams"], shown["images"]) == (6, 6, 9)
    assert shown["outcomes"] == {"malignant": 3, "normal": 6}
    assert shown["lines_left_out"] == {
        "no_image_of_the_breast": [8], "nothing_under_this_identifier": [9], "no_outcome": [10],
        "laterality_not_understood": [11], "another_patient": [12],
    }  # fmt: skip
    assert shown["images_left_out"] == {"breast_without_outcome": 2, "burned_in_annotation": 1}
    assert {part: row["women"] for part, row in shown["by_split"].items()} == {
        "train": 4, "validation": 1, "test": 1,
    }  # fmt: skip


def test_no_file_of_the_cohort_names_a_patient_and_every_picture_is_hers(
    whole: tuple[Path, Shown], tmp_path: Path
) -> None:
    cohort, shown = whole[0] / "cohort", whole[1]

    files = [path for path in cohort.rglob("*") if path.is_file()]
    assert [path for path in files if MARK.encode() in path.read_bytes()] == []
    assert [path for path in files if b"20200102" in path.read_bytes()] == []
    assert MARK not in "".join(map(str, files))
    rows = read_manifest(cohort / "manifest.csv").rows
    assert {row.age for row in rows} == {59}
    assert {row.exam_date < "2020" for row in rows} == {True}
    sent = {
        (number, side): pixels.load(read_instance(write(
            view_dataset(side, "CC", seed=number, **SIZE), tmp_path / "given.dcm"
        )))
        for number in range(6) for side in "LR"
    }  # fmt: skip
    labels = []
    for row in rows:
        shows = pixels.load(read_instance(row.image))
        ((number, side),) = [who for who, image in sent.items() if np.array_equal(image, shows)]
        assert side == row.laterality
        labels.append(row.label == ("normal" if number % 2 else "malignant"))
    assert labels == [True] * 9
    sums = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=cohort, check=False)
    assert sums.returncode == 0
    data = (cohort / "SHA256SUMS").read_bytes()
    assert hashlib.sha256(data).hexdigest() == shown["content_sha256"]
    assert content_hashes([f"manifest:{cohort / 'manifest.csv'}"]) == (shown["content_sha256"],)


def test_a_run_that_was_broken_off_goes_on_and_ends_as_if_it_had_not_been(
    archive: Orthanc,
    whole: tuple[Path, Shown],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = 2

    def full(*given: object, **more: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        write_whole(*given, **more)  # type: ignore[arg-type]

    write_whole = exams.write_whole
    monkeypatch.setattr(exams, "write_whole", full)
    cases(tmp_path)
    broken = run(
        "--from", web(archive), "--cases", tmp_path / "cases.csv", "--out", tmp_path / "cohort",
        "--key", key(tmp_path),
    )  # fmt: skip
    assert broken.exit_code == 2
    assert "the disk is full" in broken.output
    assert not (tmp_path / "cohort.incoming").exists()
    monkeypatch.undo()
    left_by_kill = tmp_path / "cohort.incoming" / "studies" / "0" / f"{MARK}.dcm"
    left_by_kill.parent.mkdir(parents=True)
    left_by_kill.write_bytes(b"an image with its identity")

    shown = collected(web(archive), tmp_path)

    assert shown["exams_fetched"] == 4
    assert shown["content_sha256"] == whole[1]["content_sha256"]
    assert not (tmp_path / "cohort.incoming").exists()


def test_a_woman_whose_lines_are_gone_goes_from_the_cohort(
    archive: Orthanc, copied: tuple[Path, Shown]
) -> None:
    tmp_path, before = copied
    lines = cases(tmp_path).read_text().splitlines()
    kept = [line for line in lines if f"{MARK}-W3" not in line]
    (tmp_path / "cases.csv").write_text("\n".join(kept) + "\n")

    after = collected(web(archive), tmp_path)

    assert (after["women"], after["exams_removed"], after["exams_fetched"]) == (5, 1, 0)
    assert after["content_sha256"] != before["content_sha256"]
    assert len(list((tmp_path / "cohort" / "images").glob("*/*/*.dcm"))) == 7


def test_a_run_that_finds_nothing_says_why_and_leaves_no_manifest(
    archive: Orthanc, copied: tuple[Path, Shown]
) -> None:
    tmp_path = copied[0]
    line = "patient_id,laterality,outcome,outcome_date\nNOBODY,L,malignant,2020-03-01\n"
    (tmp_path / "cases.csv").write_text(line)

    found = run(
        "--from", web(archive), "--cases", tmp_path / "cases.csv", "--out", tmp_path / "cohort",
        "--key", key(tmp_path), "--json",
    )  # fmt: skip

    assert found.exit_code == 2
    assert json.loads(found.stdout)["lines_left_out"] == {"nothing_under_this_identifier": [2]}
    left = [path.name for path in (tmp_path / "cohort").rglob("*") if path.is_file()]
    assert left == ["collected.json"]


def test_an_archive_that_is_away_or_refuses_ends_the_run_and_says_why(
    archive: Orthanc, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "_PAUSE_S", 0.0)
    common = ("--cases", cases(tmp_path), "--out", tmp_path / "cohort", "--key", key(tmp_path))

    away = run("--from", f"orthanc:http://127.0.0.1:{free_port()}", *common)
    assert away.exit_code == 1
    assert "run it again" in away.output
    unknown = run(
        "--from", f"{archive.aet}@127.0.0.1:{archive.dicom_port}", "--ae-title", "STRANGER",
        "--port", port, *common,
    )  # fmt: skip
    assert unknown.exit_code == 1
    assert "C-MOVE" in unknown.output
    assert MARK not in away.output + unknown.output
    assert list((tmp_path / "cohort").glob("images/*")) == []


def test_a_dry_run_counts_and_writes_nothing(archive: Orthanc, tmp_path: Path) -> None:
    shown = collected(web(archive), tmp_path, "--dry-run", "--limit", "4")

    assert (shown["exams"], shown["images"], shown["beyond_limit"]) == (4, 8, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases.csv", "test.key"]
    config = tmp_path / "node.toml"
    url = web(archive).partition(":")[2]
    config.write_text(f'[[sources]]\nname = "pacs"\nkind = "orthanc"\nurl = "{url}"\n')
    longer = collected("pacs", tmp_path, "--config", config, "--dry-run", "--window", "2000")
    assert longer["exams"] == 7


def test_a_key_in_the_cohort_and_a_folder_of_another_key_are_refused(
    archive: Orthanc, copied: tuple[Path, Shown]
) -> None:
    tmp_path = copied[0]
    common = (
        "--from",
        web(archive),
        "--cases",
        tmp_path / "cases.csv",
        "--out",
        tmp_path / "cohort",
    )

    inside = run(*common, "--key", tmp_path / "cohort" / "k")
    other = run(*common, "--key", tmp_path / "other.key")

    assert (inside.exit_code, other.exit_code) == (2, 2)
    assert "would get the key" in inside.output
    assert "another key" in other.output
    assert run(*common, "--key", key(tmp_path), "--name", "cbis-ddsm").exit_code == 2


def test_a_cohort_whose_files_were_changed_is_not_trained_on(
    copied: tuple[Path, Shown],
) -> None:
    tmp_path = copied[0]
    data = f"target=manifest:{tmp_path / 'cohort' / 'manifest.csv'}"
    require_unchanged([data])
    image = next((tmp_path / "cohort").rglob("*.dcm"))
    image.write_bytes(image.read_bytes() + b"\0")

    with pytest.raises(DataError, match="1 of the 10 files"):
        require_unchanged([data])
    assert uid("study", 0) not in image.read_bytes().decode("latin-1")
