"""Lines of people and programs, read and written."""

import os
from pathlib import Path

import pytest

from cadnode.errors import SettingsError
from cadnode.identity import accounts, users
from cadnode.identity.accounts import Account, name_of, role_of
from cadnode.identity.role import Role
from tests.unit.identity.cases import CHEAP, PASSWORD, secret_file, user


def test_people_are_read_with_their_roles(tmp_path: Path) -> None:
    path = secret_file(
        tmp_path / "users", "# of the ward", "", user("jane"), user("tom.b@x-y_z+1", "admin")
    )
    found = users.users_in(path)
    assert {one.name: one.role for one in found.values()} == {
        "jane": Role.VIEWER, "tom.b@x-y_z+1": Role.ADMIN,
    }  # fmt: skip
    assert found["jane"].secret not in repr(found["jane"])
    assert users.users_in(tmp_path / "none") == {}


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("jane", "no role"),
        (f"jane:chief:{CHEAP.hash(PASSWORD)}", "no role"),
        (f"jane:remote-worker:{CHEAP.hash(PASSWORD)}", "no role"),
        (f"Jane:viewer:{CHEAP.hash(PASSWORD)}", "name"),
        (f"token:viewer:{CHEAP.hash(PASSWORD)}", "name"),
        (f":viewer:{CHEAP.hash(PASSWORD)}", "name"),
        ("jane:viewer:", "hash"),
        (f"jane:viewer:{PASSWORD}", "hash"),
        ("jane:viewer:$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", "hash"),
        (
            "jane:viewer:$argon2id$v=19$m=99999999,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "hash",
        ),
        ("jane:viewer:$argon2id$v=19$m=8,t=999,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", "hash"),
        ("jane:viewer:$argon2id$v=19$m=8,t=x,p=1$c29tZXNhbHQ$aGFzaA", "hash"),
    ],
)
def test_a_line_of_another_form_is_named_by_its_number_and_not_quoted(
    tmp_path: Path, line: str, wrong: str
) -> None:
    with pytest.raises(SettingsError, match=wrong) as raised:
        users.users_in(secret_file(tmp_path / "users", user("a"), line))
    assert "line 2" in str(raised.value)
    assert PASSWORD not in str(raised.value)
    assert "jane" not in str(raised.value)


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="line 2 repeats a name"):
        users.users_in(secret_file(tmp_path / "users", user("a"), user("a", "admin")))


def test_names_are_lower_case_and_not_those_of_the_node() -> None:
    assert name_of(" Jane ") == "jane"
    for text in ("", "a b", "é", "a:b", "a\nb", ".a", "x" * 65, "token", "LOCAL", "-a"):
        with pytest.raises(SettingsError):
            name_of(text)
    with pytest.raises(SettingsError, match="viewer, operator, admin"):
        role_of("chief")


def test_an_account_is_added_changed_and_removed_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / "users"
    accounts.put(path, "key", Account("a", Role.VIEWER, "1"))
    secret_file(path, "# ours", "", *path.read_text().splitlines())
    accounts.put(path, "key", Account("b", Role.ADMIN, "2"))
    accounts.put(path, "key", Account("a", Role.OPERATOR, "3"))
    assert path.read_text() == "# ours\n\na:operator:3\nb:admin:2\n"
    accounts.remove(path, "key", "a")
    assert path.read_text() == "# ours\n\nb:admin:2\n"
    assert os.listdir(path.parent) == ["users"]


def test_what_is_written_is_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        accounts.put(tmp_path / "users", "key", Account("a", Role.VIEWER, "1"))
    finally:
        os.umask(before)
    assert (tmp_path / "users").stat().st_mode & 0o777 == 0o640


def test_the_file_that_a_link_names_is_written(tmp_path: Path) -> None:
    real = secret_file(tmp_path / "real")
    link = tmp_path / "users"
    link.symlink_to(real)
    accounts.put(link, "key", Account("a", Role.VIEWER, "1"))
    assert link.is_symlink()
    assert real.read_text() == "a:viewer:1\n"


def test_a_file_that_others_can_read_is_not_written(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "users", "a:viewer:1", mode=0o644)
    with pytest.raises(SettingsError, match="chmod"):
        accounts.put(path, "key", Account("b", Role.VIEWER, "1"))
    assert path.read_text() == "a:viewer:1\n"
