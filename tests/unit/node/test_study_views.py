"""Which images of a study the page shows, in which order, with what of its result."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cadnode.exam.read import exam_of
from cadnode.imaging.pixels import load
from cadnode.node.previews import chest_walls, write_previews
from tests.synthetic import uid
from tests.view_cases import HANGING, KEY, STUDY, Held, image, key_of, read, viewer


def exam() -> list[Any]:
    return [image(laterality=side, view=view) for side, view in reversed(HANGING)]


def test_views_hang_right_before_left_and_cc_above_mlo_whatever_the_order_of_arrival(
    tmp_path: Path,
) -> None:
    shown = viewer(tmp_path, exam()).views(STUDY)
    assert [view.name for view in shown.views] == ["RCC", "LCC", "RMLO", "LMLO"]
    assert [name for name, _ in shown.slots] == ["RCC", "LCC", "RMLO", "LMLO"]
    first = shown.views[0]
    assert (first.rows, first.columns, first.bits, first.levels) == (512, 400, 12, 1)
    assert first.windows[0].width == 4096
    assert shown.n_patients == 1


def test_a_view_that_is_missing_leaves_its_place_and_a_second_one_follows(tmp_path: Path) -> None:
    images = [image(laterality="R"), image(laterality="R", number=2), image(view="MLO")]
    slots = viewer(tmp_path, images).views(KEY).slots
    assert [name for name, _ in slots] == ["RCC", "LCC", "RMLO", "LMLO", "RCC"]
    assert [view is None for _, view in slots] == [False, True, True, False, False]


def test_no_uid_and_no_name_is_told_to_the_viewer(tmp_path: Path) -> None:
    images = exam()
    held = read(tmp_path, images)
    told = str(viewer(tmp_path, images, held).views(STUDY).as_dict("/studies/x/views"))
    assert "ZZQ" not in told
    assert all(str(ds.SOPInstanceUID) not in told for ds in images)


def test_scores_maps_and_outlines_are_those_of_the_result(tmp_path: Path) -> None:
    images = exam()
    shows = viewer(tmp_path, images, read(tmp_path, images))
    found = {view.view: view for view in shows.views(STUDY).views}
    first = found[key_of(images[0])]
    assert first.score == 0.7
    assert first.maps == ("all systems", "kim2018: net")
    assert first.outlines[0].label == "1 · 0.62"
    assert first.outlines[0].points[0] == (60.0, 40.0)
    assert found[key_of(images[1])].outlines == ()
    picture = shows.heat_map(STUDY, first.view, 1)
    assert picture is not None
    layer = np.asarray(Image.open(io.BytesIO(picture)).convert("RGBA"))
    assert layer.shape == (512, 400, 4)
    assert layer[5, 5, 3] < 20
    assert layer[-5, -5, 3] > 235
    for n in (-1, 2):
        assert shows.heat_map(STUDY, first.view, n) is None


def test_an_unread_study_has_views_and_no_layers(tmp_path: Path) -> None:
    for view in viewer(tmp_path, exam()).views(STUDY).views:
        assert (view.score, view.maps, view.outlines) == (None, (), ())


@pytest.mark.parametrize("name", ["0" * 16, "../../x", "", "A" * 16])
def test_only_the_studys_own_images_are_given(tmp_path: Path, name: str) -> None:
    shows = viewer(tmp_path, exam())
    assert shows.pixels(STUDY, name) is None
    assert shows.heat_map(STUDY, name, 0) is None
    assert shows.pixels(uid("study", 99), key_of(exam()[0])) is None


def test_images_of_two_women_are_told_apart(tmp_path: Path) -> None:
    hers, others = image(laterality="R"), image(laterality="L")
    others.PatientID, others.PatientName, others.PatientBirthDate = "ZZQ-2", "ZZQOTHER", "19500101"
    shown = viewer(tmp_path, [hers, others]).views(STUDY)
    assert shown.n_patients == 2
    assert {view.patient for view in shown.views} == {1, 2}
    assert len(shown.of_patient(1).views) == 1


def test_several_frames_are_named_with_the_reason_and_hang_nowhere(tmp_path: Path) -> None:
    shown = viewer(tmp_path, [image(), image(laterality="R", NumberOfFrames="3")]).views(STUDY)
    assert [bool(view.why) for view in shown.views] == [False, True]
    assert "several frames" in shown.views[1].why
    assert shown.slots[0] == ("RCC", None)


def test_the_worker_writes_pictures_and_sees_where_the_chest_wall_is(tmp_path: Path) -> None:
    mirrored = image(laterality="R")
    stored = np.frombuffer(mirrored.PixelData, "<u2").reshape(512, 400)
    mirrored.PixelData = np.ascontiguousarray(stored[:, ::-1]).tobytes()
    images = [mirrored, image(laterality="L")]
    held = Held([tmp_path / "result"])
    held.folders[0].mkdir()
    shows = viewer(tmp_path, images, held)
    spool = tmp_path / "spool" / "studies" / KEY
    write_previews(held.folders[0], exam_of(sorted(spool.glob("*.dcm"))), load)
    assert chest_walls(held.folders[0]) == {key_of(images[0]): False, key_of(images[1]): False}
    pixels = shows.pixels(STUDY, key_of(mirrored))
    assert pixels is not None
    assert pixels.preview()[:3] == b"\xff\xd8\xff"
    assert len(pixels.grey()) == 5 * 4096 + 1
    assert pixels.tile(0, 0, 0) is not None
