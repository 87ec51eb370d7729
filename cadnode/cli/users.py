"""`cadnode users`: the people and programs that may ask the HTTP side, and their roles."""

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cadnode import settings
from cadnode.cli.acts import AuditedAct, acting
from cadnode.cli.command import AsJson, ConfigFile, command, err, out, print_json
from cadnode.errors import SettingsError
from cadnode.identity import accounts, passwords, tokens, users
from cadnode.identity.accounts import Account, name_of, role_of, role_of_person
from cadnode.identity.role import Role
from cadnode.terminal import styled

users_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="People and programs that may ask the HTTP side, and what they may do.\n\n"
    "A [bold]monitor[/] reads metrics alone, a [bold]viewer[/] looks, an [bold]operator[/] also "
    "orders studies and repeats deliveries, an [bold]admin[/] may do everything but what a "
    "[bold]remote-worker[/] alone may, a program's role: read exams for this node. "
    "People log in with a password, programs show a token. "
    "Changes apply at once, also to a running node; who was changed or removed is logged out.\n\n"
    "Files: [bold]web.users_file[/] and [bold]web.tokens_file[/] of the configuration. "
    "First step: [bold]cadnode users add NAME --role admin --config node.toml[/].",
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="a-z, 0-9 and . _ @ + -")]
RoleName = Annotated[str, typer.Option("--role", help="monitor, viewer, operator or admin")]
FromInput = Annotated[
    bool,
    typer.Option("--password-stdin", help="the password is the first line of standard input"),
]


@dataclass(frozen=True, slots=True)
class _Accounts:
    """What both files hold; a file that is not configured holds nobody."""

    values: settings.Settings
    users_file: Path | None
    tokens_file: Path | None
    people: dict[str, Account]
    programs: dict[str, Account]

    def changing(self, how: str, name: str) -> AbstractContextManager[AuditedAct]:
        """Within the block somebody's account is changed: the audit trail has it."""
        from cadnode.audit.event import Action

        return acting(self.values, Action.USERS_CHANGED, f"{how} {name}")

    def place_of(self, name: str) -> tuple[Path, str, Account]:
        """The file, its key and the account of somebody; raises `SettingsError` of nobody."""
        if self.users_file and name in self.people:
            return self.users_file, users.KEY, self.people[name]
        if self.tokens_file and name in self.programs:
            return self.tokens_file, tokens.KEY, self.programs[name]
        known = ", ".join(sorted([*self.people, *self.programs])) or "nobody yet"
        raise SettingsError(f"there is no {name!r}; there is: {known}")


@users_app.callback()
def users_() -> None:
    """Shown by `cadnode users --help`; see `users_app`."""


@users_app.command("list")
@command
def list_(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """People and programs with their roles; no password, token or hash of one."""
    found = _opened(config)
    rows = [(one, "person") for one in found.people.values()]
    rows += [(one, "program") for one in found.programs.values()]
    rows.sort(key=lambda row: (row[1], row[0].name))
    if as_json:
        print_json([{"name": o.name, "role": o.role.word, "kind": kind} for o, kind in rows])
        return
    if not rows:
        out.print("Nobody yet: cadnode users add NAME --role admin")
        return
    table = Table("name", "role", "kind", box=None)
    for one, kind in rows:
        table.add_row(one.name, one.role.word, kind)
    out.print(table)


@users_app.command()
@command
def add(
    name: Name,
    role: RoleName,
    password_stdin: FromInput = False,
    config: ConfigFile = None,
) -> None:
    """Add a person; asks for the password twice, or reads it from standard input.

    A password has 12 to 128 characters, whatever they are; the commonest are refused.
    Example: [bold]cadnode users add jane --role viewer --config node.toml[/]
    """
    found, name, as_role = _opened(config), name_of(name), role_of_person(role)
    file = _users_file(found)
    _is_free(found, name)
    secret = passwords.Passwords().hash(_password(name, from_input=password_stdin))
    with found.changing(f"added as {as_role.word}:", name):
        accounts.put(file, users.KEY, Account(name, as_role, secret))
    err.print(styled("[green]✓[/] {} is {}", name, as_role.word))
    _warn(config)


@users_app.command()
@command
def password(name: Name, password_stdin: FromInput = False, config: ConfigFile = None) -> None:
    """Give a person another password; whoever is logged in with the old one is logged out."""
    found, name = _opened(config), name_of(name)
    file = _users_file(found)
    if name not in found.people:
        known = ", ".join(sorted(found.people)) or "nobody yet"
        raise SettingsError(f"there is no person {name!r}; there is: {known}")
    secret = passwords.Passwords().hash(_password(name, from_input=password_stdin))
    with found.changing("new password of", name):
        accounts.put(file, users.KEY, Account(name, found.people[name].role, secret))
    err.print(styled("[green]✓[/] {} has a new password", name))


@users_app.command()
@command
def role(
    name: Name,
    new_role: Annotated[
        str,
        typer.Argument(metavar="ROLE", help="monitor, viewer, operator, admin or remote-worker"),
    ],
    config: ConfigFile = None,
) -> None:
    """Give a person or program another role; a person logs in again.

    Example: [bold]cadnode users role jane operator[/]
    """
    found = _opened(config)
    file, key, account = found.place_of(name_of(name))
    as_role = role_of_person(new_role) if key == users.KEY else role_of(new_role)
    with found.changing(f"made {as_role.word}:", account.name):
        accounts.put(file, key, Account(account.name, as_role, account.secret))
    err.print(styled("[green]✓[/] {} is {}", account.name, as_role.word))
    _warn(config)


@users_app.command()
@command
def remove(name: Name, config: ConfigFile = None) -> None:
    """Remove a person or program: logged out at once, the password or token is worth nothing."""
    found = _opened(config)
    file, key, account = found.place_of(name_of(name))
    with found.changing("removed", account.name):
        accounts.remove(file, key, account.name)
    err.print(styled("[green]✓[/] {} is removed", account.name))
    _warn(config)


@users_app.command()
@command
def token(
    name: Name,
    role: Annotated[
        str, typer.Option("--role", help="monitor, viewer, operator, admin or remote-worker")
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="end the token that the program has, for a new one")
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a program's token and print it, this once: only its hash is kept.

    The program sends it as `Authorization: Bearer TOKEN`.
    Example: [bold]cadnode users token orthanc --role operator > /etc/orthanc/cadnode-token[/]
    """
    found, name, as_role = _opened(config), name_of(name), role_of(role)
    if found.tokens_file is None:
        raise _not_set("tokens_file", "/etc/cadnode/tokens")
    if not (replace and name in found.programs):
        _is_free(found, name)
    made = tokens.new_token()
    with found.changing(f"new token as {as_role.word}:", name):
        accounts.put(found.tokens_file, tokens.KEY, Account(name, as_role, tokens.hash_of(made)))
    if as_json:
        print_json({"name": name, "role": as_role.word, "token": made})
    else:
        sys.stdout.write(made + "\n")
        err.print(styled("[green]✓[/] {} is {}; the token is shown this once", name, as_role.word))


def _opened(config: Path | None) -> _Accounts:
    values = settings.load(config)
    web = values.web
    return _Accounts(
        values,
        web.users_file,
        web.tokens_file,
        users.users_in(web.users_file) if web.users_file else {},
        tokens.tokens_in(web.tokens_file) if web.tokens_file else {},
    )


def _users_file(found: _Accounts) -> Path:
    if found.users_file is None:
        raise _not_set("users_file", "/etc/cadnode/users")
    return found.users_file


def _not_set(key: str, example: str) -> SettingsError:
    return SettingsError(
        f'web.{key} is not set: write {key} = "{example}" under [web] of the configuration, and '
        "name that by --config"
    )


def _is_free(found: _Accounts, name: str) -> None:
    if name in found.people:
        raise SettingsError(
            f"there is a person {name!r} already: `cadnode users password {name}` or "
            f"`cadnode users role {name} ROLE` changes it"
        )
    if name in found.programs:
        raise SettingsError(
            f"there is a program {name!r} already: `cadnode users token {name} --replace` gives it "
            "another token"
        )


def _password(name: str, *, from_input: bool) -> str:
    """A password that the rules take, from a prompt or from standard input."""
    if from_input:
        try:
            given = sys.stdin.readline().rstrip("\r\n")
        except UnicodeDecodeError:
            raise SettingsError("the password on standard input is not UTF-8") from None
    elif sys.stdin.isatty():
        given = typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        raise SettingsError("there is no terminal to ask for the password: use --password-stdin")
    if problem := passwords.problem_of(given, name):
        raise SettingsError(problem)
    return given


def _warn(config: Path | None) -> None:
    """Say so when people are left without an admin among them."""
    people = _opened(config).people.values()
    if people and not any(one.role is Role.ADMIN for one in people):
        err.print(
            styled("[yellow]![/] no person is admin: cadnode users role {} admin", "NAME"),
            soft_wrap=True,
        )
