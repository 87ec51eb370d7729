"""A file from outside is opened in a process of its own, whose end is a sentence."""

import signal
import sys
from pathlib import Path

import pytest

from cadnode.errors import ModelError
from cadnode.models import onnx_child
from tests.unit import onnx_cases


def test_a_file_is_brought_and_tried_apart_and_what_is_wrong_comes_back(tmp_path: Path) -> None:
    folder, card = onnx_cases.made(tmp_path)

    trial = onnx_child.tried(folder, card.name)

    assert trial.spread > 0.01
    assert card.source.opset == 17
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"bad\.onnx is no ONNX file"):
        onnx_child.brought(tmp_path / "bad.onnx")


def test_no_module_of_the_folder_where_it_is_called_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx_cases.written(tmp_path)
    ran = tmp_path / "ran"
    for name in ("onnx", "json", "numpy"):  # as a bundle that was unpacked might bring them
        (tmp_path / f"{name}.py").write_text(f"open({str(ran)!r}, 'w')\nraise SystemExit(0)\n")
    monkeypatch.chdir(tmp_path)

    assert onnx_child.brought(next(tmp_path.glob("*.onnx"))).opset == 17
    assert not ran.exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (f"import os; os.kill(os.getpid(), {signal.SIGSEGV:d})", "crashed, or ran out of memory"),
        ("import time; time.sleep(60)", "more than 1 s"),
        ("", "crashed, or ran out"),
    ],
)
def test_a_process_that_dies_or_hangs_refuses_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -S -c '{code}'\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setattr(onnx_child, "MOST_S", 1.0 if "sleep" in code else 20.0)

    with pytest.raises(ModelError, match=message):
        onnx_child.brought(tmp_path / "network.onnx")


def test_secrets_of_the_parent_stay_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CADNODE_SECRET", "x")

    assert "CADNODE_SECRET" not in onnx_child._environment()
