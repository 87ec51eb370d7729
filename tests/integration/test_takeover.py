"""A listener takes over from another on its sockets, and no association ends by that."""

import socket
from ipaddress import ip_network
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.association import Association

from cadnode.receive import scp
from cadnode.receive.admission import AllowedPeer
from cadnode.receive.scp import ScpConfig
from cadnode.receive.spool import Spool
from tests.peers import free_port, wait_until
from tests.synthetic import view_dataset

LOOPBACK = ip_network("127.0.0.1")


def associated(port: int, title: str) -> Association:
    ae = AE(title)
    ae.add_requested_context(view_dataset("R", "CC").SOPClassUID)
    return ae.associate("127.0.0.1", port)


def config_for(port: int, *titles: str) -> ScpConfig:
    return ScpConfig(port=port, peers=tuple(AllowedPeer(t, LOOPBACK) for t in titles))


def test_an_association_goes_on_while_another_listener_takes_over(tmp_path: Path) -> None:
    spool, port = Spool(tmp_path / "spool"), free_port()
    taken: list[str] = []
    with scp.serve(config_for(port, "OLD"), spool, lambda s: taken.append(s.study_key)) as first:
        going_on = associated(port, "OLD")
        assert going_on.send_c_store(view_dataset("R", "CC")).Status == 0
        assert associated(port, "NEW").is_rejected
        early = socket.create_connection(("127.0.0.1", port))  # has asked for nothing yet
        with scp.serve(
            config_for(port, "NEW"), spool, lambda s: taken.append(s.study_key), takes_over=first
        ) as second:
            assert second.port == port
            first.retire()
            wait_until(lambda: associated(port, "OLD").is_rejected)
            new = associated(port, "NEW")
            assert new.is_established
            new.release()
            assert not first.is_done()
            assert going_on.send_c_store(view_dataset("L", "CC")).Status == 0
            going_on.release()
            assert going_on.is_released
            assert not first.is_done()  # somebody may still ask for an association
            early.close()
            wait_until(first.is_done)
    assert len(taken) == 2


def test_a_listener_that_cannot_listen_leaves_the_other_as_it_is(tmp_path: Path) -> None:
    spool, port = Spool(tmp_path / "spool"), free_port()
    with socket.create_server(("127.0.0.1", 0)) as other:
        elsewhere = other.getsockname()[1]
        with scp.serve(config_for(port, "OLD"), spool, lambda s: None) as first:
            with (
                pytest.raises(scp.SettingsError, match="cannot listen"),
                scp.serve(config_for(elsewhere, "NEW"), spool, lambda s: None, takes_over=first),
            ):
                pass
            going_on = associated(port, "OLD")
            assert going_on.is_established
            going_on.release()
