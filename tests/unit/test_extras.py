"""What an extra would bring and is not installed: one sentence, exit code 2, never a traceback."""

import ast
import json
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import pytest

from cadnode import extras
from cadnode.errors import DataError, MissingExtra, SettingsError

ROOT = Path(__file__).parents[2]
# Many commands in one process: each start takes seconds.
SCRIPT = """
import json, sys
for name in json.loads(sys.argv[1]):
    sys.modules[name] = None
from typer.testing import CliRunner
from cadnode.cli.app import app
said = []
for words in json.loads(sys.argv[2]):
    result = CliRunner().invoke(app, words)
    traced = result.exception and not isinstance(result.exception, SystemExit)
    said.append([result.exit_code, result.stderr, repr(result.exception) if traced else ""])
print(json.dumps(said))
"""


def without(packages: list[str], commands: list[list[str]]) -> list[tuple[int, str]]:
    """Exit code and standard error of each command in an installation without the packages."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(packages), json.dumps(commands)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    assert [exception for _, _, exception in found if exception] == []
    return [(code, " ".join(text.split())) for code, text, _ in found]


def test_each_command_without_its_extra_says_what_to_install(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    (tmp_path / "exam").mkdir()
    trainings = ("kim2018", "kang2021", "helsinki_dtl", "wang2016", "detection")
    wanted = [
        *(("train", ["train", name, "--out", out, "--epochs", "1"]) for name in trainings),
        *(("train", ["train", name, "--out", out, "--dry-run"]) for name in trainings),
        ("export", ["models", "export", "dib-mg-film", "--onnx", f"{out}.onnx"]),
        ("parquet", ["data", "check", str(tmp_path / "m.parquet")]),
        ("pdf", ["read", str(tmp_path / "exam"), "--out", out, "--profile", "pdf"]),
        ("demo", ["demo", "--out", out]),
    ]
    (tmp_path / "m.parquet").write_bytes(b"PAR1")
    packages = [name for names in extras.EXTRAS.values() for name in names]

    found = without(packages, [words for _, words in wanted])

    for (extra, words), (code, text) in zip(wanted, found, strict=True):
        assert (words, code) == (words, 2)
        assert f"pip install 'cadnode[{extra}]'" in text, words
    assert sorted(p.name for p in tmp_path.iterdir()) == ["exam", "m.parquet"]


def test_trackers_are_named_before_a_training_begins(tmp_path: Path) -> None:
    commands = [
        ["train", "detection", "--out", str(tmp_path / "out"), option, *value]
        for option, value in (("--tensorboard", []), ("--mlflow", ["http://127.0.0.1:1"]))
    ]

    found = without(["tensorboard", "mlflow"], commands)

    assert [code for code, _ in found] == [2, 2]
    assert "pip install 'cadnode[tensorboard]'" in found[0][1]
    assert "pip install 'cadnode[mlflow]'" in found[1][1]


def test_the_extras_are_those_of_the_package() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert set(extras.EXTRAS) == set(package["optional-dependencies"]) - {"dev"}
    assert any(line.startswith("pytorch-ignite") for line in package["dependencies"])


@pytest.mark.parametrize("extra", sorted(extras.EXTRAS))
def test_an_extra_is_missing_when_one_of_its_packages_is(
    extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = extras.EXTRAS[extra][-1]
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtra) as failed:
        extras.need(extra, "the thing")

    assert isinstance(failed.value, SettingsError)
    assert isinstance(failed.value, DataError)
    assert str(failed.value).startswith("the thing needs ")
    assert package in str(failed.value)
    assert str(failed.value).endswith(f"pip install 'cadnode[{extra}]'")


def test_what_is_installed_is_not_missing() -> None:
    for extra, packages in extras.EXTRAS.items():
        if all(find_spec(name) for name in packages):
            extras.need(extra, "the thing")


def test_an_import_that_no_extra_would_mend_is_none_of_ours() -> None:
    assert extras.missing(ModuleNotFoundError("x", name="nowhere")) is None
    assert extras.missing(ImportError("no name")) is None
    found = extras.missing(ModuleNotFoundError("x", name="ignite.engine"))
    assert "cadnode[train]" in str(found)


def test_every_package_that_is_imported_is_declared() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*package["dependencies"], *chain(*package["optional-dependencies"].values())]
    declared = {_name(line) for line in lines}
    imported: set[str] = set()
    for file in [*ROOT.glob("cadnode/**/*.py"), *ROOT.glob("training/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    outside = imported - set(sys.stdlib_module_names) - {"cadnode", "training"}
    known = packages_distributions()
    missing = {
        name for name in outside
        if not {_name(one) for one in known.get(name, [name])} & declared
    }  # fmt: skip

    assert missing <= {"openjpeg", "rle", "libjpeg", "jpeg_ls"}, missing  # plug-ins of pylibjpeg


def _name(requirement: str) -> str:
    for mark in "[<>=; ":
        requirement = requirement.partition(mark)[0]
    return requirement.lower().replace("_", "-").replace(".", "-")
