"""Each command in the documents exists, and has the options that it is given there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cadnode.cli.app import app
from tests.unit.test_documents import DOCUMENTS, ROOT

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_ENDS = {"|", "||", "&", "&&", ";", "(", ")", ">", ">>", "<", "<<", "2>"}
_BEFORE = {"until", "while", "if", "sudo", "!", "then", "do"}
COMMAND: Any = typer.main.get_command(app)


def lines(text: str) -> Iterator[str]:
    """Lines of code blocks; in prose, options are often named without their values."""
    for kind, block in _FENCE.findall(text):
        if kind in ("", "sh", "bash", "console"):
            yield from block.replace("\\\n", " ").splitlines()


def calls(line: str) -> Iterator[list[str]]:
    """Arguments of each `cadnode` of a line of shell, unless some are left open (…, [--x])."""
    words = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    words.whitespace_split, words.commenters = True, "#"
    try:
        tokens = [*words]
    except ValueError:  # a quotation that goes on in the next line
        return
    at_start, found = True, None
    for token in [*tokens, ";"]:
        if token in _ENDS:
            if found and found[0].isascii() and not any(set("…[]*") & {*w} for w in found):
                yield found
            at_start, found = True, None
        elif found is not None:
            found.append(token)
        elif token == "cadnode" and at_start:
            found = []
        else:
            at_start = token in _BEFORE or "=" in token


def problem(arguments: list[str]) -> str:
    """Why cadnode would refuse the arguments' names; "" where it would not."""
    command, given = COMMAND, [*arguments]
    while True:
        context = command.context_class(command)
        try:
            _, rest, _ = command.make_parser(context).parse_args(given)
        except Exception as error:  # of typer's own click, which has no public name
            return f"{' '.join(arguments)}: {error}"
        if not hasattr(command, "get_command") or not rest:
            return ""
        inner = command.get_command(context, rest[0])
        if inner is None:
            return f"{' '.join(arguments)}: there is no {rest[0]}"
        command, given = inner, rest[1:]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_documented_command_has_its_options(document: Path) -> None:
    text = document.read_text(encoding="utf-8")

    wrong = [why for line in lines(text) for call in calls(line) if (why := problem(call))]

    assert wrong == []


def test_a_wrong_option_a_wrong_command_and_a_missing_value_are_found() -> None:
    block = (
        "```sh\nX=1 cadnode check --confg a && cadnode studes\n"
        "until cadnode read a --out; do\n```\n"
    )

    found = [problem(call) for line in lines(block) for call in calls(line)]

    assert [why.partition(":")[0] for why in found] == ["check --confg a", "studes", "read a --out"]
    assert all(found)
    assert not problem(["studies", "list", "--config", "x"])
