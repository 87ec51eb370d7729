"""Whether the HTTP side can be served as it is set: before the node starts, and by `check`."""

from cadnode.identity.identities import Identities
from cadnode.settings import WebSection
from cadnode.tls import server_context


def check_security(web: WebSection) -> None:
    """Return when identities and certificate can be used.

    Raises
    ------
    SettingsError
        A file of users, tokens or secrets cannot be used; certificate or key cannot be read, or
        they do not fit each other.
    """
    Identities.of(web)
    if web.tls_files is not None:
        server_context(web.tls_files)
