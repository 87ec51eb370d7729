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
    SEGMENTATION = "segmentation"
    OUTLINES = "outlines"
    KEY_OBJECTS = "key-objects"


REPORTS: Final = frozenset(
    {
        ObjectKind.MEASUREMENT_SR,
        ObjectKind.CAD_SR,
        ObjectKind.REGION_SR,
        ObjectKind.AI_RESULTS_SR,
    }
)
"""The kinds that also report on an exam that could not be read."""

_KINDS: Final[dict[Profile, frozenset[ObjectKind]]] = {
    Profile.STANDARD: frozenset({ObjectKind.MEASUREMENT_SR, ObjectKind.HEAT_MAP}),
    Profile.TID1500: frozenset({ObjectKind.MEASUREMENT_SR}),
    Profile.CAD_SR: frozenset({ObjectKind.CAD_SR}),
    Profile.CAPTURES: frozenset({ObjectKind.HEAT_MAP}),
    Profile.OHIF: frozenset({ObjectKind.REGION_SR, ObjectKind.HEAT_MAP, ObjectKind.SEGMENTATION}),
    Profile.IHE_AI_RESULTS: frozenset(
        {ObjectKind.AI_RESULTS_SR, ObjectKind.SEGMENTATION, ObjectKind.KEY_OBJECTS}
    ),
    Profile.ALL: frozenset(ObjectKind),
}
STANDARD: Final = _KINDS[Profile.STANDARD]


def kinds_of(profiles: Iterable[Profile]) -> frozenset[ObjectKind]:
    """The kinds of object that at least one of these profiles has."""
    return frozenset[ObjectKind]().union(*(_KINDS[profile] for profile in profiles))


def kind_of(path: Path) -> ObjectKind | None:
    """The kind of object that a file of a report holds, by its name; None for other files."""
    fitting = [k for k in ObjectKind if path.stem == k or path.stem.startswith(f"{k}-")]
    return max(fitting, key=len, default=None)


def chosen(paths: Sequence[Path], profile: Profile) -> list[Path]:
    """Those files of a report that the profile has, in their order."""
    kinds = kinds_of([profile])
    return [path for path in paths if kind_of(path) in kinds]


def is_ours(path: Path) -> bool:
    """Whether a file has the name that a report's object gets."""
    return path.suffix == ".dcm" and kind_of(path) is not None
