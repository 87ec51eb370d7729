"""Steps of preprocessing, one after the other; MONAI's `Compose` of them where MONAI runs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from monai.transforms import Compose

Given = TypeVar("Given")
Ready = TypeVar("Ready")
Step = Callable[[Any], Any]
"""A MONAI transform: what a step takes and gives is its chain's."""


class Chain(Generic[Given, Ready]):
    """Runs its steps in order; what one raises is raised as it is.

    Importing any part of MONAI imports all of it, with pandas, scikit-learn, ignite and
    torchvision: 6 s and 360 MB, which a process that only reads is spared.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)

    def __call__(self, given: Given) -> Ready:
        """What the last step gives."""
        value: Any = given
        for step in self.steps:
            value = step(value)
        ready: Ready = value
        return ready

    def composed(self) -> "Compose":
        """The same steps as MONAI's `Compose`, for its data sets; it wraps what a step raises."""
        from monai.transforms import Compose

        return Compose(self.steps)
