"""Roles and their words; they are those of the settings."""

from typing import get_args

import pytest

from cadnode.identity.role import LOCAL, Identity, Role, Via
from cadnode.settings.identity import RoleWord


def test_a_higher_role_may_do_what_a_lower_one_may() -> None:
    assert Role.ADMIN > Role.OPERATOR > Role.VIEWER > Role.MONITOR


def test_the_words_of_peoples_roles_are_those_of_the_settings() -> None:
    of_people = [role for role in Role if not role.is_of_programs]
    assert tuple(role.word for role in of_people) == get_args(RoleWord)
    assert [Role.of(word) for word in get_args(RoleWord)] == of_people


def test_a_remote_workers_role_is_beside_the_others() -> None:
    remote = Role.of("remote-worker")
    assert [role for role in Role if role.may(remote) or remote.may(role)] == [remote]
    assert Role.ADMIN.may(Role.MONITOR)
    assert not Role.MONITOR.may(Role.VIEWER)


@pytest.mark.parametrize("word", ["", "Admin", "ADMIN", "root", "3"])
def test_another_word_is_no_role(word: str) -> None:
    with pytest.raises(ValueError, match="viewer, operator, admin"):
        Role.of(word)


def test_people_are_those_that_have_said_who_they_are() -> None:
    people = {via for via in Via if Identity("a", Role.VIEWER, via).is_person}
    assert people == {Via.PASSWORD, Via.OPENID, Via.PROXY}
    assert not LOCAL.is_person
