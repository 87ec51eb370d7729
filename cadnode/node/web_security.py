"""The HTTP side's token and certificate, checked before use and by `cadnode check`."""

import ssl

from cadnode.errors import SettingsError
from cadnode.settings import WebSection
from cadnode.tls import server_context
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
    return None if web.tls_files is None else server_context(web.tls_files)
