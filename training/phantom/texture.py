"""Which random textures views have: power-law noise, threads, detector and film noise."""

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import fft

from cadnode.domain import FloatImage

# Burgess 2001, Med Phys 28:419-437: the power spectrum of mammograms falls as 1/f^beta, beta
# about 3.
BETA: Final = 3.0
# Choice: flat below one cycle in 40 mm, because the breast's shape brings the coarser part.
COARSEST_MM: Final = 40.0


def power_law(
    rng: Generator, shape: tuple[int, int], spacing_mm: float, beta: float = BETA
) -> FloatImage:
    """`shape float32`, mean 0, variance 1: noise with power spectrum 1/f^`beta`."""
    size = tuple(fft.next_fast_len(n, real=True) for n in shape)
    amplitude = _amplitude((size[0], size[1]), spacing_mm, beta)
    spectrum = np.empty(amplitude.shape, np.complex64)
    spectrum.real = rng.standard_normal(amplitude.shape, np.float32) * amplitude
    spectrum.imag = rng.standard_normal(amplitude.shape, np.float32) * amplitude
    noise = fft.irfft2(spectrum, s=size, overwrite_x=True)[: shape[0], : shape[1]]
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)


@lru_cache(maxsize=4)
def _amplitude(size: tuple[int, int], spacing_mm: float, beta: float) -> FloatImage:
    rows = fft.fftfreq(size[0], spacing_mm).astype(np.float32)[:, None]
    cols = fft.rfftfreq(size[1], spacing_mm).astype(np.float32)[None, :]
    squared = np.maximum(rows**2 + cols**2, 1 / COARSEST_MM**2)
    amplitude = np.asarray(squared ** (-beta / 4), np.float32)
    amplitude[0, 0] = 0
    return amplitude


def band(
    rng: Generator, shape: tuple[int, int], spacing_mm: float, wavelength_mm: float
) -> FloatImage:
    """`shape float32`, about mean 0, variance 1: noise around one wavelength.

    Made of independent grid values, half a wavelength apart, smoothly enlarged.
    """
    cell = max(wavelength_mm / 2 / spacing_mm, 1.0)
    coarse = tuple(int(np.ceil(n / cell)) + 4 for n in shape)
    grid = cv2.GaussianBlur(rng.standard_normal(coarse, np.float32), (0, 0), 0.6)
    grid -= cv2.GaussianBlur(grid, (0, 0), 3.0)
    grid /= max(float(grid.std()), 1e-6)
    row, col = rng.uniform(0, 1, 2)
    matrix = np.array([[1 / cell, 0, 1 + col], [0, 1 / cell, 1 + row]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(grid, matrix, shape[::-1], flags=flags))


def threads(noise: FloatImage, width: float) -> FloatImage:
    """`(H, W) float32 in [0, 1]`: bright lines where the noise crosses zero.

    Level sets of a smooth random field are closed curves, as ligaments and duct walls look when
    they are projected on each other. `width` is in standard deviations of the noise.
    """
    return np.asarray(1 / (1 + (noise / np.float32(width)) ** 2), np.float32)


def detector(
    rng: Generator, image: FloatImage, spacing_mm: float, *, blur_mm: float, noise: float
) -> FloatImage:
    """`(H, W) float32`: the image blurred by the detector's MTF, with quantum noise.

    `blur_mm` is the standard deviation of the point spread function; `noise` that of the display
    values at 0.5 and 0.1 mm pixels: it grows with the display value (few photons pass dense
    tissue) and with finer pixels.
    """
    blurred = cv2.GaussianBlur(image, (0, 0), blur_mm / spacing_mm)
    white = rng.standard_normal(image.shape, np.float32)
    grain = cv2.GaussianBlur(white, (0, 0), 0.45)  # the detector blurs quanta too
    deviation = np.sqrt(np.clip(0.15 + 1.7 * blurred, 0, None))
    return np.asarray(blurred + np.float32(1.6 * noise * 0.1 / spacing_mm) * deviation * grain)


def smooth_step(values: NDArray[np.float32], low: float, high: float) -> FloatImage:
    """`float32 in [0, 1]`: 0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
