"""Which algorithm made an item: TID 4019, identification, in the CAD templates' wording."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from highdicom.sr import AlgorithmIdentification

from cadnode import __version__
from cadnode.report.cad_sr import concepts, items
from cadnode.report.cad_sr.items import Item
from cadnode.report.edition import Edition
from cadnode.report.sr import group_parts as parts


@dataclass(frozen=True, slots=True)
class Algorithm:
    """Name, version and parameters, as TID 4019 wants them."""

    name: str
    version: str
    parameters: tuple[str, ...] = ()

    def adding(self, *parameters: str) -> "Algorithm":
        """The algorithm with further parameters."""
        return replace(self, parameters=(*self.parameters, *parameters))

    def items(self) -> list[Item]:
        """TID 4019 with the relationship HAS PROPERTIES."""
        return [
            items.text(items.PROPERTIES, concepts.ALGORITHM_NAME, self.name),
            items.text(items.PROPERTIES, concepts.ALGORITHM_VERSION, self.version),
            *(
                items.text(items.PROPERTIES, concepts.ALGORITHM_PARAMETERS, parameter)
                for parameter in self.parameters
            ),
        ]


def ours(*parameters: str) -> Algorithm:
    """What this software does by rules of its own."""
    return Algorithm("cadnode", __version__, parameters)


def named(edition: Edition, name: str, members: Sequence[tuple[str, float]] = ()) -> Algorithm:
    """A model with the sha256 of its weights, or an ensemble under its own name.

    An ensemble's parameters are its members with their weights and probabilities, in the same
    words as in the measurement report.
    """
    found = parts.algorithm_with_members(edition, name, members)
    if found is None:
        return Algorithm(name, __version__)
    return _read(found)


def scoring(edition: Edition) -> Algorithm:
    """What scored the exam: the view model, or this software with the view models named."""
    algorithms = {view.algorithm for view in edition.result.views}
    found = parts.algorithm([m for m in edition.result.models if m.name in algorithms])
    return ours() if found is None else _read(found)


def _read(identification: AlgorithmIdentification) -> Algorithm:
    name, version, *parameters = (str(item.TextValue) for item in identification)
    return Algorithm(name, version, tuple(parameters))
