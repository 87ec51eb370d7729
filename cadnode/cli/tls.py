"""`cadnode tls`: certificates to begin with, requests for an authority, and what is configured."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cadnode import settings
from cadnode.cli.command import AsJson, ConfigFile, command, err, out, print_json, to_folder
from cadnode.errors import SettingsError

if TYPE_CHECKING:
    from cadnode.certificates import SigningAuthority

tls_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Certificates for TLS: to begin with, from the hospital's authority, and those in use.",
)
_PUBLIC, _GROUP, _OWN = 0o644, 0o640, 0o600
_DAYS: Final = 825


@tls_app.command()
@command
def make(
    name: Annotated[
        list[str],
        typer.Option(
            metavar="HOST", help="host name or IP address by which peers call it; repeat for more"
        ),
    ],
    folder: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="where files go", callback=to_folder),
    ],
    csr: Annotated[
        bool, typer.Option("--csr", help="a key and a request for the hospital's authority instead")
    ] = False,
    rsa: Annotated[
        bool, typer.Option("--rsa", help="RSA (3072 bits), for who takes no elliptic curve")
    ] = False,
    days: Annotated[int, typer.Option(min=1, max=3650, help="for how long it is valid")] = _DAYS,
    force: Annotated[bool, typer.Option("--force", help="replace the key that is there")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key and a certificate for one machine, signed by an authority of your own.

    The authority (ca.pem, ca.key) is made in DIR by the first call, and signs for this node and
    each peer afterwards. ca.key signs whatever it is given: keep it off the node.

    Example: [bold]cadnode tls make --name cad.hospital.example --out tls[/]
    """
    from cadnode import certificates as x509

    stem, now = name[0].replace(":", "-"), datetime.now(UTC)
    x509.alternative_names(name)  # before anything is written
    end = folder / f"{stem}.{'csr' if csr else 'pem'}"
    files = {"key": folder / f"{stem}.key", "request" if csr else "certificate": end}
    if stem == "ca":
        raise SettingsError("ca is the authority's own name here: use the machine's full name")
    if files["key"].exists() and not force:
        raise SettingsError(f"{files['key']} is there already: --force replaces it")
    key = x509.new_key(by_rsa=rsa)
    if csr:
        made = x509.pem(x509.request(name, key))
        until = ""
    else:
        authority = _authority(folder, now, by_rsa=rsa)
        signed = authority.sign(name, key, now, days)
        made, until = x509.pem(signed), f"{signed.not_valid_after_utc:%Y-%m-%d}"
        files["authority"] = folder / "ca.pem"
    _write(files["key"], x509.pem(key), _GROUP)
    _write(end, made, _PUBLIC)
    if as_json:
        shown = {what: str(path.absolute()) for what, path in files.items()}
        print_json({**shown, "names": name, "valid_until": until or None})
        return
    for what, path in files.items():
        out.print(f"{what}: {path}", highlight=False, soft_wrap=True)
    if csr:
        err.print("Send the request to your authority; its answer, with the chain, is "
                  "certificate_file.", highlight=False)  # fmt: skip
        return
    err.print(
        f"Valid until {until} for {', '.join(name)}. In the settings of that machine:\n"
        f'  certificate_file = "{end.absolute()}"\n  key_file = "{files["key"].absolute()}"\n'
        f'  ca_file = "{files["authority"].absolute()}"\n'
        "The node's user must be able to read the key: chgrp cadnode.",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


@tls_app.command()
@command
def check(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Every certificate in the settings: key and chain fit, for which names, until when.

    Exit code 2 when one cannot be used. [bold]cadnode check[/] has the same lines among others.
    """
    from cadnode.cli.output import print_checks
    from cadnode.node.certificate_checks import certificate_checks
    from cadnode.node.check import CheckVerdict

    found = list(certificate_checks(settings.load(config)))
    if as_json:
        print_json([one.as_dict() for one in found])
    elif found:
        print_checks(out, found)
    else:
        out.print("No certificate is configured: nothing is spoken by TLS but https to others.")
    if any(one.verdict is CheckVerdict.FAILED for one in found):
        raise typer.Exit(2)


def _authority(folder: Path, now: datetime, *, by_rsa: bool) -> "SigningAuthority":
    """The folder's authority, which is made where there is none."""
    from cadnode import certificates as x509

    certificate, key = folder / "ca.pem", folder / "ca.key"
    if certificate.exists() != key.exists():
        raise SettingsError(f"{folder} has only one of ca.pem and ca.key: an authority has both")
    if certificate.exists():
        return x509.SigningAuthority.read(certificate.read_bytes(), key.read_bytes())
    made = x509.SigningAuthority.begun("cadnode authority", now, by_rsa=by_rsa)
    _write(key, x509.pem(made.key), _OWN)
    _write(certificate, x509.pem(made.certificate), _PUBLIC)
    return made


def _write(path: Path, data: bytes, mode: int) -> None:
    """With its mode from the first byte on. Raises `SettingsError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode & _OWN)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from None
