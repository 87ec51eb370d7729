"""A node and a remote worker as processes that share an address and a token, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cadnode.identity.tokens import hash_of, new_token
from tests.integration.node import running_node, wait_until
from tests.peers import storescp
from tests.synthetic import write_exam

NODE = """
[remote]
workers = 1
head_start_s = 300.0
"""
WORKER = """\
[storage]
folder = "{folder}"

[reading]
device = "cpu"

[remote]
url = "http://127.0.0.1:{port}"
token_file = "{token_file}"
"""


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_an_exam_is_read_by_a_remote_worker_and_reported_by_its_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, own, data = new_token(), tmp_path / "worker", tmp_path / "data"
    tokens = private(tmp_path / "tokens", f"gpu-box:operator:{hash_of(token)}\n")
    token_file = private(tmp_path / "token", f"{token}\n")
    monkeypatch.setenv("CADNODE_WEB__TOKENS_FILE", str(tokens))
    config, received = tmp_path / "worker.toml", tmp_path / "received"
    with (
        storescp(received, aet="ARCHIVE") as archive,
        running_node(tmp_path, archive, more=NODE) as node,
        (tmp_path / "worker.log").open("wb") as log,
    ):
        values = {"folder": own, "port": node.web_port, "token_file": token_file}
        config.write_text(WORKER.format(**values))
        command = [sys.executable, "-m", "cadnode", "serve", "--role", "remote-worker"]
        worker = subprocess.Popen([*command, "--config", str(config)], stdout=log, stderr=log)
        try:
            wait_until(lambda: any((data / "remote").glob("seen/*")), "it asks for exams")
            node.send(*write_exam(tmp_path / "exam"))
            wait_until(lambda: len(list(received.iterdir())) == 5, "SR and heat maps arrive")
            wait_until(node.is_idle, "nothing is left to do")
        finally:
            worker.terminate()
            assert worker.wait(30) == 0
    lines = [json.loads(line) for line in (tmp_path / "worker.log").read_text().splitlines()]
    assert [line["count"] for line in lines if line["event"] == "study_read"] == [1]
    (way,) = data.glob("way/*.jsonl")
    read = [json.loads(line) for line in way.read_text().splitlines() if '"read"' in line]
    (seen,) = data.glob("remote/seen/*.json")
    assert [one["who"] for one in read] == [seen.stem]
    trail = "".join(path.read_text() for path in data.glob("audit/*.jsonl"))
    told = [json.loads(line) for line in trail.splitlines() if '"gpu-box"' in line]
    assert [one["action"] for one in told] == ["study exported", "study read"]
    assert not list(own.rglob("*.dcm"))
    assert not list(data.glob("remote/*-*.*"))
