"""What messages of outcomes have in common: the site's table of codes, sides, and a row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SIDES: Final[Mapping[str, str]] = {"80248007": "L", "73056007": "R", "63762007": "B"}
"""SNOMED CT: left, right and both breasts."""
ACCESSION: Final = "ACSN"
MEDICAL_RECORD: Final = "MR"
"""Types of identifiers (HL7 table 0203)."""


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """A row as a table of outcomes has it, and which part of the file it is from, from 1.

    One without cells is of a part that cannot be read.
    """

    number: int
    cells: Mapping[str, str]


def codes_of(rows: list[dict[str, str]]) -> dict[str, str]:
    """Outcomes by code, of a table with the columns `code` (`SYSTEM|CODE` or `CODE`), `outcome`."""
    return {row["code"]: row["outcome"] for row in rows if row.get("code") and row.get("outcome")}


def outcome_of(system: str, code: str, codes: Mapping[str, str]) -> str | None:
    """What the site takes a code for; None where it names none."""
    return codes.get(f"{system}|{code}", codes.get(code)) if code else None
