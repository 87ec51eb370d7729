"""The HTTP side's token and certificate, checked before use and by `cadnode check`."""

import ssl

from cadnode.errors import SettingsError
from cadnode.settings import WebSection
from cadnode.web.access import SHORTEST_TOKEN


def token_of(web: WebSection) -> str:
    """The token in `web.token_file`; "" when none is configured.

    Raises
    ------
    SettingsError
        The file cannot be read, is empty, too short, or readable by everybody.
    """
    if web.token_file is None:
        return ""
    try:
        lines = web.token_file.read_text("utf-8").splitlines()
        mode = web.token_file.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"web.token_file {web.token_file} cannot be read: {type(error).__name__}"
        ) from None
    token = lines[0].strip() if lines else ""
    if len(token) < SHORTEST_TOKEN:
        found = f"has {len(token)} characters" if token else "is empty"
        raise SettingsError(
            f"web.token_file {web.token_file} {found}; a token has {SHORTEST_TOKEN} or more: "
            f"`openssl rand -hex 32 > {web.token_file}`"
        )
    if mode & 0o007:
        raise SettingsError(
            f"web.token_file {web.token_file} can be read by everybody on this machine: "
            f"`chmod o-rwx {web.token_file}`"
        )
    return token


def tls_of(web: WebSection) -> ssl.SSLContext | None:
    """TLS with the configured certificate; None when http is served.

    Raises
    ------
    SettingsError
        Certificate or key cannot be read, or they do not fit each other.
    """
    if web.certificate_file is None or web.key_file is None:
        return None
    for path in (web.certificate_file, web.key_file):
        if not path.is_file():
            raise SettingsError(f"there is no {path} (web.certificate_file, web.key_file)")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(web.certificate_file, web.key_file, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise SettingsError(
            f"certificate {web.certificate_file} and key {web.key_file} cannot be used: "
            f"{type(error).__name__}; both are PEM, the key has no password and is the "
            "certificate's"
        ) from None
    return context


def _no_password() -> str:
    """Never asks on a terminal that is not there."""
    raise ValueError("the key has a password")
