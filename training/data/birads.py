"""Which of the manifest's terms the data sets' BI-RADS words stand for."""

from collections.abc import Mapping, Sequence
from typing import Final

from cadnode.domain import CalcificationType, Distribution
from cadnode_training.data import manifest as m

_TYPES: Final[Mapping[str, str]] = {  # from the most to the least suspicious
    "FINE_LINEAR_BRANCHING": CalcificationType.FINE_LINEAR_BRANCHING,
    "PLEOMORPHIC": CalcificationType.FINE_PLEOMORPHIC,
    "HETEROGENEOUS": CalcificationType.COARSE_HETEROGENEOUS,
    "AMORPHOUS": CalcificationType.AMORPHOUS,
    "PUNCTATE": CalcificationType.PUNCTATE,
    "ROUND_AND_REGULAR": CalcificationType.ROUND,
    "COARSE": CalcificationType.COARSE,
    **dict.fromkeys(
        ("LUCENT_CENTER", "LUCENT_CENTERED", "EGGSHELL", "DYSTROPHIC", "VASCULAR", "SKIN",
         "MILK_OF_CALCIUM", "LARGE_RODLIKE"), m.TYPICALLY_BENIGN),
}  # fmt: skip
_DISTRIBUTIONS: Final[Mapping[str, str]] = {
    "LINEAR": Distribution.LINEAR,
    "SEGMENTAL": Distribution.SEGMENTAL,
    "CLUSTERED": Distribution.GROUPED,
    "REGIONAL": Distribution.REGIONAL,
    "DIFFUSELY_SCATTERED": Distribution.DIFFUSE,
}
_SHAPES: Final[Mapping[str, str]] = {
    "IRREGULAR": "irregular", "LOBULATED": "lobulated", "OVAL": "oval", "ROUND": "round",
}  # fmt: skip
_MARGINS: Final[Mapping[str, str]] = {
    "SPICULATED": "spiculated", "ILL_DEFINED": "indistinct", "MICROLOBULATED": "microlobulated",
    "OBSCURED": "obscured", "CIRCUMSCRIBED": "circumscribed",
}  # fmt: skip


def calcification_type(ddsm: str) -> str:
    """The type for DDSM's words ("PUNCTATE-PLEOMORPHIC"), "" when there is none.

    Choice: of several words the most suspicious counts, because it decides the assessment
    (ACR BI-RADS 5th edition); likewise in the three functions below.
    """
    return _first(_TYPES, ddsm)


def distribution(ddsm: str) -> str:
    """The distribution for DDSM's words ("CLUSTERED-LINEAR")."""
    return _first(_DISTRIBUTIONS, ddsm)


def mass_shape(ddsm: str) -> str:
    """The shape for DDSM's words ("IRREGULAR-ARCHITECTURAL_DISTORTION")."""
    return _first(_SHAPES, ddsm)


def mass_margin(ddsm: str) -> str:
    """The margin for DDSM's words ("OBSCURED-ILL_DEFINED")."""
    return _first(_MARGINS, ddsm)


def mass_kind(ddsm_shape: str) -> str:
    """What DDSM calls a mass: a mass if it has a shape, else by its words; nodes are other."""
    words = ddsm_shape.upper()
    if mass_shape(words) or words in ("", "N/A"):
        return m.MASS
    if "DISTORTION" in words:
        return m.DISTORTION
    return m.ASYMMETRY if "ASYMMETRIC" in words else m.OTHER


def category(text: str) -> str:
    """BI-RADS' category in "BI-RADS 4", "4c" or "0.0"; "" when it is none."""
    word = text.upper().replace("BI-RADS", "").strip().removesuffix(".0")
    return word if word in m.VOCABULARIES["birads"] else ""


def density(text: str) -> str:
    """A to D for "DENSITY C", "c" or ACR's 1 to 4 ("3.0"); "" for anything else."""
    word = text.upper().replace("DENSITY", "").strip().removesuffix(".0")
    word = dict(zip("1234", "ABCD", strict=True)).get(word, word)
    return word if word in m.VOCABULARIES["density"] else ""


def surrogate(birads: str) -> str:
    """The label that BI-RADS alone suggests: 1 normal, 2 and 3 benign, 4 to 6 malignant.

    Choice: the usual split of INbreast and VinDr-Mammo, which publish no histology for every
    case (Dhungel et al., MICCAI 2016). It is the reader's suspicion, not the truth: about a
    third of BI-RADS 4 and most of 5 are malignant. Rows labelled so have no `pathology`.
    """
    if not birads or birads == "0":
        return m.UNKNOWN
    number = int(birads[0])
    if number == 1:
        return m.NORMAL
    return m.BENIGN if number <= 3 else m.MALIGNANT


def age(text: str) -> int | None:
    """Whole years in "52.0", "052Y" or "52"; None for anything else."""
    try:
        years = int(float(text.strip().upper().removesuffix("Y")))
    except (ValueError, OverflowError):
        return None
    return years if 0 < years <= m.OLDEST else None


def _first(words: Mapping[str, str], ddsm: str) -> str:
    found: Sequence[str] = ddsm.upper().replace("+", "-").split("-")
    return next((str(words[word]) for word in words if word in found), "")
