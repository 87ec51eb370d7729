"""The command line is what it was: the help of every command, and exit codes.

A mismatch that is meant: see `tests.golden.update`.
"""

from pathlib import Path

import pytest

from tests.golden import cli
from tests.golden.update import kept_json, kept_text


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return cli.help_texts()


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    return cli.exit_codes(tmp_path_factory.mktemp("codes"))


def test_there_are_the_commands_that_there_were(texts: dict[str, str]) -> None:
    assert list(texts) == list(cli.from_file(kept_text("help.txt")))


@pytest.mark.parametrize("command", cli.from_file(kept_text("help.txt")))
def test_the_help_of_a_command_is_what_it_was(texts: dict[str, str], command: str) -> None:
    assert texts.get(command, "") == cli.from_file(kept_text("help.txt"))[command]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("arguments", cli.INVOCATIONS)
def test_an_invocation_ends_with_the_exit_code_that_it_had(
    codes: dict[str, int], arguments: str
) -> None:
    assert codes[arguments] == kept_json("exit_codes.json")[arguments]


@pytest.mark.parametrize(
    "arguments",
    ["", "--version", "nonsense", "check --config wrong.toml", "send exam --to PACS@127.0.0.1:1"],
)
def test_a_process_ends_with_the_same_exit_code(arguments: str, tmp_path: Path) -> None:
    cli.prepared(tmp_path)

    code = cli.exit_code_of_process(arguments, tmp_path)

    assert code == kept_json("exit_codes.json")[arguments]
