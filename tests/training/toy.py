"""Toy folders in the very layout of `rsna-views` and `ddsm-exams`: ellipses with a bright spot."""

import csv
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

RSNA_COLUMNS = [
    "image",
    "woman",
    "site_id",
    "machine_id",
    "laterality",
    "view",
    "age",
    "cancer",
    "biopsy",
    "invasive",
    "BIRADS",
    "implant",
    "density",
    "difficult_negative_case",
]
DDSM_COLUMNS = [
    "exam_id",
    "exam_class",
    "digitizer",
    "left_malignant",
    "right_malignant",
    "left_lesions",
    "right_lesions",
    "max_assessment",
    "min_subtlety",
    "l_cc",
    "l_mlo",
    "r_cc",
    "r_mlo",
]


def breast(rng: Generator, side: str, size: int, *, cancer: bool) -> np.ndarray:
    """`(size, size) uint8`: half an ellipse at the chest wall, textured, perhaps with a lesion."""
    rows, cols = np.mgrid[:size, :size] / size
    inside = ((rows - 0.5) / 0.42) ** 2 + (cols / 0.55) ** 2 < 1
    texture = cv2.GaussianBlur(rng.normal(0, 1, (size, size)), (0, 0), size / 40)
    image = 90 + 60 * texture / (np.abs(texture).max() + 1e-9)
    if cancer:
        row, col = rng.uniform(0.35, 0.65), rng.uniform(0.15, 0.3)
        image += 90 * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 0.05**2)
    image = np.where(inside, np.clip(image, 20, 255), 0).astype(np.uint8)
    return image if side == "L" else np.ascontiguousarray(image[:, ::-1])


def rsna_views(folder: Path, women: int = 24, *, size: int = 96, seed: int = 0) -> Path:
    """A folder with two views of one or two breasts per woman; every second has a cancer.

    Machine 29 stores its views with a white background.
    """
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    with (folder / "views.csv").open("w", newline="") as lines:
        table = csv.DictWriter(lines, RSNA_COLUMNS)
        table.writeheader()
        for woman in range(women):
            cancer, machine = woman % 2 == 0, ("21", "29")[woman // 2 % 2]
            for side in "L" if cancer else "LR":
                for view in ("CC", "MLO"):
                    image = breast(rng, side, size, cancer=cancer)
                    name = f"images/{woman}_{side}_{view}.png"
                    cv2.imwrite(str(folder / name), 255 - image if machine == "29" else image)
                    table.writerow(
                        dict.fromkeys(RSNA_COLUMNS, "")
                        | {
                            "image": name, "woman": woman, "site_id": 1, "machine_id": machine,
                            "laterality": side, "view": view, "age": 60.0, "cancer": int(cancer),
                            "implant": 0, "density": "B",
                        }
                    )  # fmt: skip
    return folder


def ddsm_exams(folder: Path, exams: int = 24, *, size: int = 96, seed: int = 1) -> Path:
    """A folder of four-view exams; two in three have a malignant left or right breast."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    with (folder / "exams.csv").open("w", newline="") as lines:
        table = csv.DictWriter(lines, DDSM_COLUMNS)
        table.writeheader()
        for number, row in zip(range(exams), _exam_rows(), strict=False):
            for side in "LR":
                malignant = row["left_malignant" if side == "L" else "right_malignant"] == 1
                for view in ("cc", "mlo"):
                    name = f"images/E{number:04}_{side.lower()}_{view}.png"
                    image = breast(rng, side, size, cancer=malignant)
                    cv2.imwrite(str(folder / name), image)
                    row[f"{side.lower()}_{view}"] = name
            table.writerow(dict.fromkeys(DDSM_COLUMNS, "") | {"exam_id": f"E{number:04}"} | row)
    return folder


def _exam_rows() -> Iterator[dict[str, object]]:
    number = 0
    while True:
        kind, letter = ("left", "right", "none")[number % 3], "AB"[number // 3 % 2]
        malignant = {"left_malignant": int(kind == "left"), "right_malignant": int(kind == "right")}
        lesions = {f"{kind}_lesions": "MASS SHAPE IRREGULAR [MALIGNANT]"} if kind != "none" else {}
        exam_class = "normal" if kind == "none" else "cancer"
        yield (
            {"exam_class": exam_class, "digitizer": letter, "min_subtlety": 4} | malignant | lesions
        )
        number += 1


RECIPE = """
[network]
widths = [4, 4, 8, 8, 8, 8]
top_cells = 2
[input]
height = 64
width = 48
stretch_digital = 96
stretch_film = 96
[schedule]
steps_per_epoch = 3
pretrain_epochs = 1
finetune_epochs = 1
[pretrain]
batch = 4
[finetune]
digital_pairs = 1
film_pairs = 1
simulated = 2
"""


def recipe(folder: Path, text: str = RECIPE) -> Path:
    """A recipe for a network of a few hundred weights."""
    file = folder / "recipe.toml"
    file.write_text(text)
    return file
