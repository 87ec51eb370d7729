"""Which branches of our own packages an input reaches that none before it reached."""

from types import TracebackType

import coverage

PACKAGES = ("cadnode",)


class Reach:
    """Counts arcs between lines, in every thread, while the block lasts.

    `coverage`'s own measurement is read while it runs: its C tracer adds to one table of sets.
    """

    def __init__(self) -> None:
        self._coverage = coverage.Coverage(
            data_file=None, branch=True, source_pkgs=list(PACKAGES), config_file=False,
            messages=False,
        )  # fmt: skip
        self.count = 0

    def __enter__(self) -> "Reach":
        self._coverage.start()
        self._collector = self._coverage._collector
        self._table = self._collector.data  # type: ignore[union-attr]
        self._runs = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.switch(on=True)
        self._coverage.stop()

    def switch(self, *, on: bool) -> None:
        """Measure from here on, or run three times as fast without."""
        if on is not self._runs:
            self._runs = on
            (self._collector.resume if on else self._collector.pause)()  # type: ignore[union-attr]

    def has_grown(self) -> bool:
        """Whether something was reached since the last call that never was before."""
        count = sum(map(len, list(self._table.values())))
        grown, self.count = count > self.count, count
        return grown
