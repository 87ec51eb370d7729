"""What many exams say together of a shadow: counts, agreement of scores, failures."""

import json
from typing import Any

import pytest

from cadnode.domain import System
from cadnode.registry.shadow_log import Pair
from cadnode.registry.shadow_summary import BINS, ShadowDocument, agree, parse, summarize

KIM = System.KIM2018


def exam(active: float | None, shadow: float | None) -> Pair:
    called = [None if s is None else s >= 0.5 for s in (active, shadow)]
    return Pair(KIM, "exam", active, shadow, *called)


def told(one: float, other: float, version: str = "0.0.2", **changes: Any) -> ShadowDocument:
    row = {"system": "kim2018", "active": one, "shadow": other,
           "active_called": one >= 0.5, "shadow_called": other >= 0.5}  # fmt: skip
    content = {
        "schema_version": 2, "status": "read", "wanted": [f"toy@{version}"],
        "active": [{"name": "toy", "version": "0.0.1", "sha256": "a" * 64}],
        "shadow": [{"name": "toy", "version": version, "sha256": "b" * 64}],
        "scores": [row | {"what": what} for what in ("exam", "R", "L")],
        "marks": {"active": 1, "shadow": 1}, "seconds": 3.5,
    }  # fmt: skip
    found = parse(json.dumps(content | changes).encode())
    assert found is not None
    return found


def test_bland_and_altman_by_hand() -> None:
    # Differences 0.1, 0.2, 0.0, 0.1: mean 0.1, standard deviation sqrt(0.02 / 3) = 0.081650;
    # t(0.975; 3) = 3.182446, so the interval is 0.1 ± 3.182446 · 0.081650 / 2 = 0.1 ± 0.129923.
    row = agree(KIM, (), (), [exam(0.1, 0.2), exam(0.3, 0.5), exam(0.6, 0.6), exam(0.2, 0.3)])

    assert row.n == 4
    assert row.mean_difference == pytest.approx(0.1)
    assert row.mean_difference_ci == pytest.approx((-0.029923, 0.229923), abs=1e-5)
    assert row.limits == pytest.approx((0.1 - 0.160030, 0.1 + 0.160030), abs=1e-5)
    assert row.histogram_to == 0.2
    assert sum(row.histogram) == 4
    assert row.histogram[-1] == 1


def test_pearsons_correlation_and_fishers_interval_by_hand() -> None:
    # x = 1…5 tenths, y = 2, 1, 4, 3, 5: Spearman's case of r = 1 - 6·4 / (5·24) = 0.8 without ties.
    # Fisher: atanh(0.8) = 1.098612 ± 1.959964 / sqrt(2) = (-0.287292, 2.484516).
    pairs = [exam(x / 10, y / 10) for x, y in zip((1, 2, 3, 4, 5), (2, 1, 4, 3, 5), strict=True)]

    row = agree(KIM, (), (), pairs)

    assert row.correlation == pytest.approx(0.8)
    assert row.correlation_ci == pytest.approx((-0.27964, 0.98620), abs=1e-4)


def test_too_few_exams_give_no_numbers_instead_of_wrong_ones() -> None:
    none, one = agree(KIM, (), (), []), agree(KIM, (), (), [exam(0.5, 0.6)])

    assert (none.n, none.mean_difference, none.correlation) == (0, None, None)
    assert none.histogram == (0,) * BINS
    assert one.mean_difference == pytest.approx(0.1)
    assert (one.mean_difference_ci, one.limits, one.correlation) == (None, None, None)
    alike = agree(KIM, (), (), [exam(0.5, 0.6)] * 5)
    assert alike.correlation is None


def test_an_exam_that_one_side_did_not_score_is_counted_and_in_no_number() -> None:
    row = agree(KIM, (), (), [exam(0.5, None), exam(0.7, 0.7)])

    assert (row.n, row.counts["incomplete"], row.counts["both"]) == (1, 1, 1)


def test_each_pair_of_versions_has_a_row_and_breasts_are_not_exams() -> None:
    found = summarize([told(0.6, 0.4), told(0.2, 0.7), told(0.1, 0.1, version="0.0.3")])

    assert [(r.shadow, r.active, sum(r.counts.values())) for r in found.rows] == [
        (("toy@0.0.2",), ("toy@0.0.1",), 2),
        (("toy@0.0.3",), ("toy@0.0.1",), 1),
    ]
    assert found.rows[0].counts == {
        "both": 0, "active": 1, "shadow": 1, "neither": 0, "incomplete": 0,
    }  # fmt: skip
    assert found.pairs[0] == ((0.6, 0.4), (0.2, 0.7))


def test_failures_are_counted_by_their_code() -> None:
    def ended(status: str, reason: str) -> ShadowDocument:
        empty: dict[str, Any] = {"active": [], "shadow": [], "scores": []}
        return told(0, 0, **empty, status=status, reason=reason)

    found = summarize(
        [ended("failed", "model"), ended("failed", "crashed"), ended("failed", "model"),
         ended("unaffected", ""), told(0.1, 0.1)]
    )  # fmt: skip

    assert (found.n_read, found.n_unaffected, found.n_failed) == (1, 1, 3)
    assert found.failures == {"crashed": 1, "model": 2}


def test_a_shadow_that_is_not_installed_counts_also_where_another_read() -> None:
    alone = told(0, 0, scores=[], status="failed", reason="settings", wanted=[], missing=["x@1"])

    found = summarize([alone, told(0.1, 0.1, missing=["x@1"]), told(0.1, 0.1)])

    assert (found.n_read, found.failures) == (2, {"settings": 2})


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"schema_version": 1}', b'{"schema_version": 2, "status": "odd"}']
)
def test_a_damaged_file_is_nothing(content: bytes) -> None:
    assert parse(content) is None
