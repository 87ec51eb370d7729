"""Verdicts on the disk: in order, durable, rid of one patient, and as the command shows them."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cadnode import log
from cadnode.cli.app import app
from cadnode.domain import Box
from cadnode.log import hashed
from cadnode.node import reader_verdicts
from cadnode.node.reader_verdicts import VerdictStore
from cadnode.web.deliveries import OrderRefused
from cadnode.web.node import Unavailable
from cadnode.web.reader_verdicts import MOST_WORDS, ReaderVerdict, VerdictWord

UID = "1.2.77"
KEY = hashed(UID)
SAID = ReaderVerdict(
    VerdictWord.ACCEPTED, 1_772_600_000.25, "vera", "content", 1, 2, hashed("1.2.77.1"),
    Box(10, 20, 30, 40), "mass", 0.5, "kim2018",
)  # fmt: skip
OTHER = replace(SAID, word=VerdictWord.REJECTED, image=hashed("1.2.77.2"), by="=otto", at=2e9)


@pytest.fixture
def store(tmp_path: Path) -> VerdictStore:
    (tmp_path / "results" / KEY / "content").mkdir(parents=True)
    return VerdictStore(tmp_path)


def test_what_was_said_comes_back_in_order(store: VerdictStore) -> None:
    for one in (SAID, OTHER):
        store.add(UID, one)
    assert list(store.of_study(KEY)) == [SAID, OTHER]
    assert store.studies() == [KEY]


def test_who_is_no_person_stays_none_and_is_known_in_lines_of_before_by_the_name(
    store: VerdictStore, tmp_path: Path
) -> None:
    program, somebody = replace(SAID, by="ris", is_person=False), replace(SAID, by="local")
    for one in (program, SAID, somebody):
        store.add(UID, one)
    assert list(store.of_study(KEY)) == [program, SAID, somebody]
    file = tmp_path / "verdicts" / f"{KEY}.jsonl"
    lines = [json.loads(line) for line in file.read_bytes().splitlines() if line]
    for line in lines:
        del line["is_person"]
    file.write_text("\n".join(map(json.dumps, lines)))
    assert [one.is_person for one in store.of_study(KEY)] == [True, True, False]


def test_a_line_that_a_crash_cut_is_ignored_and_hides_no_other(
    store: VerdictStore, tmp_path: Path
) -> None:
    store.add(UID, SAID)
    file = tmp_path / "verdicts" / f"{KEY}.jsonl"
    with file.open("ab") as end:
        end.write(b'{"verdict": "acc\0\0')
    store.add(UID, OTHER)
    assert list(store.of_study(UID)) == [SAID, OTHER]
    assert file.stat().st_mode & 0o007 == 0


def test_nothing_is_said_of_a_result_that_is_not_here(store: VerdictStore, tmp_path: Path) -> None:
    with pytest.raises(OrderRefused, match="not here any more"):
        store.add(UID, replace(SAID, content="gone"))
    with pytest.raises(OrderRefused):
        store.add("1.2.78", SAID)
    assert not (tmp_path / "verdicts").exists()


def test_a_study_takes_no_endless_verdicts(store: VerdictStore, tmp_path: Path) -> None:
    store.add(UID, SAID)
    file = tmp_path / "verdicts" / f"{KEY}.jsonl"
    file.write_bytes(file.read_bytes() * MOST_WORDS)
    with pytest.raises(OrderRefused, match=str(MOST_WORDS)):
        store.add(UID, OTHER)


def test_a_disk_that_takes_nothing_is_told(store: VerdictStore, tmp_path: Path) -> None:
    (tmp_path / "verdicts").write_text("in the way")
    with pytest.raises(Unavailable):
        store.add(UID, SAID)


def test_one_patients_images_are_taken_out(store: VerdictStore, tmp_path: Path) -> None:
    for one in (SAID, OTHER):
        store.add(UID, one)
    reader_verdicts.strip(tmp_path, KEY, {SAID.image})
    assert list(store.of_study(UID)) == [OTHER]
    reader_verdicts.strip(tmp_path, KEY, {OTHER.image})
    assert not (tmp_path / "verdicts" / f"{KEY}.jsonl").exists()
    reader_verdicts.strip(tmp_path, KEY, {OTHER.image})


def run(tmp_path: Path, *words: str) -> Result:
    log.configure("WARNING")
    config = tmp_path / "cadnode.toml"
    config.write_text(f'[storage]\nfolder = "{tmp_path}"\n')
    return CliRunner().invoke(app, ["studies", "verdicts", *words, "--config", str(config)])


def test_the_command_exports_them_for_people_programs_and_spreadsheets(
    store: VerdictStore, tmp_path: Path
) -> None:
    for one in (SAID, replace(SAID, word=VerdictWord.REJECTED), OTHER):
        store.add(UID, one)
    told = run(tmp_path)
    assert (told.exit_code, told.output.count(KEY)) == (0, 3)
    rows = json.loads(run(tmp_path, "--json", UID).stdout)["verdicts"]
    assert [row["counts"] for row in rows] == [False, True, True]
    assert rows[0]["box"] == [10, 20, 30, 40]
    table = list(csv.DictReader(io.StringIO(run(tmp_path, "--csv").stdout)))
    assert [row["verdict"] for row in table] == ["accepted", "rejected", "rejected"]
    assert (table[0]["row0"], table[0]["col1"], table[0]["counts"]) == ("10", "40", "0")
    assert table[2]["by"] == "'=otto", "a spreadsheet takes it for text"


def test_the_command_with_nothing_to_show_or_two_formats(tmp_path: Path) -> None:
    assert "No verdicts." in run(tmp_path).output
    assert json.loads(run(tmp_path, "--json").stdout) == {"verdicts": []}
    assert run(tmp_path, "--json", "--csv").exit_code == 2
