"""Tokens of programs, and the shared one."""

from pathlib import Path

import pytest

from cadnode.errors import SettingsError
from cadnode.identity.role import Identity, Role, Via
from cadnode.identity.tokens import Tokens, hash_of, new_token, tokens_in
from cadnode.settings import WebSection
from tests.unit.identity.cases import TOKEN, program, secret_file

SHARED = "0123456789abcdef"


def test_a_new_token_has_256_random_bits_and_is_kept_as_a_hash() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(len(token.removeprefix("cadnode_")) == 43 for token in made)
    assert all(token not in hash_of(token) for token in made)


def test_a_program_is_known_by_its_token(tmp_path: Path) -> None:
    path = secret_file(
        tmp_path / "tokens", program("orthanc"), program("watch", "viewer", TOKEN + "w")
    )
    tokens = Tokens(WebSection(tokens_file=path))
    assert tokens.of(TOKEN) == Identity("orthanc", Role.OPERATOR, Via.TOKEN)
    assert tokens.of(TOKEN + "w") == Identity("watch", Role.VIEWER, Via.TOKEN)
    for wrong in (
        "",
        "x",
        TOKEN[:-1],
        TOKEN + "x",
        TOKEN + " ",
        "é",
        "\ud800",
        hash_of(TOKEN),
        TOKEN * 200,
    ):
        assert tokens.of(wrong) is None
    assert not tokens.is_shared(TOKEN)
    assert tokens_in(path)["orthanc"].secret == hash_of(TOKEN)


def test_a_token_is_worth_nothing_once_its_line_is_gone(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "tokens", program("orthanc"))
    tokens = Tokens(WebSection(tokens_file=path))
    assert tokens.of(TOKEN)
    secret_file(path)
    assert tokens.of(TOKEN) is None


def test_the_shared_token_may_do_everything(tmp_path: Path) -> None:
    tokens = Tokens(WebSection(token_file=secret_file(tmp_path / "token", SHARED)))
    assert tokens.of(SHARED) == Identity("token", Role.ADMIN, Via.TOKEN)
    assert tokens.is_shared(SHARED)
    assert not tokens.is_shared(TOKEN)
    assert tokens.of(TOKEN) is None


def test_without_files_nobody_is_known() -> None:
    tokens = Tokens(WebSection())
    assert tokens.of("") is None
    assert tokens.of(SHARED) is None
    assert not tokens.is_shared("")


@pytest.mark.parametrize("line", ["orthanc:operator:" + TOKEN, "orthanc:operator", "x:y:z"])
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsError, match="line 1") as raised:
        Tokens(WebSection(tokens_file=secret_file(tmp_path / "tokens", line)))
    assert TOKEN not in str(raised.value)
