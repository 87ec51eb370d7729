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
        self._table = self._coverage._collector.data  # type: ignore[union-attr]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._coverage.stop()

    def has_grown(self) -> bool:
        """Whether something was reached since the last call that never was before."""
        count = sum(map(len, list(self._table.values())))
        grown, self.count = count > self.count, count
        return grown
