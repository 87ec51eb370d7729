"""Whether another study is of the same woman: decided before it is offered beside this one."""

from enum import StrEnum

from cadnode.exam.partition import Stated


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
    issuer; another name *and* another birth date), and the same issuer or birth date, or the same
    name where no other birth date speaks against it: two archives give out the same small numbers,
    and some names are common.
    """
    if not present.patient_id or not other.patient_id:
        return Identification.UNPROVEN
    if present.contradicts(other):
        return Identification.ANOTHER
    confirmed = (
        _same(present.issuer, other.issuer)
        or _same(present.birth_date, other.birth_date)
        or (_same(present.name, other.name) and not (present.birth_date and other.birth_date))
    )
    return Identification.SAME if confirmed else Identification.UNPROVEN


def _same(one: str, other: str) -> bool:
    return bool(one) and one == other
