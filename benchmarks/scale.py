"""A simulation of the queue: exams through a day, several workers, one of them dead for a while.

    python -m benchmarks.scale [--seed 1] [--out docs/images/scale.svg]

Exams arrive at random (Poisson) by the hours of `BY_HOUR`; `DIAGNOSTIC` of them are diagnostic and
go first, the rest are screening. A worker reads one exam at a time, in `EXAM_S` on average on two
cores, scattered by a gamma distribution. One worker dies at 10:00 in the middle of an exam, is
noticed after `SILENT_S` (`node.worker_lease`), and is back after an hour: the exam that it had
begins again. What is measured elsewhere goes in as a number; what comes out is arithmetic.
"""

import argparse
import heapq
import random
import statistics
from dataclasses import dataclass, field
from pathlib import Path

from cadnode.node.worker_lease import SILENT_S

EXAM_S = 5.2  # phantom with CNNs on two threads, 4.0 (reading.md), and its report, 1.2 (report.md)
SHAPE = 4.0  # of the gamma distribution: a coefficient of variation of a half
DIAGNOSTIC = 0.1
BY_HOUR = (0, 0, 0, 0, 0, 0, 1, 4, 9, 11, 12, 11, 7, 9, 11, 10, 8, 4, 2, 1, 0, 0, 0, 0)
DIES_AT, BACK_AT = 10 * 3600.0, 11 * 3600.0
HOUR_S = 3600.0


@dataclass
class Day:
    """What a day gave: waits in seconds by class, and the queue's length by minute."""

    diagnostic: list[float] = field(default_factory=list)
    screening: list[float] = field(default_factory=list)
    queue: list[int] = field(default_factory=list)
    n_done: int = 0


def arrivals(per_day: float, rng: random.Random) -> list[float]:
    """Times of arrival through the day, in seconds from midnight."""
    total = sum(BY_HOUR)
    found = []
    for hour, weight in enumerate(BY_HOUR):
        at, rate = hour * HOUR_S, per_day * weight / total / HOUR_S
        while rate and (at := at + rng.expovariate(rate)) < (hour + 1) * HOUR_S:
            found.append(at)
    return found


def day(per_day: float, n_workers: int, seed: int, *, dies: bool = True) -> Day:
    """One day, run until the queue is empty."""
    rng, out = random.Random(seed), Day()
    coming = arrivals(per_day, rng)
    kinds = [rng.random() >= DIAGNOSTIC for _ in coming]  # False, diagnostic, sorts first
    takes = [rng.gammavariate(SHAPE, EXAM_S / SHAPE) for _ in coming]
    events: list[tuple[float, int, str, int]] = [
        (at, number, "comes", number) for number, at in enumerate(coming)
    ]
    if dies:
        events += [(DIES_AT, -1, "dies", 0), (BACK_AT, -1, "back", 0)]
    events += [(minute * 60.0, -2, "look", 0) for minute in range(24 * 60)]
    heapq.heapify(events)
    waiting: list[tuple[bool, float, int]] = []
    free, alive = [*range(n_workers)], [True] * n_workers
    reads: dict[int, int] = {}  # worker: exam
    life = [0] * n_workers
    while events:
        now, order, what, which = heapq.heappop(events)
        if what == "comes":
            heapq.heappush(waiting, (kinds[which], now, which))
        elif what == "ends" and order == life[which] and which in reads:
            exam = reads.pop(which)
            (out.screening if kinds[exam] else out.diagnostic).append(now - coming[exam])
            out.n_done += 1
            free.append(which)
        elif what == "dies":
            alive[0], life[0] = False, 1
            if 0 in reads:
                heapq.heappush(events, (now + SILENT_S, 0, "taken over", reads.pop(0)))
        elif what == "taken over":
            heapq.heappush(waiting, (kinds[which], coming[which], which))
        elif what == "back":
            alive[0] = True
            free = [one for one in free if one != 0] + [0]
        else:
            out.queue.append(len(waiting))
        free = [one for one in free if alive[one]]
        while waiting and free:
            worker, exam = free.pop(0), heapq.heappop(waiting)[2]
            reads[worker] = exam
            heapq.heappush(events, (now + takes[exam], life[worker], "ends", worker))
    return out


def quantile(values: list[float], part: float) -> float:
    """The value below which that part of them lies."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))] if values else 0.0


CASES = (
    ("a hospital", 60, (1, 2)),
    ("fifty hospitals", 3000, (1, 2, 3)),
    ("a screening programme", 10_000, (2, 3, 4, 6)),
)


def table(seed: int) -> list[str]:
    """Rows of waits by number of workers, with the dead one."""
    lines = [
        "| exams a day | workers | diagnostic, from arrival to report: median, 95 %, longest | "
        "screening: median, 95 %, longest | longest queue |",
        "|---|---|---|---|---|",
    ]
    for _, per_day, numbers in CASES:
        for n in numbers:
            found = day(per_day, n, seed)
            assert found.n_done == len(found.diagnostic) + len(found.screening)
            cells = [_words(values) for values in (found.diagnostic, found.screening)]
            lines.append(f"| {per_day:,} | {n} | {cells[0]} | {cells[1]} | {max(found.queue)} |")
    return lines


def _words(values: list[float]) -> str:
    return ", ".join(
        _duration(one) for one in (statistics.median(values), quantile(values, 0.95), max(values))
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


COLOURS = ("#b3261e", "#1d6fa5", "#2e7d32", "#6b4fa0")


def svg(seed: int) -> str:
    """The length of the queue through the day, a panel for each case, as SVG."""
    width, height, left, top, gap = 720, 190, 64, 34, 66
    total = top + len(CASES) * (height + gap)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + left + 130} {total}" '
        'font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for row, (name, per_day, numbers) in enumerate(CASES):
        y0 = top + row * (height + gap)
        days = {n: day(per_day, n, seed).queue for n in numbers}
        most = max(1, *(max(queue) for queue in days.values()))
        parts.append(
            f'<text x="{left}" y="{y0 - 10}" font-weight="bold">{name}: {per_day:,} exams a day, '
            "exams that wait</text>"
        )
        for hour in range(0, 25, 3):
            x = left + hour / 24 * width
            parts.append(
                f'<line x1="{x}" y1="{y0}" x2="{x}" y2="{y0 + height}" stroke="#ddd"/>'
                f'<text x="{x}" y="{y0 + height + 17}" text-anchor="middle">{hour}:00</text>'
            )
        for part in (0.0, 0.5, 1.0):
            y = y0 + height * (1 - part)
            parts.append(
                f'<line x1="{left}" y1="{y}" x2="{left + width}" y2="{y}" stroke="#ddd"/>'
                f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{part * most:,.0f}</text>'
            )
        x = left + DIES_AT / 86_400 * width
        wide = (BACK_AT - DIES_AT) / 86_400 * width
        parts.append(
            f'<rect x="{x}" y="{y0}" width="{wide}" height="{height}" fill="#000" opacity="0.07"/>'
        )
        for number, (n, queue) in enumerate(days.items()):
            points = " ".join(
                f"{left + minute / 1440 * width:.1f},{y0 + height * (1 - one / most):.1f}"
                for minute, one in enumerate(queue)
            )
            colour = COLOURS[number]
            y = y0 + 16 + 20 * number
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
                f'<text x="{left + width + 14}" y="{y}" fill="{colour}">'
                f"{n} worker{'s' if n > 1 else ''}</text>"
            )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Print the table; with `--out` write the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    print(*table(options.seed), sep="\n")
    if options.out:
        options.out.write_text(svg(options.seed), encoding="utf-8")


if __name__ == "__main__":
    main()
