"""Which command, seed, day and content trained weights come from, as their card records it."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Provenance:
    """The command, seed and day of a training; the sha256 of each collected cohort (`contents`)."""

    command: str
    seed: int
    trained_on: date
    content: tuple[str, ...] = ()
