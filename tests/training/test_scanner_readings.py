"""A data set's exams by scanner, as one model's own calibration scores them."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.domain import Laterality
from cadnode.errors import DataError
from cadnode.exam.read import exam_of
from cadnode.imaging import pixels
from cadnode.models import loading, store
from cadnode.reading.verdict import ScoredView, verdict
from cadnode.reading.views import read_view
from cadnode_training.data.sources import open_manifest
from cadnode_training.results.scanner_readings import readings_of
from tests.synthetic import uid, write_exam
from tests.unit import store_cases

LEFT, RIGHT = Laterality.LEFT, Laterality.RIGHT


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return store_cases.made(tmp_path / "model")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three women: a cancer on the right, an outcome of one breast alone, and no date."""
    folder = tmp_path / "exams"
    small = {"rows": 256, "columns": 200}
    dates = ("StudyDate", "AcquisitionDate")
    different = ({"StationName": "MG1"}, {"StationName": "MG2"}, dict.fromkeys(dates, ""))
    for n, further in enumerate(different):
        more = {**small, "PatientID": f"P{n}", **further}
        write_exam(folder / str(n), (("R", "CC"), ("L", "CC")), seed=n, **more)
    lines = ["study_instance_uid,laterality,label"]
    lines += [f"{uid('study', 0)},R,malignant", f"{uid('study', 0)},L,normal"]
    lines += [f"{uid('study', 1)},R,benign", f"{uid('study', 1)},L,unknown"]
    lines += [f"{uid('study', 2)},R,normal", f"{uid('study', 2)},L,normal"]
    (folder / "pathology.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_readings_have_the_scanner_the_month_the_outcomes_and_the_nodes_scores(
    model: Path, data: Path
) -> None:
    loaded = loading.load_view_model(model)

    found = readings_of(f"dicom-csv:{data}", loaded, frozenset())

    by_station = {scanner.station: reading for scanner, reading in found.readings}
    assert set(by_station) == {"MG1", "MG2"}
    one, two = by_station["MG1"], by_station["MG2"]
    assert one.month == "2020-01"
    assert (one.outcomes, two.outcomes) == ({RIGHT: True, LEFT: False}, {RIGHT: False})
    assert found.left_out == {"exam_without_date": 1}
    assert len(found.women) == 2
    exam = exam_of([data / "0"])
    read = [(m, *read_view(m, [loaded], pixels.load)) for m in exam.mammograms]
    combined = verdict([ScoredView(m, view.reading, loaded) for m, _, view in read])
    assert one.breasts == {breast.laterality: breast.score for breast in combined.breasts}


def test_women_of_the_training_are_left_out(model: Path, data: Path) -> None:
    (first, *_) = open_manifest(f"dicom-csv:{data}").rows
    found = readings_of(
        f"dicom-csv:{data}",
        loading.load_view_model(model),
        frozenset({store.woman_key(*first.key)}),
    )
    assert found.left_out["women_of_the_training"] == 1


def test_images_that_are_no_dicom_state_no_scanner(model: Path, tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    (tmp_path / "m.csv").write_text("image,dataset,woman,label\nimage.png,own,w1,malignant\n")
    with pytest.raises(DataError, match="DICOM"):
        readings_of(str(tmp_path / "m.csv"), loading.load_view_model(model), frozenset())


def test_the_command_says_what_was_left_out_and_how_many_are_needed(
    model: Path, data: Path, tmp_path: Path
) -> None:
    config = tmp_path / "cadnode.toml"
    config.write_text(f"[storage]\nfolder = '{tmp_path / 'data'}'\n[reading]\nengine = 'torch'\n")
    added = CliRunner().invoke(app, ["models", "add", str(model), "--config", str(config)])
    assert added.exit_code == 0, added.output
    words = ["calibrate", "toy", "--data", f"dicom-csv:{data}", "--config", str(config)]

    result = CliRunner().invoke(app, words, env={"COLUMNS": "200", "TERM": "dumb"})

    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert "left out: 1 × exam without date" in said
    assert "1 exams with cancer and 0 without are known" in said
    refused = CliRunner().invoke(app, [*words, "--since", "2026-01-01"])
    assert "--since is of this node's journal" in refused.output
