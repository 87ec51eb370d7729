"""A study's state as a table: what is known of it, and what is told."""

import pytest

from cadnode.domain import Laterality, ViewPosition
from cadnode.node.jobs import Job
from cadnode.node.readiness import Fetching, Ignore, Ready, Wait
from cadnode.node.study_state import StudyFacts, decide, delivery_word, waiting
from cadnode.receive.fetch.requests import Ended, FetchCode
from cadnode.web.study import DELIVERY_MEANINGS, State


def job(status: str, output: str | None = None) -> Job:
    return Job("id", "name", status, output, 0.0, 0.0)


WAITS, RUNS, ENDED, BROKE = (job(s) for s in ("ENQUEUED", "PENDING", "SUCCESS", "ERROR"))
DELAYED = job("DELAYED")
TAKEN, UNSEEN = job("SUCCESS", "delivered"), job("SUCCESS", "unverified")
R_MLO, L_MLO = ((side, ViewPosition.MLO) for side in (Laterality.RIGHT, Laterality.LEFT))
WAIT = Wait(30.0, 30.0, (R_MLO,))
HELD = {"n_instances": 4, "readiness": WAIT}
READ = {**HELD, "attempts": (ENDED,), "has_result": True}


def ended(code: FetchCode, *, is_final: bool = True) -> Ended:
    return Ended(code, is_final)


@pytest.mark.parametrize(
    ("facts", "state", "codes"),
    [
        # Nothing is here.
        (StudyFacts(), State.UNKNOWN, []),
        (StudyFacts(readiness=Fetching()), State.FETCHING, []),
        (
            StudyFacts(
                readiness=Fetching(), fetch=ended(FetchCode.SOURCE_UNREACHABLE, is_final=False)
            ),
            State.FETCHING,
            ["source_unreachable"],
        ),
        (StudyFacts(fetch=ended(FetchCode.GIVEN_UP)), State.FAILED, ["given_up"]),
        (StudyFacts(fetch=ended(FetchCode.UNKNOWN_STUDY)), State.FAILED, ["unknown_study"]),
        (StudyFacts(fetch=ended(FetchCode.NO_MAMMOGRAMS)), State.IGNORED, ["no_mammograms"]),
        # Images are here, and no mammogram among them.
        (StudyFacts(n_instances=1, readiness=WAIT), State.RECEIVING, ["waiting_for_views"]),
        (StudyFacts(n_instances=1, readiness=Ignore()), State.IGNORED, ["no_mammograms"]),
        # Mammograms are here.
        (StudyFacts(**HELD), State.RECEIVING, ["waiting_for_views"]),
        (StudyFacts(n_instances=4, readiness=Wait(1.0, 2.0)), State.RECEIVING,
         ["waiting_for_quiet"]),
        (StudyFacts(n_instances=4, readiness=Fetching()), State.FETCHING, []),
        (StudyFacts(n_instances=4, readiness=Ready()), State.QUEUED, []),
        (StudyFacts(**HELD, attempts=(WAITS,)), State.QUEUED, []),
        (StudyFacts(**HELD, attempts=(RUNS,)), State.READING, []),
        (StudyFacts(**HELD, attempts=(RUNS,), has_result=True), State.READING, []),
        (StudyFacts(**HELD, attempts=(ENDED, DELAYED)), State.QUEUED, ["tried_again"]),
        (StudyFacts(**HELD, attempts=(ENDED, RUNS)), State.READING, []),
        (StudyFacts(**HELD, attempts=(ENDED, ENDED, BROKE)), State.FAILED, ["reading_failed"]),
        (StudyFacts(**HELD, attempts=(job("CANCELLED"),)), State.FAILED, ["reading_failed"]),
        # The content changed while it was read: the new one is not announced yet.
        (StudyFacts(**HELD, attempts=(ENDED,)), State.RECEIVING, ["waiting_for_views"]),
        # Read.
        (StudyFacts(**READ), State.DONE, []),
        (StudyFacts(**READ, deliveries=(("a", TAKEN),)), State.DONE, []),
        (StudyFacts(**READ, deliveries=(("a", None),)), State.DONE, ["nothing_sent"]),
        # Read once, and the result is gone.
        (
            StudyFacts(**HELD, attempts=(job("SUCCESS", "reported"),)),
            State.FAILED,
            ["result_removed"],
        ),
        (StudyFacts(**READ, deliveries=(("a", UNSEEN), ("b", TAKEN))), State.DONE, []),
        (StudyFacts(**READ, deliveries=(("a", TAKEN), ("b", RUNS))), State.DELIVERING, []),
        (StudyFacts(**READ, deliveries=(("a", job("SUCCESS", "refused")), ("b", WAITS))),
         State.DELIVERING, []),
        (StudyFacts(**READ, deliveries=(("a", TAKEN), ("b", job("SUCCESS", "refused")))),
         State.REFUSED, []),
        (StudyFacts(**READ, deliveries=(("a", job("SUCCESS", "given_up")),)), State.REFUSED, []),
        (StudyFacts(**{**READ, "readiness": Fetching()}), State.FETCHING, []),
        # Read, but the source could not be asked for what it has since.
        (StudyFacts(**READ, fetch=ended(FetchCode.GIVEN_UP)), State.DONE, ["given_up"]),
        # Read, and the job database was lost.
        (StudyFacts(**HELD, has_result=True), State.DONE, []),
        (StudyFacts(**HELD, has_result=True, deliveries=(("a", None),)), State.DONE,
         ["deliveries_unknown"]),
    ],
)  # fmt: skip
def test_a_study_is_in_the_state_that_its_facts_give(
    facts: StudyFacts, state: State, codes: list[str]
) -> None:
    verdict = decide(facts)
    assert verdict.state is state
    assert [reason.code for reason in verdict.reasons] == codes
    assert all(reason.meaning for reason in verdict.reasons)


def test_what_is_waited_for_is_a_sentence() -> None:
    quiet = "the study is read once nothing has come for 60 s, which is in 45 s"
    assert waiting(Wait(44.2, 60.0)).meaning == quiet
    one = waiting(Wait(45.0, 60.0, (R_MLO,))).meaning
    assert one == f"waiting for RMLO; otherwise {quiet}"
    two = waiting(Wait(45.0, 60.0, (L_MLO, R_MLO))).meaning
    assert two == f"waiting for LMLO and RMLO; otherwise {quiet}"
    l_cc = (Laterality.LEFT, ViewPosition.CC)
    three = waiting(Wait(45.0, 60.0, (l_cc, L_MLO, R_MLO))).meaning
    assert three == f"waiting for LCC, LMLO and RMLO; otherwise {quiet}"


def test_a_delivery_that_broke_is_given_up_and_not_called_delivered() -> None:
    words = [delivery_word(job) for job in (WAITS, DELAYED, RUNS, BROKE, ENDED, TAKEN, UNSEEN)]
    assert words == [
        "waiting", "waiting", "waiting", "given_up", "given_up", "delivered", "unverified",
    ]  # fmt: skip
    assert set(words) <= set(DELIVERY_MEANINGS)


def test_a_destination_that_was_added_after_the_reading_is_not_listed() -> None:
    facts = StudyFacts(**READ, deliveries=(("old", TAKEN), ("new", None)))
    assert decide(facts).deliveries == (("old", "delivered"),)
    assert decide(facts).state is State.DONE


def test_only_states_after_which_nothing_comes_are_final() -> None:
    final = ["done", "refused", "failed", "dropped", "ignored"]
    assert [s.value for s in State if s.is_final] == final


def test_what_is_undelivered_is_told_while_more_is_fetched() -> None:
    refused = job("SUCCESS", "refused")
    facts = StudyFacts(
        n_instances=4, readiness=Fetching(), attempts=(ENDED,), has_result=True,
        deliveries=(("archive", refused), ("other", TAKEN)),
    )  # fmt: skip

    verdict = decide(facts)

    assert verdict.state is State.FETCHING
    assert dict(verdict.deliveries) == {"archive": "refused", "other": "delivered"}
