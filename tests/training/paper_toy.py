"""Recipes of the papers at a size that a test can train: only the numbers named here change."""

import re
from pathlib import Path

from cadnode_training.papers.kim2018 import config as kim
from cadnode_training.papers.roi_cnn.protocol import Protocol


def kim_recipe(folder: Path, *, side: int = 64, exams: int = 4, epochs: int = 2) -> Path:
    """Kim's `paper.toml` with smaller views, fewer exams a step, fewer epochs and channels."""
    text = kim.RECIPES.paper.read_text()
    for old, new in (
        ("height = 1600", f"height = {side}"), ("width = 1600", f"width = {side}"),
        ("batch = 16", f"batch = {exams}"), ("epochs = 30", f"epochs = {epochs}"),
        ("widths = [16, 32, 64, 64, 128, 192]", "widths = [4, 4, 8, 8, 8, 8]"),
        ("parts = 8", "parts = 2"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    file = folder / "kim-paper.toml"
    file.write_text(text)
    return file


def roi_recipe(folder: Path, protocol: Protocol, *, members: int = 2) -> Path:
    """A paper's `recipe.toml` of ROI networks with smaller regions, one epoch, fewer members."""
    text = protocol.recipe.read_text()
    for old, new in (
        ("size = 512", "size = 64"), ("epochs = 200", "epochs = 1"), ("copies = 5", "copies = 1"),
        ("translation_px = 30", "translation_px = 4"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    text = re.sub(r"spacing_mm = 0\.\d+", "spacing_mm = 0.5", text)
    head, *tables = text.split("[[members]]")
    file = folder / f"{protocol.system.value}-paper.toml"
    file.write_text("[[members]]".join([head, *tables[:members]]))
    return file
