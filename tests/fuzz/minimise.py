"""The smallest input found that still causes the same finding, and the smallest corpus."""

import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from tests.fuzz.engine import causes, in_child, opened
from tests.fuzz.oracles import Finding, Watch
from tests.fuzz.reach import Reach
from tests.fuzz.target import Target

_FATAL = ("crash", "hang")


def smallest(target: Target, finding: Finding, within_s: float = 10.0) -> bytes:
    """The finding's input, with everything taken out that it does not need."""
    if not finding.data or finding.kind == "growth":
        return finding.data
    if finding.kind in _FATAL:
        return reduced(
            finding.data, lambda data: _same(causes(target, data), finding), within_s, 24
        )

    def work(to: Connection) -> None:
        with Watch() as watch, opened(target):
            best = reduced(
                finding.data, lambda data: _same(watch.run(target, data), finding), within_s, 2000
            )
        to.send(("best", best))

    messages = in_child(work)
    return messages[-1][1] if messages else finding.data


def distilled(target: Target, inputs: Sequence[bytes], most_bytes: int) -> list[bytes]:
    """Of these inputs, short ones first, those that reach something new, up to a size in all."""
    ordered = sorted(set(inputs), key=len)

    def work(to: Connection) -> None:
        kept = 0
        with Watch() as watch, opened(target), Reach() as reach:
            for data in target.seeds():
                watch.run(target, data)
            reach.has_grown()
            for data in ordered:
                watch.run(target, data)
                if reach.has_grown() and kept + len(data) <= most_bytes:
                    kept += len(data)
                    to.send(("keep", data))

    return [message[1] for message in in_child(work)]


def reduced(data: bytes, still: Callable[[bytes], Any], within_s: float, most_tries: int) -> bytes:
    """`data` without the chunks that `still` does not need, large ones first."""
    started, tries = time.monotonic(), 0
    size = max(1, len(data) // 2)
    while True:
        at = 0
        while at < len(data):
            if tries >= most_tries or time.monotonic() - started > within_s:
                return data
            tries += 1
            shorter = data[:at] + data[at + size :]
            if shorter and still(shorter):
                data = shorter
            else:
                at += size
        if size == 1:
            return data
        size = max(1, size // 2)


def _same(found: Finding | None, wanted: Finding) -> bool:
    return found is not None and found.signature == wanted.signature
