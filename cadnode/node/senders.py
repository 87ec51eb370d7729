"""From whom the listener takes images: what `cadnode check` and the log say of the settings."""

from enum import Enum
from ipaddress import ip_network

from cadnode.settings.section import is_loopback
from cadnode.settings.sections import ListenerSection


class Senders(Enum):
    """Who can send. An AE title is no proof: whoever connects chooses it (PS3.8 9.3.2)."""

    THIS_MACHINE = "this machine alone"
    NAMED = "the peers that are named by address"
    CERTIFIED = "whoever shows a certificate that listener.ca_file vouches for"
    ANY_ADDRESS = "any address"
    ANYBODY = "anybody"


def senders_of(listener: ListenerSection) -> Senders:
    """Who can send, by the address listened on and the peers that are named."""
    if is_loopback(listener.host):
        return Senders.THIS_MACHINE
    if not listener.in_clear and listener.ca_file is not None:
        return Senders.CERTIFIED
    if not listener.peers:
        return Senders.ANY_ADDRESS if listener.calling_ae_titles else Senders.ANYBODY
    networks = (ip_network(peer.address, strict=False) for peer in listener.peers)
    return Senders.NAMED if all(one.prefixlen for one in networks) else Senders.ANY_ADDRESS
