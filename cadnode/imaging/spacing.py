"""The size of a mammogram's pixels in the breast, stated or estimated."""

from dataclasses import dataclass
from typing import Final

from cadnode.domain import Acquisition
from cadnode.exam.exam import Mammogram

# Pixel pitch in mm by the detector's (longer, shorter) side in pixels. Sizes: Barco, "How more
# pixels get more out of a mammogram" (2017); GE: Ghetti et al., Med Phys 35:456 (2008); 4084 × 3328
# and 3328 × 2560 at 0.07: Moreira et al., INbreast, Acad Radiol 19:236 (2012). Where a source has
# no pitch, it is the vendor's usual one; with it, each field is 18 to 24 by 23 to 31 cm.
_DETECTORS: Final[dict[tuple[int, int], float]] = {
    (3328, 2560): 0.07,  # Hologic and Lorad Selenia, Siemens Novation, small field
    (4096, 3328): 0.07,  # Hologic Selenia and Dimensions, large field
    (4084, 3328): 0.07,  # Siemens Novation, large field
    (2294, 1914): 0.1,  # GE Senographe 2000D and DS
    (3062, 2394): 0.1,  # GE Senographe Essential
    (2850, 2394): 0.1,  # GE Senographe Pristina
    (3518, 2800): 0.085,  # Siemens Inspiration
    (3584, 2816): 0.085,  # Siemens Inspiration, IMS Giotto
    (4728, 3540): 0.05,  # Fujifilm Amulet and Profect, small field
    (5928, 4728): 0.05,  # the same, large field
    (5200, 4800): 0.05,  # Sectra and Philips MicroDose
}
# Film is 18 × 24 or 24 × 30 cm.
_SMALL_FILM_MM: Final = (240.0, 180.0)
_LARGE_FILM_LONG_MM: Final = 300.0
# DDSM's scanners: DBA 0.042, Howtek 0.0435, Lumisys 0.05 mm (Heath et al., IWDM 2000).
_FINEST_SCAN_MM: Final = 0.042
_USUAL_SCAN_MM: Final = 0.05
# Above this the scan was made smaller afterwards, not trimmed.
_COARSEST_TRIMMED_MM: Final = 0.07


@dataclass(frozen=True, slots=True)
class Spacing:
    """(row, column) size of a pixel in mm in the plane of the breast; whether it is a guess."""

    row_mm: float
    col_mm: float
    estimated: bool

    @property
    def mm(self) -> tuple[float, float]:
        """(row, column) in mm."""
        return self.row_mm, self.col_mm


def spacing_of(mammogram: Mammogram) -> Spacing:
    """The stated spacing, else an estimate from the image's size.

    The estimate is off by up to 20 % for scanned film (nothing identifies a 0.042 mm scan that was
    not trimmed from a 0.05 mm one that was) and by the magnification (about 7 %) for detectors.
    """
    if mammogram.spacing_mm is not None:
        return Spacing(*mammogram.spacing_mm, estimated=False)
    longer = max(mammogram.rows, mammogram.columns, 1)
    shorter = max(min(mammogram.rows, mammogram.columns), 1)
    if mammogram.acquisition is Acquisition.FILM:
        mm = _of_film(longer, shorter)
    else:
        pitch = _DETECTORS.get((longer, shorter), _SMALL_FILM_MM[0] / longer)
        mm = pitch / mammogram.magnification
    return Spacing(mm, mm, estimated=True)


def _of_film(longer: int, shorter: int) -> float:
    """Millimetres a pixel of a scanned film of this many pixels.

    The film is the small one unless it would then be scanned finer than any scanner of DDSM does,
    or be wider than it is. A scan that is somewhat coarser than usual was trimmed: DDSM's films
    were cut to the breast.
    """
    mm = _SMALL_FILM_MM[0] / longer
    if mm < _FINEST_SCAN_MM or mm * shorter > 1.05 * _SMALL_FILM_MM[1]:
        mm = _LARGE_FILM_LONG_MM / longer
    if _USUAL_SCAN_MM < mm < _COARSEST_TRIMMED_MM:
        return _USUAL_SCAN_MM
    return mm
