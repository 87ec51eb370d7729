"""The node's half of `cadnode orthanc install`: its token, source and destination."""

import json
import secrets
import tomllib
from pathlib import Path
from typing import Any, Final

from cadnode.errors import SettingsError
from cadnode.identity.accounts import Account
from cadnode.identity.role import Role
from cadnode.identity.tokens import hash_of, tokens_in
from cadnode.orthanc_setup.plan import PlannedChange, Reached, SetupPlan, Wanted
from cadnode.settings import Settings

TOKEN: Final = "cadnode.token"
NAME: Final = "orthanc"  # of the source and the destination


def tokens(
    token_file: Path, wanted: Wanted, node: Settings | None
) -> tuple[str, list[PlannedChange]]:
    """The token that both sides know, and the file from which Orthanc reads it."""
    theirs = _place(wanted)
    if node is not None and node.web.token_file is not None:
        theirs = node.web.token_file
    if token_file.exists():
        return _first_line(token_file), []
    if wanted.node_toml is not None and theirs.exists():
        token = _first_line(theirs)
    else:
        token = secrets.token_urlsafe(32)
    return token, [PlannedChange(token_file, None, token + "\n", secret=True)]


def node_half(
    wanted: Wanted, node: Settings | None, orthanc: Reached, token_file: Path, token: str
) -> SetupPlan:
    """What the node's configuration needs: written to its file, or lines for the admin."""
    toml, place = wanted.node_toml, _place(wanted)
    before = toml.read_text(encoding="utf-8") if toml is not None and toml.exists() else ""
    tables: dict[str, Any] = tomllib.loads(before)
    changes, left = [], ""
    lines, notes = _peers(wanted, node, orthanc)
    programs = _tokens_file(node)
    if programs is not None:
        changes += _program(programs, token)
    elif "token_file" not in tables.get("web", {}):
        block = f"[web]\ntoken_file = {_toml(place)}\n"
        if "web" in tables:
            left = block  # a table can be there once only: the admin adds the line
        else:
            lines = "\n" + block + lines
        if toml is None:
            notes.append(
                f"the node reads the same token from its own file: sudo install -D -o USER -m 600 "
                f"{token_file} {place} (USER: as whom the node runs)"
            )
        elif not place.exists():
            changes.append(PlannedChange(place, None, token + "\n", secret=True))
    if toml is None:
        return SetupPlan((), (lines + left).lstrip("\n"), tuple(notes))
    if lines:
        changes.append(
            PlannedChange(toml, before or None, (before.rstrip() + "\n" + lines).lstrip("\n"))
        )
    return SetupPlan(tuple(changes), left, tuple(notes))


def _tokens_file(node: Settings | None) -> Path | None:
    """Where the node keeps programs by name; None where it has one token for all."""
    if node is None or node.web.token_file is not None:
        return None
    return node.web.tokens_file


def _program(file: Path, token: str) -> list[PlannedChange]:
    """Orthanc as a program of its own, an operator; nothing where the node knows the token."""
    known = tokens_in(file)
    if hash_of(token) in {one.secret for one in known.values()}:
        return []
    names = (NAME if n == 1 else f"{NAME}-{n}" for n in range(1, len(known) + 2))
    program = Account(next(one for one in names if one not in known), Role.OPERATOR, hash_of(token))
    before = file.read_text(encoding="utf-8") if file.exists() else None
    lines = [*(before or "").splitlines(), program.line]
    words = f"the program {program.name}, {program.role.word}, with the hash of that token"
    after = "".join(f"{line}\n" for line in lines)
    return [PlannedChange(file, before, after, secret=True, words=words, mode=0o640)]


def _peers(wanted: Wanted, node: Settings | None, orthanc: Reached) -> tuple[str, list[str]]:
    """Blocks that the node's configuration lacks, and what is in the way of one."""
    lines, notes = "", []
    node = node or Settings()
    source = next((s for s in node.sources if s.name == NAME), None)
    if wanted.mode == "pull" and source is None:
        lines += _block("sources", wanted)
    elif wanted.mode == "pull" and source is not None and not orthanc.is_at(source.url):
        notes.append(_elsewhere("sources", str(source.url), wanted))
    if any(map(orthanc.gets, node.destinations)):
        return lines, notes
    taken = next((d for d in node.destinations if d.name == NAME), None)
    if taken is None:
        lines += _block("destinations", wanted)
    else:
        where = taken.url or taken.folder or f"{taken.ae_title} at {taken.host}:{taken.port}"
        notes.append(_elsewhere("destinations", str(where), wanted))
    return lines, notes


def _block(table: str, wanted: Wanted) -> str:
    block = f'\n[[{table}]]\nname = "{NAME}"\nkind = "orthanc"\nurl = {_toml(wanted.orthanc_url)}\n'
    if wanted.username:
        block += f"username = {_toml(wanted.username)}\n"
    if wanted.password_file is not None:
        block += f"password_file = {_toml(wanted.password_file.absolute())}\n"
    return block


def _elsewhere(table: str, where: str, wanted: Wanted) -> str:
    return (
        f'the node has [[{table}]] name = "{NAME}" already, which is {where}, not '
        f"{wanted.orthanc_url}: is that this Orthanc? If not, give it another name and run this "
        "again"
    )


def _toml(value: str | Path) -> str:
    """A text as TOML writes it, which is JSON's way with every letter as itself."""
    return json.dumps(str(value), ensure_ascii=False)


def _place(wanted: Wanted) -> Path:
    """Where the node's own copy of the token belongs."""
    toml = wanted.node_toml
    return (toml.parent if toml else Path("/etc/cadnode")).absolute() / TOKEN


def _first_line(file: Path) -> str:
    try:
        return (file.read_text(encoding="utf-8").splitlines() or [""])[0].strip()
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}; run it as root") from error
