"""What the page says of findings and systems, beside the pictures."""

from collections.abc import Sequence
from typing import Any, Final

from cadnode.domain import (
    SKIP_MEANINGS,
    Assessment,
    ExamResult,
    Finding,
    Laterality,
    System,
    SystemStatus,
)
from cadnode.models.card import ModelCard
from cadnode.report.words import KIND_NAMES, assessment_by, counting, descriptors

METHODS: Final = {
    System.KIM2018: "weakly supervised network (DIB-MG), whole views",
    System.KANG2021: "mean of five CNNs, regions",
    System.HELSINKI_DTL: "ResNeXt, double transfer learning, regions",
    System.WANG2016: "stacked autoencoder on measured features, regions",
}


def scores(result: ExamResult) -> list[dict[str, Any]]:
    """Exam, then right and left breast."""
    above = result.operating_point if result.operating_point is not None else float("inf")
    rows = [("Exam", result.exam_score)] if result.exam_score is not None else []
    sides = {Laterality.RIGHT: "Right breast", Laterality.LEFT: "Left breast"}
    rows += [(sides[b.laterality], b.score) for b in result.breasts]
    return [{"name": name, "score": score, "above": score >= above} for name, score in rows]


def skipped(result: ExamResult, names: dict[str, str]) -> list[dict[str, str]]:
    """Images that were not scored, by the view's name where it has one, and why."""
    return [
        {
            "name": names.get(s.sop_instance_uid, "object"),
            "reason": s.reason.value,
            "meaning": SKIP_MEANINGS[s.reason],
        }
        for s in result.skipped
    ]


def columns(result: ExamResult, cards: Sequence[ModelCard]) -> list[dict[str, Any]]:
    """One column of the findings table per system that is known of, in the papers' order."""
    known = {s.system for s in result.systems}
    known |= {a.system for f in result.findings for a in f.assessments}
    counts = {told.system for f in result.findings if (told := counting(f))}
    phantom = phantom_trained(cards)
    return [
        {
            "name": system.value,
            "method": METHODS[system],
            "counts": counts == {system},
            "phantom": system in phantom,
        }
        for system in System
        if system in known
    ]


def phantom_trained(cards: Sequence[ModelCard]) -> list[System]:
    """Systems with a model that learnt from phantoms: computed images with drawn lesions."""

    def is_phantom(card: ModelCard) -> bool:
        names = [data.name for data in card.training_sets] or [card.training_data]
        return any("phantom" in name.lower() for name in names)

    found = {card.system for card in cards if card.system is not None and is_phantom(card)}
    return [system for system in System if system in found]


def finding_row(
    number: int, finding: Finding, view: str, result: ExamResult, *, estimated: bool = False
) -> dict[str, Any]:
    """A row of the findings table, with a cell for each of `columns`.

    `estimated`: the view's pixel size is a guess, and so is every mm.
    """
    status = {s.system: s for s in result.systems}
    systems = [System(c["name"]) for c in columns(result, ())]
    return {
        "number": number,
        "view": view,
        "kind": KIND_NAMES[finding.kind],
        "descriptors": descriptors(finding.cluster, estimated=estimated) if finding.cluster else "",
        "certainty": finding.certainty,
        "drawn": finding.marked_by is not None,
        "probability": finding.probability,
        "algorithm": finding.algorithm,
        "cells": [_cell(finding, system, status.get(system)) for system in systems],
    }


def _cell(finding: Finding, system: System, status: SystemStatus | None) -> dict[str, Any]:
    """What one system says of one finding, or why it says nothing."""
    told = assessment_by(finding, system)
    if told is None:
        silent = "took part, but does not assess this finding"
        if status is not None and not status.active:
            silent = f"not active: {status.reason}"
        return {"system": system.value, "told": None, "why": told_parts(silent)}
    return {
        "system": system.value,
        "told": told,
        "counts": told is counting(finding),
        "why": told_parts(_voices(told)),
    }


def _voices(told: Assessment) -> str:
    """The algorithm and the members that its probability is made of, in a line."""
    members = [f"{name} {probability:.2f}" for name, probability in told.members]
    return told.algorithm + (f" ({', '.join(members)})" if members else "")


def system_panels(result: ExamResult, cards: Sequence[ModelCard]) -> list[dict[str, Any]]:
    """Each system: its models with what they learnt from and how good they are, or why not."""
    statuses = result.systems or tuple(
        SystemStatus(s, True) for s in System if any(c.system is s for c in cards)
    )
    panels = [_panel(status, result, cards) for status in statuses]
    shared = [_model(c, result) for c in cards if c.system is None]
    if shared:
        panels.append({"name": "shared by all", "method": "detection", "models": shared,
                       "active": True, "reason": [], "unused": []})  # fmt: skip
    return panels


def _panel(status: SystemStatus, result: ExamResult, cards: Sequence[ModelCard]) -> dict[str, Any]:
    own = [card for card in cards if card.system is status.system]
    return {
        "name": status.system.value,
        "method": METHODS[status.system],
        "active": status.active,
        "reason": told_parts(status.reason),
        "models": [_model(card, result) for card in own],
        "unused": [name for name in status.models if name not in {c.name for c in own}],
    }


def told_parts(text: str) -> list[dict[str, Any]]:
    """The text in parts; what stands between backticks is code."""
    parts = enumerate(text.split("`"))
    return [{"text": part, "code": bool(number % 2)} for number, part in parts if part]


def _model(card: ModelCard, result: ExamResult) -> dict[str, Any]:
    """What a radiologist would ask of a model, from its card."""
    tested = [m for m in card.metrics if "test" in m.name.lower()] or card.metrics
    return {
        "name": card.name,
        "version": card.version,
        "paper": card.paper,
        "data": card.training_data,
        "sha256": next((m.sha256 for m in result.models if m.name == card.name), ""),
        "metrics": [
            {
                "auc": f"{m.auc:.2f} ({m.auc_ci[0]:.2f}–{m.auc_ci[1]:.2f})",
                "of": f"{m.contrast}; {m.data}, {m.n_pos} and {m.n_neg} {m.unit}",
            }
            for m in tested
        ],
    }
