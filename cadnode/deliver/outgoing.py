"""What a destination is given: one exam's results, as files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path


class Takes(Enum):
    """Which of an exam's results a kind of destination takes."""

    OBJECTS = auto()
    """The DICOM objects of the destination's profile."""
    BUNDLE = auto()
    """The bundle of FHIR resources: one file."""
    MESSAGE = auto()
    """The HL7 v2 message: one file."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One exam's results for one destination.

    `files` are what its kind takes, sent as they are stored. `place` is the exam's relative path
    (POSIX) among the destination's files, where it has such: the study's folder, or the patient's
    in it. `is_ours` is whether a file there was left by a reading of ours.
    """

    files: Sequence[Path]
    place: str
    is_ours: Callable[[Path], bool]
