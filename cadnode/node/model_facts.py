"""The node's models in words and numbers, for pages: cards, history, systems, shadows."""

from collections.abc import Iterable
from typing import Final

from cadnode.domain import YOUDEN
from cadnode.models.card import ModelCard
from cadnode.node import model_overview, shadow_process
from cadnode.node.model_overview import ModelRow
from cadnode.registry.catalogue import ModelOrigin
from cadnode.registry.history import Change
from cadnode.registry.promotion import Rule, rule_text
from cadnode.settings import Settings
from cadnode.web.models import (
    SHARED,
    CalibrationShown,
    CardShown,
    ChangeShown,
    CurveShown,
    EvidenceShown,
    MetricShown,
    ModelShown,
    ModelsShown,
    PointShown,
    ShadowShown,
    SystemShown,
)

_SHARES: Final = ("0.8", "0.9", "0.95")
CHOICES: Final = (
    YOUDEN,
    *(f"sensitivity={share}" for share in _SHARES),
    *(f"specificity={share}" for share in _SHARES),
)


def facts(values: Settings) -> ModelsShown:
    """Everything about the models but how shadows agree, which needs no torch.

    Raises
    ------
    ModelError
        The own store's `active.json` is damaged.
    """
    overview, changes = model_overview.overview(values), model_overview.changes(values)
    shadows = shadow_process.chosen(values)
    point = values.reading.operating_point
    return ModelsShown(
        models=tuple(_model(row, changes, shadows.specs, point) for row in overview.rows),
        systems=tuple(
            SystemShown(
                system=one.system.value, is_active=one.active, models=one.models, reason=one.reason
            )
            for one in overview.systems
        ),
        history=tuple(_change(one) for one in changes),
        shadow=ShadowShown(now=shadows.specs, problems=shadows.problems),
        operating_point=point,
        needs_signature=values.models.require_signature,
        rule=rule_text(Rule()),
    )


def _model(
    row: ModelRow, changes: Iterable[Change], shadows: tuple[str, ...], point: str
) -> ModelShown:
    entry = row.entry
    turned = [c for c in changes if c.name == entry.name and c.action in _TURNS]
    last = turned[-1] if turned and turned[-1].to_version == entry.version else None
    manifest = row.signed.manifest if row.signed else None
    return ModelShown(
        name=entry.name,
        version=entry.version,
        origin=entry.origin.value,
        is_active=row.active,
        is_shadow=entry.spec in shadows,
        is_fixed=entry.origin is ModelOrigin.SETTINGS,
        problem=row.problem,
        whose=row.whose,
        is_signed=row.signed is not None,
        signer=manifest.signer if manifest else "",
        n_bytes=row.size,
        card=row.card and _card(row.card, point),
        since=last.at if last and row.active else None,
        by=last.by if last and row.active else "",
    )


_TURNS: Final = frozenset({"activate", "rollback", "promote", "keep", "deactivate"})


def _card(card: ModelCard, used: str) -> CardShown:
    curve = card.curve
    return CardShown(
        kind=card.kind,
        system=card.system.value if card.system else SHARED,
        paper=card.paper,
        algorithm=card.algorithm,
        intended_use=card.intended_use,
        licence=card.licence,
        reads=tuple(one.value for one in card.applies_to),
        training_data=card.training_data,
        training_sets=tuple(f"{one.name}: {one.counts}; {one.terms}" for one in card.training_sets),
        trained_on=tuple(material.value for material in card.materials),
        split=card.split,
        metrics=tuple(MetricShown(**one.model_dump()) for one in card.metrics),
        curve=CurveShown(**curve.model_dump()),
        calibration=CalibrationShown(**card.calibration.model_dump()),
        points=tuple(_point(card, choice, used) for choice in dict.fromkeys((*CHOICES, used))),
        limits=card.limits,
        command=card.command,
        made_on=card.trained_on.isoformat(),
        sha256=card.weights_sha256,
        scanners=tuple(map(str, getattr(card, "scanners", ()))),
    )


def _point(card: ModelCard, choice: str, used: str) -> PointShown:
    found = card.curve.at(choice)
    return PointShown(
        choice=choice,
        threshold=found.threshold,
        sensitivity=found.sensitivity,
        specificity=found.specificity,
        is_used=choice == used,
    )


def _change(one: Change) -> ChangeShown:
    evidence = one.evidence and EvidenceShown(**one.evidence.model_dump())
    return ChangeShown(**{**one.model_dump(), "evidence": evidence})
