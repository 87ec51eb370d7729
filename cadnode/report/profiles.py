"""Which objects of a report someone gets, by the name of a profile."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from cadnode.domain import Profile


class ObjectKind(StrEnum):
    """A kind of object; the value begins the names of its files."""

    MEASUREMENT_SR = "sr"
    CAD_SR = "cad-sr"
    REGION_SR = "region-sr"
    AI_RESULTS_SR = "ai-results-sr"
    HEAT_MAP = "heatmap"
    SMALL_HEAT_MAP = "small-heatmap"
    SEGMENTATION = "segmentation"
    OUTLINES = "outlines"
    KEY_OBJECTS = "key-objects"
    PDF = "report-pdf"


STRUCTURED: Final = frozenset(
    {
        ObjectKind.MEASUREMENT_SR,
        ObjectKind.CAD_SR,
        ObjectKind.REGION_SR,
        ObjectKind.AI_RESULTS_SR,
    }
)
"""The structured reports; they name those that they replace."""

REPORTS: Final = STRUCTURED | {ObjectKind.PDF}
"""The kinds that also report on an exam that could not be read."""

_KINDS: Final[dict[Profile, frozenset[ObjectKind]]] = {
    Profile.STANDARD: frozenset({ObjectKind.MEASUREMENT_SR, ObjectKind.HEAT_MAP}),
    Profile.TID1500: frozenset({ObjectKind.MEASUREMENT_SR}),
    Profile.CAD_SR: frozenset({ObjectKind.CAD_SR}),
    Profile.CAPTURES: frozenset({ObjectKind.HEAT_MAP}),
    Profile.SMALL_CAPTURES: frozenset({ObjectKind.SMALL_HEAT_MAP}),
    Profile.OHIF: frozenset({ObjectKind.REGION_SR, ObjectKind.HEAT_MAP, ObjectKind.SEGMENTATION}),
    Profile.IHE_AI_RESULTS: frozenset(
        {ObjectKind.AI_RESULTS_SR, ObjectKind.SEGMENTATION, ObjectKind.KEY_OBJECTS}
    ),
    Profile.PDF: frozenset({ObjectKind.PDF}),
    Profile.FHIR: frozenset(),  # a bundle of FHIR resources, no DICOM object
    Profile.HL7: frozenset(),  # an HL7 v2 message, no DICOM object
    Profile.ALL: frozenset(ObjectKind),
}
STANDARD: Final = _KINDS[Profile.STANDARD]


ANSWER: Final = "region-answer.dcm"
"""The file of an answer to one region that somebody asked about: no object of a report."""
VERDICTS: Final = "reader-verdicts.dcm"
"""The file of what readers said of findings: for destinations that ask for it, of any profile."""
CITED: Final = (ObjectKind.MEASUREMENT_SR, ObjectKind.REGION_SR, ObjectKind.AI_RESULTS_SR)
"""The kinds of report whose findings a verdict can name, by their tracking UIDs."""


def takes_answers(profile: Profile) -> bool:
    """Whether who gets that profile also gets answers to regions: an SR of TID 1500 as well."""
    return not _KINDS[profile].isdisjoint(CITED)


def kinds_of(profiles: Iterable[Profile]) -> frozenset[ObjectKind]:
    """The kinds of object that at least one of these profiles has."""
    return frozenset[ObjectKind]().union(*(_KINDS[profile] for profile in profiles))


def wants_fhir(profiles: Iterable[Profile]) -> bool:
    """Whether at least one of these profiles has the bundle of FHIR resources."""
    return any(profile in (Profile.FHIR, Profile.ALL) for profile in profiles)


def wants_hl7(profiles: Iterable[Profile]) -> bool:
    """Whether at least one of these profiles has the HL7 message."""
    return any(profile in (Profile.HL7, Profile.ALL) for profile in profiles)


def kind_of(path: Path) -> ObjectKind | None:
    """The kind of object that a file of a report holds, by its name; None for other files."""
    fitting = [k for k in ObjectKind if path.stem == k or path.stem.startswith(f"{k}-")]
    return max(fitting, key=len, default=None)


def chosen(paths: Sequence[Path], profile: Profile) -> list[Path]:
    """Those files of a report that the profile has, in their order; verdicts, whatever it is."""
    kinds = kinds_of([profile])
    beside = {VERDICTS, ANSWER} if takes_answers(profile) else {VERDICTS}
    return [p for p in paths if kind_of(p) in kinds or p.name in beside]


def is_ours(path: Path) -> bool:
    """Whether a file has the name that an object of a report, an answer or verdicts get."""
    return path.suffix == ".dcm" and (kind_of(path) is not None or path.name in (ANSWER, VERDICTS))
