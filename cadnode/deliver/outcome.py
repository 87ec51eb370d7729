"""What became of the objects of one try: taken, taken with a warning, or refused and why.

What each answer means is in `deliver.answers`; STOW-RS gives the statuses of C-STORE, object by
object (PS3.18 10.5.3.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cadnode.deliver.answers import DUPLICATE, is_taken, most_hopeful, of_status
from cadnode.errors import Again, TransientDeliveryError, not_taken


@dataclass(frozen=True, slots=True)
class Delivered:
    """How many objects the peer took, and how many of them with a warning (B000, B006, B007).

    `n_unverified` of them it had already, and could not be asked whether its copies are ours.
    """

    n_sent: int
    n_warnings: int
    n_unverified: int = 0


@dataclass(frozen=True, slots=True)
class RefusedObject:
    """One object that was not taken: why, and when it is to be tried again."""

    reason: str
    again: Again = Again.NEVER


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """Taken (perhaps with a warning) when `refusal` is empty, else why it was refused.

    `again` is when a refused object is to be tried again. `is_duplicate`: the peer has an object of
    that UID; whose, is to be found out.
    """

    refusal: str = ""
    is_warning: bool = False
    is_duplicate: bool = False
    again: Again = Again.NEVER


def outcome_of(status: int | None, peer: str) -> DeliveryOutcome:
    """Meaning of a response's status; None when there was no valid response.

    Raises
    ------
    TransientDeliveryError
        The peer did not answer.
    """
    if status is None:
        raise TransientDeliveryError(f"{peer} did not answer C-STORE or ended the association")
    if is_taken(status) or status == DUPLICATE:
        return DeliveryOutcome(is_warning=status != 0, is_duplicate=status == DUPLICATE)
    meaning = of_status(status)
    return DeliveryOutcome(refusal=f"answered {status:04X}, {meaning.words}", again=meaning.again)


def all_taken(
    n_sent: int,
    n_warnings: int,
    refusals: Sequence[RefusedObject],
    peer: str,
    n_unverified: int = 0,
) -> Delivered:
    """What the peer took, when it refused none.

    Raises
    ------
    DeliveryError
        There are refusals: of the class of the one that is tried again soonest.
    """
    if refusals:
        reasons = "; ".join(sorted({one.reason for one in refusals}))
        n_objects = n_sent + len(refusals)
        again = most_hopeful(one.again for one in refusals)
        raise not_taken(again, f"{peer} took {n_sent} of {n_objects} objects: {reasons}")
    return Delivered(n_sent, n_warnings, n_unverified)
