"""When a scanner is said to drift, when not, and when a baseline begins again."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cadnode.domain import Outcome
from cadnode.exam.scanner import Scanner
from cadnode.quality import store, wording
from cadnode.quality.drift import DriftState, looks
from cadnode.quality.entry import JournalEntry
from cadnode.quality.journal import Journal
from cadnode.quality.overview import DriftOverview, ScannerDrift, overview_of
from cadnode.quality.series import MOST_SCANNERS, Accepted, key_of, rows_of
from cadnode.quality.vendors import vendors_named
from tests.drift_cases import BEGUN, MG1, MG2, RULE, entry, exams


def overview(entries: Sequence[JournalEntry], accepted: Sequence[Accepted] = ()) -> DriftOverview:
    now = max(one.read_at for one in entries)
    return overview_of(rows_of(entries, accepted), RULE, now)


def only(entries: Sequence[JournalEntry], accepted: Sequence[Accepted] = ()) -> ScannerDrift:
    (found,) = overview(entries, accepted).scanners
    return found


def test_few_exams_say_nothing_and_how_many_are_wanted() -> None:
    found = only([*exams(249)])
    (system,) = found.systems
    assert found.state is DriftState.TOO_FEW
    assert (system.n_exams, system.n_wanted, system.last) == (249, 250, None)
    assert "249 of 250" in wording.meaning_of(system)


def test_a_steady_scanner_is_steady() -> None:
    found = only([*exams(900)])
    assert found.state is DriftState.STEADY
    assert wording.advice_of(found) == ""
    assert found.systems[0].since is None


def test_a_scanner_whose_scores_rise_drifts_and_it_is_said_since_when() -> None:
    entries = [*exams(400), *exams(300, 400, shift=1.2)]
    found = only(entries)
    (system,) = found.systems
    assert found.state is DriftState.DRIFTS
    assert system.n_after is not None
    assert 200 < system.n_after <= 300  # within a window of the change
    assert system.since is not None
    assert system.since > entries[400].read_at
    assert "rose from" in wording.meaning_of(system)
    assert "accept" in wording.advice_of(found)
    worst = system.worst
    assert worst is not None
    assert worst.psi > 0.25


def test_a_drift_that_is_over_is_over() -> None:
    found = only([*exams(400), *exams(200, 400, shift=1.5), *exams(300, 600)])
    assert found.state is DriftState.STEADY


def test_an_accepted_change_begins_a_new_baseline() -> None:
    entries = [*exams(400), *exams(600, 400, shift=1.2)]
    accepted = Accepted(key_of(MG1), entries[450].read_at, "anna", "new detector")
    found = only(entries, [accepted])
    assert found.state is DriftState.STEADY
    assert found.systems[0].n_exams == 550
    late = replace(accepted, at=entries[-1].read_at + timedelta(days=1))
    assert only(entries, [late]).systems == ()


def test_a_new_version_of_the_model_begins_again_and_another_model_beside_it_does_not() -> None:
    one = [*exams(400), *exams(200, 400, shift=2.0, model="dib-mg@1.1.0")]
    found = only(one)
    assert found.systems[0].models == ("dib-mg@1.1.0",)
    assert (found.state, found.systems[0].n_exams) == (DriftState.TOO_FEW, 200)
    mixed = [*exams(200), *exams(200, 200, model="dib-mg-film@1.0.0")]
    assert only(mixed).systems[0].n_exams == 400


def scoring_as(entry: JournalEntry, digest: str, calibration: str = "") -> JournalEntry:
    system = replace(entry.systems[0], scores_as=(digest,))
    return replace(entry, systems=(system,), calibration=calibration)


def test_a_version_that_calibrates_another_scanner_does_not_begin_again() -> None:
    before = [scoring_as(one, "a") for one in exams(300)]
    after = list(exams(200, 300, shift=1.5, model="dib-mg@1.0.1"))
    alike = only([*before, *(scoring_as(one, "a") for one in after)])
    assert (alike.state, alike.systems[0].n_exams) == (DriftState.DRIFTS, 500)
    assert alike.systems[0].models == ("dib-mg@1.0.1",)
    own = only([*before, *(scoring_as(one, "a", "MG1") for one in after)])
    assert own.systems[0].n_exams == 200  # this scanner's own calibration is new
    refitted = only([*before, *(scoring_as(one, "b") for one in after)])
    assert refitted.systems[0].n_exams == 200


def test_another_operating_point_begins_again() -> None:
    entries = [*exams(300)]
    other = replace(entries[-1].systems[0], threshold=0.4)
    again = replace(entries[-1], study="e" * 16, systems=(other,))
    assert only([*entries, again]).systems[0].n_exams == 1


def test_exams_that_a_local_calibration_does_not_fit_break_no_row() -> None:
    own = [replace(one, calibration="MG1") for one in exams(600)]
    general = [
        replace(one, calibration="", systems=(replace(one.systems[0], threshold=0.4),))
        for one in own[::20]
    ]
    mixed = [one for one in own if one not in own[::20]] + general
    found = only(sorted(mixed, key=lambda one: one.read_at))
    assert found.systems[0].n_exams == 600
    assert found.state is DriftState.STEADY


def test_a_calibration_that_an_update_of_the_software_loses_is_seen_as_a_drift() -> None:
    before = [replace(one, calibration="MG1, software 1.10") for one in exams(400)]
    after = [
        replace(one, scanner=replace(MG1, software="1.11")) for one in exams(200, 400, shift=1.5)
    ]
    assert only([*before, *after]).state is DriftState.DRIFTS


def test_an_exam_that_is_read_again_counts_once() -> None:
    entries = [*exams(20)]
    again = replace(entries[3], content="later", read_at=entries[-1].read_at)
    assert only([*entries, again]).systems[0].n_exams == 20


def test_a_system_that_found_nothing_called_nothing() -> None:
    entries = [*exams(300)]
    empty = [replace(one, systems=()) for one in exams(100, 300)]
    (system,) = only([*entries, *empty]).systems
    assert system.n_exams == 400
    assert system.last is not None
    assert system.last.called.now.k == 0
    assert system.last.called.now.n == 100


def test_what_was_not_read_is_counted_and_is_no_score() -> None:
    unread = replace(entry(500, [0.1, 0.1]), outcome=Outcome.NOT_READ, systems=(), active=())
    found = only([*exams(30), unread])
    assert (found.n_exams, found.n_not_read, found.systems[0].n_exams) == (31, 1, 30)


def test_a_replaced_scanner_is_new_and_set_beside_the_others() -> None:
    old = [*exams(1500)]
    new = [*exams(60, 1500, shift=1.5, scanner=MG2)]
    found = {one.name: one for one in overview([*old, *new]).scanners}
    assert not found["HOLOGIC SELENIA DIMENSIONS MG1"].is_new
    one = found["GE SENOGRAPHE PRISTINA MG2"]
    assert one.is_new
    remarks = " ".join(wording.remarks_of(one))
    assert "A new scanner" in remarks
    assert "otherwise than on your other scanners" in remarks


def test_a_silent_scanner_and_its_software_are_remarked_on() -> None:
    newer = [replace(one, scanner=replace(MG1, software="1.11")) for one in exams(10, 20)]
    entries = [*exams(20), *newer, *exams(5, 2000, scanner=MG2)]
    found = {one.scanner.station: one for one in overview(entries).scanners}["MG1"]
    remarks = " ".join(wording.remarks_of(found))
    assert found.is_silent
    assert "No exam came from it since 2026-01-06" in remarks
    assert "1.11 instead of 1.10" in remarks


def test_scanners_of_one_name_are_told_apart() -> None:
    twin = replace(MG1, serial="77")
    names = {one.name for one in overview([*exams(5), *exams(5, 5, scanner=twin)]).scanners}
    assert names == {"HOLOGIC SELENIA DIMENSIONS MG1 1", "HOLOGIC SELENIA DIMENSIONS MG1 77"}
    unknown = only([*exams(3, scanner=Scanner())])
    assert unknown.name == "unknown scanner"


def test_the_number_of_scanners_is_bounded() -> None:
    entries = [entry(n, [0.1, 0.2], replace(MG1, station=f"S{n}")) for n in range(60)]
    found = overview(entries).scanners
    assert len(found) == MOST_SCANNERS
    assert "S59" in {one.scanner.station for one in found}


def test_looks_are_taken_every_quarter_of_a_window() -> None:
    (rows,) = rows_of([*exams(400)]).values()
    assert [one.n_after for one in looks(rows.rows["kim2018"], RULE)] == [
        200,
        175,
        150,
        125,
        100,
        75,
        50,
    ]


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for one in exams(30):
        journal.add(one)
    now = BEGUN + timedelta(days=40)
    found = store.look(tmp_path, RULE, now)
    assert store.read(tmp_path) is None
    store.write(tmp_path, found)
    assert store.read(tmp_path) == found
    change = Accepted(key_of(MG1), now, "anna", "service")
    store.accept(tmp_path, change)
    store.accept(tmp_path, replace(change, by="otto"))
    assert [one.by for one in store.accepted(tmp_path)] == ["anna", "otto"]
    (tmp_path / "quality" / "drift.json").write_bytes(b"{")
    assert store.read(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Hologic Selenia and GE Senographe Essential", {"hologic", "ge"}),
        ("digitised film of general images, German hospitals", set()),
        ("Siemens MAMMOMAT Inspiration", {"siemens"}),
        ("FUJIFILM Amulet; I.M.S. Giotto", {"fujifilm", "ims"}),
        ("the canonical split, women of Colorado", set()),
    ],
)
def test_vendors_are_found_in_a_cards_text(text: str, named: set[str]) -> None:
    assert vendors_named(text) == named
