"""Receiving and removing at once, and a removal that is killed: nothing is lost or halved."""

import multiprocessing
import random
import signal
import threading
import time
from multiprocessing.context import ForkProcess
from pathlib import Path

from cadnode.log import hashed
from cadnode.receive.identity import InstanceIdentity
from cadnode.receive.spool import Spool

STUDY = "1.2.826.0.1.99.1"
KEY = hashed(STUDY)
CONTENT = "fedcba9876543210"
FORK = multiprocessing.get_context("fork")


def received(spool: Spool, study: str, instance: str, n_bytes: int = 2000) -> str:
    """The key of an instance that was received; its data set is its own."""
    incoming = spool.open()
    incoming.write(b"\0" * 128 + b"DICM" + instance.encode().ljust(n_bytes, b"."))
    identity = InstanceIdentity("1.2.840.10008.5.1.4.1.1.1.2", instance, study)
    return spool.publish(incoming, identity).instance_key


def remove_for(root: str, seconds: float) -> None:
    """Remove the study whenever it is here."""
    spool, end = Spool(Path(root)), time.monotonic() + seconds
    while time.monotonic() < end:
        spool.remove(KEY, CONTENT, as_of=spool.changed_at(KEY))


def receive_and_remove(root: str, study: str) -> None:
    """Receive a study of 5 instances and remove it."""
    spool = Spool(Path(root))
    for number in range(5):
        received(spool, study, f"{study}.{number}")
    (Path(root) / "ready").write_bytes(b"")
    spool.remove(hashed(study), CONTENT, as_of=spool.changed_at(hashed(study)))


def test_what_is_received_while_its_study_is_removed_is_here_or_remembered(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    remover = FORK.Process(target=remove_for, args=(str(tmp_path), 2.0))
    remover.start()
    keys: list[set[str]] = [set() for _ in range(4)]

    def send(number: int) -> None:
        n = 0
        while remover.is_alive():
            keys[number].add(received(spool, STUDY, f"{STUDY}.{number}.{n}"))
            n += 1

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    remover.join()

    assert remover.exitcode == 0
    sent = set().union(*keys)
    removed = spool.removed(KEY)
    here = {path.stem for path in spool.instances(KEY)}
    assert removed is not None, "nothing was ever removed"
    assert len(sent) > 20
    assert sent <= here | removed.files.keys()


def test_a_removal_that_is_killed_leaves_a_study_whole_or_nothing_of_it(tmp_path: Path) -> None:
    draw, ends = random.Random(15), set()
    spool = Spool(tmp_path)
    for turn in range(12):
        study = f"{STUDY}.{turn}"
        one: ForkProcess = FORK.Process(target=receive_and_remove, args=(str(tmp_path), study))
        one.start()
        while not (tmp_path / "ready").exists() and one.is_alive():
            time.sleep(0.001)
        time.sleep(draw.random() * 0.008)
        one.kill()
        one.join()
        (tmp_path / "ready").unlink(missing_ok=True)

        here, removed = len(spool.instances(hashed(study))), spool.removed(hashed(study))
        assert here in (0, 5)
        if here == 0:
            assert removed is not None
            assert len(removed.files) == 5
        ends.add((here, one.exitcode))
    spool.empty_trash()

    assert {code for _, code in ends} >= {-signal.SIGKILL}, "no removal was killed"
    assert list((tmp_path / "trash").glob("*")) == []
    assert not list((tmp_path / "incoming").glob("*.dcm"))
