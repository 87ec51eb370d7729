"""Which systems the active models make up, and why another is not active."""

from collections.abc import Sequence
from typing import Final, get_args

from cadnode.domain import Acquisition, System, SystemStatus, in_order
from cadnode.models.card import (
    CnnCard,
    DibMgCard,
    FeatureCard,
    ModelCard,
    OnnxRegionCard,
    OnnxViewCard,
    Scenario,
)
from cadnode.networks.cnn import Architecture

# Kang 2021, DCNN architectures: the five that are averaged.
KANG_MEMBERS: Final[tuple[Architecture, ...]] = (
    "resnet101",
    "xception",
    "inception_v3",
    "inception_resnet_v2",
    "densenet201",
)
HELSINKI_MEMBERS: Final[tuple[Architecture, ...]] = ("resnext50_32x4d",)
SCENARIOS: Final[tuple[Scenario, ...]] = get_args(Scenario)


def system_statuses(
    active: Sequence[ModelCard], inactive: Sequence[ModelCard] = ()
) -> tuple[SystemStatus, ...]:
    """The state of each of the four systems, then of those that are installed beside them.

    Parameters
    ----------
    active
        Cards of the models a node reads with.
    inactive
        Cards of models that are installed but switched off: the reason then states how they are
        switched on, instead of how they are made.
    """
    brought = (card.system for card in (*active, *inactive))
    return tuple(_status(system, active, inactive) for system in in_order((*System, *brought)))


def _status(
    system: System, active: Sequence[ModelCard], inactive: Sequence[ModelCard]
) -> SystemStatus:
    """Active is a system with at least one of its members; a reason may name missing ones."""
    own = [card for card in active if card.system == system and _member(card)]
    off = [card for card in inactive if card.system == system and _member(card)]
    reasons = [_missing(system, own, off), _uncovered(own, off)]
    return SystemStatus(
        system,
        active=bool(own),
        models=tuple(card.name for card in own),
        reason="; ".join(filter(None, reasons)),
    )


def _member(card: ModelCard) -> str:
    """What a card is within its system; "" when it takes no part in the system's score."""
    if isinstance(card, CnnCard):
        allowed = KANG_MEMBERS if card.system == System.KANG2021 else HELSINKI_MEMBERS
        of_cnns = card.system in {System.KANG2021, System.HELSINKI_DTL}
        return card.architecture.name if of_cnns and card.architecture.name in allowed else ""
    if isinstance(card, FeatureCard):
        return card.scenario if card.system == System.WANG2016 else ""
    if isinstance(card, OnnxViewCard | OnnxRegionCard):
        return card.name
    return "dib_mg" if isinstance(card, DibMgCard) and card.system == System.KIM2018 else ""


def _wanted(system: System) -> tuple[str, ...]:
    """Members of a whole system."""
    return {
        System.KIM2018: ("dib_mg",),
        System.KANG2021: KANG_MEMBERS,
        System.HELSINKI_DTL: HELSINKI_MEMBERS,
        System.WANG2016: SCENARIOS,
    }[system]


def _missing(system: System, own: Sequence[ModelCard], off: Sequence[ModelCard]) -> str:
    """Which members are not active, and the command for each; "" when all are."""
    if system.is_brought:
        steps = [_switch_on(card.name) for card in off]
        return "" if own else f"no model of it is active: {'; '.join(steps)}"
    wanted, here = _wanted(system), {_member(card) for card in own}
    missing = [member for member in wanted if member not in here]
    if not missing:
        return ""
    installed = {_member(card): card.name for card in off if _member(card) in missing}
    steps = [_switch_on(name) for name in installed.values()]
    if unmade := [member for member in missing if member not in installed]:
        steps.append(f"{_train(system, unmade)}, then `cadnode models add DIR`")
    if not here:
        return f"no model of it is active: {'; '.join(steps)}"
    named = ", ".join(member for member in wanted if member in here)
    return f"{len(here)} of {len(wanted)} active: {named}; the others: {'; '.join(steps)}"


def _switch_on(name: str) -> str:
    return f"`cadnode models activate {name}` switches {name} on"


def _train(system: System, members: Sequence[str]) -> str:
    """The command that makes the members of a system."""
    start = f"cadnode train {system.value}"
    if system == System.KIM2018:
        return f"`{start} --data rsna-views:PATH --out DIR`"
    if system == System.KANG2021:
        chosen = "".join(f" --members {member}" for member in members)
        return f"`{start}{chosen if len(members) < len(KANG_MEMBERS) else ''} --out DIR`"
    if system == System.WANG2016:
        return ", ".join(f"`{start} --scenario {member} --out DIR`" for member in members)
    return f"`{start} --out DIR`"


def _uncovered(own: Sequence[ModelCard], off: Sequence[ModelCard]) -> str:
    """Which acquisitions none of a system's active models applies to; "" when there is none."""
    covered = {acquisition for card in own for acquisition in card.applies_to}
    uncovered = [a for a in Acquisition if a not in covered]
    if not own or not uncovered:
        return ""
    steps = [_switch_on(card.name) for card in off if set(card.applies_to) & set(uncovered)]
    what = f"no active model of it reads {' or '.join(uncovered)} images"
    return "; ".join([what, *dict.fromkeys(steps)])
