"""A proxy that has logged people in says in a header who asks; it alone may.

The proxy must set the header on every request, in the place of what the client sent.
"""

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from cadnode.errors import CadnodeError
from cadnode.identity.role import Identity, Role, Via
from cadnode.settings import WebSection

_LONGEST: Final = 128
_SEPARATORS: Final = frozenset(",;")


class ProxyRefused(CadnodeError):
    """A header says who asks, and cannot be believed; the request is refused. `code` says why."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Proxy:
    """What the headers of the configured proxy say."""

    def __init__(self, web: WebSection) -> None:
        self._user = (web.proxy_user_header or "").lower()
        self._role = (web.proxy_role_header or "").lower()
        self._fixed = Role.of(web.proxy_role) if web.proxy_role else None
        self._networks = [ip_network(one, strict=False) for one in web.proxy_addresses]

    def of(self, headers: Mapping[str, str], address: str) -> Identity | None:
        """Who asks, by the proxy's word; None where no header says so.

        Raises
        ------
        ProxyRefused
            The header comes from another address ("address"), more than once ("repeated"), holds
            no name ("name") or no role ("role").
        """
        users = _values(headers, self._user)
        roles = _values(headers, self._role)
        if not users and not roles:
            return None
        if not self._is_proxy(address):
            raise ProxyRefused("address", "only the proxy may say who asks")
        if len(users) != 1 or len(roles) > 1:
            raise ProxyRefused("repeated", "the proxy does not say once who asks, and as what")
        role = _role(roles) if self._fixed is None else self._fixed
        return Identity(_name(users[0]), role, Via.PROXY)

    def _is_proxy(self, address: str) -> bool:
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        return any(ip in network for network in self._networks)


def _values(headers: Mapping[str, str], name: str) -> list[str]:
    """Every value of a header; Starlette's `Headers.items` has one for each line."""
    return [value for key, value in headers.items() if name and key.lower() == name]


def _name(value: str) -> str:
    name = value.strip()
    if not name or len(name) > _LONGEST or not name.isprintable() or _SEPARATORS & set(name):
        raise ProxyRefused("name", "the proxy's header holds no name, or several")
    return name


def _role(values: list[str]) -> Role:
    try:
        found = Role.of(values[0].strip().lower() if values else "")
    except ValueError:
        found = None
    if found is None or found.is_of_programs:
        raise ProxyRefused("role", "the proxy's header holds no role that people have")
    return found
