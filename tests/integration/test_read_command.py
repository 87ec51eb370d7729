"""`cadnode read` on files as users have them: real, generated, damaged."""

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.demo.exam import write_exam as write_real_exam
from tests.synthetic import TRANSFER_SYNTAXES, view_dataset, write, write_exam

# The files differ here, not the models.
pytestmark = pytest.mark.usefixtures("models_loaded_once")
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/result.schema.json").read_bytes())


def read(path: Path, out: Path, *, exit_code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["read", str(path), "--out", str(out)])
    assert result.exit_code == exit_code, result.output
    document: dict[str, Any] = json.loads((out / "result.json").read_bytes())
    jsonschema.validate(document, SCHEMA)
    return document


@pytest.mark.parametrize("kind", ["malignant", "benign"])
def test_a_real_exam_gives_scores_findings_and_five_objects(tmp_path: Path, kind: str) -> None:
    write_real_exam(tmp_path / "exam", kind)
    result = read(tmp_path / "exam", tmp_path / "out")
    assert 0 < result["exam"]["score"] < 1
    assert {(v["laterality"], v["view"]) for v in result["views"]} == {
        ("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"),
    }  # fmt: skip
    breasts = {side: result["breasts"][side]["score"] for side in "LR"}
    assert result["exam"]["score"] == max(breasts.values())
    assert len(list((tmp_path / "out").glob("*.dcm"))) == 5


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_every_transfer_syntax_is_read(tmp_path: Path, syntax: str) -> None:
    write_exam(tmp_path / "exam", views=(("L", "CC"),), transfer_syntax_uid=syntax)
    result = read(tmp_path / "exam", tmp_path / "out")
    assert len(result["views"]) == 1
    assert result["skipped"] == []


def test_random_bytes_are_not_dicom_and_a_result_is_written(tmp_path: Path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(random.Random(0).randbytes(5000))
    result = read(path, tmp_path / "out", exit_code=3)
    assert [s["reason"] for s in result["skipped"]] == ["not_dicom"]
    assert result["exam"]["score"] is None


def test_an_empty_folder_gives_a_result_that_says_nothing_was_read(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = read(tmp_path / "empty", tmp_path / "out", exit_code=3)
    assert (result["outcome"], result["skipped"]) == ("not_read", [])


def test_a_truncated_view_is_skipped_and_the_others_are_read(tmp_path: Path) -> None:
    paths = write_exam(tmp_path / "exam")
    paths[0].write_bytes(paths[0].read_bytes()[:-5000])
    result = read(tmp_path / "exam", tmp_path / "out")
    assert [s["reason"] for s in result["skipped"]] == ["truncated"]
    assert len(result["views"]) == 3


def test_another_modality_is_skipped_with_its_reason(tmp_path: Path) -> None:
    ct = view_dataset("L", "CC", SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT")
    write(ct, tmp_path / "ct.dcm")
    result = read(tmp_path / "ct.dcm", tmp_path / "out", exit_code=3)
    assert [s["reason"] for s in result["skipped"]] == ["not_mammography"]
