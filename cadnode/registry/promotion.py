"""The rule by which a version takes the place of the active one, and whether evidence meets it.

The rule is the administrator's (TOML); the evidence is what `cadnode compare --json` writes. The
verdict is a pure function of them and of what is installed.
"""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cadnode.errors import SettingsError
from cadnode.models import store
from cadnode.registry import history, installation
from cadnode.registry.catalogue import Entry, parse
from cadnode.registry.comparison import Compared, ComparedSystem, ComparisonEvidence, read_evidence
from cadnode.registry.history import ChangeAuthor, Proof, grounds
from cadnode.registry.installation import Examine, Stores

_Share = Annotated[float, Field(ge=0, le=1)]


class Rule(BaseModel):
    """What the new version must show against the active one, on the same cases.

    Parameters
    ----------
    least_auc
        Its area on all cases is at least that.
    most_drop
        Its area is at most so much below the active one's.
    most_drop_in_stratum
        The same in every stratum that is large enough; None: strata do not count.
    least_n
        A comparison, and a stratum, counts with at least so many positives and as many negatives.
        Too small a comparison is refused; too small a stratum is passed over, and the verdict
        states it.
    judged_by
        `estimate`: the difference itself. `interval`: the lower end of its interval by woman,
        which asks for non-inferiority to be shown and not only not refuted.
    strata
        Facts whose strata count; empty: all that the comparison has.
    data
        The data set the evidence must be of; None: any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_auc: _Share = 0.5
    most_drop: _Share = 0.0
    most_drop_in_stratum: _Share | None = 0.05
    least_n: Annotated[int, Field(ge=1)] = 20
    judged_by: Literal["estimate", "interval"] = "estimate"
    strata: tuple[str, ...] = ()
    data: str | None = None


@dataclass(frozen=True, slots=True)
class PromotionCandidate:
    """The version that is to be active, and the one that is (None: the name is switched off)."""

    new: Compared
    active: Compared | None


@dataclass(frozen=True, slots=True)
class PromotionVerdict:
    """Whether the rule allows it, every reason against it, and what was passed over."""

    allowed: bool
    reasons: tuple[str, ...]
    passed_over: tuple[str, ...] = ()


def judge(
    rule: Rule, evidence: ComparisonEvidence, candidate: PromotionCandidate
) -> PromotionVerdict:
    """The verdict of a rule on a candidate, given the evidence."""
    rows = [r for r in evidence.strata if not rule.strata or r.fact in rule.strata]
    large = [r for r in rows if min(r.n_pos, r.n_neg) >= rule.least_n]
    reasons = [
        *_of_identity(evidence, candidate, rule),
        *_of_whole(rule, evidence.whole),
        *(reason for row in large for reason in _of_stratum(rule, row)),
    ]
    missing = sorted(set(rule.strata) - {r.fact for r in rows})
    reasons += [f"the comparison has no strata of {fact}" for fact in missing]
    small = tuple(f"{r.place}: {r.n_pos} + {r.n_neg} cases" for r in rows if r not in large)
    return PromotionVerdict(not reasons, tuple(reasons), small)


def read_rule(file: Path | None) -> Rule:
    """The rule of a TOML file; the default one without a file.

    Raises
    ------
    SettingsError
        The file is missing or not such a rule; the message names the keys.
    """
    if file is None:
        return Rule()
    try:
        return Rule.model_validate(tomllib.loads(file.read_text()))
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, e["loc"])) for e in error.errors()[:5])
        raise SettingsError(f"the rule in {file} is not valid: {keys}") from None
    except (OSError, ValueError):
        raise SettingsError(f"{file} holds no rule in TOML") from None


@dataclass(frozen=True, slots=True)
class Promotion:
    """The outcome: the version is active when the verdict allows it or `forced` gives a reason."""

    name: str
    version: str
    verdict: PromotionVerdict
    evidence_sha256: str
    forced: str

    @property
    def done(self) -> bool:
        """Whether the version is active now."""
        return self.verdict.allowed or bool(self.forced)


def promote(
    stores: Stores,
    spec: str,
    evidence: Path,
    rule: Rule,
    by: ChangeAuthor,
    examine: Examine,
    *,
    reason: str = "",
    forced: str = "",
) -> Promotion:
    """Make a version active when the rule allows it, or against the rule for a stated reason.

    The history keeps the rule, the evidence with its sha256, the reason (`forced`, when
    it was needed, and `reason`), who did it and when.

    Raises
    ------
    SettingsError
        There is no such version, or a reason is not one line.
    ModelError
        There is no evidence in the file, or the version does not work.
    """
    found, sha256 = read_evidence(evidence)
    stated = "; ".join(filter(None, (forced.strip(), reason.strip())))
    grounds(stated)  # refused before anything is read
    # What is judged is what is switched: the store cannot change in between.
    with history.changing(stores.own):
        entry, candidate = _candidate(stores, spec)
        verdict = judge(rule, found, candidate)
        needed = "" if verdict.allowed else forced.strip()
        if verdict.allowed or needed:
            why = grounds(stated, proof(found, sha256, rule, verdict))
            installation.switch(stores, entry, by, examine, why, "promote")
    return Promotion(entry.name, entry.version, verdict, sha256, needed)


def weigh(stores: Stores, spec: str, evidence: Path, rule: Rule) -> Promotion:
    """The verdict that `promote` would come to now; nothing is changed.

    Raises
    ------
    SettingsError
        There is no such version.
    ModelError
        There is no evidence in the file.
    """
    found, sha256 = read_evidence(evidence)
    entry, candidate = _candidate(stores, spec)
    return Promotion(entry.name, entry.version, judge(rule, found, candidate), sha256, "")


def _candidate(stores: Stores, spec: str) -> tuple[Entry, PromotionCandidate]:
    """The version that `spec` names, beside the one that is active now."""
    name, version = parse(spec)
    catalogue = stores.catalogue()
    entry = installation.chosen(catalogue, name, version)
    active = catalogue.active_version(name)
    now = None if active is None else _installed(catalogue.find(name, active))
    return entry, PromotionCandidate(_installed(entry), now)


def _installed(entry: Entry) -> Compared:
    card = store.read_card(entry.folder)
    return Compared(name=card.name, version=card.version, sha256=card.weights_sha256)


def proof(found: ComparisonEvidence, sha256: str, rule: Rule, verdict: PromotionVerdict) -> Proof:
    """What the history keeps of a promotion's evidence, its headline and the rule."""
    whole = found.whole
    return Proof(
        sha256=sha256,
        data=found.data,
        against=found.a.spec,
        n_pos=whole.n_pos,
        n_neg=whole.n_neg,
        auc_before=whole.auc_a,
        auc_now=whole.auc_b,
        difference=whole.difference,
        difference_ci=whole.difference_ci,
        rule=rule_text(rule),
        allowed=verdict.allowed,
    )


def rule_text(rule: Rule) -> str:
    """A rule in one line, every key with its value, as it can be written into a TOML file."""
    parts = rule.model_dump(mode="json", exclude_none=True)
    return "; ".join(f"{key} = {json.dumps(value)}" for key, value in parts.items())


def sentences(done: Promotion) -> list[str]:
    """The verdict in lines."""
    lines = [f"Against it: {reason}." for reason in done.verdict.reasons]
    lines += [f"Not judged, too few: {place}." for place in done.verdict.passed_over]
    if done.forced:
        return [*lines, f"Forced: {done.forced}"]
    verb = "allows" if done.verdict.allowed else "does not allow"
    return [*lines, f"The rule {verb} {done.name}@{done.version} to be active."]


def as_dict(done: Promotion) -> dict[str, object]:
    """As written into JSON."""
    return {
        "name": done.name,
        "version": done.version,
        "active": done.done,
        "allowed": done.verdict.allowed,
        "reasons": list(done.verdict.reasons),
        "passed_over": list(done.verdict.passed_over),
        "evidence_sha256": done.evidence_sha256,
        "forced": done.forced,
    }


def _of_identity(
    evidence: ComparisonEvidence, candidate: PromotionCandidate, rule: Rule
) -> Iterator[str]:
    if evidence.b != candidate.new:
        yield (
            f"the evidence is of {evidence.b.spec} or of other weights, not of "
            f"{candidate.new.spec} as it is installed"
        )
    if candidate.active is not None and evidence.a != candidate.active:
        yield (
            f"it was compared with {evidence.a.spec} or other weights; active is "
            f"{candidate.active.spec}"
        )
    if evidence.a == evidence.b:
        yield "a model was compared with itself"
    if rule.data is not None and evidence.data != rule.data:
        yield f"the evidence is of {evidence.data}; the rule asks for {rule.data}"


def _of_whole(rule: Rule, whole: ComparedSystem) -> Iterator[str]:
    if min(whole.n_pos, whole.n_neg) < rule.least_n:
        yield (
            f"{whole.n_pos} positive and {whole.n_neg} negative cases are fewer than "
            f"{rule.least_n} each"
        )
    if whole.auc_b is None or whole.auc_b < rule.least_auc:
        yield f"its AUC of {_number(whole.auc_b)} is below {rule.least_auc:g}"
    yield from _dropped(rule, whole, rule.most_drop)


def _of_stratum(rule: Rule, row: ComparedSystem) -> Iterator[str]:
    if rule.most_drop_in_stratum is not None:
        yield from _dropped(rule, row, rule.most_drop_in_stratum)


def _dropped(rule: Rule, row: ComparedSystem, most: float) -> Iterator[str]:
    lowest = row.lowest(rule.judged_by)
    if lowest is None:
        yield f"{row.place}: no difference of areas could be measured"
    elif lowest < -most:
        which = "may be" if rule.judged_by == "interval" else "is"
        yield (
            f"{row.place}: the AUC {which} {-lowest:.3f} lower "
            f"({_number(row.auc_a)} to {_number(row.auc_b)}); at most {most:g} is allowed"
        )


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
