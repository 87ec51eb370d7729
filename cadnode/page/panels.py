"""What the page shows of findings and systems, beside the pictures."""

from collections.abc import Sequence
from typing import Any, Final

from cadnode.domain import (
    NO_AGE_SCORE_MEANINGS,
    SKIP_MEANINGS,
    Assessment,
    Evidence,
    ExamResult,
    Finding,
    ImageEvidence,
    Laterality,
    System,
    SystemStatus,
    TrainingMaterial,
    in_order,
)
from cadnode.exam.evidence import name_of
from cadnode.models.card import ModelCard
from cadnode.report.scores import phantom_systems, took_part, why_not_assessed
from cadnode.report.wording import (
    KIND_NAMES,
    assessment_by,
    counting,
    descriptors,
    material_words,
    method_of,
    origin,
    plain,
)

THINGS: Final = {"patient": "Patient", "kind": "Kind", "laterality": "Side", "view": "View"}


def scores(result: ExamResult) -> list[dict[str, Any]]:
    """Exam, then right and left breast."""
    above = result.operating_point if result.operating_point is not None else float("inf")
    rows = [("Exam", result.exam_score)] if result.exam_score is not None else []
    sides = {Laterality.RIGHT: "Right breast", Laterality.LEFT: "Left breast"}
    rows += [(sides[b.laterality], b.score) for b in result.breasts]
    return [{"name": name, "score": score, "above": score >= above} for name, score in rows]


def image_and_age(result: ExamResult) -> dict[str, Any] | None:
    """The scores of image and age as `scores` has the image's, or why there are none."""
    both = result.image_and_age
    if both is None:
        return None
    sides = {Laterality.RIGHT: "Right breast", Laterality.LEFT: "Left breast"}
    rows = [("Exam", both.exam_score)] if both.exam_score is not None else []
    rows += [(sides[b.laterality], b.score) for b in both.breasts]
    return {
        "rows": [{"name": name, "score": score} for name, score in rows],
        "algorithm": both.algorithm,
        "why": NO_AGE_SCORE_MEANINGS[both.reason] if both.reason else "",
    }


def skipped(result: ExamResult, names: dict[str, str]) -> list[dict[str, str]]:
    """Images that were not scored, by the view's name where it has one, and why."""
    shown = {image.sop_instance_uid: _name(image) for image in result.evidence} | names
    return [
        {
            "name": shown.get(s.sop_instance_uid, "object"),
            "reason": s.reason.value,
            "meaning": SKIP_MEANINGS[s.reason],
            "detail": s.detail,
        }
        for s in result.skipped
    ]


def evidence(result: ExamResult, names: dict[str, str]) -> list[dict[str, Any]]:
    """What shows patient, kind, side and view of each image; those that were read come first."""
    skipped = {s.sop_instance_uid: s.reason.value for s in result.skipped}
    images = [
        {
            "name": names.get(image.sop_instance_uid, _name(image)),
            "skipped": skipped.get(image.sop_instance_uid, ""),
            "things": [
                {"about": about, "sources": [_source(e) for e in found]}
                for about, found in _by_thing(image.evidence).items()
            ],
        }
        for image in result.evidence
    ]
    return sorted(images, key=lambda image: (bool(image["skipped"]), str(image["name"])))


def _by_thing(found: Sequence[Evidence]) -> dict[str, list[Evidence]]:
    things: dict[str, list[Evidence]] = {thing: [] for thing in THINGS}
    for e in found:
        things.setdefault(e.about, []).append(e)
    return {THINGS.get(thing, thing): sources for thing, sources in things.items()}


def _source(e: Evidence) -> dict[str, Any]:
    """A source as the page shows it: of kinds, by the attribute's name alone."""
    return {"name": name_of(e.source), "says": e.says, "counts": e.counts, "level": e.level.value}


def _name(image: ImageEvidence) -> str:
    """Side and view of an image as far as they are known: "R CC", "? MLO"."""
    known = {
        thing: next((e.says for e in image.evidence if e.about == thing and e.counts), "?")
        for thing in ("laterality", "view")
    }
    return " ".join(known.values())


def columns(result: ExamResult, cards: Sequence[ModelCard]) -> list[dict[str, Any]]:
    """One column of the findings table per system that is known of, in the papers' order."""
    known = {s.system for s in result.systems}
    known |= {a.system for f in result.findings for a in f.assessments}
    counts = {one.system for f in result.findings if (one := counting(f))}
    phantom = phantom_trained(result, cards)
    return [
        {
            "name": system.value,
            "method": method_of(system),
            "counts": counts == {system},
            "phantom": system in phantom,
        }
        for system in in_order(known)
    ]


def phantom_trained(result: ExamResult, cards: Sequence[ModelCard]) -> list[System]:
    """Systems trained on phantoms alone, computed images with drawn lesions."""
    names = set(phantom_systems(result))
    assessed = (a.system for f in result.findings for a in f.assessments)
    stated = (status.system for status in result.systems)
    known = in_order((*System, *stated, *assessed, *(card.system for card in cards)))
    for system in known:
        materials = {card.materials for card in cards if card.system is system}
        if materials == {(TrainingMaterial.PHANTOMS,)}:
            names.add(system.value)
    return [system for system in known if system.value in names]


def finding_row(
    number: int, finding: Finding, view: str, result: ExamResult, *, estimated: bool = False
) -> dict[str, Any]:
    """A row of the findings table, with a cell for each of `columns`.

    `estimated`: the view's pixel size is a guess, and so is every mm.
    """
    systems = [System(c["name"]) for c in columns(result, ())]
    return {
        "number": number,
        "view": view,
        "kind": KIND_NAMES[finding.kind],
        "descriptors": descriptors(finding.cluster, estimated=estimated) if finding.cluster else "",
        "certainty": finding.certainty,
        "origin": origin(finding.marked_by) if finding.marked_by else "",
        "probability": finding.probability,
        "algorithm": finding.algorithm,
        "cells": [_cell(finding, system, result) for system in systems],
    }


def _cell(finding: Finding, system: System, result: ExamResult) -> dict[str, Any]:
    """One system's assessment of one finding, or why there is none."""
    assessment = assessment_by(finding, system)
    if assessment is None:
        return {"system": system.value, "assessment": None, "why": why_not_assessed(result, system)}
    return {
        "system": system.value,
        "assessment": assessment,
        "counts": assessment is counting(finding),
        "why": _members(assessment),
    }


def _members(assessment: Assessment) -> str:
    """The algorithm and the members that its probability is made of, in a line."""
    members = [f"{name} {probability:.2f}" for name, probability in assessment.members]
    return assessment.algorithm + (f" ({', '.join(members)})" if members else "")


def system_panels(result: ExamResult, cards: Sequence[ModelCard]) -> list[dict[str, Any]]:
    """Each system: its models, what they were trained on, how good they are, or why none read."""
    statuses = result.systems or tuple(
        SystemStatus(s, True) for s in in_order(c.system for c in cards)
    )
    panels = [_panel(status, result, cards) for status in statuses]
    shared = [_model(c, result) for c in cards if c.system is None]
    if shared:
        panels.append({"name": "shared by all", "method": "detection", "models": shared,
                       "read": True, "state": "took part", "reason": "", "unused": []})  # fmt: skip
    return panels


def halves(panels: Sequence[dict[str, Any]]) -> list[Sequence[dict[str, Any]]]:
    """The panels as two columns of about the same length on paper, in their order.

    They are split by what is written in them: a renderer that balances columns lays them out again
    and again (5 s).
    """
    lengths = [len(str(panel)) for panel in panels]
    split = min(range(len(panels) + 1), key=lambda n: max(sum(lengths[:n]), sum(lengths[n:])))
    return [half for half in (panels[:split], panels[split:]) if half]


def _panel(status: SystemStatus, result: ExamResult, cards: Sequence[ModelCard]) -> dict[str, Any]:
    own = [card for card in cards if card.system is status.system]
    # Without statuses of its own, the result names only the systems that read.
    read = took_part(result, status) or not result.systems
    idle = "active, nothing to read in this exam" if status.active else "not active"
    return {
        "name": status.system.value,
        "method": method_of(status.system),
        "read": read,
        "state": "took part" if read else idle,
        "reason": plain(status.reason),
        "models": [_model(card, result) for card in own],
        "unused": [name for name in status.models if name not in {c.name for c in own}],
    }


def _model(card: ModelCard, result: ExamResult) -> dict[str, Any]:
    """What a radiologist would ask of a model, from its card."""
    tested = [m for m in card.metrics if "test" in m.name.lower()] or card.metrics
    return {
        "name": card.name,
        "version": card.version,
        "paper": card.paper,
        "data": card.training_data,
        "materials": material_words(card.materials),
        "sha256": next((m.sha256 for m in result.models if m.name == card.name), ""),
        "metrics": [
            {
                "auc": f"{m.auc:.2f} ({m.auc_ci[0]:.2f}–{m.auc_ci[1]:.2f})",
                "of": f"{m.contrast}; {m.data}, {m.n_pos} and {m.n_neg} {m.unit}",
            }
            for m in tested
        ],
    }
