"""Which evidence lets a version take the active one's place, and what the history keeps of it."""

import fcntl
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cadnode.cli.models import models_app
from cadnode.errors import ModelError, SettingsError
from cadnode.models import store
from cadnode.registry import history, installation, promotion
from cadnode.registry.comparison import Compared, ComparisonEvidence, read_evidence
from cadnode.registry.history import Proof
from cadnode.registry.installation import Stores
from cadnode.registry.promotion import PromotionCandidate, Rule, judge, promote, read_rule
from tests.unit import store_cases
from tests.unit.store_cases import ANNA

OLD = {"name": "toy", "version": "0.0.1", "sha256": "a" * 64}
NEW = {"name": "toy", "version": "0.0.2", "sha256": "b" * 64}
CANDIDATE = PromotionCandidate(Compared(**NEW), Compared(**OLD))


def row(fact: str = "", stratum: str = "all", **changes: Any) -> dict[str, Any]:
    return {
        "fact": fact, "stratum": stratum, "n_pos": 60, "n_neg": 90, "auc_a": 0.80, "auc_b": 0.82,
        "difference": 0.02, "difference_ci": [-0.03, 0.07],
    } | changes  # fmt: skip


def evidence(*strata: dict[str, Any], **whole: Any) -> ComparisonEvidence:
    return ComparisonEvidence.model_validate(told(*strata, **whole))


def told(*strata: dict[str, Any], a: Any = OLD, b: Any = NEW, **whole: Any) -> dict[str, Any]:
    return {
        "schema_version": 1, "kind": "cadnode-comparison", "data": "toys", "a": a, "b": b,
        "whole": row(**whole), "strata": list(strata), "reclassification": {"nri": 0.1},
    }  # fmt: skip


def test_a_better_model_without_a_worse_stratum_is_allowed() -> None:
    verdict = judge(Rule(), evidence(row("vendor", "X")), CANDIDATE)

    assert verdict.allowed
    assert verdict.reasons == ()


@pytest.mark.parametrize(
    ("rule", "whole", "words"),
    [
        (Rule(least_auc=0.9), {}, "its AUC of 0.820 is below 0.9"),
        (Rule(least_n=61), {}, "60 positive and 90 negative cases are fewer than 61"),
        (Rule(data="other"), {}, "the evidence is of toys; the rule asks for other"),
        (Rule(strata=("vendor",)), {}, "the comparison has no strata of vendor"),
        (Rule(), {"difference": -0.01, "auc_b": 0.79}, "all cases: the AUC is 0.010 lower"),
        (Rule(judged_by="interval"), {}, "all cases: the AUC may be 0.030 lower"),
        (Rule(), {"auc_b": None, "difference": None}, "its AUC of unknown is below"),
    ],
)
def test_each_limit_refuses_with_its_reason(rule: Rule, whole: dict[str, Any], words: str) -> None:
    verdict = judge(rule, evidence(**whole), CANDIDATE)

    assert not verdict.allowed
    assert any(words in reason for reason in verdict.reasons)


def test_a_drop_that_the_rule_bears_is_allowed_to_its_very_edge() -> None:
    found = evidence(difference=-0.02, auc_b=0.78)

    assert judge(Rule(most_drop=0.02), found, CANDIDATE).allowed
    assert not judge(Rule(most_drop=0.019), found, CANDIDATE).allowed


def test_the_interval_asks_that_non_inferiority_is_shown() -> None:
    found = evidence(difference=0.02, difference_ci=[-0.03, 0.07])

    assert judge(Rule(most_drop=0.03, judged_by="interval"), found, CANDIDATE).allowed
    assert not judge(Rule(most_drop=0.02, judged_by="interval"), found, CANDIDATE).allowed


def test_one_worse_stratum_refuses_a_model_that_is_better_on_the_whole() -> None:
    worse = row("vendor", "X", auc_b=0.70, difference=-0.10)

    verdict = judge(Rule(), evidence(row("vendor", "Y"), worse), CANDIDATE)

    assert verdict.reasons == (
        "vendor X: the AUC is 0.100 lower (0.800 to 0.700); at most 0.05 is allowed",
    )
    assert judge(Rule(most_drop_in_stratum=None), evidence(worse), CANDIDATE).allowed
    assert judge(Rule(strata=("density",)), evidence(worse, row("density", "B")), CANDIDATE).allowed


def test_a_stratum_that_is_too_small_is_passed_over_and_named() -> None:
    small = row("vendor", "X", n_pos=3, difference=-0.5, auc_b=0.3)

    verdict = judge(Rule(), evidence(small), CANDIDATE)

    assert verdict.allowed
    assert verdict.passed_over == ("vendor X: 3 + 90 cases",)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (OLD, NEW | {"sha256": "c" * 64}, "or of other weights"),
        (OLD | {"version": "0.0.0"}, NEW, "active is toy@0.0.1"),
        (NEW, NEW, "compared with itself"),
    ],
)
def test_evidence_of_other_models_is_none(a: Any, b: Any, words: str) -> None:
    verdict = judge(Rule(), ComparisonEvidence.model_validate(told(a=a, b=b)), CANDIDATE)

    assert any(words in reason for reason in verdict.reasons)


def test_a_model_that_is_switched_off_may_be_compared_with_any() -> None:
    assert judge(Rule(), evidence(), PromotionCandidate(Compared(**NEW), None)).allowed


def test_a_rule_is_read_from_toml_and_a_wrong_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rule.toml"
    file.write_text('least_auc = 0.7\nmost_drop = 0.01\nstrata = ["vendor"]\n')
    assert read_rule(file) == Rule(least_auc=0.7, most_drop=0.01, strata=("vendor",))

    file.write_text("most_dorp = 0.01\n")
    with pytest.raises(SettingsError, match="most_dorp"):
        read_rule(file)
    file.write_text("least_auc = ")
    with pytest.raises(SettingsError, match="TOML"):
        read_rule(file)


def test_what_is_no_comparison_is_no_evidence(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    with pytest.raises(ModelError, match="no comparison"):
        read_evidence(file)
    file.write_text(json.dumps(told() | {"kind": "something"}))
    with pytest.raises(ModelError, match="no comparison"):
        read_evidence(file)
    file.write_text(json.dumps(told(auc_b=1.2)))
    with pytest.raises(ModelError, match="no comparison"):
        read_evidence(file)


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """Version 0.0.1 of a toy is active, 0.0.2 is there."""
    found = Stores(tmp_path / "data" / "models", tmp_path / "nothing")
    for version in ("0.0.1", "0.0.2"):
        made = store_cases.made(tmp_path / "new", version, seed=int(version[-1]))
        installation.add(made, found, ANNA, store.read_card)
    return found


def written(stores: Stores, file: Path, **whole: Any) -> str:
    """Evidence of the two versions as they are installed; returns its sha256."""
    named = {}
    for letter, version in (("a", "0.0.1"), ("b", "0.0.2")):
        card = store.read_card(stores.own / "toy" / version)
        named[letter] = OLD | {"version": version, "sha256": card.weights_sha256}
    file.write_text(json.dumps(told(**named, **whole)))
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_history_keeps_rule_reason_and_evidence_of_a_promotion(
    stores: Stores, tmp_path: Path
) -> None:
    sha256 = written(stores, tmp_path / "e.json")

    done = promote(
        stores, "toy@0.0.2", tmp_path / "e.json", Rule(least_auc=0.7), ANNA, store.read_card,
        reason="spring's retraining",
    )  # fmt: skip

    assert done.done
    assert stores.catalogue().active_version("toy") == "0.0.2"
    last = history.read(stores.own).history[-1]
    assert (last.action, last.from_version, last.to_version) == ("promote", "0.0.1", "0.0.2")
    assert (last.by, last.reason) == ("anna", "spring's retraining")
    assert last.evidence == Proof(
        sha256=sha256, data="toys", against="toy@0.0.1", n_pos=60, n_neg=90, auc_before=0.8,
        auc_now=0.82, difference=0.02, difference_ci=(-0.03, 0.07), allowed=True,
        rule='least_auc = 0.7; most_drop = 0.0; most_drop_in_stratum = 0.05; least_n = 20; '
        'judged_by = "estimate"; strata = []',
    )  # fmt: skip


def test_judging_and_switching_are_one_change_of_the_store(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = []

    def judging(*arguments: Any) -> Any:
        with (stores.own / ".lock").open("w") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked.append(True)
        return judge(*arguments)

    monkeypatch.setattr(promotion, "judge", judging)
    written(stores, tmp_path / "e.json")

    promote(stores, "toy@0.0.2", tmp_path / "e.json", Rule(), ANNA, store.read_card)

    assert locked == [True]


def test_a_reason_of_two_lines_is_refused_before_anything_changes(
    stores: Stores, tmp_path: Path
) -> None:
    written(stores, tmp_path / "e.json")

    with pytest.raises(SettingsError, match="one line"):
        promote(
            stores, "toy@0.0.2", tmp_path / "e.json", Rule(), ANNA, store.read_card,
            reason="because\nanna did it",
        )  # fmt: skip
    assert stores.catalogue().active_version("toy") == "0.0.1"


def test_a_refused_version_stays_off_until_it_is_forced_with_a_reason(
    stores: Stores, tmp_path: Path
) -> None:
    file = tmp_path / "e.json"
    sha256 = written(stores, file, difference=-0.2, auc_b=0.6)

    refused = promote(stores, "toy", file, Rule(), ANNA, store.read_card)
    assert not refused.done
    assert stores.catalogue().active_version("toy") == "0.0.1"

    forced = promote(
        stores, "toy", file, Rule(), ANNA, store.read_card, forced="the old one fails on vendor X"
    )
    assert forced.done
    assert not forced.verdict.allowed
    last = history.read(stores.own).history[-1]
    assert (last.by, last.reason) == ("anna", "the old one fails on vendor X")
    assert last.evidence is not None
    assert (last.evidence.sha256, last.evidence.allowed) == (sha256, False)
    installation.rollback(stores, "toy", ANNA, store.read_card)
    assert stores.catalogue().active_version("toy") == "0.0.1"


def test_the_command_says_why_not_and_ends_with_4(stores: Stores, tmp_path: Path) -> None:
    written(stores, tmp_path / "e.json", difference=-0.2, auc_b=0.6)
    config = tmp_path / "cadnode.toml"
    config.write_text(f"[storage]\nfolder = '{tmp_path / 'data'}'\n")
    words = ["promote", "toy@0.0.2", "--evidence", str(tmp_path / "e.json"), "-c", str(config)]

    result = CliRunner().invoke(models_app, words, env={"COLUMNS": "200", "TERM": "dumb"})

    assert result.exit_code == 4
    assert "the AUC is 0.200 lower (0.800 to 0.600)" in result.output
    forced = CliRunner().invoke(models_app, [*words, "--force", "a trial", "--json"])
    assert forced.exit_code == 0, forced.output
    assert json.loads(forced.stdout)["forced"] == "a trial"
    told = CliRunner().invoke(
        models_app, ["history", "toy", "-c", str(config)], env={"COLUMNS": "200", "TERM": "dumb"}
    )
    for words in (
        "promote 0.0.1 → 0.0.2", "why: a trial", "toys, 60 + 90 cases, against toy@0.0.1",
        "AUC 0.800 → 0.600, difference -0.200 (-0.030 to 0.070)",
        "rule, which did not allow it: it was forced: least_auc = 0.5",
    ):  # fmt: skip
        assert words in told.output, words
