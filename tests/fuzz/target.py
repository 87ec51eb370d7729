"""What a target is: seeds, a mutator, and the code that takes the input."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

from tests.fuzz.mutate import raw
from tests.fuzz.oracles import DEFAULT_MARKS


class Target:
    """One seam of the program that takes bytes from elsewhere.

    `allowed` are the exceptions that it documents. `marks` are identifiers in the seeds that no
    log line, message or answer may hold. `weight` is its share of the inputs of a run of all;
    `kept_descriptors` may be opened by one input and stay for the next.
    """

    name = ""
    allowed: tuple[type[BaseException], ...] = ()
    marks: tuple[bytes, ...] = DEFAULT_MARKS
    tokens: Sequence[bytes] = ()
    weight = 1.0
    kept_descriptors = 0

    def open(self, folder: Path) -> None:
        """Prepare in the process that runs the inputs; `folder` is scratch in memory."""
        self.folder = folder

    def close(self) -> None:
        """End what `open` began."""

    def seeds(self) -> list[bytes]:
        """Inputs to begin with."""
        raise NotImplementedError

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        """Another input made of `data`; `other` is a second one to borrow from."""
        return raw.mutated(data, rng, other, self.tokens)

    def run(self, data: bytes) -> Iterable[str] | None:
        """Try the input. Texts that leave the program are returned and searched for marks."""
        raise NotImplementedError

    def batch(self) -> None:
        """Check between batches of inputs; raises `Violation`."""
