"""What a promotion reads of a `cadnode compare --json` of two models.

The file comes from outside and is checked.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cadnode.errors import ModelError

_Share = Annotated[float, Field(ge=0, le=1)]
_Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Interval = tuple[float, float] | None
WHOLE: Final = "all cases"


class Compared(BaseModel):
    """One of the two models of a comparison."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    version: str
    sha256: _Sha

    @property
    def spec(self) -> str:
        """`NAME@VERSION`."""
        return f"{self.name}@{self.version}"


class ComparedSystem(BaseModel):
    """B against A on all cases, or in a stratum."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    fact: str
    stratum: str
    n_pos: Annotated[int, Field(ge=0)]
    n_neg: Annotated[int, Field(ge=0)]
    auc_a: _Share | None
    auc_b: _Share | None
    difference: Annotated[float, Field(ge=-1, le=1)] | None
    difference_ci: _Interval

    @property
    def place(self) -> str:
        """What the row is of, in words."""
        return f"{self.fact} {self.stratum}" if self.fact else WHOLE

    def lowest(self, judged_by: str) -> float | None:
        """The difference that is judged; None where it could not be measured."""
        if judged_by == "interval":
            return None if self.difference_ci is None else self.difference_ci[0]
        return self.difference


class ComparisonEvidence(BaseModel):
    """What `cadnode compare --json` writes, as far as the rule asks."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1]
    kind: Literal["cadnode-comparison"]
    data: str
    a: Compared
    b: Compared
    whole: ComparedSystem
    strata: tuple[ComparedSystem, ...]


def read_evidence(file: Path) -> tuple[ComparisonEvidence, str]:
    """The evidence of a JSON file, and the file's sha256.

    Raises
    ------
    ModelError
        The file is missing or no comparison of two models.
    """
    try:
        content = file.read_bytes()
        return ComparisonEvidence.model_validate_json(content), hashlib.sha256(content).hexdigest()
    except (OSError, ValidationError):
        raise ModelError(
            f"{file} holds no comparison of two models, as `cadnode compare --json` writes it"
        ) from None
