"""Films in the very layout of `mini-mias`, `pisa-masses` and `pisa-calcifications`, made up."""

from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tests.training.layouts import table

MIAS = ("image", "patient", "side", "tissue", "abnormality", "severity", "col", "row", "radius_px")
PISA = ("image", "woman", "label")


def tissue(rng: Generator, rows: int, cols: int) -> NDArray[np.float32]:
    """`(rows, cols)`: cloudy grey, 0.3 to 0.5."""
    clouds = rng.random((max(rows // 16, 2), max(cols // 16, 2))).astype(np.float32)
    return 0.3 + 0.2 * cv2.resize(clouds, (cols, rows), interpolation=cv2.INTER_CUBIC)


def specks(rng: Generator, image: NDArray[np.float32], centre: tuple[int, int], n: int) -> None:
    """Draw bright dots around a place (row, column)."""
    for row, col in rng.integers(-12, 13, (n, 2)) + centre:
        cv2.circle(image, (int(col), int(row)), 1, 0.95, -1)


def write(path: Path, image: NDArray[np.float32]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.clip(image * 255, 0, 255).astype(np.uint8))


def mini_mias(folder: Path, women: int = 40, *, severity: str = "BM") -> Path:
    """Two images a woman: calcifications (few when benign) in the right, a mass or none left.

    Women take the words of `severity` in turn; the finding of the last image has no position.
    """
    rng, lines = np.random.default_rng(0), []
    for woman in range(women):
        word, name = severity[woman % len(severity)], f"p{woman:03}"
        image = tissue(rng, 1024, 1024)
        row, col = (int(x) for x in rng.integers(200, 800, 2))
        specks(rng, image, (row, col), 30 if word == "M" else 4)
        write(folder / f"images/mdb{2 * woman + 1:03}.png", image)
        lines.append((f"mdb{2 * woman + 1:03}", name, "R", "G", "CALC", word, col, row, 20))
        write(folder / f"images/mdb{2 * woman + 2:03}.png", tissue(rng, 1024, 1024))
        left = ("CIRC", word, 512, 400, 60) if woman % 4 < 2 else ("NORM", "", "", "", "")
        lines.append((f"mdb{2 * woman + 2:03}", name, "L", "G", *left))
    write(folder / "images/mdb999.png", np.zeros((1024, 1024), np.float32))
    lines.append(("mdb999", "p999", "R", "G", "CALC", "M", "", "", ""))
    table(folder / "findings.csv", MIAS, lines)
    return folder


def pisa_calcifications(folder: Path, women: int = 6) -> Path:
    """Two 60 × 60 regions a woman, with and without microcalcifications, and one that is gone."""
    rng, lines = np.random.default_rng(1), []
    for woman in range(women):
        for label in (0, 1):
            image = tissue(rng, 60, 60)
            if label:
                specks(rng, image, (30, 30), 5)
            name = f"images/{label}_{woman:04}f1.png"
            write(folder / name, image)
            lines.append((name, f"{woman:04}f", label))
    table(folder / "rois.csv", PISA, [*lines, ("images/gone.png", "0099f", 1)])
    return folder


def pisa_masses(folder: Path, women: int = 4, *, labels: tuple[str, ...] = ("benign",)) -> Path:
    """A region of 200 × 200 pixels a woman."""
    rng, lines = np.random.default_rng(2), []
    for woman in range(women):
        image = tissue(rng, 200, 200)
        cv2.circle(image, (100, 100), 40, 0.8, -1)
        name = f"images/{woman:04}p1.jpg"
        write(folder / name, cv2.GaussianBlur(image, (0, 0), 3))
        lines.append((name, f"{woman:04}", labels[woman % len(labels)]))
    table(folder / "rois.csv", PISA, lines)
    return folder


CBIS = (
    "image", "mask", "woman", "laterality", "view", "label", "assessment", "shape", "margins",
    "density", "spacing_mm",
)  # fmt: skip


def cbis_masses(folder: Path, women: int = 4) -> Path:
    """Two views of a mass a woman in `cbis-mass-rois`, benign and malignant in turn.

    Malignant ones have rays. Beside the folder lies the views' table, which names the DDSM exam of
    every woman but the first; the second's is the demo's.
    """
    rng, lines, views = np.random.default_rng(3), [], []
    rois = folder / "cbis-mass-rois"
    for woman in range(women):
        malignant = woman % 2 == 0
        for view in ("CC", "MLO"):
            image, mask = tissue(rng, 256, 256), np.zeros((256, 256), np.float32)
            cv2.circle(image, (128, 128), 80, 0.7, -1)
            cv2.circle(mask, (128, 128), 80, 1.0, -1)
            for angle in rng.uniform(0, 6.3, 24) if malignant else ():
                end = 128 + 120 * np.array([np.cos(angle), np.sin(angle)])
                cv2.line(image, (128, 128), (int(end[0]), int(end[1])), 0.75, 3)
            image += rng.normal(0, 0.01, image.shape)
            name = f"{woman:03}{view}"
            write(rois / f"images/{name}.jpg", cv2.GaussianBlur(image, (0, 0), 2))
            write(rois / f"masks/{name}.png", mask)
            lines.append(
                (f"images/{name}.jpg", f"masks/{name}.png", f"P_{woman:05}", "L", view,
                 "malignant" if malignant else "benign", 4, "OVAL", "ILL_DEFINED-SPICULATED", 2,
                 0.06)
            )  # fmt: skip
        if woman:
            exam = "C0104" if woman == 1 else f"B{woman:04}"
            views.append((f"P_{woman:05}", f"{exam}_l_cc.jpg"))
    table(rois / "rois.csv", CBIS, lines)
    table(folder / "cbis-mass-views/views.csv", ("woman", "ddsm_view"), views)
    return rois
