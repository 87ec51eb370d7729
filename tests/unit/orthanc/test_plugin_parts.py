"""The plugin for Orthanc, against a double of Orthanc's `orthanc` module and of the node."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cadnode.exam import kind
from tests.orthanc_bench import OTHER, STUDY, UID, Bench
from tests.orthanc_double import FakeOrthanc, Output, load_plugin


@pytest.fixture
def benches(tmp_path: Path) -> Iterator[Any]:
    made: list[Bench] = []

    def make(**section: Any) -> Bench:
        made.append(Bench(tmp_path, **section))
        return made[-1]

    yield make
    for bench in made:
        bench.worker.queue.close()


@pytest.fixture
def bench(benches: Any) -> Bench:
    return benches()


def test_an_unknown_setting_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    orthanc = FakeOrthanc({"path": str(tmp_path), "Cadnode": {"QuietSecond": 3}})
    load_plugin(orthanc)
    assert 'did you mean "QuietSeconds"?' in orthanc.logged[0]
    output = Output()
    orthanc.routes["/cadnode/health"](output, "", method="GET", groups=())
    assert output.status == 503
    assert "QuietSecond" in output.body["problems"][0]["error"]
    assert orthanc.on_change is None


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"Mode": "push"}, '"Mode"'),
        ({"Url": "127.0.0.1:8114"}, '"Url"'),
        ({"Url": "http://user:secret@node"}, "no credentials"),
        ({"QuietSeconds": "5"}, '"QuietSeconds" is a number'),
        ({"QuietSeconds": -1}, '"QuietSeconds" is a number'),
        ({"Labels": 1}, '"Labels" is true or false'),
        ({"Metadata": 12}, '"Metadata"'),
        ([], "must be an object"),
    ],
)
def test_a_wrong_setting_is_refused_and_named(bench: Bench, section: Any, says: str) -> None:
    with pytest.raises(bench.plugin.SettingsError, match=says):
        bench.plugin.Settings.read(section)


def test_the_token_comes_from_the_environment_then_from_the_file(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("of the file\n")
    settings = bench.plugin.Settings.read({"TokenFile": str(tmp_path / "token"), "Token": "t"})
    assert settings.secret() == "of the file"
    monkeypatch.setenv("CADNODE_TOKEN", "of the environment")
    assert settings.secret() == "of the environment"


def test_the_plugin_announces_every_class_of_image_that_the_node_takes(bench: Bench) -> None:
    taken = {*kind.MAMMOGRAPHY, *kind._OTHER_PROJECTION, *kind._TOMOSYNTHESIS}
    assert len(taken) == 11
    assert taken <= bench.plugin.MAMMOGRAPHY_CLASSES
    assert bench.plugin.is_mammogram({"Modality": "MG"}, "1.2.840.10008.5.1.4.1.1.1.1")  # DX


def test_pauses_double_up_to_five_minutes_and_polls_slow_down_to_half_a_minute(
    bench: Bench,
) -> None:
    assert [bench.plugin.pause_s(n) for n in (1, 2, 3, 9, 10, 1000)] == [1, 2, 4, 256, 300, 300]
    assert [bench.plugin.poll_s(s, 2.0) for s in (0, 8, 40, 1000)] == [2, 2, 10, 30]


def test_marks_reach_back_over_the_horizon_and_no_further(bench: Bench) -> None:
    marks = [[0.0, 1], [50.0, 2], [100.0, 3]]
    assert bench.plugin.trimmed(marks, now=160.0, horizon_s=100.0) == marks[1:]
    assert bench.plugin.trimmed(marks, now=149.0, horizon_s=100.0) == marks


def test_a_study_is_announced_once_followed_and_marked(bench: Bench) -> None:
    bench.orthanc.add(STUDY, "MG", "i1", "i2")
    bench.round()
    assert not bench.told  # quiet time
    bench.rounds(3, 6.0)
    assert bench.told == [
        {"study_instance_uid": UID, "source": "orthanc", "orthanc_id": STUDY, "at_once": False}
    ]
    assert json.loads(bench.orthanc.metadata[STUDY]) == {"state": "reading"}
    assert not bench.orthanc.labels
    bench.node = {"state": "done", "is_final": True, "outcome": "findings", "n_findings": 2}
    bench.round(30.0)
    assert bench.status()["is_final"]
    assert json.loads(bench.orthanc.metadata[STUDY]) == {
        "state": "done", "outcome": "findings", "n_findings": 2
    }  # fmt: skip
    assert bench.orthanc.labels[STUDY] == {"cadnode-findings"}
    bench.orthanc.add(STUDY, "SR", "r1", manufacturer="cadnode")  # our own come back
    bench.orthanc.add(STUDY, "MG", "m1", manufacturer="cadnode")  # even if they were MG
    bench.rounds(3, 10.0)
    assert len(bench.told) == 1
    assert bench.status()["state"] == "done"


def test_a_key_object_announces_a_study_of_mammograms_again_and_no_other(bench: Bench) -> None:
    bench.node = {"state": "done", "is_final": True, "outcome": "findings"}
    bench.orthanc.add(STUDY, "MG", "i1")
    bench.orthanc.add(OTHER, "CT", "c1")
    bench.rounds(4, 6.0)
    assert len(bench.told) == 1
    bench.orthanc.add(STUDY, "KO", "k1", manufacturer="cadnode")  # the node's own
    bench.orthanc.add(OTHER, "KO", "k2")
    bench.rounds(4, 6.0)
    assert len(bench.told) == 1
    bench.orthanc.add(STUDY, "KO", "k3")
    bench.rounds(4, 6.0)
    assert [told["orthanc_id"] for told in bench.told] == [STUDY, STUDY]


def test_another_image_announces_again_and_labels_of_others_stay(bench: Bench) -> None:
    bench.orthanc.labels[STUDY] = {"teaching"}
    bench.node = {"state": "done", "is_final": True, "outcome": "no_findings"}
    bench.orthanc.add(STUDY, "MG", "i1")
    bench.rounds(4, 6.0)
    assert bench.orthanc.labels[STUDY] == {"teaching", "cadnode-done"}
    bench.node = {"state": "reading", "is_final": False}
    bench.orthanc.add(STUDY, "MG", "i2")
    bench.rounds(4, 6.0)
    assert len(bench.told) == 2
    assert bench.orthanc.labels[STUDY] == {"teaching"}


def test_a_final_state_of_fewer_images_than_were_announced_is_not_believed_at_once(
    bench: Bench,
) -> None:
    bench.node = {"state": "done", "is_final": True, "n_instances": 1}
    bench.orthanc.add(STUDY, "MG", "i1", "i2")
    bench.rounds(4, 6.0)
    assert not bench.status()["is_final"]
    bench.rounds(4, 30.0)
    assert bench.status()["is_final"]


def test_an_image_that_changed_under_its_uid_is_told_to_be_unread_in_mode_pull(
    bench: Bench,
) -> None:
    bench.node = {"state": "done", "is_final": True, "outcome": "no_findings"}
    bench.orthanc.add(STUDY, "MG", "i1", "i2")
    bench.rounds(4, 6.0)
    assert bench.status()["problem"] is None
    bench.orthanc.md5["i2"] = "corrected"
    bench.orthanc.change("StableStudy", "Study", STUDY)
    bench.rounds(4, 6.0)
    assert bench.status()["state"] == "done"
    assert "changed under its UID" in bench.status()["problem"]["error"]
    assert json.loads(bench.orthanc.metadata[STUDY])["remark"] == "changed_image_not_read"
    assert bench.orthanc.labels[STUDY] == {"cadnode-outdated"}
    bench.worker.ask(STUDY)  # the button does not help: the node has that UID
    bench.rounds(4, 6.0)
    assert bench.status()["problem"] is not None


def test_a_node_that_lost_the_image_of_before_fetches_the_changed_one(bench: Bench) -> None:
    bench.node = {"state": "done", "is_final": True, "outcome": "no_findings"}
    bench.orthanc.add(STUDY, "MG", "i1")
    bench.rounds(4, 6.0)
    bench.orthanc.md5["i1"] = "corrected"
    bench.node = {"state": "unknown"}
    bench.orthanc.change("StableStudy", "Study", STUDY)
    bench.rounds(12, 10.0)
    bench.node = {"state": "done", "is_final": True, "outcome": "no_findings"}
    bench.rounds(4, 30.0)
    assert (bench.status()["state"], bench.status()["problem"]) == ("done", None)


def test_an_image_that_changed_under_its_uid_is_sent_again_in_mode_store(benches: Any) -> None:
    bench = benches(Mode="store", Url="")
    bench.orthanc.add(STUDY, "MG", "i1")
    bench.rounds(3, 6.0)
    bench.worker.notify("sent", "job1")
    bench.round()
    bench.orthanc.md5["i1"] = "corrected"
    bench.orthanc.change("StableStudy", "Study", STUDY)
    bench.rounds(3, 6.0)
    assert [body["Resources"] for _, body in bench.orthanc.posted] == [["i1"], ["i1"]]
    assert bench.status()["problem"] is None


def test_a_queue_of_an_earlier_plugin_is_taken_over(bench: Bench, tmp_path: Path) -> None:
    old = tmp_path / "old" / "queue.sqlite"
    bench.plugin.Queue(str(old)).close()
    with closing(sqlite3.connect(old)) as file:
        file.execute("ALTER TABLE studies DROP COLUMN outdated")
    queue = bench.plugin.Queue(str(old))
    queue.plan(STUDY, 5.0)
    assert queue.get(STUDY).outdated == 0
    queue.close()


def test_other_modalities_leave_no_trace(bench: Bench) -> None:
    bench.orthanc.add(STUDY, "CT", "i1")
    bench.rounds(3, 6.0)
    assert not bench.told
    assert bench.worker.queue.get(STUDY) is None
    assert bench.status()["state"] == "unknown"
    answer = bench.ask("POST", "/cadnode/studies/([^/]+)/read", STUDY)
    assert answer.status == 422


def test_a_node_that_is_away_holds_everything_up_and_is_told_when_it_is_back(
    bench: Bench,
) -> None:
    bench.is_away = True
    bench.orthanc.add(STUDY, "MG", "i1")
    bench.orthanc.add(OTHER, "MG", "i2")
    bench.rounds(5, 6.0)
    assert bench.status()["problem"] == {"error": "away", "hint": "start it"}
    health = bench.ask("GET", "/cadnode/health")
    assert (health.status, health.body["queue"]["length"]) == (503, 2)
    bench.is_away = False
    bench.rounds(3, 31.0)
    assert {told["orthanc_id"] for told in bench.told} == {STUDY, OTHER}
    assert bench.status()["problem"] is None


def test_a_refusal_is_tried_again_and_given_up_in_the_end_until_somebody_asks(
    benches: Any,
) -> None:
    bench = benches(GiveUpHours=1)
    bench.answers = [422] * 100
    bench.orthanc.add(STUDY, "MG", "i1")
    bench.rounds(30, 300.0)
    assert bench.status()["state"] == "given_up"
    assert bench.status()["problem"]["error"] == "no"
    assert bench.orthanc.labels[STUDY] == {"cadnode-given-up"}
    bench.answers = []
    assert bench.ask("POST", "/cadnode/studies/([^/]+)/read", STUDY).status == 202
    assert bench.status()["state"] == "waiting"
    bench.rounds(2, 1.0)
    assert bench.told[0]["at_once"]


def test_a_node_that_has_lost_its_data_is_told_again_three_times_at_most(bench: Bench) -> None:
    bench.node = {"state": "unknown"}
    bench.orthanc.add(STUDY, "MG", "i1")
    bench.rounds(40, 20.0)
    assert len(bench.told) == 4
    assert bench.status()["state"] == "failed"


def test_what_was_planned_survives_a_restart_and_unstable_studies_are_met(bench: Bench) -> None:
    bench.orthanc.add(STUDY, "MG", "i1")
    bench.round()
    bench.orthanc.studies[OTHER] = [
        {"MainDicomTags": {"Modality": "MG"}, "Instances": ["i2"], "ParentStudy": OTHER}
    ]
    bench.orthanc.change("NewSeries", "Series", "series2")  # and Orthanc stops: never stable
    bench.round()  # the log of changes is read beyond it
    bench.worker.queue.close()
    bench.load()
    bench.worker.archive.study_of = lambda _kind, resource: OTHER if resource == "series2" else ""
    bench.rounds(12, 10.0)
    assert {told["orthanc_id"] for told in bench.told} == {STUDY, OTHER}
    assert len(bench.told) == 2


def test_the_first_start_does_not_read_the_whole_archive(benches: Any, tmp_path: Path) -> None:
    bench = benches()
    bench.worker.queue.close()
    (tmp_path / "OrthancStorage" / "cadnode" / "queue.sqlite").unlink()
    bench.orthanc.add(STUDY, "MG", "i1")
    bench.load()
    bench.rounds(10, 10.0)
    assert not bench.told


def test_mode_store_sends_watches_the_job_and_sends_again_when_it_fails(benches: Any) -> None:
    bench = benches(Mode="store", Url="", Modality="node")
    bench.orthanc.add(STUDY, "MG", "i1", "i2")
    bench.rounds(3, 6.0)
    path, body = bench.orthanc.posted[0]
    assert path == "/modalities/node/store"
    assert body == {"Resources": ["i1", "i2"], "Synchronous": False}
    bench.orthanc.jobs["job1"] = "Failure"
    bench.rounds(4, 2.0)
    assert len(bench.orthanc.posted) == 2
    bench.worker.notify("sent", "job2")  # its state is not even asked for
    bench.round()
    assert bench.status()["state"] == "sent"
    assert bench.orthanc.labels[STUDY] == {"cadnode-sent"}


def test_another_script_with_the_callback_passes_events_on(tmp_path: Path) -> None:
    orthanc = FakeOrthanc({"path": str(tmp_path), "Cadnode": {}})
    orthanc.on_change = print
    plugin = load_plugin(orthanc)
    assert any("PLUGIN.on_change" in line for line in orthanc.logged)
    plugin.PLUGIN.on_change(orthanc.ChangeType.STABLE_STUDY, orthanc.ResourceType.STUDY, STUDY)
    plugin.PLUGIN.worker.queue.close()


def test_an_error_in_a_route_or_an_event_never_reaches_orthanc(bench: Bench) -> None:
    bench.worker.queue.close()
    bench.orthanc.add(STUDY, "MG", "i1")
    assert bench.ask("GET", "/cadnode/studies/([^/]+)/status", STUDY).status == 500
    bench.plugin.PLUGIN.on_change(None, None, None)
    bench.worker.start()
    bench.worker.stop()
    assert "ProgrammingError" in bench.worker.trouble


def test_a_study_that_orthanc_stumbles_over_is_tried_later_and_holds_up_nobody(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = bench.orthanc.RestApiGet

    def database_away(path: str) -> bytes:
        if path == f"/studies/{STUDY}/series":
            raise bench.orthanc.OrthancException(11, "Error with the database engine")
        return ask(path)

    monkeypatch.setattr(bench.orthanc, "RestApiGet", database_away)
    bench.orthanc.add(STUDY, "MG", "i1")
    bench.orthanc.add(OTHER, "MG", "i2")
    bench.rounds(4, 6.0)
    assert [told["orthanc_id"] for told in bench.told] == [OTHER]
    monkeypatch.undo()
    bench.rounds(4, 60.0)
    assert [told["orthanc_id"] for told in bench.told] == [OTHER, STUDY]
    assert bench.status()["problem"] is None


def test_a_study_that_is_deleted_is_forgotten(bench: Bench) -> None:
    bench.orthanc.add(STUDY, "MG", "i1")
    bench.rounds(3, 6.0)
    bench.plugin.PLUGIN.on_change(
        bench.orthanc.ChangeType.DELETED, bench.orthanc.ResourceType.STUDY, STUDY
    )
    bench.round()
    assert bench.worker.queue.get(STUDY) is None
    bench.orthanc.add(OTHER, "MG", "i1")
    bench.round()
    del bench.orthanc.studies[OTHER]  # without an event
    bench.rounds(2, 6.0)
    assert bench.worker.queue.get(OTHER) is None


def test_asking_while_a_look_is_done_leads_to_another_look(bench: Bench) -> None:
    bench.orthanc.add(STUDY, "MG", "i1")
    bench.round()
    before = bench.worker.queue.get(STUDY)
    bench.worker.ask(STUDY)
    bench.worker.queue.end_look(before)
    assert bench.worker.queue.get(STUDY).at_once
    bench.rounds(2, 1.0)
    assert bench.told[0]["at_once"]


def test_the_queue_is_readable_for_its_owner_only(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "OrthancStorage" / "cadnode" / "queue.sqlite"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_region_that_a_person_marks_in_a_read_study_is_announced_within_a_second(
    bench: Bench,
) -> None:
    bench.node = {"state": "done", "is_final": True, "outcome": "findings"}
    bench.orthanc.add(STUDY, "MG", "i1")
    bench.orthanc.add(OTHER, "CT", "c1")
    bench.rounds(4, 6.0)

    def receive(study: str, name: str, maker: str = "X") -> None:
        """An SR comes; Orthanc has yet to call the study stable."""
        bench.orthanc.add(study, "SR", name, manufacturer=maker)
        bench.orthanc.changes.pop()
        number = len(bench.orthanc.studies[study]) - 1
        bench.plugin.PLUGIN.on_change(bench.orthanc.ChangeType.NEW_SERIES, 2, f"{number}@{study}")
        bench.rounds(2, 0.6)
        bench.round()

    receive(STUDY, "own", "cadnode")
    receive(OTHER, "r0")
    assert len(bench.told) == 1, "not the node's own, and not where there are no mammograms"
    receive(STUDY, "r1")
    assert [told["orthanc_id"] for told in bench.told] == [STUDY, STUDY]
    bench.rounds(4, 6.0)
    bench.orthanc.change("StableStudy", "Study", STUDY)
    bench.rounds(4, 6.0)
    assert len(bench.told) == 2, "it is announced once"
