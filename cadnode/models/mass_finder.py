"""Where a view has masses, and how certain each is: the learned detector, with its card."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cadnode.domain import Box, FloatImage, Laterality
from cadnode.errors import ModelError, NotProcessable
from cadnode.imaging import view_chain
from cadnode.imaging.geometry import Placement
from cadnode.models import engine as engines
from cadnode.models.device import run_within_memory
from cadnode.models.engine import TORCH, CompiledPass, Engine, Pass
from cadnode.models.weights import fitted
from cadnode.networks.mass_map import STRIDE, MassMap

if TYPE_CHECKING:
    from cadnode.models.card import MassFinderCard

# Choice: sizes are clipped to these shares of a view's tensor, about 4 mm and most of a breast.
_SIZES: Final = (0.02, 0.7)
MOST: Final = 12
"""Masses of a view at most, as many as there are candidates without the network."""
# Of two marks the less certain goes when the boxes' intersection over union is above this, or
# when its centre lies in the other.
_OVERLAP: Final = 0.2


@dataclass(frozen=True, slots=True)
class FoundMass:
    """A mass: its box in source pixels, and its certainty in [0, 1]."""

    box: Box
    certainty: float


class MassFinder:
    """A detector of masses, ready to use.

    Parameters
    ----------
    card
        Its card; `card.mark_at` is the certainty from which on a mass is marked.
    state
        Its weights, by name; not needed with `compiled`.
    device, engine
        Where and with what the network is computed.
    compiled
        The pass of `known_pass`: PyTorch's network is not built.

    Raises
    ------
    ModelError
        The weights do not fit the card's architecture.
    """

    def __init__(
        self, card: "MassFinderCard", state: dict[str, Tensor], device: str = "cpu",
        *, engine: Engine = TORCH, compiled: CompiledPass | None = None,
    ) -> None:  # fmt: skip
        self.card = card
        self.device = device
        self._network: MassMap | None = None
        self._chain = view_chain.build(card.preprocess)
        if compiled is None:
            network = fitted(partial(MassMap, card.architecture), state, card.name)
            self._network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            compiled = engines.accelerated(
                self.network, self.network.forward, _shapes(card), _highest,
                engine=engine.on(device), name=card.name, sha256=card.weights_sha256,
            )  # fmt: skip
        self.bf16 = compiled is not None and compiled.bf16
        self._map: Pass = compiled or self.network

    @property
    def network(self) -> MassMap:
        """PyTorch's network.

        Raises
        ------
        ValueError
            It was not built, as the detector was given its compiled pass.
        """
        if self._network is None:
            raise ValueError(f"{self.card.name} is computed without PyTorch's network")
        return self._network

    @property
    def mark_at(self) -> float:
        """The certainty from which on a mass is marked."""
        return self.card.mark_at

    def by_member(self, number: int) -> "MassFinder":
        """The detector that this member alone makes up: it has not seen the women of its fold."""
        alone = object.__new__(MassFinder)
        alone.card, alone.device, alone.bf16 = self.card, self.device, False
        alone._network, alone._chain = self.network, self._chain
        alone._map = nn.Sequential(self.network.trunk, self.network.members[number])
        return alone

    def find(
        self, image: FloatImage, laterality: Laterality | str, *, most: int = MOST
    ) -> list[FoundMass]:
        """At most `most` masses of a view, the most certain first; none where no breast is found.

        Parameters
        ----------
        image
            `(H, W) float32 in [0, 1]`, dense tissue bright.
        laterality
            Decides where the chest wall is when the image does not show it.
        most
            How many at most.

        Raises
        ------
        ModelError
            The network fails on the device, or its map holds numbers that are not finite: nothing
            would be found, as in a view without masses.
        """
        try:
            view = self._chain(view_chain.start(image, laterality))
        except NotProcessable:
            return []
        found = run_within_memory(
            lambda device, _: self._run(device, view.image), self.device, 1,
            name=self.card.name, cpu_too=False,
        )  # fmt: skip
        if not np.isfinite(found).all():
            raise ModelError(f"{self.card.name} answers with numbers that are not finite")
        seen = cv2.resize(
            (view.image[0] > 0).astype(np.float32), found.shape[:0:-1],
            interpolation=cv2.INTER_AREA,
        )  # fmt: skip
        peaks = decode(found, np.asarray(seen >= 0.5, np.bool_), 3 * most)
        return self._kept(peaks, view.placement, most)

    @torch.inference_mode()
    def _run(self, device: str, image: FloatImage) -> FloatImage:
        """`(3, h, w) float32`: the map of a preprocessed view `(1, H, W)`."""
        return self._map(torch.from_numpy(image)[None].to(device))[0].float().cpu().numpy()

    def _kept(
        self, peaks: Sequence[tuple[float, NDArray[np.float64]]], placement: Placement, most: int
    ) -> list[FoundMass]:
        """The peaks in the source, without those that a more certain one covers."""
        kept: list[FoundMass] = []
        calibration = self.card.calibration
        for logit, edges in peaks:
            box = _in_source(edges, placement)
            if any(_same(box, other.box) for other in kept):
                continue
            raised = calibration.slope * logit + calibration.intercept
            kept.append(FoundMass(box, float(1 / (1 + np.exp(-np.clip(raised, -60, 60))))))
        return kept[:most]


def known_pass(card: "MassFinderCard", device: str, engine: Engine) -> CompiledPass | None:
    """The compiled pass of the card's network where none has to be built for it."""
    return engines.known(
        _shapes(card), engine=engine.on(device), name=card.name, sha256=card.weights_sha256
    )


def _shapes(card: "MassFinderCard") -> list[tuple[int, ...]]:
    return [(1, card.preprocess.height, card.preprocess.width)]


def decode(
    found: FloatImage, seen: NDArray[np.bool_], most: int
) -> list[tuple[float, NDArray[np.float64]]]:
    """Log-odds and `(4,)` row0, col0, row1, col1 in pixels of the tensor, of the highest cells.

    Parameters
    ----------
    found
        `(3, h, w) float32`: log-odds, and logarithms of height and width in shares of the tensor.
    seen
        `(h, w) bool`: cells that show breast.
    most
        How many at most.
    """
    logits = np.where(seen, found[0], -np.inf).astype(np.float32)
    peaks = np.argwhere((logits >= cv2.dilate(logits, np.ones((3, 3), np.uint8))) & seen)
    order = np.argsort(-logits[peaks[:, 0], peaks[:, 1]], kind="stable")[:most]
    whole = np.array(logits.shape) * STRIDE
    boxes = []
    for row, col in peaks[order]:
        size = np.clip(np.exp(found[1:, row, col]), *_SIZES) * whole
        centre = (np.array([row, col]) + 0.5) * STRIDE
        edges = np.concatenate([centre - size / 2, centre + size / 2]).astype(np.float64)
        boxes.append((float(logits[row, col]), edges))
    return boxes


def _in_source(edges: NDArray[np.float64], placement: Placement) -> Box:
    crop = placement.crop
    corners = placement.to_source(edges.reshape(2, 2))
    low = np.clip(corners.min(0), (crop.row0, crop.col0), (crop.row1 - 1, crop.col1 - 1))
    high = np.clip(corners.max(0), low + 1, (crop.row1, crop.col1))
    row0, col0 = np.floor(low).astype(int)
    row1, col1 = np.ceil(high).astype(int)
    return Box(int(row0), int(col0), int(row1), int(col1))


def _same(one: Box, other: Box) -> bool:
    """Whether a mark says what a more certain one, `other`, does."""
    row, col = (one.row0 + one.row1) / 2, (one.col0 + one.col1) / 2
    if other.row0 <= row < other.row1 and other.col0 <= col < other.col1:
        return True
    rows = min(one.row1, other.row1) - max(one.row0, other.row0)
    cols = min(one.col1, other.col1) - max(one.col0, other.col0)
    both = max(rows, 0) * max(cols, 0)
    areas = sum((b.row1 - b.row0) * (b.col1 - b.col0) for b in (one, other))
    return both > _OVERLAP * (areas - both)


def _highest(forward: Pass, inputs: tuple[Tensor, ...]) -> NDArray[np.float64]:
    """`(B,)` log-odds of each view's most certain cell: what two precisions must agree on."""
    return forward(*inputs)[:, 0].flatten(1).amax(1).numpy().astype(np.float64)
