"""Named numbers that describe a segmented region: what `detect` measures and a model reads."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Features:
    """Measured features.

    Parameters
    ----------
    names
        Stable identifiers with units, such as `area_mm2`.
    values
        `(n,) float64`, all finite, in the order of the names.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.names),):
            raise ValueError("as many values as names are needed")

    def __getitem__(self, name: str) -> float:
        return float(self.values[self.names.index(name)])

    def __add__(self, other: "Features") -> "Features":
        return Features(self.names + other.names, np.concatenate([self.values, other.values]))
