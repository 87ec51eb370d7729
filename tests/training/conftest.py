"""What the tests of training share."""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

import pytest

from cadnode.domain import Acquisition
from cadnode_training.papers.detection import samples
from cadnode_training.phantom import RoiSource


@cache
def _one_view(spacing_mm: float, acquisition: Acquisition) -> RoiSource:
    return RoiSource(0, 1, spacing_mm=spacing_mm, acquisition=acquisition)


@pytest.fixture(scope="package", autouse=True)
def _phantom_regions_of_one_breast() -> Iterator[None]:
    """Regions of phantoms are cut from one breast here, not from a dozen for each part of the data.

    Lesions, places and noise differ as ever. A dozen breasts take five seconds to draw.
    """

    def shared(_bank: int, spacing_mm: float, acquisition: Acquisition) -> RoiSource:
        return _one_view(spacing_mm, acquisition)

    def source(bank: int, _views: int, **spec: Any) -> RoiSource:
        return shared(bank, **spec)

    with pytest.MonkeyPatch.context() as patch:
        # The package has the function under the module's name.
        patch.setattr(import_module("cadnode_training.phantom.roi"), "_shared", shared)
        patch.setattr(samples, "RoiSource", source)
        yield
