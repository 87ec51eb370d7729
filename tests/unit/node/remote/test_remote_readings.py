"""Exams that other machines read, over HTTP: what arrives, what is lost, and what goes wrong."""

import errno
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cadnode.domain import System, SystemStatus
from cadnode.http import HttpFailure, HttpPeerValues
from cadnode.node.erasure import traces
from cadnode.node.erasure.places import files_below, place_of
from cadnode.node.heartbeat import Pulse
from cadnode.node.remote.node_line import ClaimOver, FileAnswer, NodeLine
from cadnode.node.remote.offers import Offers
from cadnode.node.remote.parcel import packed
from cadnode.node.remote.reading_offer import OfferState
from cadnode.node.remote.remote_worker import ASKS_EVERY_S, remove_left
from cadnode.node.role_status import present
from cadnode.node.worker_steps import WorkerSteps
from cadnode.receive.way_log import Passed, WayLog
from tests.remote_cases import DIGEST, RemoteNode, ended, remote_node
from tests.report_cases import result_of

NOON = "2026-03-01T12:00:00+00:00"
OTHER = "ab" * 32


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteNode]:
    with remote_node(tmp_path, monkeypatch) as node:
        yield node


def offered(node: RemoteNode, study: str) -> tuple[threading.Thread, list[bool]]:
    """The step under way; two machines have asked before, so that the node waits for them."""
    for machine in ("box", "other"):
        node.line(machine).readings(DIGEST)
    begun = node.begin(study)
    node.is_offered(study)
    return begun


def test_what_another_machine_reads_is_kept_and_reported_as_if_it_was_read_here(
    node: RemoteNode,
) -> None:
    study = node.receive()
    thread, answer = offered(node, study)
    remote = node.remote()

    assert remote.work() == 0.0

    ended([thread])
    assert answer == [True]
    assert node.reads == ["box"]
    assert node.scores(study) == [0.75]
    assert node.worker.report(study, node.worker.fingerprint(study), "", NOON) > 0
    entries, _ = WayLog(node.folder).entries(study)
    assert [(e.what, e.who, e.n) for e in entries if e.what is Passed.READ] == [("read", "box", 4)]
    assert node.left() == set()
    assert list(files_below(node.folder.parent / "box")) == []  # no image stays there
    unknown = [p for p in files_below(node.folder) if place_of(p.relative_to(node.folder)) is None]
    assert unknown == []


def test_two_machines_have_two_exams_at_the_same_time_and_each_is_read_once(
    node: RemoteNode,
) -> None:
    first, second = node.receive(1), node.receive(2)
    threads = [offered(node, study)[0] for study in (first, second)]
    claims = [node.claimed(study) for study in (first, second)]
    assert node.line("third").readings(DIGEST).readings == ()

    for study, claimed in zip((second, first), reversed(claims), strict=True):
        (exam,) = node.worker._exams(study, node.spool.instances(study))
        made = replace(result_of(exam, "findings"), read_with=DIGEST, exam_score=0.625)
        node.line().result(claimed.claim, packed([(made, 1.0)]))

    ended(threads)
    assert node.errors == []
    assert node.reads == []  # nothing here
    assert node.scores(first) == node.scores(second) == [0.625]


def test_a_machine_that_falls_silent_has_lost_the_exam_and_brings_it_too_late(
    node: RemoteNode,
) -> None:
    study = node.receive()
    thread, _ = offered(node, study)
    claimed = node.line().claim(node.key(study), DIGEST)
    assert claimed is not None
    assert node.line("other").claim(node.key(study), DIGEST) is None
    node.fall_silent(study)

    assert node.remote("other").work() == 0.0

    with pytest.raises(ClaimOver):
        node.line().result(claimed.claim, packed([]))
    with pytest.raises(ClaimOver):
        node.line().keep(claimed.claim)
    ended([thread])
    assert node.reads == ["other"]


def test_after_two_machines_that_died_of_it_the_node_reads_an_exam_itself(
    node: RemoteNode,
) -> None:
    study = node.receive()
    thread, answer = offered(node, study)
    for machine in ("box", "other"):
        assert node.had_by(machine, study) is not None
        node.fall_silent(study)
    ended([thread])
    assert answer == [True]
    assert node.reads == ["node"]
    assert node.left() == set()


def test_a_machine_that_dies_after_it_brought_a_reading_costs_nothing(node: RemoteNode) -> None:
    study = node.receive()
    with node.worker._turns.exam():  # the node's own worker is at something else
        thread, _ = offered(node, study)
        assert node.remote().work() == 0.0
        node.fall_silent(study)
        assert node.offers.state(node.key(study)) is OfferState.ENDED
        assert node.line("other").claim(node.key(study), DIGEST) is None
    ended([thread])
    assert node.reads == ["box"]
    assert node.scores(study) == [0.75]


class _DamagingLine(NodeLine):
    """A line on which so many files arrive damaged."""

    def __init__(self, line: NodeLine, count: int) -> None:
        super().__init__(line._values, line._machine)
        self.count = count

    def _is_fetched(self, path: str, to: Path) -> bool:
        is_whole = super()._is_fetched(path, to)
        self.count -= 1
        return is_whole and self.count < 0


def test_an_image_that_arrives_damaged_is_fetched_again(node: RemoteNode) -> None:
    study = node.receive()
    thread, _ = offered(node, study)
    line = _DamagingLine(node.line(), 2)

    assert node.remote(line=line).work() == 0.0

    ended([thread])
    assert (node.reads, line.count) == (["box"], 2 - 6)  # four files, two of them once more


def test_an_exam_whose_images_always_arrive_damaged_is_read_by_the_node(node: RemoteNode) -> None:
    study = node.receive()
    thread, answer = offered(node, study)
    for machine in ("box", "other"):
        assert node.remote(machine, _DamagingLine(node.line(machine), 3)).work() > ASKS_EVERY_S
    ended([thread])
    assert (answer, node.reads) == ([True], ["node"])


@pytest.mark.parametrize("parcel", [b"", b"PK\x03\x04", packed([])], ids=["empty", "cut", "none"])
def test_what_is_no_reading_is_not_taken_and_after_two_the_node_reads_itself(
    node: RemoteNode, parcel: bytes
) -> None:
    study = node.receive()
    thread, answer = offered(node, study)
    for machine in ("box", "other"):
        node.line().result(node.claimed(study, machine).claim, parcel)
    ended([thread])
    assert (answer, node.reads) == ([True], ["node"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"read_with": OTHER},
        {"study_instance_uid": "1.2.3"},
        {"views": (), "findings": (), "heat_maps": ()},
        {"systems": (SystemStatus(System.WANG2016, active=True, failed=True),)},
    ],
    ids=["other models", "another study", "nothing read", "a system failed"],
)
def test_a_reading_with_other_models_of_another_study_or_of_less_is_no_result(
    node: RemoteNode, wrong: dict[str, Any]
) -> None:
    study = node.receive()
    thread, answer = offered(node, study)
    (exam,) = node.worker._exams(study, node.spool.instances(study))
    made = replace(result_of(exam, "findings"), read_with=DIGEST, exam_score=0.625)
    for machine in ("box", "other"):
        claimed = node.claimed(study, machine)
        node.line().result(claimed.claim, packed([(replace(made, **wrong), 1.0)]))
    ended([thread])
    assert (answer, node.reads) == ([True], ["node"])
    assert node.scores(study) == [0.5]


def test_a_machine_with_other_models_gets_nothing_and_reads_why(node: RemoteNode) -> None:
    study = node.receive()
    thread, _ = offered(node, study)

    found = node.line("stranger").readings(OTHER)

    assert found.readings == ()
    assert found.refused is not None
    assert "other models" in found.refused
    assert node.line("stranger").claim(node.key(study), OTHER) is None
    node.remote().work()
    ended([thread])


def test_a_token_of_another_role_gets_nothing_and_reads_which_it_needs(node: RemoteNode) -> None:
    line = node.line(token="doer")
    with pytest.raises(HttpFailure, match="--role remote-worker"):
        line.readings(DIGEST)
    with pytest.raises(HttpFailure, match="403"):
        line.claim("0" * 16 + "-" + "0" * 16, DIGEST)


def test_a_worker_that_hears_nothing_of_its_node_drops_the_exam(
    node: RemoteNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "cadnode.node.remote.remote_worker"
    monkeypatch.setattr(f"{module}.KEEPS_EVERY_S", 0.02)
    monkeypatch.setattr(f"{module}.SILENT_S", 0.1)
    values = HttpPeerValues(name="the node", url="http://127.0.0.1:9")
    over = threading.Event()
    with node.remote(line=NodeLine(values, "box"))._kept("0" * 32, over):
        assert over.wait(10)


def test_without_anybody_who_asks_the_node_reads_at_once(node: RemoteNode) -> None:
    study = node.receive()
    thread, answer = node.begin(study)
    ended([thread])
    assert (answer, node.reads) == ([True], ["node"])


def test_a_node_that_stops_while_an_exam_is_out_takes_it_over_at_its_next_start(
    node: RemoteNode,
) -> None:
    study = node.receive()
    thread, answer = offered(node, study)
    claimed = node.line().claim(node.key(study), DIGEST)
    assert claimed is not None
    node.worker.stopping.set()
    ended([thread])
    assert answer == []
    assert [type(error) for error in node.errors] == [SystemExit]  # no outcome of the job

    node.line().keep(claimed.claim)  # the node's HTTP side may be up meanwhile
    node.line().give_up(claimed.claim, has_failed=False)
    assert node.remote().work() == 0.0
    models = node.worker._models
    node.worker = WorkerSteps(node.settings, node.spool, models)
    thread, answer = node.begin(study)
    ended([thread])
    assert (answer, node.reads) == ([True], ["box"])


def test_a_worker_waits_for_a_node_that_is_away_and_says_so(node: RemoteNode) -> None:
    pulse = Pulse()
    values = node.line()._values
    line = NodeLine(type(values)(name="the node", url="http://127.0.0.1:9"), "box")
    remote = node.remote(line=line)
    remote._pulse = pulse
    assert remote.work() > 1.0
    assert pulse.beat().state.startswith("waiting: the node")


def test_a_worker_that_is_stopped_gives_its_exam_back_and_keeps_no_image(node: RemoteNode) -> None:
    study = node.receive()
    thread, _ = offered(node, study)
    node.stopping = True
    node.remote().work()
    assert node.offers.state(node.key(study)) is OfferState.OPEN
    assert list(files_below(node.folder.parent / "box")) == []
    node.stopping = False
    node.remote().work()
    ended([thread])
    assert node.reads == ["box"]


def test_only_files_of_the_reading_are_given_and_only_to_who_has_it(node: RemoteNode) -> None:
    study, other = node.receive(1), node.receive(2)
    thread, _ = offered(node, study)
    line = node.line()
    claimed = line.claim(node.key(study), DIGEST)
    assert claimed is not None
    strange = node.spool.instances(other)[0].name
    foreign = FileAnswer(name=strange, bytes=1, mtime_ns=0, replaced=False)
    scratch = node.folder.parent / "scratch"
    scratch.mkdir()
    with pytest.raises(ClaimOver):
        line.image(claimed.claim, foreign, scratch)
    with pytest.raises(ClaimOver):
        line.image("0" * 32, claimed.files[0], scratch)
    with pytest.raises(ClaimOver):
        line.keep("é" * 32)
    stranger = node.line("box", token="strange-box")  # by the same name, with its own token
    for ask in (
        lambda: stranger.keep(claimed.claim),
        lambda: stranger.image(claimed.claim, claimed.files[0], scratch),
        lambda: stranger.result(claimed.claim, packed([])),
        lambda: stranger.give_up(claimed.claim, has_failed=True),
    ):
        with pytest.raises(ClaimOver):
            ask()
    got = line.image(claimed.claim, claimed.files[0], scratch)
    there = node.spool.folder_of(study) / claimed.files[0].name
    assert got.read_bytes() == there.read_bytes()
    assert got.stat().st_mtime_ns == there.stat().st_mtime_ns
    line.give_up(claimed.claim, has_failed=False)
    node.remote().work()
    ended([thread])


@pytest.mark.parametrize("shares", [False, True], ids=["her study", "a study of two patients"])
def test_an_erasure_leaves_nothing_of_an_offer(node: RemoteNode, shares: bool) -> None:
    study = node.receive()
    thread, _ = offered(node, study)
    claimed = node.line().claim(node.key(study), DIGEST)
    assert claimed is not None
    node.worker.stopping.set()
    ended([thread])

    assert traces.has_any(node.folder, study)
    if shares:
        traces.strip_shared_study(node.folder, study, (), set())
    else:
        assert traces.remove_of_study(node.folder, study) >= 2

    assert node.left() == set()
    with pytest.raises(ClaimOver):
        node.line().result(claimed.claim, packed([]))


def test_a_start_removes_what_killed_workers_have_left_but_nothing_of_one_that_runs(
    tmp_path: Path,
) -> None:
    with (
        present(tmp_path, "remote-worker", beside=True) as runs,
        present(tmp_path, "remote-worker", beside=True) as starts,
    ):
        for slot in (runs, starts, "remote-worker-3"):
            folder = tmp_path / "remote" / "scratch" / slot
            folder.mkdir(parents=True)
            (folder / "image.dcm").write_bytes(b"hers")
        remove_left(tmp_path, starts)
    assert [path.parent.name for path in tmp_path.rglob("image.dcm")] == [runs]


def test_an_offered_exam_outlasts_a_full_disk(
    node: RemoteNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = iter([OSError(errno.ENOSPC, "full"), None])
    as_ever = Offers.take

    def full_at_first(offers: Offers, key: str) -> bool:
        if (error := next(takes)) is not None:
            raise error
        return as_ever(offers, key)

    monkeypatch.setattr(Offers, "take", full_at_first)
    monkeypatch.setattr("cadnode.node.remote.elsewhere._FULL_S", 0.01)
    thread, answer = node.begin(node.receive())
    ended([thread])
    assert (answer, node.reads, node.errors) == ([True], ["node"], [])
