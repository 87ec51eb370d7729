"""The papers' protocols as tables of a page.

`python -m cadnode_training.results.protocol_tables docs/training.md` writes them between the page's
marks; a test compares.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cadnode.errors import DataError
from cadnode.files import write_whole
from cadnode_training.engine.protocol import ProtocolPoint, Standing
from cadnode_training.engine.recipe import PAPER
from cadnode_training.papers.helsinki_dtl.config import PROTOCOL as HELSINKI
from cadnode_training.papers.kang2021.config import PROTOCOL as KANG
from cadnode_training.papers.kim2018 import config as kim
from cadnode_training.papers.kim2018 import points as kim_points
from cadnode_training.papers.roi_cnn import config as rois
from cadnode_training.papers.wang2016 import config as wang
from cadnode_training.papers.wang2016.fitting import FOLDS

BEGIN: Final = (
    "<!-- protocols: `python -m cadnode_training.results.protocol_tables` writes these -->"
)
END: Final = "<!-- protocols end -->"
_PAPER: Final = Path(PAPER)
_MARKS: Final = {
    Standing.AS_STATED: "",
    Standing.CHOSEN: "*chosen:* ",
    Standing.DATA: "*by the data:* ",
    Standing.DIFFERS: "**differs:** ",
}


def tables() -> str:
    """The four tables, Markdown."""
    found = {
        "kim2018 (Kim 2018)": kim_points.protocol(kim.load(kim.RECIPES.of(_PAPER))),
        "kang2021 (Kang 2021)": KANG.points(rois.load(KANG.recipe_of(_PAPER))),
        "wang2016 (Wang 2016), scenario *both*": wang.protocol(
            wang.load(_PAPER, None), "both", FOLDS
        ),
        "helsinki_dtl (Arlan 2025)": HELSINKI.points(rois.load(HELSINKI.recipe_of(_PAPER))),
    }
    return "\n".join(_table(title, points) for title, points in found.items())


def _table(title: str, points: Sequence[ProtocolPoint]) -> str:
    lines = [
        f"### {title}",
        "",
        "| | the paper | section | `--config paper` |",
        "|---|---|---|---|",
    ]
    for point in points:
        same = point.standing == Standing.AS_STATED
        run = "the same" if same else _MARKS[point.standing] + point.run
        lines.append(f"| {point.topic} | {point.paper} | {point.section} | {run} |")
    return "\n".join([*lines, ""])


def written_into(page: str) -> str:
    """The page with the tables between its marks.

    Raises
    ------
    DataError
        The page lacks a mark.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise DataError("the page has no marks for the papers' protocols")
    return f"{before}{BEGIN}\n{tables()}{END}{after}"


def main(arguments: Sequence[str]) -> None:
    """Write the tables into the page that is named."""
    (page,) = map(Path, arguments)
    write_whole(page, written_into(page.read_text()).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
