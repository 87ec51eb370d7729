"""The tables of docs/monitoring.md that the code knows: `python -m cadnode.node.metrics.reference`.

python -m cadnode.node.metrics.reference docs/monitoring.md    # writes them between its marks
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cadnode.node.metrics.table import COUNTED, LOOKED_AT, NodeMetric

BEGIN: Final = "<!-- {name}: cadnode.node.metrics.reference -->"
END: Final = "<!-- end of {name} -->"


def filled(page: str) -> str:
    """The page with its tables as they are now. Raises `ValueError` where a mark is missing."""
    for name, metrics in (("counted", COUNTED), ("looked at", LOOKED_AT)):
        begin, end = BEGIN.format(name=name), END.format(name=name)
        before, _, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"the page has no {begin} … {end}")
        page = f"{before}{begin}\n{_rows(metrics)}{end}{after}"
    return page


def _rows(metrics: Iterable[NodeMetric]) -> str:
    lines = ["| metric | type | labels | unit | what it is |", "|---|---|---|---|---|"]
    for one in metrics:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(f"| `{one.name}` | {one.kind} | {labels} | {one.unit} | {one.meaning} |")
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
