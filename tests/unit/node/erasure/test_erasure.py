"""One patient is erased, the others stay as they are; a crash is made good by the same command."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from cadnode.domain import Box
from cadnode.log import hashed
from cadnode.log_files import LogFilter, LogWriter, read
from cadnode.node import pins, results, study_table, tombstones
from cadnode.node.erasure.patient import ErasureRefused, WantedPatient
from cadnode.node.erasure.places import files_below, place_of
from cadnode.node.gated_steps import gated
from cadnode.node.jobs import DeliveryStatus
from cadnode.node.reader_verdicts import VerdictStore
from cadnode.node.study_gate import StudyBusy, StudyGate
from cadnode.node.study_index import Studies
from cadnode.node.study_queue import StudyQueue
from cadnode.node.workflow_steps import DeliveryNote
from cadnode.quality.journal import Journal
from cadnode.receive.spool import Received
from cadnode.web.queue import StudyFilter
from cadnode.web.reader_verdicts import ReaderVerdict, VerdictWord
from tests.erasure_cases import ANN, BEA, OF_ANN, ErasureNode, hits_of, images, make_two
from tests.synthetic import uid

ANNS, BEAS = hashed(uid("erasure", "ann")), hashed(uid("erasure", "bea"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("erasure")
    make_two(folder)
    return folder


@pytest.fixture
def node(tmp_path: Path, made: Path) -> ErasureNode:
    return ErasureNode(tmp_path / "node", made)


class PowerCut(Exception):
    """Ends a process between two steps."""


def steps_of(made: Path, tmp_path: Path) -> list[str]:
    names: list[str] = []
    ErasureNode(tmp_path / "named", made).erase(before=names.append)
    return names


def of_bea(node: ErasureNode) -> dict[str, tuple[bytes, int]]:
    return {
        name: value
        for name, value in node.snapshot().items()
        if BEAS in name or name == "installation-id"
    }


def test_one_patient_goes_and_the_other_stays_byte_for_byte(node: ErasureNode) -> None:
    before = of_bea(node)
    assert hits_of(node.folder, OF_ANN)

    erased = node.erase()

    assert erased.search.is_clean, erased.search.hits
    assert erased.search.n_identifiers > 20
    assert erased.plan.removed["images"] == 4
    assert hits_of(node.folder, (*OF_ANN, ANNS, uid("erasure", "ann"))) == []
    assert of_bea(node) == before
    assert not any(ANNS in str(path) for path in node.folder.rglob("*"))


def test_her_lines_of_the_kept_log_are_emptied_and_others_stay(node: ErasureNode) -> None:
    write = LogWriter(node.folder / "log", "worker", 10**7)
    for word in (ANNS, BEAS, f"process-{ANNS}-c-1"):
        write(json.dumps({"event": "e", "level": "info", "timestamp": "2026", "study": word}))
    erased = node.erase()
    write(json.dumps({"event": "after", "level": "info", "timestamp": "2027"}))
    assert erased.search.is_clean, erased.search.hits
    assert erased.plan.removed["lines of the log"] == 2
    kept = read(node.folder / "log", LogFilter()).lines
    assert [line.fields.get("study") for line in kept] == [None, BEAS]


def test_the_record_says_what_was_done_by_counts_and_names_nobody(node: ErasureNode) -> None:
    erased = node.erase()

    assert erased.record is not None
    text = erased.record.read_text()
    record = json.loads(text)
    assert (record["by"], record["studies"], record["removed"]["images"]) == ("tester", 1, 4)
    assert record["search"]["found"] == 0
    (there,) = record["elsewhere"]
    assert there["destination"] == "out"
    assert (there["results"], there["objects"]["heatmap"]) == (1, 4)
    assert not any(word in text for word in (*OF_ANN, ANNS))
    assert not list((node.folder / "erasures" / "open").iterdir())


def test_a_look_changes_nothing(node: ErasureNode) -> None:
    before = node.snapshot()

    outlook = node.look()

    assert [(s.study, len(s.images), s.is_whole) for s in outlook.selection.shares] == [
        (ANNS, 4, True)
    ]
    assert outlook.owed == []
    assert node.snapshot() == before


def test_nobody_of_that_number_is_nothing_and_erases_nothing(node: ErasureNode) -> None:
    before = {**of_bea(node), **node.snapshot("spool/**/*")}

    erased = node.erase(patient_id="NOBODY-1")

    assert erased.plan.removed == {}
    assert erased.search.is_clean
    assert {**of_bea(node), **node.snapshot("spool/**/*")} == before


def test_a_crash_before_any_step_is_made_good_by_the_same_command(
    made: Path, tmp_path: Path
) -> None:
    names = steps_of(made, tmp_path)
    assert len(names) > 8

    for number in range(len(names)):
        node = ErasureNode(tmp_path / str(number), made)
        before, passed = of_bea(node), list[str]()

        def cut(step: str, passed: list[str] = passed, number: int = number) -> None:
            if len(passed) == number:
                raise PowerCut
            passed.append(step)

        with pytest.raises(PowerCut):
            node.erase(before=cut)
        erased = node.erase()

        assert erased.search.is_clean, (names[number], erased.search.hits)
        assert hits_of(node.folder, (*OF_ANN, ANNS, uid("erasure", "ann"))) == []
        assert of_bea(node) == before
        if number:
            assert erased.search.n_identifiers > 20  # known, though her images were gone


def test_a_crash_inside_a_removal_is_made_good(
    node: ErasureNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed: list[Path] = []
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if len(renamed) == 2:
            raise PowerCut
        renamed.append(self)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        with pytest.raises(PowerCut):
            node.erase()
    erased = node.erase()

    assert erased.search.is_clean, erased.search.hits
    assert hits_of(node.folder, (*OF_ANN, ANNS)) == []


def test_what_is_sent_anew_later_is_received_as_new(node: ErasureNode) -> None:
    old = node.worker.fingerprint(ANNS)
    node.erase()

    stored = node.receive(images(ANN, "ann"))

    assert {one.received for one in stored} == {Received.STORED}
    content = node.worker.fingerprint(ANNS)
    assert content not in ("", old)
    assert node.read(ANNS).is_dir()


def test_a_late_job_of_what_was_erased_does_nothing_and_writes_nothing(node: ErasureNode) -> None:
    content = node.worker.fingerprint(ANNS)
    node.erase()
    before = node.snapshot()
    steps = gated(node.worker.bound(), StudyGate(node.folder))

    assert steps.read(ANNS, content) is False
    assert steps.report(ANNS, content, "", "2026-03-01T12:00:00+00:00") == 0
    assert steps.answer(ANNS, content, False) == ""
    assert steps.deliver(ANNS, content, "out") == DeliveryStatus.DROPPED.value
    assert steps.shadow(ANNS, content) == "off"
    assert steps.settled(ANNS, content, "out") == DeliveryStatus.DROPPED.value
    steps.note(DeliveryNote(ANNS, content, "out", DeliveryStatus.RETRY, 60.0, "again"))

    assert node.snapshot() == before


def test_a_study_at_work_is_waited_for_and_then_refused(node: ErasureNode) -> None:
    gate = StudyGate(node.folder)
    gate.prepare()
    with gate.passing(ANNS), pytest.raises(StudyBusy, match="still being read"):
        node.erase()
    assert len(node.spool.instances(ANNS)) == 4  # nothing of it was removed

    assert node.erase().search.is_clean


def test_notes_pins_and_commitments_of_the_study_go_too(node: ErasureNode) -> None:
    pins.pin(node.folder, pins.Pin(ANNS, "why"))
    tombstones.bury(node.folder, ANNS)
    content = node.worker.fingerprint(ANNS)
    said = ReaderVerdict(
        VerdictWord.ACCEPTED,
        1.0,
        "vera",
        content,
        1,
        1,
        "0" * 16,
        Box(0, 0, 1, 1),
        "mass",
        0.5,
        "m",
    )
    VerdictStore(node.folder).add(ANNS, said)
    known = node.folder / "set_aside" / f"{ANNS}-{content}.json"
    known.parent.mkdir()
    known.write_text('{"code": "reading_kills_worker"}')
    hand = node.folder / "roles" / "worker.hand"
    hand.parent.mkdir(exist_ok=True)
    hand.write_bytes(f"{ANNS}-{content}".encode().ljust(255) + b"\n")
    deaths = node.folder / "roles" / "deaths.json"
    deaths.write_text(
        json.dumps([{"at": 1.0, "role": "worker", "cause": "killed", "hand": f"{ANNS}-{content}"}])
    )
    asked, requested = (node.folder / "commitments" / n for n in ("asked", "requested"))
    for folder in (asked, requested):
        folder.mkdir(parents=True)
    (asked / "aa.json").write_text(
        json.dumps({"study": ANNS, "content": content, "destination": "out", "at": 1.0})
    )
    sop = str(images(ANN, "ann")[0].SOPInstanceUID)
    beas = str(images(BEA, "bea", seed=3)[0].SOPInstanceUID)
    references = [["1.2.3", sop], ["1.2.3", beas]]
    request = {"transaction_uid": "1.9", "references": references}
    (requested / "bb.json").write_text(json.dumps(request))
    (requested / "cc.json").write_text(json.dumps({**request, "references": references[:1]}))

    erased = node.erase()

    assert erased.search.is_clean, erased.search.hits
    assert json.loads((requested / "bb.json").read_bytes())["references"] == [["1.2.3", beas]]
    assert not (requested / "cc.json").exists()
    assert json.loads(deaths.read_bytes()) == []
    assert not hand.read_bytes().strip()
    for name in ("pins", "set_aside", "removed", "commitments/asked", "verdicts"):
        assert list((node.folder / name).iterdir()) == []


def test_half_written_files_and_trash_of_hers_go_too(node: ErasureNode) -> None:
    image = node.spool.instances(ANNS)[0].read_bytes()
    (node.folder / "spool" / "incoming" / "0af.part").write_bytes(image[:4000])
    thrown = node.folder / "spool" / "trash" / "aa"
    thrown.mkdir(parents=True)
    (thrown / "one.dcm").write_bytes(image)
    hidden = node.folder / "undelivered" / ".0b.part"
    hidden.parent.mkdir(exist_ok=True)
    hidden.write_text(f'{{"x": "{ANNS}"}}')

    assert node.erase().search.is_clean
    assert hits_of(node.folder, (*OF_ANN, ANNS)) == []


def test_what_the_search_finds_is_named_and_the_erasure_stays_open(node: ErasureNode) -> None:
    stray = node.folder / "somebody's copy.txt"
    stray.write_text("a note on ANN-4711-Q")

    erased = node.erase()

    assert erased.record is None
    assert [(hit.path, hit.kinds) for hit in erased.search.hits] == [(stray, ("patient ID",))]
    stray.unlink()
    again = node.erase()
    assert again.record is not None
    assert again.search.n_identifiers > 20


def test_results_alone_say_whose_they_are_when_images_are_gone(node: ErasureNode) -> None:
    node.spool.remove(ANNS, "c", as_of=node.spool.changed_at(ANNS))

    erased = node.erase()

    assert erased.search.is_clean, erased.search.hits
    assert erased.plan.removed["results"] == 1
    assert hits_of(node.folder, (*OF_ANN, ANNS)) == []


def test_of_a_study_that_is_gone_the_notes_are_erased_by_its_uid(node: ErasureNode) -> None:
    node.spool.remove(ANNS, "c", as_of=node.spool.changed_at(ANNS))
    tombstones.bury(node.folder, ANNS)
    results.Results.in_storage(node.folder).remove(ANNS)
    assert node.look().is_empty  # no header is left that names her

    erased = node.erase(study_uids=(uid("erasure", "ann"),))

    assert erased.search.is_clean, erased.search.hits
    assert not any(ANNS in str(path) for path in node.folder.rglob("*"))


def test_a_study_that_is_named_is_not_touched_where_it_is_anothers(node: ErasureNode) -> None:
    before = of_bea(node)

    erased = node.erase(study_uids=(uid("erasure", "bea"),))

    assert erased.plan.removed == {}
    assert of_bea(node) == before


def test_of_a_study_of_two_patients_only_hers_goes_and_the_other_is_not_read_again(
    tmp_path: Path,
) -> None:
    node = ErasureNode(tmp_path)
    anns, beas = images(ANN, "both"), images(BEA, "both", seed=3)
    study = node.study([*anns, *beas])
    content = node.worker.fingerprint(study)
    result = node.folder / "results" / study / content
    (beas_part,) = [
        part
        for part in results.exam_folders(result)
        if any(dcmread(p).PatientID == BEA["PatientID"] for p in part.glob("*.dcm"))
    ]
    beas_images = {hashed(str(ds.SOPInstanceUID)) for ds in beas}
    kept = {p: p.read_bytes() for p in beas_part.rglob("*") if p.is_file()}
    journal = Journal(node.folder)
    assert {line.patient for line in journal.entries()} == {1, 2}

    erased = node.erase()

    assert [line.patient for line in journal.entries()] == [int(beas_part.name)]
    assert erased.search.is_clean, erased.search.hits
    assert erased.plan.removed["images"] == 4
    assert {path.stem for path in node.spool.instances(study)} == beas_images
    assert {p: p.read_bytes() for p in beas_part.rglob("*") if p.is_file()} == kept
    assert results.exam_folders(result) == [beas_part]
    assert hits_of(node.folder, OF_ANN) == []
    # What is left counts as read: the same content, reported and delivered.
    assert node.worker.fingerprint(study) == content
    assert node.worker.has_result(study, content)
    # Hers, sent anew, is new content.
    assert node.receive(anns)[0].received is Received.STORED
    assert node.worker.fingerprint(study) not in ("", content)


def test_a_crash_while_a_share_is_taken_out_changes_nothing_of_the_other(tmp_path: Path) -> None:
    first = ErasureNode(tmp_path / "first")
    study = first.study([*images(ANN, "both"), *images(BEA, "both", seed=3)])
    content = first.worker.fingerprint(study)
    beas = {hashed(str(ds.SOPInstanceUID)) for ds in images(BEA, "both", seed=3)}

    rename = Path.rename
    for number in range(8):
        node, renamed = ErasureNode(tmp_path / str(number), tmp_path / "first"), list[Path]()

        def cut(
            self: Path, target: Path, renamed: list[Path] = renamed, number: int = number
        ) -> Path:
            if len(renamed) == number:
                raise PowerCut
            renamed.append(self)
            return rename(self, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "rename", cut)
            with suppress(PowerCut):
                node.erase()
        assert len(renamed) <= number
        erased = node.erase()

        assert erased.search.is_clean, erased.search.hits
        assert {path.stem for path in node.spool.instances(study)} == beas
        assert node.worker.fingerprint(study) == content
        assert node.worker.has_result(study, content)
        assert hits_of(node.folder, OF_ANN) == []


def test_of_a_corrected_patient_late_jobs_of_the_old_content_end(tmp_path: Path) -> None:
    node = ErasureNode(tmp_path)
    study = node.study(images(ANN, "corrected"))
    old = node.worker.fingerprint(study)
    node.study(images(BEA, "corrected"))
    waiting = node.folder / "undelivered" / f"{study}.{old}.out.json"
    waiting.parent.mkdir(exist_ok=True)
    waiting.write_text('{"status": "given_up", "reason": "", "since": 1.0, "at": 1.0}')

    node.erase()

    steps = gated(node.worker.bound(), StudyGate(node.folder))
    assert steps.deliver(study, old, "out") == DeliveryStatus.DROPPED.value
    assert not waiting.exists()
    new = node.worker.fingerprint(study)
    assert steps.settled(study, new, "out") == DeliveryStatus.DELIVERED.value


def test_a_corrected_patient_leaves_what_is_the_right_ones(tmp_path: Path) -> None:
    node = ErasureNode(tmp_path)
    study = node.study(images(ANN, "corrected"))
    right = node.study(images(BEA, "corrected"))
    assert right == study
    assert len(node.spool.replaced(study)) == 4

    erased = node.erase()

    assert erased.plan.removed["images"] == 4
    assert erased.plan.removed["results"] == 1
    assert node.spool.replaced(study) == []
    assert len(node.spool.instances(study)) == 4
    assert hits_of(node.folder, OF_ANN) == []
    assert node.worker.has_result(study, node.worker.fingerprint(study))


def test_one_number_of_two_women_is_refused_until_the_issuer_is_given(tmp_path: Path) -> None:
    node = ErasureNode(tmp_path)
    node.receive(images({**ANN, "IssuerOfPatientID": "NORTH"}, "north"))
    node.receive(images({**BEA, **{"PatientID": ANN["PatientID"], "IssuerOfPatientID": "SOUTH"}},
                        "south", seed=3))  # fmt: skip

    with pytest.raises(ErasureRefused, match="NORTH, SOUTH"):
        node.look()
    erased = node.erase(issuer="NORTH")

    assert erased.plan.removed["images"] == 4
    assert erased.plan.identifiers.n_shared == 1  # the number is the other's, too
    assert node.spool.studies() == [hashed(uid("erasure", "south"))]


def test_what_is_not_read_or_not_delivered_is_named(node: ErasureNode) -> None:
    node.receive(images(ANN, "unread", seed=5))
    content = node.worker.fingerprint(ANNS)
    node.jobs.add(f"deliver-{ANNS}-{content}-out", "ENQUEUED")

    owed = {one.study: (one.not_read, one.destinations) for one in node.look().owed}

    assert owed == {hashed(uid("erasure", "unread")): (True, ()), ANNS: (False, ("out",))}


def listed(node: ErasureNode) -> StudyQueue:
    """The node's list of studies, which is up to date."""
    jobs: Any = node.jobs
    queue = StudyQueue(node.settings, Studies(node.settings, node.spool, jobs), jobs)
    assert queue.refresh()
    return queue


def test_the_list_of_studies_has_no_line_of_hers_any_more(node: ErasureNode) -> None:
    queue = listed(node)
    assert any(Path(name).name == study_table.FILE for name in hits_of(node.folder, OF_ANN))
    assert [row.study.key for row in queue.page(StudyFilter(text="ann-4711")).rows] == [ANNS]

    erased = node.erase()

    assert erased.search.is_clean, erased.search.hits
    assert hits_of(node.folder, (*OF_ANN, ANNS)) == []
    queue.refresh()
    assert [row.study.key for row in queue.page(StudyFilter()).rows] == [BEAS]


def test_a_line_that_is_written_late_is_not_entered_any_more(node: ErasureNode) -> None:
    queue = listed(node)
    jobs: Any = node.jobs
    late = Studies(node.settings, node.spool, jobs)
    seen = late.changed_at(ANNS)
    row = queue.page(StudyFilter(text="ann-4711")).rows[0]

    node.erase()
    table = study_table.StudyTable(node.folder)
    table.put([study_table.Look(row, seen, 1.0)], late.changed_at)

    assert hits_of(node.folder, (*OF_ANN, ANNS)) == []


def test_the_line_of_a_study_that_two_share_is_made_again_without_her(tmp_path: Path) -> None:
    node = ErasureNode(tmp_path)
    study = node.study([*images(ANN, "both"), *images(BEA, "both", seed=3)])
    queue = listed(node)
    (row,) = queue.page(StudyFilter()).rows
    assert row.patient.names == ("2 patients in one study",)

    node.erase()
    queue.refresh()

    (row,) = queue.page(StudyFilter()).rows
    assert (row.study.key, row.patient.patient_id) == (study, BEA["PatientID"])
    assert hits_of(node.folder, OF_ANN) == []


@pytest.mark.parametrize("wrong", ["", "  ", "A\\B", "x" * 65, "a\x07b"])
def test_what_is_no_patient_id_is_refused(wrong: str) -> None:
    with pytest.raises(ErasureRefused, match="Patient ID has 1 to 64 characters"):
        WantedPatient(wrong)


def test_every_file_of_a_node_is_in_a_known_place(node: ErasureNode) -> None:
    node.erase()

    unknown = [
        path for path in files_below(node.folder) if place_of(path.relative_to(node.folder)) is None
    ]

    assert unknown == []


def test_the_key_and_plans_are_for_the_nodes_user_alone(node: ErasureNode) -> None:
    modes = list[int]()

    def look(step: str) -> None:
        if step == "search":
            folder = node.folder / "erasures"
            modes.extend(
                os.stat(path).st_mode & 0o777 for path in (folder / "key", folder / "open")
            )

    node.erase(before=look)

    assert modes == [0o600, 0o700]
