"""What a faulty version read, who got it, and who has a corrected result since."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cadnode import __version__, log
from cadnode.cli.app import app
from cadnode.errors import SettingsError
from cadnode.node import delivery_record, recall
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.jobs import DeliveryStatus
from cadnode.node.recall import FaultyVersion, RecalledDelivery, RecallState, version_of
from cadnode.node.workflow import prepare
from cadnode.settings import Settings

FAULTY = FaultyVersion("dib-mg-film", "1.0.1")
KEYS = [f"{number:016x}" for number in range(1, 5)]
DAY = 86400.0
NOON = 1_772_366_400.0  # 2026-03-01, 12:00 UTC


def result(
    storage: Path, study: str, content: str, version: str, at: float, **document: Any
) -> Path:
    """A content's folder with a result by that version of the film model."""
    folder = storage / "results" / study / content
    folder.mkdir(parents=True)
    made = {
        "software": {"name": "cadnode", "version": "0.0.9"},
        "models": [
            {"name": "dib-mg-film", "version": version}, {"name": "other", "version": "1.0.1"},
        ],
        "exam": {"score": 0.7, "operating_point": 0.5},
        **document,
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(made))
    os.utime(folder / "result.json", (at, at))
    return folder


def delivered(folder: Path, to: str, at: float, status: str = "delivered") -> None:
    delivery_record.record(folder, DeliveryTry(to, DeliveryStatus(status), at))


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """One study still faulty, one corrected at one of two places, one everywhere, one untouched."""
    place = tmp_path / "data"
    first = result(place, KEYS[0], "aa", "1.0.1", NOON)
    delivered(first, "pacs", NOON + 5)
    old = result(place, KEYS[1], "aa", "1.0.1", NOON + DAY, exam={"score": None})
    new = result(place, KEYS[1], "bb", "1.0.2", NOON + 3 * DAY)
    for name in ("pacs", "old-archive"):
        delivered(old, name, NOON + DAY + 5)
    delivered(new, "pacs", NOON + 3 * DAY + 5)
    delivered(new, "old-archive", NOON + 3 * DAY + 9, "refused")
    below = {"score": 0.2, "operating_point": 0.5}
    old = result(place, KEYS[2], "aa", "1.0.1", NOON + 2 * DAY, exam=below)
    new = result(place, KEYS[2], "bb", "1.0.2", NOON + 3 * DAY)
    delivered(old, "pacs", NOON + 2 * DAY + 5)
    delivered(new, "pacs", NOON + 3 * DAY + 5)
    result(place, KEYS[3], "aa", "1.0.2", NOON)
    return place


def found(storage: Path, *between: float) -> dict[str, recall.RecalledStudy]:
    return {one.study: one for one in recall.recalled(storage, FAULTY, *between)}


def test_each_study_it_read_has_its_state_and_who_got_what(storage: Path) -> None:
    studies = found(storage)

    assert {key: one.state for key, one in studies.items()} == {
        KEYS[0]: RecallState.FAULTY, KEYS[1]: RecallState.UNDER_WAY,
        KEYS[2]: RecallState.CORRECTED,
    }  # fmt: skip
    assert [studies[key].was_called for key in KEYS[:3]] == [True, None, False]
    assert studies[KEYS[1]].deliveries == (
        RecalledDelivery("old-archive", NOON + DAY + 5, None),
        RecalledDelivery("pacs", NOON + DAY + 5, NOON + 3 * DAY + 5),
    )


def test_a_later_refusal_does_not_undo_that_a_destination_has_the_faulty_result(
    storage: Path,
) -> None:
    folder = storage / "results" / KEYS[0] / "aa"
    delivered(folder, "pacs", NOON + 60, "refused")

    assert found(storage)[KEYS[0]].deliveries == (RecalledDelivery("pacs", NOON + 5),)


def test_read_by_it_again_is_faulty_whatever_was_between(storage: Path) -> None:
    result(storage, KEYS[2], "cc", "1.0.1", NOON + 4 * DAY)

    assert found(storage)[KEYS[2]].state is RecallState.FAULTY
    assert found(storage)[KEYS[2]].n_results == 2


def test_what_was_not_read_in_time_is_no_reading(storage: Path) -> None:
    answer = result(storage, KEYS[0], "bb", "1.0.2", NOON + DAY, models=[])
    (answer / "not_in_time").touch()

    assert found(storage)[KEYS[0]].state is RecallState.FAULTY


def test_moments_narrow_by_when_it_was_first_read(storage: Path) -> None:
    assert set(found(storage, NOON + DAY, NOON + 2 * DAY)) == {KEYS[1]}


def test_the_software_itself_is_a_version_and_another_models_number_is_not(storage: Path) -> None:
    software = list(recall.recalled(storage, version_of("cadnode@0.0.9")))
    assert len(software) == 4
    assert list(recall.recalled(storage, version_of("helsinki@1.0.1"))) == []
    for text in ("dib-mg-film", "@1.0.1", "dib-mg-film@"):
        with pytest.raises(SettingsError, match="NAME@VERSION"):
            version_of(text)


@pytest.fixture
def config(storage: Path) -> Path:
    log.configure("WARNING")
    file = storage.parent / "node.toml"
    file.write_text(f'[storage]\nfolder = "{storage}"\n')
    prepare(Settings(storage={"folder": storage}).database_url)
    return file


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["studies", "recall", *words, "--config", str(config)])


def test_the_command_lists_them_for_people_and_programs(config: Path) -> None:
    told = json.loads(run(config, "dib-mg-film@1.0.1", "--json").stdout)
    assert told["by_state"] == {"faulty": 1, "under_way": 1, "corrected": 1}
    assert [one["study"] for one in told["studies"]] == KEYS[:3]
    shown = run(config, "dib-mg-film@1.0.1", "--since", "2026-03-02")
    assert shown.exit_code == 0, shown.output
    assert KEYS[1] in shown.output
    assert KEYS[0] not in shown.output
    assert "not yet" in shown.output
    assert "No result" in run(config, "dib-mg-film@0.9.0").output


def test_a_version_that_is_active_reads_nothing_again(config: Path) -> None:
    for version in ("dib-mg-film@1.1.0", f"cadnode@{__version__}"):
        refused = run(config, version, "--reread", "--yes")
        assert refused.exit_code == 2
        assert "active version" in refused.output


def test_a_study_whose_images_are_gone_is_named(config: Path) -> None:
    told = run(config, "dib-mg-film@1.0.1", "--reread", "--yes", "--json")
    assert told.exit_code == 2
    (one,) = json.loads(told.stdout)["studies"]
    assert one["study"] == KEYS[0]
    assert "error" in one
