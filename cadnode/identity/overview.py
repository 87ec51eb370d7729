"""What `cadnode check` says of who may ask the HTTP side."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cadnode.identity.accounts import Account
from cadnode.identity.identities import Identities
from cadnode.identity.provider import ProviderError
from cadnode.identity.role import Role
from cadnode.identity.tokens import tokens_in
from cadnode.identity.users import users_in
from cadnode.settings import WebSection


@dataclass(frozen=True, slots=True)
class IdentityFinding:
    """One thing found; without advice all is well."""

    found: str
    advice: str = ""


def overview(web: WebSection) -> Iterator[IdentityFinding]:
    """Who may come in by which way, and what an admin should do about it.

    Raises
    ------
    SettingsError
        A file cannot be used: the HTTP side does not start.
    """
    identities = Identities.of(web)
    users = users_in(web.users_file) if web.users_file else {}
    tokens = tokens_in(web.tokens_file) if web.tokens_file else {}
    yield IdentityFinding("; ".join(_ways(web, users.values(), tokens.values())))
    if web.users_file and not users:
        yield IdentityFinding(
            f"{web.users_file} names nobody", "`cadnode users add NAME --role admin`"
        )
    elif not _has_admin(web, users.values()):
        yield IdentityFinding("nobody is admin", "`cadnode users role NAME admin`")
    if web.token_file:
        yield IdentityFinding(
            "whoever has the one token of web.token_file may do everything, under nobody's name",
            "give each program its own: `cadnode users token NAME --role operator`",
        )
    if identities.openid is not None:
        try:
            identities.openid.reach()
        except ProviderError as error:
            yield IdentityFinding(
                f"{web.openid_issuer}: {error}", "is web.openid_issuer right, and does it run?"
            )


def _ways(web: WebSection, users: Iterable[Account], tokens: Iterable[Account]) -> Iterator[str]:
    if web.users_file:
        yield f"people: {_by_role(users)}"
    if web.openid_issuer:
        roles = sorted({Role.of(word) for word in web.openid_roles.values()}, reverse=True)
        yield f"people of {web.openid_issuer} as {', '.join(role.word for role in roles)}"
    if web.proxy_user_header:
        role = f"as {web.proxy_role}" if web.proxy_role else f"by {web.proxy_role_header}"
        proxies = ", ".join(web.proxy_addresses)
        yield f"people that {proxies} names in {web.proxy_user_header} {role}"
    if web.tokens_file:
        yield f"programs: {_by_role(tokens)}"
    if web.token_file:
        yield "whoever has the shared token"


def _by_role(accounts: Iterable[Account]) -> str:
    counts = Counter(account.role for account in accounts)
    words = [f"{counts[role]} {role.word}" for role in sorted(counts, reverse=True)]
    return ", ".join(words) or "none"


def _has_admin(web: WebSection, users: Iterable[Account]) -> bool:
    """Whether somebody may do everything; a proxy that names roles may name that one."""
    return bool(
        web.token_file
        or web.proxy_role_header
        or web.proxy_role == "admin"
        or "admin" in web.openid_roles.values()
        or any(user.role is Role.ADMIN for user in users)
    )
