"""Which command, seed and day trained weights come from, as their card records it."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Provenance:
    """The command, seed and day of a training."""

    command: str
    seed: int
    trained_on: date
