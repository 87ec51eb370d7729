"""The page of a detection: marks, sizes, pictures and the table, on images with known answers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cadnode.detect.regions import Detections, Region
from cadnode.domain import Acquisition, Box, FindingKind, Laterality
from cadnode.errors import DataError
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.papers.detection import cases
from cadnode_training.papers.detection.cases import (
    CLUSTER,
    MASS,
    DetectionCase,
    DetectionCases,
    Target,
    detected,
    matched,
)
from cadnode_training.results import detection_page, detection_reading


def region(row: int, col: int, certainty: float, kind: FindingKind = CLUSTER) -> Region:
    box = Box(row - 5, col - 5, row + 5, col + 5)
    corners = ((box.row0, box.col0), (box.row0, box.col1), (box.row1, box.col1))
    return Region(kind, box, tuple((float(r), float(c)) for r, c in corners), certainty)


def image(group: str, *targets: Target, free: bool = False) -> DetectionCase:
    return DetectionCase(
        np.zeros((200, 160), np.float32), Laterality.LEFT, 0.2, Acquisition.FILM, group, targets,
        frozenset({CLUSTER}) if free else frozenset(),
    )  # fmt: skip


# Two lesions of 8 and 24 mm, one found; two images without any, one with two false marks.
IMAGES = {
    "a": (image("a", Target(CLUSTER, 50, 50, 20)), (region(52, 50, 0.9), region(52, 52, 0.7))),
    "b": (image("b", Target(CLUSTER, 100, 80, 60)), (region(20, 20, 0.8, MASS),)),
    "c": (image("c", free=True), (region(30, 30, 0.6), region(150, 100, 0.2))),
    "d": (image("d", free=True), ()),
}


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> DetectionCases:
    seen = {id(case.image): regions for case, regions in IMAGES.values()}

    def detect(pixels: np.ndarray, *_: object, **__: object) -> Detections:
        return Detections(seen[id(pixels)], ())

    def read() -> Iterator[DetectionCase]:
        yield from (case for case, _ in IMAGES.values())

    made = DetectionCases("toys", 4, read, {CLUSTER: "clusters", MASS: "masses"})
    monkeypatch.setattr(cases, "detect_view", detect)
    monkeypatch.setattr(cases, "open_cases", lambda kind, where: made)
    return made


def test_numbers_and_page_of_one_command_detect_once(
    source: DetectionCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counted(case: DetectionCase, *_: object) -> tuple[Region, ...]:
        asked.append(case)
        return ()

    monkeypatch.setattr(cases, "regions_of", counted)
    cache = ReadCache()
    for _ in range(2):
        assert len(list(detected(source, None, cache))) == 4
    assert len(asked) == 4
    list(detected(source, None))
    assert len(asked) == 8


def test_the_best_mark_counts_and_those_in_images_with_a_lesion_are_not_false(
    source: DetectionCases,
) -> None:
    found = detection_reading.read(source, None)[CLUSTER]

    assert [x.certainty for x in found.lesions] == [0.9, None]
    assert [x.diameter_mm for x in found.lesions] == pytest.approx([8.0, 24.0])
    assert [m.false_marks for m in found.marks] == [(), (), (0.6, 0.2), ()]
    assert sorted(c for c, _, _ in found.false_marks) == [0.2, 0.6]
    assert all(x.picture.startswith("data:image/jpeg") for x in found.lesions)


def test_only_the_most_certain_false_marks_are_kept() -> None:
    kept = detection_reading.OfKind()
    case = image("w", free=True)

    for n in range(30):
        found = matched(case, CLUSTER, [region(100, 80, n / 30)])
        detection_reading._add(kept, case, found)

    assert kept.seen == 30
    assert sorted(c for c, _, _ in kept.false_marks) == [n / 30 for n in range(24, 30)]


def test_the_page_tells_what_was_found_at_which_price(
    source: DetectionCases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection_page.evaluate, "packaged", lambda: None)

    tables = {t.title: t for t in detection_page.write(tmp_path / "d.html", "toys:x")}

    rates = tables["Sensitivity at so many false marks an image"].rows
    assert [row.name for row in rates] == ["calcification clusters"]  # no mass has a position
    assert rates[0].cells["at 0.25"].value == 0.5
    assert rates[0].cases == "2 lesions, 2 images"
    (marked,) = tables["As the node marks"].rows
    assert marked.cells["sensitivity"].value == 0.5
    assert marked.cells["false marks an image"].value == 0.5
    assert marked.cells["images without any"].value == 0.5
    sizes = {r.name: r.cells["sensitivity"].value for r in tables["Found, by size"].rows}
    assert sizes == {
        "calcification clusters, under 10 mm": 1.0,
        "calcification clusters, 10–20 mm": None,
        "calcification clusters, 20 mm or more": 0.0,
    }
    text = (tmp_path / "d.html").read_text()
    assert "missed, the least certain first: 1 of 1" in text
    assert "None of the 4 women was in the filter&#39;s training" in text
    assert text.count("<img") == 4


def test_images_without_a_lesion_make_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = DetectionCases("toys", 0, lambda: iter(()), {CLUSTER: "", MASS: ""})
    monkeypatch.setattr(cases, "open_cases", lambda kind, where: nothing)

    with pytest.raises(DataError, match="lesions with a position"):
        detection_page.write(tmp_path / "d.html", "toys:x")
