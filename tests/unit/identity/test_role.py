"""Roles and their words; they are those of the settings."""

from typing import get_args

import pytest

from cadnode.identity.role import LOCAL, Identity, Role, Via
from cadnode.settings.identity import RoleWord


def test_a_higher_role_may_do_what_a_lower_one_may() -> None:
    assert Role.ADMIN > Role.OPERATOR > Role.VIEWER > Role.MONITOR


def test_the_words_of_roles_are_those_of_the_settings() -> None:
    assert tuple(role.word for role in Role) == get_args(RoleWord)
    assert [Role.of(word) for word in get_args(RoleWord)] == list(Role)


@pytest.mark.parametrize("word", ["", "Admin", "ADMIN", "root", "3"])
def test_another_word_is_no_role(word: str) -> None:
    with pytest.raises(ValueError, match="viewer, operator, admin"):
        Role.of(word)


def test_people_are_those_that_have_said_who_they_are() -> None:
    people = {via for via in Via if Identity("a", Role.VIEWER, via).is_person}
    assert people == {Via.PASSWORD, Via.OPENID, Via.PROXY}
    assert not LOCAL.is_person
