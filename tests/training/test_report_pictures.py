"""Pictures of regions as networks read them: the frame lies on the lesion, maps are averaged."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cadnode.domain import Box
from cadnode.imaging.roi_chain import Roi, RoiSpec, cut
from cadnode_training.results.pictures import _inside_roi, _with_map


@dataclass
class Reading:
    cam: np.ndarray


@dataclass
class Model:
    """Says the same of every region."""

    cam: np.ndarray

    def read(self, rois: list[Roi]) -> list[Reading]:
        return [Reading(self.cam) for _ in rois]


def test_a_lesions_frame_is_in_the_pixels_of_the_roi() -> None:
    # Given a ROI of 64 pixels of 0.1 mm around (100, 100) of an image of 0.2 mm pixels
    image = np.zeros((200, 200), np.float32)
    roi = cut(image, (100.0, 100.0), (0.2, 0.2), RoiSpec(size=64, spacing_mm=0.1))

    assert _inside_roi((96, 92, 104, 108), roi) == Box(24, 16, 40, 48)
    # What lies outside is cut at the edge.
    assert _inside_roi((0, 0, 200, 200), roi) == Box(0, 0, 64, 64)


def test_the_map_shown_is_the_mean_of_the_networks() -> None:
    image = np.zeros((120, 120), np.float32)
    roi = cut(image, (60.0, 60.0), (0.1, 0.1), RoiSpec(size=64, spacing_mm=0.1))
    cams = [np.zeros((4, 4), np.float32), np.ones((8, 8), np.float32)]
    models: Any = [Model(cam) for cam in cams]

    found = _with_map(models, [roi, roi], Box(1, 2, 3, 4))

    assert found.image.shape == (64, 64)
    assert found.heat_map is not None
    np.testing.assert_allclose(found.heat_map, 0.5)
    assert found.lesion == Box(1, 2, 3, 4)
