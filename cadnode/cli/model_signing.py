"""`cadnode models keygen`, `sign` and `trust`: who made a model, and whose models are taken."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from cadnode import settings
from cadnode.cli.acts import changing_models
from cadnode.cli.command import AsJson, ConfigFile, command, out, print_json
from cadnode.errors import ModelError, SettingsError
from cadnode.terminal import counted

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from cadnode.registry.catalogue import Catalogue
    from cadnode.registry.trust import TrustedKey

trust_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Keys whose models this node takes: trust one, list them, trust one no longer.",
)

KeyFile = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="private key, as `cadnode models keygen` makes it"),
]
Signer = Annotated[
    str, typer.Option(metavar="TEXT", help="a line of your own that is signed too, such as who")
]
PassphraseStdin = Annotated[
    bool,
    typer.Option("--passphrase-stdin", help="the key's passphrase is the first line of input"),
]
_LONGEST: Final = 1000  # bytes of a passphrase; OpenSSL takes 1023


@command
def keygen(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="writes NAME.key and NAME.pub")],
    passphrase_stdin: PassphraseStdin = False,
    as_json: AsJson = False,
) -> None:
    """Make a key to sign models with: NAME.key is private and stays with you, NAME.pub is not.

    A terminal is asked for a passphrase; none leaves the private key open to whoever gets the
    file. Nodes that are to take your models get NAME.pub: `cadnode models trust add NAME.pub`.
    """
    from cadnode.registry import signing

    passphrase = _passphrase(from_stdin=passphrase_stdin, new=True)
    made = signing.make_key(name, passphrase)
    if as_json:
        files = {"private": str(made.private), "public": str(made.public)}
        print_json({"key_id": made.key_id, **files, "has_passphrase": bool(passphrase)})
        return
    _say(f"Key {made.key_id}: {made.private} is private, {made.public} is for those who trust you.")
    if not passphrase:
        _say(f"It has no passphrase: whoever reads {made.private} can sign as you.")


@command
def sign(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="folder or zip file with models, as `add` takes it"),
    ],
    key: KeyFile = None,
    signer: Signer = "",
    passphrase_stdin: PassphraseStdin = False,
    as_json: AsJson = False,
) -> None:
    """Sign the models in a folder or zip file: every file in it, by name, size and SHA-256.

    The signature is signature.json in it; one that is there is replaced. After that nothing in it
    may change, nor be added: [bold]cadnode models sign toy.zip --key me.key --signer "J. Doe"[/]
    """
    from cadnode.registry import signing

    if key is None:
        raise SettingsError("--key FILE is needed; `cadnode models keygen NAME` makes a key")
    private = private_key(key, from_stdin=passphrase_stdin)
    manifest = signing.sign(path, private, signer, datetime.now(UTC))
    specs = [f"{m.name}@{m.version}" for m in manifest.models]
    if as_json:
        print_json({"key_id": manifest.key_id, "models": specs, "files": len(manifest.files)})
        return
    n_files = counted(len(manifest.files), "file")
    _say(f"{path} is signed by key {manifest.key_id}: {', '.join(specs)}, {n_files}.")


@trust_app.command("add")
@command
def trust_add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a public key, NAME.pub")],
    name: Annotated[
        str, typer.Option(metavar="TEXT", help="whose it is; default: the file's name")
    ] = "",
    key_id: Annotated[
        str, typer.Option(metavar="KEYID", help="refuse the key unless it has this id")
    ] = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Take models that this key signs: get its id from the signer by another way, say telephone.

    Example: [bold]cadnode models trust add anna.pub --name Anna --key-id 0123456789abcdef[/]
    """
    from cadnode.node import model_overview
    from cadnode.registry import signature, signing, trust

    values = settings.load(config)
    stores = model_overview.stores(values)
    public = signing.public_key(file)
    if key_id and key_id.lower() != (found := signature.key_id(public)):
        raise SettingsError(
            f"the key in {file} has the id {found}, not {key_id}: it is not trusted. Get the key "
            "again from whoever signs"
        )
    by = model_overview.actor(datetime.now(UTC))
    with changing_models(values, f"trust key {signature.key_id(public)}"):
        trusted = trust.add(stores.own, public, name or file.stem, by)
    if as_json:
        print_json(_key_json(trusted))
    else:
        since = trusted.since.date().isoformat()
        _say(f"Models signed by {trusted.name} ({trusted.key_id}) are taken, since {since}.")


@trust_app.command("list")
@command
def trust_list(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """The keys that this node trusts, since when, and who decided so."""
    from cadnode.node import model_overview

    stores = model_overview.stores(settings.load(config))
    keys = stores.trust.all_keys()
    if as_json:
        print_json({"required": stores.signed_only, "keys": [_key_json(key) for key in keys]})
        return
    if keys:
        table = Table("key", "name", "since", "by", box=None, pad_edge=False)
        for key in keys:
            since = key.since.isoformat(timespec="seconds")
            table.add_row(*map(Text, (key.key_id, key.name, since, key.by)))
        out.print(table)
    else:
        _say("No key is trusted: a model that is signed is refused.")
    rule = "refused" if stores.signed_only else "taken, and called so"
    _say(f"Models that are not signed are {rule} (models.require_signature).")


@trust_app.command("remove")
@command
def trust_remove(
    key_id: Annotated[str, typer.Argument(metavar="KEYID", help="as `list` shows it")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Trust a key no longer: models that it signed are refused, also those that are installed.

    A running node goes on with what it has loaded, says so in `cadnode check`, and takes none of
    them when it starts again: activate another version, or deactivate them.
    """
    from cadnode.node import model_overview
    from cadnode.registry import trust

    values = settings.load(config)
    stores = model_overview.stores(values)
    catalogue = stores.catalogue()
    signed = _signed_by(catalogue, key_id)
    with changing_models(values, "trust key no longer") as act:
        trust.remove(stores.own, key_id)
        act.what = key_id  # only an id that was trusted: no words of another
    if as_json:
        print_json({"removed": key_id, "models": signed})
        return
    _say(f"Key {key_id} is not trusted any more.")
    if signed:
        _say(f"Refused from now on: {', '.join(signed)}. `cadnode models list` shows what is left.")


def private_key(file: Path, *, from_stdin: bool) -> "Ed25519PrivateKey":
    """The private key in a file; asks for its passphrase where it has one.

    Raises
    ------
    SettingsError
        It cannot be used, or nobody can be asked.
    """
    from cadnode.registry import signing

    passphrase = ""
    if signing.is_encrypted(file):
        passphrase = _passphrase(from_stdin=from_stdin, new=False)
    return signing.private_key(file, passphrase)


def _passphrase(*, from_stdin: bool, new: bool) -> str:
    """Of a key: a line of input, or what a terminal answers; "" of a new one without either."""
    if from_stdin:
        line = sys.stdin.buffer.readline(_LONGEST + 3).rstrip(b"\r\n")
        if not 0 < len(line) <= _LONGEST:
            raise SettingsError(
                f"--passphrase-stdin wants a first line of 1 to {_LONGEST} bytes on standard input"
            )
        return line.decode(errors="surrogateescape")
    if not sys.stdin.isatty():
        if new:
            return ""
        raise SettingsError("the key has a passphrase: give it by --passphrase-stdin")
    answer = _asked("Passphrase (empty: none)" if new else "Passphrase")
    if new and answer != _asked("Again"):
        raise SettingsError("the two passphrases are not the same: nothing was written")
    if len(answer.encode(errors="surrogateescape")) > _LONGEST:
        raise SettingsError(f"a passphrase has at most {_LONGEST} bytes")
    return answer


def _asked(question: str) -> str:
    answer = typer.prompt(question, default="", show_default=False, hide_input=True, err=True)
    return str(answer)


def _signed_by(catalogue: "Catalogue", key_id: str) -> list[str]:
    """What is installed and signed by a key; what is damaged already is left out."""
    found = []
    for entry in catalogue.entries:
        try:
            signed = catalogue.approve(entry)
        except ModelError:
            continue
        if signed is not None and signed.key.key_id == key_id:
            active = " (active)" if catalogue.is_active(entry) else ""
            found.append(f"{entry.spec}{active}")
    return found


def _key_json(key: "TrustedKey") -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "public_key": key.public_key,
        "since": key.since.isoformat(),
        "by": key.by,
    }


def _say(text: str) -> None:
    out.print(text, highlight=False, soft_wrap=True, markup=False)
