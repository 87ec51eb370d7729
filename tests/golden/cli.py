"""The command line: the help of every command, and how about thirty invocations end."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.testing import CliRunner

from tests.golden.code import app, default_folder
from tests.synthetic import view_dataset, write

ROOT = Path(__file__).parents[2]
WIDTH = 100
_MARK = "=== "
_CODE = re.compile(r"\x1b\[[0-9;]*m")
_DRAWN = """\
import json, sys
from typer.testing import CliRunner
from tests.golden.code import app
runner = CliRunner()
helps = {}
for words in json.loads(sys.argv[1]):
    helps[" ".join(["cadnode", *words])] = runner.invoke(app, [*words, "--help"]).stdout
json.dump(helps, sys.stdout)
"""


def commands() -> list[tuple[str, ...]]:
    """The words of every command and group, the root's first."""
    return list(_walk(typer.main.get_command(app), ()))


def _walk(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield words
    for name, sub in sorted(getattr(command, "commands", {}).items()):
        yield from _walk(sub, (*words, name))


def environment(home: Path | None = None) -> dict[str, str]:
    """Of a terminal of `WIDTH` columns without colour; `home` holds what is kept per user.

    Compiled networks stay where all tests have theirs: to convert them again takes half a minute.
    """
    ours = ("CADNODE_", "_TYPER", "GITHUB", "FORCE_COLOR", "PY_COLORS")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    kept |= {"TERMINAL_WIDTH": str(WIDTH), "COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
    if home is None:
        return kept
    compiled = default_folder()
    shared = {} if compiled is None else {"CACHE_DIRECTORY": str(compiled.parent)}
    return kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home), **shared}


def help_texts() -> dict[str, str]:
    """What `--help` prints, by command.

    In a process of its own, because typer asks for the width once, at its import.
    """
    made = subprocess.run(
        [sys.executable, "-c", _DRAWN, json.dumps(commands())],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {
        command: _CODE.sub("", "\n".join(line.rstrip() for line in text.splitlines())).strip("\n")
        for command, text in json.loads(made.stdout).items()
    }


def as_file(texts: dict[str, str]) -> str:
    """The help texts as one file, a section for each command."""
    return "\n".join(f"{_MARK}{command}\n{text}\n" for command, text in texts.items())


def from_file(content: str) -> dict[str, str]:
    """The sections of such a file."""
    sections = [s.partition("\n") for s in f"\n{content}".split(f"\n{_MARK}")[1:]]
    return {command: text.strip("\n") for command, _, text in sections}


def prepared(folder: Path) -> None:
    """What the invocations find in their working folder."""
    for name in ("empty", "exam", "own", "text"):
        (folder / name).mkdir()
    write(view_dataset(), folder / "exam" / "view.dcm")
    (folder / "text" / "a.txt").write_text("not DICOM")
    (folder / "wrong.toml").write_text("[listener]\nprot = 1\n")
    (folder / "broken.toml").write_text("[listener\n")
    (folder / "good.toml").write_text("[storage]\nfolder = 'data'\nmin_free_gb = 0\n")
    (folder / "wrong.csv").write_text("a,b\n1,2\n")
    (folder / "a-file").write_text("")


INVOCATIONS = (
    "",
    "--version",
    "--help",
    "--nonsense",
    "nonsense",
    "check --example",
    "check --config none.toml",
    "check --config wrong.toml",
    "check --config broken.toml",
    "serve --config none.toml",
    "serve --config wrong.toml",
    "serve --role nonsense",
    "read",
    "read exam",
    "read none --out out",
    "read exam --out a-file",
    "read exam --out out --config wrong.toml",
    "read exam --out out --counts nonsense",
    "read exam --out out --profile nonsense",
    "read empty --out out --config good.toml",
    "read text --out out --config good.toml",
    "send exam --to PACS",
    "send exam --to PACS@host:0",
    "send exam --to PACS@127.0.0.1:1 --dry-run",
    "send exam --to PACS@127.0.0.1:1",
    "send empty --to PACS@127.0.0.1:1",
    "send none --to PACS@127.0.0.1:1",
    "send text --to PACS@127.0.0.1:1",
    "demo --exam nonsense",
    "demo --archive nonsense --exam phantom",
    "models",
    "models list --config good.toml",
    "models list --json --config good.toml",
    "models show nonsense --config good.toml",
    "models show dib-mg-film --config good.toml",
    "models history --config good.toml",
    "models verify --config good.toml",
    "models activate nonsense 1.0.0 --config good.toml",
    "models deactivate nonsense --config good.toml",
    "models rollback nonsense --config good.toml",
    "models remove nonsense@1.0.0 --config good.toml",
    "models add none --config good.toml",
    "models add empty --config good.toml",
    "models keygen key --json",
    "models keygen none/key",
    "models sign empty --key none.key",
    "models sign empty",
    "models trust add a-file --config good.toml",
    "models trust list --config good.toml",
    "models trust remove 0000000000000000 --config good.toml",
    "models shadow stop nonsense --config good.toml",
    "models shadow start nonsense@1.0.0 --config good.toml",
    "models export nonsense --bundle out --config good.toml",
    "users list --config good.toml",
    "users add jane --role admin --password-stdin --config good.toml",
    "users token robot --role nonsense --config good.toml",
    "data kinds",
    "data check wrong.csv",
    "data check none.csv",
    "evaluate kim2018",
    "evaluate nonsense",
    "train nonsense",
    "train kim2018",
    "train kim2018 --data none.csv --out out",
    "report none",
    "compare none none",
    "orthanc check --url http://127.0.0.1:1",
    "orthanc install --folder none",
    "phantom --nonsense",
)
"""Arguments, as a shell splits them; each runs in a prepared folder of its own.

None may write outside that folder, or hang on what this machine has: `orthanc install` writes into
/etc/orthanc without `--folder`, `orthanc check` asks the Orthanc that runs here without `--url`.
"""

_ENDED = """\
import json, sys
from pathlib import Path
from tests.golden.cli import ended
json.dump(ended(Path(sys.argv[1])), sys.stdout)
"""


def exit_codes(folder: Path) -> dict[str, int]:
    """How each of the invocations ends.

    All in one process of their own: most of the time goes into importing torch once.
    """
    made = subprocess.run(
        [sys.executable, "-c", _ENDED, str(folder)],
        cwd=ROOT, env=environment(folder), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=True, timeout=600,
    )  # fmt: skip
    return dict(json.loads(made.stdout.splitlines()[-1]))


def ended(folder: Path) -> dict[str, int]:
    """The same in this process, whose working folder changes."""
    codes = {}
    for number, arguments in enumerate(INVOCATIONS):
        where = folder / str(number)
        where.mkdir()
        prepared(where)
        os.chdir(where)
        codes[arguments] = CliRunner().invoke(app, arguments.split()).exit_code
    return codes


def exit_code_of_process(arguments: str, folder: Path) -> int:
    """How `python -m cadnode` ends in the folder that `prepared` has filled."""
    ended = subprocess.run(
        [sys.executable, "-m", "cadnode", *arguments.split()],
        cwd=folder, env=environment(folder) | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    return ended.returncode
