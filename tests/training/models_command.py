"""`cadnode models`, as an admin runs it on a node of its own."""

import json
from pathlib import Path
from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from cadnode.cli.models import models_app


def config_in(folder: Path) -> Path:
    """A node's configuration; its storage is `folder/data`."""
    file = folder / "cadnode.toml"
    file.write_text(f"[storage]\nfolder = '{folder / 'data'}'\n")
    return file


def run(config: Path, *arguments: object, code: int = 0) -> Result:
    """The command with this exit code."""
    words = [str(a) for a in (*arguments, "--config", config)]
    result = CliRunner().invoke(models_app, words, env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == code, result.output
    return result


def as_json(config: Path, *arguments: object) -> Any:
    """What the command prints with `--json`."""
    return json.loads(run(config, *arguments, "--json").stdout)
