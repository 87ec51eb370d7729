"""What a table of features holds: many regions, made once, read often."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cadnode.errors import DataError
from cadnode.files import write_whole


@dataclass(frozen=True, eq=False, slots=True)
class FeatureTable:
    """Features of `n` regions.

    Parameters
    ----------
    name
        The data set, as in `--data`, without its folder.
    features
        Names of the `d` features.
    values
        `(n, d) float64`, as measured.
    malignant
        `(n,) bool`.
    p_malignant
        `(n,)`: with which probability a phantom drew `malignant`; NaN for real regions.
    women
        `(n,)` keys: rows of one woman stay together. Every phantom region is a woman's own.
    """

    name: str
    features: tuple[str, ...]
    values: NDArray[np.float64]
    malignant: NDArray[np.bool_]
    p_malignant: NDArray[np.float64]
    women: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, chosen: NDArray[np.generic] | Sequence[int]) -> "FeatureTable":
        """Only the chosen rows (indices or a mask)."""
        picked = np.asarray(chosen)
        return FeatureTable(
            self.name, self.features, self.values[picked], self.malignant[picked],
            self.p_malignant[picked], self.women[picked],
        )  # fmt: skip

    def columns(self, names: Sequence[str]) -> "FeatureTable":
        """Only the named features, in that order."""
        picked = [self.features.index(name) for name in names]
        return FeatureTable(
            self.name, tuple(names), self.values[:, picked], self.malignant, self.p_malignant,
            self.women,
        )  # fmt: skip

    def with_share(self, share: float) -> "FeatureTable":
        """The first rows of each class, so many that `share` of all are malignant.

        A table of one class, or a share of 0 or 1, changes nothing.
        """
        positive, negative = np.flatnonzero(self.malignant), np.flatnonzero(~self.malignant)
        if not (len(positive) and len(negative) and 0 < share < 1):
            return self
        n = min(len(positive) / share, len(negative) / (1 - share))
        kept = (positive[: max(1, round(n * share))], negative[: max(1, round(n * (1 - share)))])
        return self.rows(np.sort(np.concatenate(kept)))

    def __add__(self, other: "FeatureTable") -> "FeatureTable":
        if self.features != other.features:
            raise DataError("tables of different features cannot be joined")
        return FeatureTable(
            self.name if self.name == other.name else f"{self.name} + {other.name}",
            self.features,
            np.concatenate([self.values, other.values]),
            np.concatenate([self.malignant, other.malignant]),
            np.concatenate([self.p_malignant, other.p_malignant]),
            np.concatenate([self.women, other.women]),
        )

    def write(self, file: Path) -> None:
        """Write the table; `read` gives it back."""
        file.parent.mkdir(parents=True, exist_ok=True)
        head, stored = json.dumps({"name": self.name, "features": self.features}), io.BytesIO()
        np.savez_compressed(
            stored, head=np.array(head), values=self.values, malignant=self.malignant,
            p_malignant=self.p_malignant, women=self.women,
        )  # fmt: skip
        write_whole(file, stored.getvalue())

    @classmethod
    def read(cls, file: Path) -> "FeatureTable":
        """A table that `write` wrote; no object is unpickled."""
        with np.load(file, allow_pickle=False) as stored:
            head = json.loads(str(stored["head"]))
            rest = (stored[key] for key in ("values", "malignant", "p_malignant", "women"))
            return cls(head["name"], tuple(head["features"]), *rest)


def joined(tables: Sequence[FeatureTable]) -> FeatureTable:
    """All rows of several tables."""
    whole = tables[0]
    for table in tables[1:]:
        whole = whole + table
    return whole
