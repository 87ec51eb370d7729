"""New settings while a listener runs: what the older generation has in hand is reported once."""

from pathlib import Path

from cadnode.node.heartbeat import Pulse
from cadnode.node.listener import _Generation
from cadnode.node.metrics.counts import Counts
from cadnode.node.workflow import Announcer
from cadnode.receive.commitment_data import CommitmentRequest, Reference
from cadnode.receive.commitment_requests import Sender
from cadnode.settings import Settings
from tests.peers import free_port

MG1 = Sender("127.0.0.1", "MG1")


def test_what_an_association_of_the_older_one_reports_the_newer_one_does_not(
    tmp_path: Path,
) -> None:
    settings = Settings(
        storage={"folder": tmp_path}, listener={"host": "127.0.0.1", "port": free_port()}
    )
    announcer = Announcer(settings.database_url)
    older = _Generation(settings, Pulse(), announcer, Counts(), "listener")
    key = older._requests.add(MG1, CommitmentRequest("1.2", (Reference("1.2.840", "1.3"),)))
    newer = older.replaced(settings)
    try:
        assert newer._requests.to_report() == {}
        older._requests.release(key)  # its association has ended
        assert newer._requests.to_report() == {MG1: [key]}
    finally:
        older.end()
        newer.end()
        announcer.close()
