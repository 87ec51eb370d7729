"""Pictures of cases: which are shown, and that map, frame and outline lie where they belong."""

import base64

import cv2
import numpy as np
import pytest

from cadnode.domain import Box
from cadnode.errors import DataError
from cadnode_training.results.gallery import CasePicture, PictureOutcome, chosen, painted

Image = np.ndarray


def shown(picture: CasePicture) -> Image:
    """`(h, w, 3) int`: blue, green, red of what a browser would show."""
    content = np.frombuffer(base64.b64decode(painted(picture).partition(",")[2]), np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_COLOR).astype(int)


def test_the_surest_and_the_nearest_of_each_outcome_are_shown() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.55, 0.1, 0.4, 0.5, 0.2])
    labels = np.array([True] * 6 + [False] * 2)

    found = chosen(labels, scores, 0.5, each=1)

    assert (
        found[PictureOutcome.TRUE_POSITIVE].surest,
        found[PictureOutcome.TRUE_POSITIVE].nearest,
    ) == (
        (0,),
        (3,),
    )
    assert found[PictureOutcome.TRUE_POSITIVE].total == 4
    assert found[PictureOutcome.FALSE_NEGATIVE].surest == (4,)
    assert found[PictureOutcome.FALSE_NEGATIVE].nearest == (5,)
    # At the cut-off a case is called.
    assert found[PictureOutcome.FALSE_POSITIVE].surest == (6,)
    assert found[PictureOutcome.TRUE_NEGATIVE].surest == (7,)


@pytest.mark.parametrize("each", [1, 2, 3, 10])
def test_no_case_is_shown_twice(each: int) -> None:
    rng = np.random.default_rng(each)
    labels, scores = rng.random(20) < 0.5, np.round(rng.random(20), 1)

    found = chosen(labels, scores, 0.5, each=each)

    rows = [row for c in found.values() for row in (*c.surest, *c.nearest)]
    assert len(rows) == len(set(rows))
    if each == 10:
        assert sorted(rows) == list(range(20))


def test_the_map_is_red_where_it_is_hot_and_leaves_the_rest_grey() -> None:
    heat = np.zeros((8, 8), np.float32)
    heat[1, 6] = 1.0

    image = shown(CasePicture(np.full((200, 200), 0.5, np.float32), heat))

    assert image[37, 162, 2] > image[37, 162, 0] + 60
    assert np.ptp(image[150, 25]) <= 4


def test_a_map_of_a_part_lies_on_that_part_also_after_cropping() -> None:
    # Given a map that covers rows and columns 160 to 320, and a crop from 80 to 320
    picture = CasePicture(
        np.full((320, 320), 0.5, np.float32), np.ones((4, 4), np.float32),
        Box(160, 160, 320, 320), crop=Box(80, 80, 320, 320),
    )  # fmt: skip

    image = shown(picture)

    assert image.shape[:2] == (240, 240)
    assert image[160, 160, 2] > image[160, 160, 0] + 60
    assert np.ptp(image[30, 30]) <= 4


def test_frame_and_outline_follow_the_crop_and_the_scale() -> None:
    picture = CasePicture(
        np.zeros((720, 720), np.float32), lesion=Box(120, 160, 240, 320),
        outlines=(((400.0, 400.0), (400.0, 500.0), (500.0, 500.0), (500.0, 400.0)),),
        crop=Box(0, 0, 720, 720),
    )  # fmt: skip

    image = shown(picture)

    assert image.shape[:2] == (360, 360)
    assert image[60, 120].min() > 120  # the frame's upper edge
    assert image[90, 120].max() < 60  # inside it
    assert image[200, 225, 2] > image[200, 225, 0] + 60  # the outline is yellow


def test_a_small_region_is_enlarged_before_lines_are_drawn_and_all_four_edges_show() -> None:
    image = np.full((16, 20), 0.5, np.float32)
    edge = ((0.5, 0.5), (0.5, 19.5), (15.5, 19.5), (15.5, 0.5))
    whole = ((0.0, 0.0), (0.0, 20.0), (16.0, 20.0), (16.0, 0.0))

    for outline in (edge, whole):
        seen = shown(CasePicture(image, outlines=(outline,)))

        assert seen.shape[:2] == (128, 160)  # eight times as large
        yellow = seen[..., 2] - seen[..., 0] > 60
        assert all(part.any() for part in (
            yellow[:6, 80], yellow[-6:, 80], yellow[64, :6], yellow[64, -6:],
        ))  # fmt: skip
        assert not yellow[20:-20, 20:-20].any()


def test_a_dark_image_is_brightened_to_be_seen_and_a_black_one_stays_black() -> None:
    dark = np.zeros((200, 200), np.float32)
    dark[50:150, 50:150] = 0.1

    assert shown(CasePicture(dark))[100, 100].min() > 200
    assert shown(CasePicture(np.zeros((200, 200), np.float32))).max() == 0
    assert abs(shown(CasePicture(dark + 0.5))[100, 100].max() - 153) <= 3  # bright enough


def test_more_than_rows_and_columns_are_refused() -> None:
    with pytest.raises(DataError, match="rows and columns"):
        painted(CasePicture(np.zeros((2, 8, 8), np.float32)))
