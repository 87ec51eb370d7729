"""The HTTP side's token and certificate, checked before use and by `cadnode check`."""

import ssl

from cadnode.identity.tokens import shared_token as token_of
from cadnode.settings import WebSection
from cadnode.tls import server_context

__all__ = ["tls_of", "token_of"]


def tls_of(web: WebSection) -> ssl.SSLContext | None:
    """TLS with the configured certificate; None when http is served.

    Raises
    ------
    SettingsError
        Certificate or key cannot be read, or they do not fit each other.
    """
    return None if web.tls_files is None else server_context(web.tls_files)
