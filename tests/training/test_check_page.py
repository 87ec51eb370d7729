"""`cadnode data check --html`: images before and after preprocessing, and why one is refused."""

import re
from pathlib import Path

from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.domain import Box
from cadnode_training.data.check import check
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.manifest_file import write_manifest
from cadnode_training.results.check_page import chosen_images
from tests.synthetic import MARK, view_dataset, write

_FIGURE = re.compile(r"<figure.*?</figure>", re.S)
_PICTURE = re.compile(r'<img src="data:image/jpeg;base64,[A-Za-z0-9+/=]{200,}" alt="([^"]*)"')


def image(folder: Path, name: str, **values: object) -> Path:
    ds = view_dataset(rows=256, columns=256, **values)  # type: ignore[arg-type]
    return write(ds, folder / f"{MARK}-{name}.dcm")


def row(path: Path, woman: str, label: str = "normal", box: Box | None = None) -> ManifestRow:
    return ManifestRow(path, "own", woman, label, laterality="L", view="CC", box=box)


def test_a_page_shows_images_before_and_after_and_names_the_reason_of_those_refused(
    tmp_path: Path,
) -> None:
    magnified = view_dataset(rows=256, columns=256, seed=3, PaddleDescription="SPOT COMPRESSION")
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no image")
    rows = [
        row(image(tmp_path, "good", seed=1), "w1", "malignant", Box(60, 20, 120, 90)),
        row(image(tmp_path, "raw", seed=2, intent="FOR PROCESSING"), "w2"),
        row(write(magnified, tmp_path / f"{MARK}-spot.dcm"), "w3"),
        row(broken, "w4"),
        row(tmp_path / "missing.dcm", "w5"),
    ]
    write_manifest(tmp_path / "own.csv", rows)
    page = tmp_path / "page.html"

    found = CliRunner().invoke(
        app, ["data", "check", str(tmp_path / "own.csv"), "--html", str(page), "--json"]
    )

    assert found.exit_code == 2  # a file is missing
    text = page.read_text()
    figures = {
        int(re.search(r"<strong>row (\d)</strong>", one)[1]): one  # type: ignore[index]
        for one in _FIGURE.findall(text)
    }
    assert sorted(figures) == [1, 2, 3, 4, 5]
    pictures = {number: _PICTURE.findall(one) for number, one in figures.items()}
    assert pictures[1] == [
        "row 1, as stored", "row 1, as a network sees it", "row 1, region 1, as a network sees it",
    ]  # fmt: skip
    assert "384 × 224" in figures[1]
    assert pictures[2] == ["row 2, as stored"]
    assert "for_processing" in figures[2]
    assert len(pictures[3]) == 2
    assert "the node would not read it: magnified_or_spot" in figures[3]
    assert pictures[4] == pictures[5] == []
    assert "not_dicom" in figures[4]
    assert "missing_file" in figures[5]
    assert MARK not in text
    assert str(tmp_path) not in text
    assert not re.search(r'(src|href)="(?!data:)', text)


def test_of_many_images_those_that_cannot_be_read_come_first_and_others_from_everywhere(
    tmp_path: Path,
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(20)]
    for path in paths[:19]:
        path.write_bytes(b"")
    report = check(Manifest(tuple(row(path, path.stem) for path in paths)), pixels=False)

    chosen = chosen_images({path: [n] for n, path in enumerate(paths, 1)}, report, 4)

    assert [path.stem for path in chosen] == ["19", "0", "6", "12"]
