"""Which numbers the four papers publish, each with its place.

Shares are in [0, 1]. Only printed numbers are listed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cadnode.models.card import Scenario

KANG: Final = "Kang et al. 2021, Sci Rep 11: Table 1"
WANG: Final = "Wang et al. 2016, Sci Rep 6:27327"
HELSINKI: Final = "Helsinki double transfer learning: abstract"
KIM: Final = "Kim et al. 2018, Sci Rep 8:2762"


@dataclass(frozen=True, slots=True)
class Number:
    """A printed value, with its interval where one is printed."""

    value: float
    ci: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class PaperRow:
    """A printed row: `numbers` by the name of the measure (`auc`, or a `Measure`)."""

    name: str
    source: str
    numbers: Mapping[str, Number]
    cutoff: float | None = None
    n_pos: int | None = None
    n_neg: int | None = None
    note: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


def _kang(
    name: str, cutoff: float, auc: tuple[float, float, float], *percent: tuple[float, float, float]
) -> PaperRow:
    names = ("sensitivity", "specificity", "accuracy", "ppv", "npv")
    shares = {
        key: Number(round(v / 100, 4), (round(low / 100, 4), round(high / 100, 4)))
        for key, (v, low, high) in zip(names, percent, strict=True)
    }
    numbers = {"auc": Number(auc[0], auc[1:]), **shares}
    return PaperRow(name, KANG, numbers, cutoff, n_pos=97, n_neg=163)


# Test group of 260 mammograms of 145 women, learning rate 1e-4.
KANG_ROWS: Final[Mapping[str, PaperRow]] = {
    "resnet101": _kang(
        "ResNet-101", 0.056, (0.837, 0.784, 0.890), (64.95, 55.45, 74.45), (91.41, 87.11, 95.71),
        (81.54, 76.82, 86.26), (81.82, 73.21, 90.43), (81.42, 75.78, 87.06),
    ),
    "xception": _kang(
        "Xception", 0.204, (0.817, 0.760, 0.874), (65.98, 56.55, 75.41), (88.34, 83.41, 93.27),
        (80.00, 75.14, 84.86), (77.11, 68.07, 86.15), (81.36, 75.62, 87.10),
    ),
    "inception_v3": _kang(
        "Inception-v3", 0.168, (0.792, 0.731, 0.853), (77.32, 68.99, 85.65), (77.91, 71.54, 84.28),
        (77.69, 72.63, 82.75), (67.57, 58.86, 76.28), (85.23, 79.53, 90.93),
    ),
    "inception_resnet_v2": _kang(
        "Inception-ResNet-v2", 0.276, (0.838, 0.787, 0.889), (75.26, 66.67, 83.85),
        (80.98, 74.96, 87.00), (78.85, 73.89, 83.81), (70.19, 61.40, 78.98), (84.62, 78.96, 90.28),
    ),
    "densenet201": _kang(
        "DenseNet-201", 0.017, (0.832, 0.782, 0.881), (82.47, 74.90, 90.04), (69.33, 62.25, 76.41),
        (74.23, 68.91, 79.55), (61.54, 53.18, 69.90), (86.92, 81.12, 92.72),
    ),
    "ensemble": _kang(
        "Ensemble", 0.247, (0.856, 0.806, 0.907), (72.16, 63.24, 81.08), (86.50, 81.25, 91.75),
        (81.15, 76.40, 85.90), (76.09, 67.37, 84.81), (83.93, 78.38, 89.48),
    ),
}  # fmt: skip
# Overall p, as printed: AUC by DeLong, the rest by GEE.
KANG_P: Final[Mapping[str, str]] = {
    "auc": "< .0001", "sensitivity": "0.0011", "specificity": "< .0001", "accuracy": "0.0870",
    "ppv": "< .0001", "npv": "0.1293",
}  # fmt: skip


def _wang(table: int, name: str, test: tuple[float, ...], training: str) -> PaperRow:
    names = ("accuracy", "sensitivity", "specificity", "auc")
    numbers = {key: Number(v) for key, v in zip(names, test, strict=True)}
    extra = {"training accuracy": training}
    return PaperRow(name, f"{WANG}: Table {table}", numbers, n_pos=107, n_neg=97, extra=extra)


# Test group of 204; training accuracy is mean ± SD of the cross-validation.
WANG_ROWS: Final[Mapping[Scenario, Mapping[str, PaperRow]]] = {
    "calcifications": {
        "svm": _wang(2, "SVM", (0.858, 0.93, 0.79, 0.85), "0.79 ± 0.07"),
        "knn": _wang(2, "KNN (N = 8)", (0.838, 0.95, 0.74, 0.84), "0.77 ± 0.07"),
        "lda": _wang(2, "LDA", (0.588, 0.63, 0.55, 0.59), "0.61 ± 0.05"),
        "sae": _wang(2, "SAE", (0.873, 0.93, 0.82, 0.87), "0.82 ± 0.05"),
    },
    "masses": {
        "svm": _wang(3, "SVM", (0.613, 1.00, 0.26, 0.60), "0.68 ± 0.11"),
        "knn": _wang(3, "KNN (N = 8)", (0.588, 1.00, 0.21, 0.57), "0.71 ± 0.11"),
        "lda": _wang(3, "LDA", (0.534, 0.99, 0.12, 0.52), "0.67 ± 0.13"),
        "sae": _wang(3, "SAE", (0.613, 0.99, 0.27, 0.61), "0.71 ± 0.12"),
    },
    "both": {
        "svm": _wang(4, "SVM", (0.858, 0.95, 0.78, 0.85), "0.79 ± 0.07"),
        "knn": _wang(4, "KNN (N = 6)", (0.843, 0.94, 0.76, 0.83), "0.77 ± 0.06"),
        "lda": _wang(4, "LDA", (0.740, 0.84, 0.65, 0.74), "0.69 ± 0.07"),
        "sae": _wang(4, "SAE", (0.897, 0.89, 0.90, 0.90), "0.85 ± 0.06"),
    },
}

HELSINKI_ROWS: Final[Mapping[str, PaperRow]] = {
    "model": PaperRow(
        "ResNeXt, double transfer learning, ensemble", HELSINKI,
        {"auc": Number(0.76), "sensitivity": Number(0.65), "specificity": Number(0.83),
         "ppv": Number(0.79), "accuracy": Number(0.70)},
    ),
    "radiologist": PaperRow(
        "Radiologist, BI-RADS", HELSINKI,
        {"auc": Number(0.65), "sensitivity": Number(1.00), "specificity": Number(0.30),
         "ppv": Number(0.59)},
    ),
}  # fmt: skip

_TEXT: Final = f"{KIM}: Results"
# At the threshold 0.5, validation and test. Tables 3 to 5 are not in the text we have: only what
# the text itself repeats of them. A stratum is (fact, value).
KIM_ROWS: Final[Mapping[tuple[str, str], PaperRow]] = {
    ("", "validation"): PaperRow(
        "validation", _TEXT,
        {"auc": Number(0.903), "sensitivity": Number(0.756), "specificity": Number(0.902)}, 0.5,
    ),
    ("", "test"): PaperRow(
        "test", _TEXT,
        {"auc": Number(0.906), "sensitivity": Number(0.761), "specificity": Number(0.885)}, 0.5,
    ),
    ("vendor", "Siemens"): PaperRow(
        "Siemens", f"{KIM}: Discussion",
        {"sensitivity": Number(0.888), "specificity": Number(0.617)}, 0.5,
    ),
}  # fmt: skip
# Sensitivity, printed as the range of validation and test (in unknown order): (fact, value).
KIM_SENSITIVITY: Final[Mapping[tuple[str, str], tuple[float, float]]] = {
    ("lesion", "mass"): (0.841, 0.861),
    ("lesion", "calcification"): (0.775, 0.779),
    ("invasive", "invasive"): (0.770, 0.779),
    ("invasive", "not invasive"): (0.542, 0.597),
    ("size", "mass, 20 mm or more"): (0.885, 0.886),
    ("size", "mass, under 20 mm"): (0.684, 0.710),
}
