"""The learned filter of microcalcification candidates."""

from pydantic import BaseModel, ConfigDict, Field


class DetectorConfig(BaseModel):
    """Shape of the network and what it looks at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patch: int = Field(32, ge=8)
    spacing_mm: float = Field(0.1, gt=0)
    widths: tuple[int, ...] = (16, 32, 64)
