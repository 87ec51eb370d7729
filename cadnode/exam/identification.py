"""Whether another study is of the same woman: decided before it is offered beside this one."""

from enum import StrEnum
from typing import Final

from cadnode.exam.partition import Stated

_CONFIRMING: Final = ("issuer", "name", "birth_date")


class Identification(StrEnum):
    """What two studies' headers say together of whose they are."""

    SAME = "same"
    ANOTHER = "another"
    UNPROVEN = "unproven"
    """The number is the same, and nothing else confirms it; or one of them states no number."""


def identify(present: Stated, other: Stated) -> Identification:
    """Whether both are one patient.

    Within a study Patient ID decides (`exam.partition`). Two studies, which may come from two
    archives, need more: the same Patient ID (0010,0020), nothing that contradicts it (another
    issuer; another name *and* another birth date), and the same issuer, name or birth date.
    """
    if not present.patient_id or not other.patient_id:
        return Identification.UNPROVEN
    if present.contradicts(other):
        return Identification.ANOTHER
    confirmed = any(
        getattr(present, what) and getattr(present, what) == getattr(other, what)
        for what in _CONFIRMING
    )
    return Identification.SAME if confirmed else Identification.UNPROVEN
