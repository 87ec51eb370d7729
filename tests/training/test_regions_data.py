"""Which rows of a manifest are regions, where they lie, and how large their pixels are."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cadnode.domain import Acquisition, Box
from cadnode.errors import DataError
from cadnode_training.data import manifest as m
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.manifest_file import write_manifest
from cadnode_training.data.region_pixels import Placed, placed
from cadnode_training.data.regions import Question, open_regions, regions
from tests.training import film_layouts, layouts
from tests.training.toy import breast


def row(**changes: object) -> ManifestRow:
    """A benign calcification with a box."""
    known: dict[str, object] = {
        "image": Path("a.png"), "dataset": "own", "woman": "1", "label": m.BENIGN,
        "box": Box(10, 20, 30, 60), "lesion_kind": m.CALCIFICATION, "spacing_mm": 0.1,
    }  # fmt: skip
    return ManifestRow(**(known | changes))  # type: ignore[arg-type]


def found(*rows: ManifestRow, content: str = "calcifications") -> dict[str, int]:
    """Why rows are left out."""
    return dict(regions(Manifest(rows), "own", content, Acquisition.FILM).left_out)  # type: ignore[arg-type]


def test_what_is_no_region_is_counted_with_its_reason() -> None:
    left = found(
        row(), row(box=None), row(box=None, label=m.NORMAL), row(label=m.UNKNOWN),
        row(lesion_kind=m.MASS), row(lesion_kind=""),
    )  # fmt: skip

    assert left == {
        "no box and no mask: where the finding lies is not stated": 1,
        "whole view without a finding": 1,
        "unknown: neither malignant nor benign": 1,
        "mass: not of calcifications": 1,
        "kind of lesion not stated": 1,
    }
    assert found(row(lesion_kind=m.BOTH), content="masses") == {}


def test_mini_mias_gives_the_regions_that_state_a_position(tmp_path: Path) -> None:
    folder = film_layouts.mini_mias(tmp_path, women=4)

    calcified = open_regions(f"mini-mias:{folder}", "calcifications")
    both = open_regions(f"mini-mias:{folder}", "both")

    assert [item.positive for item in calcified.items] == [False, True, False, True]
    assert len(both) == 6
    assert calcified.contrast == "mini-mias: malignant against benign calcifications"
    assert dict(calcified.left_out)["mass: not of calcifications"] == 2
    assert dict(both.left_out) == {
        "whole view without a finding": 2,
        "no box and no mask: where the finding lies is not stated": 1,
    }


def test_pisa_calcifications_are_asked_for_presence(tmp_path: Path) -> None:
    folder = film_layouts.pisa_calcifications(tmp_path, women=3)

    asked = open_regions(f"pisa-calcifications:{folder}", "calcifications")

    assert asked.question == Question.PRESENCE
    assert sum(item.positive for item in asked.items) == 3
    assert "whether these are malignant is not known" in asked.contrast
    assert dict(asked.left_out) == {"file missing": 1}


def test_a_womans_regions_stay_in_one_part_and_each_region_is_in_one(tmp_path: Path) -> None:
    whole = open_regions(f"mini-mias:{film_layouts.mini_mias(tmp_path, women=12)}", "both")

    parts = [whole.part(part) for part in ("train", "validation", "test")]

    women = [{item.woman for item in part.items} for part in parts]
    assert sum(map(len, parts)) == len(whole)
    assert sum(map(len, women)) == len(set().union(*women)) == 12


def test_a_manifests_own_split_is_kept_and_a_leak_in_it_refused(tmp_path: Path) -> None:
    def written(*rows: ManifestRow) -> str:
        write_manifest(tmp_path / "own.csv", rows)
        return f"manifest:{tmp_path / 'own.csv'}"

    kept = open_regions(written(row(split="test"), row(woman="2", split="train")), "calcifications")

    assert [item.row.woman for item in kept.part("test").items] == ["1"]
    with pytest.raises(DataError, match="two parts"):
        open_regions(written(row(split="test"), row(split="train")), "calcifications")


def place(one: ManifestRow) -> Placed | str:
    ((_, result),) = placed(regions(Manifest((one,)), "own", "both", Acquisition.DIGITAL).items)
    return result


def test_the_middle_of_the_box_or_mask_is_the_middle_of_the_region(tmp_path: Path) -> None:
    image, mask = np.full((80, 100), 90, np.uint8), np.zeros((80, 100), np.uint8)
    mask[10:30, 20:60] = 255
    for name, pixels in (("a.png", image), ("mask.png", mask)):
        cv2.imwrite(str(tmp_path / name), pixels)

    by_box = place(row(image=tmp_path / "a.png"))
    by_mask = place(row(image=tmp_path / "a.png", box=None, mask=tmp_path / "mask.png"))

    assert isinstance(by_box, Placed)
    assert isinstance(by_mask, Placed)
    assert by_box.centre == by_mask.centre == (20, 40)
    assert by_mask.box == Box(10, 20, 30, 60)
    assert by_box.spacing_mm == (0.1, 0.1)


def test_a_region_without_pixels_says_why(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), breast(np.random.default_rng(0), "L", 64, cancer=False))

    reasons = [
        place(row(image=tmp_path / "gone.png")),
        place(row(image=tmp_path / "a.png", spacing_mm=None)),
        place(row(image=tmp_path / "a.png", box=Box(70, 0, 80, 9))),
        place(row(image=tmp_path / "a.png", box=None, mask=tmp_path / "a.txt")),
    ]

    assert reasons == [
        "file missing", "size of the pixels not stated", "box outside of the image",
        "mask cannot be read or is empty",
    ]  # fmt: skip


def test_a_dicom_header_says_how_large_pixels_are_and_how_they_were_taken(tmp_path: Path) -> None:
    file = layouts.mammogram(tmp_path / "v.dcm", "L", "CC", ImagerPixelSpacing=[0.07, 0.08])

    result = place(row(image=file, spacing_mm=0.2))

    assert isinstance(result, Placed)
    assert result.spacing_mm == (0.07, 0.08)
    assert result.region.acquisition == Acquisition.DIGITAL


def test_a_pisa_mass_lies_in_the_middle_and_a_calcification_anywhere(tmp_path: Path) -> None:
    masses = film_layouts.pisa_masses(tmp_path / "m", women=1)
    specks = film_layouts.pisa_calcifications(tmp_path / "c", women=1)

    (_, mass), *_ = placed(open_regions(f"pisa-masses:{masses}", "masses").items)
    (_, speck), *_ = placed(open_regions(f"pisa-calcifications:{specks}", "both").items)

    assert isinstance(mass, Placed)
    assert isinstance(speck, Placed)
    assert mass.centre == (100, 100)
    assert (speck.box, speck.spacing_mm) == (Box(0, 0, 60, 60), (0.085, 0.085))
