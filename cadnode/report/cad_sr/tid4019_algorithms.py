"""Which algorithm made an item (TID 4019), in the same words as in the measurement report."""

from collections.abc import Sequence

from cadnode import __version__
from cadnode.report.edition import Edition
from cadnode.report.sr import group_parts as parts
from cadnode.report.sr.group_parts import Algorithm


def ours(*parameters: str) -> Algorithm:
    """What this software does by rules of its own."""
    return Algorithm("cadnode", __version__, parameters)


def named(edition: Edition, name: str, members: Sequence[tuple[str, float]] = ()) -> Algorithm:
    """A model with the sha256 of its weights, or an ensemble under its own name.

    An ensemble's parameters are its members with their weights and probabilities.
    """
    found = parts.algorithm_with_members(edition, name, members)
    return Algorithm(name, __version__) if found is None else found


def scoring(edition: Edition) -> Algorithm:
    """What scored the exam: the view model, or this software with the view models named."""
    algorithms = {view.algorithm for view in edition.result.views}
    found = parts.algorithm([m for m in edition.result.models if m.name in algorithms])
    return ours() if found is None else found
