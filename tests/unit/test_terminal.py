"""Brackets and colons of names, paths and errors are printed as they are."""

import ast
import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

import cadnode
import cadnode_training
from cadnode import terminal
from cadnode.cli.app import app
from cadnode.cli.output import print_checks
from cadnode.node.checks import Check, CheckVerdict
from cadnode.terminal import styled

AWKWARD = (
    "[x]", "[bold]loud[/]", "[/]", "[[destinations]]", "a[1]\\", "\\[red]", "[link=x]y", "{}",
    ":smile:", "{0[a]}",
)  # fmt: skip
TREES = [Path(package.__path__[0]) for package in (cadnode, cadnode_training)]


@pytest.mark.parametrize("text", AWKWARD)
def test_a_console_prints_a_string_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.console().print(text)

    assert capsys.readouterr().out == text + "\n"


@pytest.mark.parametrize("text", AWKWARD)
def test_a_styled_value_is_printed_as_it_is_and_in_its_style(text: str) -> None:
    made = styled("[red]!![/] [bold]{}[/] of {}", text, text)

    assert made.plain == f"!! {text} of {text}"
    bold = [made.plain[s.start : s.end] for s in made.spans if s.style == "bold"]
    red = [made.plain[s.start : s.end] for s in made.spans if s.style == "red"]
    assert (bold, red) == ([text], ["!!"])


@pytest.mark.parametrize("text", AWKWARD)
def test_what_a_check_names_finds_and_advises_is_printed_as_it_is(text: str) -> None:
    console = Console(width=120, record=True, file=io.StringIO())

    print_checks(console, [Check(text, CheckVerdict.FAILED, text, text)])

    assert console.export_text().count(text) == 3


@pytest.mark.parametrize("command", ["\x1b[2J", "\x1b]0;owned\x07", "\x9b31m", "a\rb", "\x08"])
def test_text_of_others_gives_no_command_to_a_terminal(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    console, table = terminal.console(), Table("AE title")
    table.add_row(command)
    table.add_row(Text(command))
    console.print(command)
    console.print(styled("[bold]{}[/]", command))
    console.print(table)

    shown = capsys.readouterr().out
    assert not set(shown) & set("\x1b\x07\x9b\r\x08")
    assert shown.count("\n") >= 7


def test_values_as_many_as_holes_are_wanted() -> None:
    with pytest.raises(ValueError, match="zip"):
        styled("[bold]{}[/]", 1, 2)


def test_consoles_and_markup_are_made_in_one_place_only() -> None:
    """The rule itself: no other module makes a console or reads markup."""
    found = []
    for file in (f for tree in TREES for f in tree.rglob("*.py")):
        if file == Path(terminal.__file__):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                name = node.func.id if isinstance(node.func, ast.Name) else name
                if name in {"Console", "from_markup", "rprint"}:
                    found.append((file.name, node.lineno))
                if name == "TextColumn" and "markup" not in {k.arg for k in node.keywords}:
                    first = node.args[0]
                    if not (isinstance(first, ast.Constant) and "completed" in str(first.value)):
                        found.append((file.name, node.lineno))

    assert found == []


def test_style_reaches_a_terminal_that_has_colours() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard")

    console.print(styled("[red]{}[/]", "[x]"))

    assert Style.parse("red").render("[x]") in console.file.getvalue()  # type: ignore[attr-defined]


def ran(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, words, env={"COLUMNS": "400", "TERM": "dumb"})
    return result.exit_code, result.output


@pytest.mark.parametrize("name", ["exam[1]", "[bold]exam", "[red]x[/]", ":smile:"])
def test_an_error_names_a_path_with_its_brackets(name: str, tmp_path: Path) -> None:
    code, text = ran("read", str(tmp_path / name), "--out", str(tmp_path / "out"))

    assert (code, f"there is no {tmp_path / name}" in text) == (2, True)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ae_title = '[bold]TOO LONG FOR A TITLE'", "[bold]TOO LONG FOR A TITLE"),
        ("'[red]' = 1", "listener.[red]"),
        ("port = '[x]'", "found '[x]'"),
    ],
)
def test_a_settings_error_keeps_its_brackets(line: str, found: str, tmp_path: Path) -> None:
    file = tmp_path / "node[a].toml"
    file.write_text(f"[listener]\n{line}\n")

    code, text = ran("check", "--config", str(file))

    assert (code, found in text, str(file) in text) == (2, True, True)


@pytest.mark.parametrize("name", ["dib[bold]", "[x]", "a[/]"])
def test_a_model_that_is_not_there_is_named_with_its_brackets(name: str, tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f"[storage]\nfolder = {json.dumps(str(tmp_path / 'data'))}\n")

    code, text = ran("models", "show", name, "--config", str(config))

    assert (code, repr(name) in text) == (2, True)


def wide_table() -> Table:
    """Ten words a cell; what is in the first column must stay whole."""
    table = Table(box=None, pad_edge=False)
    table.add_column("study", no_wrap=True)
    for name in ("state", "why"):
        table.add_column(name)
    table.add_row("0123456789abcdef", "delivering", Text("the archive does not answer " * 4))
    table.add_row("fedcba9876543210", "done", "")
    return table


def printed(table: Table, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    console = terminal.console()
    console.file = stream
    console.print(table)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("width", [200, 80, 60, 40, 24])
def test_nothing_of_a_table_is_cut_off_in_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = printed(wide_table(), width, monkeypatch)

    text = " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= width
    assert "…" not in text
    for whole in ("0123456789abcdef", "fedcba9876543210", "delivering", "done"):
        assert whole in text
    assert text.count("archive") == 4


def test_a_table_that_is_too_wide_has_its_rows_one_below_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = printed(wide_table(), 40, monkeypatch)

    assert lines[0] == "0123456789abcdef"
    assert lines[1] == "  state  delivering"
    assert lines[-2:] == ["fedcba9876543210", "  state  done"]  # an empty cell has no line


def test_what_is_piped_has_no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    stream = io.StringIO()
    console = terminal.console()
    console.file = stream

    console.print(wide_table())
    console.print("word " * 60)

    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[1].count("archive") == 4
    assert lines[3].count("word") == 60
