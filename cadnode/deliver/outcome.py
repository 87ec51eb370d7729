"""What a C-STORE response means for the sender (DICOM PS3.4 table B.2-1, PS3.7 annex C).

STOW-RS gives the same statuses, object by object (PS3.18 10.5.3.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cadnode.errors import PermanentDeliveryError, TransientDeliveryError

_DUPLICATE = 0x0111  # the peer has one of that UID: an earlier try's, or another (`deliver.held`)
_REFUSALS = {
    0x0110: "processing failure",
    0x0117: "invalid object instance",
    0x0122: "SOP class not supported",
    0x0124: "not authorized",
}
_WARNINGS = range(0xB000, 0xC000)
_OUT_OF_RESOURCES = range(0xA700, 0xA800)
_DOES_NOT_MATCH = range(0xA900, 0xAA00)
_CANNOT_UNDERSTAND = range(0xC000, 0xD000)


@dataclass(frozen=True, slots=True)
class Delivered:
    """How many objects the peer took, and how many of them with a warning (B000, B006, B007).

    `n_unverified` of them it had already, and could not be asked whether its copies are ours.
    """

    n_sent: int
    n_warnings: int
    n_unverified: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """Taken (perhaps with a warning) when `refusal` is empty, else why it was refused.

    `is_duplicate`: the peer has an object of that UID; whose, is to be found out.
    """

    refusal: str = ""
    is_warning: bool = False
    is_duplicate: bool = False


def outcome_of(status: int | None, peer: str) -> DeliveryOutcome:
    """Meaning of a response's status; None when there was no valid response.

    Raises
    ------
    TransientDeliveryError
        The peer did not answer, or is out of resources.
    """
    if status is None:
        raise TransientDeliveryError(f"{peer} did not answer C-STORE or ended the association")
    if status in _OUT_OF_RESOURCES:
        raise TransientDeliveryError(f"{peer} is out of resources ({status:04X})")
    if status in (0x0000, 0x0001, _DUPLICATE) or status in _WARNINGS:
        return DeliveryOutcome(is_warning=status != 0, is_duplicate=status == _DUPLICATE)
    name = _REFUSALS.get(status, "failure")
    if status in _DOES_NOT_MATCH:
        name = "data set does not match SOP class"
    elif status in _CANNOT_UNDERSTAND:
        name = "cannot understand"
    return DeliveryOutcome(refusal=f"answered {status:04X}, {name}")


def all_taken(
    n_sent: int, n_warnings: int, refusals: Sequence[str], peer: str, n_unverified: int = 0
) -> Delivered:
    """What the peer took, when it refused none.

    Raises
    ------
    PermanentDeliveryError
        There are refusals.
    """
    if refusals:
        reasons = "; ".join(sorted(set(refusals)))
        n_objects = n_sent + len(refusals)
        raise PermanentDeliveryError(f"{peer} took {n_sent} of {n_objects} objects: {reasons}")
    return Delivered(n_sent, n_warnings, n_unverified)
