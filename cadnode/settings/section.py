"""What every section of the settings is made of."""

from ipaddress import ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the settings: frozen, and without keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _network(value: str) -> str:
    """An IP address, or a network in CIDR notation."""
    try:
        ip_network(value, strict=False)
    except ValueError as error:
        raise ValueError("an address is written like 10.1.2.3, 10.1.2.0/24 or fd00::/8") from error
    return value


NetworkAddress = Annotated[str, AfterValidator(_network)]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
