"""Which data sets may only measure: nothing is learnt from images that no licence allows to use."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from cadnode.errors import SettingsError
from cadnode_training.data.sets import pisa_calcifications, pisa_masses
from cadnode_training.data.sources import MANIFEST, is_manifest, open_manifest

_PISA: Final = "course data of the University of Pisa, no licence stated"
UNLICENSED: Final[Mapping[str, str]] = MappingProxyType(
    {pisa_masses.NAME: _PISA, pisa_calcifications.NAME: _PISA}
)
"""Data sets with their terms."""


def require_licensed(texts: Iterable[str], *, allowed: bool = False) -> None:
    """Refuse data of which a model must not learn, unless the user answers for it (`allowed`).

    A manifest is asked for the data sets of its rows.

    Raises
    ------
    SettingsError
        A set is unlicensed; the message names it, its terms and what to do.
    """
    if allowed:
        return
    for one in (one for text in texts for one in text.split(",")):
        for name in sorted(_names(one) & UNLICENSED.keys()):
            raise SettingsError(
                f"{name} only measures: {UNLICENSED[name]}. A model that learns from it could not "
                "be passed on; `cadnode evaluate` takes it. If you have a licence, add "
                "--licensed"
            )


def _names(text: str) -> set[str]:
    if text.partition(":")[0] == MANIFEST or is_manifest(text):
        return {row.dataset for row in open_manifest(text).rows}
    return {text.partition(":")[0]}
