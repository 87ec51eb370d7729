"""Square regions of interest at one pixel size, cut from a view of any pixel size."""

from pydantic import BaseModel, ConfigDict, Field


class RoiSpec(BaseModel):
    """How a region of interest is cut.

    Parameters
    ----------
    size
        Rows and columns in pixels (512 in Kang 2021, Image Preprocessing).
    spacing_mm
        Of its pixels, in the plane of the breast.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(512, ge=64)
    spacing_mm: float = Field(0.1, gt=0)
