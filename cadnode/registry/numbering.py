"""Which version a model gets in the node's store.

A training writes its recipe's version into every card it makes, and a packaged model often has
that version already. A version names one model permanently: a second one counts up.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cadnode.errors import ModelError, SettingsError
from cadnode.models import store
from cadnode.models.card import ModelCard
from cadnode.registry.catalogue import Catalogue

# As cards have it, each number written in one way only (semver.org, rule 2).
_VERSION: Final = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Numbering:
    """Whether versions that other models have are counted up, and a version chosen by a person."""

    counts_up: bool = False
    version: str | None = None


AS_IT_IS: Final = Numbering()
COUNT_UP: Final = Numbering(counts_up=True)


def chosen(version: str) -> Numbering:
    """The numbering by a version that a person names.

    Raises
    ------
    SettingsError
        It is not three numbers.
    """
    if not _VERSION.fullmatch(version):
        raise SettingsError(f"a version is three numbers, such as 1.2.0, not {version!r}")
    return Numbering(version=version)


def numbered(
    cards: Sequence[ModelCard], catalogue: Catalogue, numbering: Numbering
) -> tuple[ModelCard, ...]:
    """The cards with the versions that they get, in their order.

    A model that the store has keeps the version it has there, whichever its own card states. One
    whose version another model has, or ever had by the history, gets the next free third number.

    Raises
    ------
    SettingsError
        A version is chosen for two models of one name.
    """
    if numbering.version is not None:
        names = [card.name for card in cards]
        if len(names) != len(set(names)):
            raise SettingsError(
                "--version is for one model of each name, and there are several: add them one by "
                "one"
            )
        return tuple(_as(card, numbering.version) for card in cards)
    if not numbering.counts_up:
        return tuple(cards)
    taken = {(card.name, card.version) for card in cards}
    given: list[ModelCard] = []
    for card in cards:
        found = _counted_up(card, catalogue, taken)
        taken.add((found.name, found.version))
        given.append(found)
    return tuple(given)


def _counted_up(card: ModelCard, catalogue: Catalogue, taken: set[tuple[str, str]]) -> ModelCard:
    there = catalogue.versions(card.name)
    same = [v for v in there if _is_at(card, catalogue, v)]
    if same:
        return _as(card, card.version if card.version in same else same[-1])
    if card.version not in there:
        return card
    past = {v for c in catalogue.activation.history if c.name == card.name
            for v in (c.from_version, c.to_version) if v}  # fmt: skip
    major, minor, patch = store.version_key(card.version)
    version = card.version
    while version in there or version in past or (card.name, version) in taken:
        patch += 1
        version = f"{major}.{minor}.{patch}"
    return _as(card, version)


def _is_at(card: ModelCard, catalogue: Catalogue, version: str) -> bool:
    """Whether the model of that version in the store is this one, but for its number."""
    try:
        return store.read_card(catalogue.find(card.name, version).folder) == _as(card, version)
    except ModelError:  # a damaged card keeps no good model out
        return False


def _as(card: ModelCard, version: str) -> ModelCard:
    return card.model_copy(update={"version": version})
