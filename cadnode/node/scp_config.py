"""How the node listens for DICOM and who may connect, from its settings."""

from ipaddress import ip_network

from cadnode.identity.secret_file import first_line
from cadnode.receive import scp
from cadnode.receive.admission import AllowedPeer
from cadnode.settings import Settings
from cadnode.settings.sections import ListenerPeer


def scp_config(settings: Settings) -> scp.ScpConfig:
    """The listener's part of the settings."""
    listener = settings.listener
    return scp.ScpConfig(
        ae_title=listener.ae_title,
        host=listener.host,
        port=listener.port,
        in_clear=listener.in_clear,
        tls=listener.tls_files,
        tls_port=listener.tls_port,
        peers=tuple(
            AllowedPeer(
                title,
                ip_network(peer.address, strict=False),
                peer.certificate_sha256 or "",
                peer.username,
                _passcode(peer),
            )
            for peer in listener.peers
            for title in peer.titles or ("",)
        ),
        calling_ae_titles=listener.calling_ae_titles,
        proxies=tuple(ip_network(one, strict=False) for one in listener.proxy_addresses),
        check_called_ae_title=listener.check_called_ae_title,
        max_associations=listener.max_associations,
        max_associations_per_address=listener.max_associations_per_address,
        max_connections=listener.max_connections,
        network_timeout_s=listener.network_timeout_s,
        least_bytes_per_s=listener.least_bytes_per_s,
    )


def _passcode(peer: ListenerPeer) -> str:
    if peer.password_file is None:
        return ""
    key = "listener.peers.password_file"
    return first_line(peer.password_file, key, "it holds the peer's passcode")
