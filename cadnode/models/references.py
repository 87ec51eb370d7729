"""Inputs on which two ways of computing a network are compared."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

REFERENCES: Final = 16
_SPECKS: Final = (3, 30)


def references(shapes: Sequence[tuple[int, ...]]) -> tuple[Tensor, ...]:
    """Inputs that every machine has alike: textures of breast-like spectra in [0, 1].

    Power falls with the cube of the frequency, as Burgess 1999 (J Opt Soc Am A 16, 633) measured it
    in mammograms. Every other one has a cluster of bright specks, which bring CNNs to where they
    are sure, and low precisions to where they err. Rows of numbers are standard normal.
    """
    rng = np.random.default_rng(19)
    found = []
    for shape in shapes:
        noise = rng.standard_normal((REFERENCES, *shape))
        if len(shape) > 1:
            across, down = np.fft.rfftfreq(shape[-1]), np.fft.fftfreq(shape[-2])[:, None]
            frequency = np.maximum(np.hypot(across, down), 1 / max(shape))
            noise = np.fft.irfft2(np.fft.rfft2(noise) * frequency**-1.5, shape[-2:])
            low, high = noise.min((-2, -1), keepdims=True), noise.max((-2, -1), keepdims=True)
            noise = (noise - low) / (high - low)
            for texture in noise[1::2]:
                _add_specks(texture, rng)
        found.append(torch.from_numpy(noise.astype(np.float32)))
    return tuple(found)


def _add_specks(texture: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Discs of 1 to 3 pixels' radius around a point, brighter than what is there."""
    sides = np.array(texture.shape[-2:])
    centre = rng.uniform(0.25, 0.75, 2) * sides
    rows, columns = np.ogrid[: sides[0], : sides[1]]
    for _ in range(rng.integers(*_SPECKS)):
        row, column = centre + rng.standard_normal(2) * sides / 12
        disc = (rows - row) ** 2 + (columns - column) ** 2 <= rng.integers(1, 4) ** 2
        brighter = texture[..., disc] + rng.uniform(0.2, 0.8)
        texture[..., disc] = np.minimum(1, brighter)
