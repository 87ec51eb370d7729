"""Whether the ports that new settings name can be had, tried before anything is changed."""

import os
import socket
from collections.abc import Iterable, Iterator

from cadnode.errors import SettingsError
from cadnode.settings import Settings


def check_addresses(before: Settings, after: Settings, roles: Iterable[str]) -> None:
    """Bind each new address of the roles for a moment.

    The web server lets go of its port before it is started again: the same one with another host
    is not tried.

    Raises
    ------
    SettingsError
        One is taken by another process, is no address of this machine, or needs rights.
    """
    for role in roles:
        held = {(host, port) for _, host, port in _addresses(before, role)}
        ports = {port for _, port in held}
        for key, host, port in _addresses(after, role):
            if (host, port) not in held and not (role == "web" and port in ports):
                _try(key, host, port)


def _addresses(values: Settings, role: str) -> Iterator[tuple[str, str, int]]:
    """(key of the port, host, port) of what a role listens on."""
    listener, web = values.listener, values.web
    if role == "listener":
        if listener.in_clear or listener.tls_files is None:
            yield "listener.port", listener.host, listener.port
        if listener.tls_files is not None:
            yield "listener.tls_port", listener.host, listener.tls_port
    elif role == "web" and web.enabled:
        yield "web.port", web.host, web.port


def _try(key: str, host: str, port: int) -> None:
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        number = error.errno or 0  # below 0: of getaddrinfo
        reason = os.strerror(number) if number > 0 else "no such address"
        raise SettingsError(f"{key}: {host}:{port} cannot be listened on: {reason}") from None
