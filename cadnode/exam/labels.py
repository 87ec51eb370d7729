"""View labels in words: "RMLO", "L CC", "LEFT XCCL", "LMLOID" (ACR MQCM labels, PS3.3 C.8.11.7)."""

import re
from dataclasses import dataclass, field

from cadnode.domain import Laterality, ViewModifier, ViewPosition

_SIDE_WORDS = {
    "LEFT": Laterality.LEFT,
    "LT": Laterality.LEFT,
    "RIGHT": Laterality.RIGHT,
    "RT": Laterality.RIGHT,
}
_SIDE_LETTERS = {"L": Laterality.LEFT, "R": Laterality.RIGHT}
_PREFIXES = {"M": ViewModifier.MAGNIFICATION, "S": ViewModifier.SPOT_COMPRESSION}
_SUFFIXES = {
    "ID": ViewModifier.IMPLANT_DISPLACED,
    "RL": ViewModifier.ROLLED,
    "RM": ViewModifier.ROLLED,
    "RI": ViewModifier.ROLLED,
    "RS": ViewModifier.ROLLED,
    "TAN": ViewModifier.TANGENTIAL,
    "NP": ViewModifier.NIPPLE_IN_PROFILE,
    "IMF": ViewModifier.INFRAMAMMARY_FOLD,
}
_MODIFIER_WORDS = {
    "MAG": ViewModifier.MAGNIFICATION,
    "MAGNIFICATION": ViewModifier.MAGNIFICATION,
    "SPOT": ViewModifier.SPOT_COMPRESSION,
    "ID": ViewModifier.IMPLANT_DISPLACED,
    "EKLUND": ViewModifier.IMPLANT_DISPLACED,
}
_LABEL = re.compile(
    r"(?P<side>[LR])?(?P<prefix>[MS]{0,2})"
    r"(?P<view>XCCL|XCCM|XCC|CC|MLO|LMO|ML|LM|SIO|FB|CV|AT)"
    r"(?P<suffix>(?:ID|RL|RM|RI|RS|TAN|NP|IMF)*)"
)


@dataclass(frozen=True, slots=True)
class Label:
    """Side, view and modifiers that a text states; None or empty where it states none."""

    laterality: Laterality | None = None
    view: ViewPosition | None = None
    modifiers: frozenset[ViewModifier] = field(default_factory=frozenset)


def parse_label(words: str) -> Label:
    """Side, view and modifiers in a free text; contradictory sides or views count as unsaid.

    A lone L or R names a side only beside a view; LEFT and RIGHT do anywhere.
    """
    tokens = [token for token in re.split(r"[^A-Z]+", words.upper()) if token]
    sides: set[Laterality] = {_SIDE_WORDS[t] for t in tokens if t in _SIDE_WORDS}
    views: set[ViewPosition] = set()
    modifiers = {_MODIFIER_WORDS[t] for t in tokens if t in _MODIFIER_WORDS}
    for i, token in enumerate(tokens):
        match = _LABEL.fullmatch(token)
        if match is None:
            continue
        view = match["view"]
        views.add(ViewPosition.XCCL if view == "XCC" else ViewPosition(view))
        modifiers |= {_PREFIXES[letter] for letter in match["prefix"]}
        modifiers |= {m for suffix, m in _SUFFIXES.items() if suffix in match["suffix"]}
        beside = {match["side"], *tokens[max(i - 1, 0) : i], *tokens[i + 1 : i + 2]}
        sides |= {side for letter, side in _SIDE_LETTERS.items() if letter in beside}
    return Label(
        laterality=sides.pop() if len(sides) == 1 else None,
        view=views.pop() if len(views) == 1 else None,
        modifiers=frozenset(modifiers) if len(views) < 2 else frozenset(),
    )
