"""The spool against a model: receive, send again, correct, break off, restart, remove."""

import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cadnode.log import hashed
from cadnode.receive.identity import InstanceIdentity
from cadnode.receive.spool import Received, Spool

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.1.2"
META = b"\x02\x00\x00\x00UL\x04\x00\x04\x00\x00\x00"
STUDIES, INSTANCES, VERSIONS = st.integers(1, 2), st.integers(1, 3), st.integers(0, 2)


def file_of(study: int, instance: int, version: int, meta: bytes) -> bytes:
    """A Part 10 file; senders may write other file meta information before equal data sets."""
    data = hashlib.sha256(f"{study} {instance} {version}".encode()).digest()
    return bytes(128) + b"DICM" + META + meta + data


class SpoolMachine(RuleBasedStateMachine):
    """`now` is what each instance is, `before` what it was: both are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="spool-machine-"))
        self.root, self.probe = self.folder / "spool", self.folder / "probe"
        self.spool = Spool(self.root)
        self.now: dict[tuple[int, int], int] = {}
        self.before: dict[tuple[int, int], set[int]] = {}
        self.content: dict[int, tuple[object, str]] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(study=STUDIES, instance=INSTANCES, version=VERSIONS, meta=st.sampled_from([b"abcd",
          b"efgh"]))  # fmt: skip
    def receive(self, study: int, instance: int, version: int, meta: bytes) -> None:
        self.wait_for_a_tick()
        incoming = self.spool.open()
        incoming.write(file_of(study, instance, version, meta))
        stored = self.spool.publish(
            incoming, InstanceIdentity(SOP_CLASS, f"{study}.{instance}", str(study))
        )
        had = self.now.get((study, instance))
        expected = Received.STORED if had is None else (
            Received.ALREADY_HERE if had == version else Received.REPLACED
        )  # fmt: skip
        assert stored.received is expected
        if expected is Received.REPLACED:
            assert had is not None
            self.before.setdefault((study, instance), set()).add(had)
        self.now[study, instance] = version

    def wait_for_a_tick(self) -> None:
        """Wait until a file that is written now has a later time of last write than any before.

        The kernel's clock of files moves some 250 times a second. Two versions of one size that
        came in one of its ticks would have one fingerprint: what comes by network is slower.
        """
        latest = max((p.stat().st_mtime_ns for p in self.root.rglob("*.dcm")), default=0)
        while True:
            self.probe.write_bytes(b"now")
            if self.probe.stat().st_mtime_ns > latest:
                return
            time.sleep(0.001)

    @rule(n_bytes=st.integers(0, 200))
    def break_off(self, n_bytes: int) -> None:
        incoming = self.spool.open()
        incoming.write(bytes(n_bytes))
        incoming.drop()

    @rule(n_bytes=st.integers(0, 200))
    def die_while_receiving(self, n_bytes: int) -> None:
        incoming = self.spool.open()
        incoming.write(bytes(n_bytes))
        os.close(incoming._descriptor)  # as the kernel does for a killed process

    @rule()
    def restart(self) -> None:
        self.spool = Spool(self.root)
        self.spool.clear_incoming()
        assert not list((self.root / "incoming").iterdir())

    @precondition(lambda self: self.now)
    @rule(study=STUDIES)
    def remove(self, study: int) -> None:
        self.spool.discard(hashed(str(study)))
        for kept in (self.now, self.before):
            for key in [k for k in kept if k[0] == study]:
                del kept[key]
        self.content.pop(study, None)

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        assert set(self.spool.studies()) == {hashed(str(study)) for study, _ in self.now}
        for study in (1, 2):
            key = hashed(str(study))
            current = {
                hashed(f"{s}.{i}"): data(file_of(s, i, v, b"abcd"))
                for (s, i), v in self.now.items()
                if s == study
            }
            found = {p.stem: data(p.read_bytes()) for p in self.spool.instances(key)}
            assert found == current
            older = {
                (hashed(f"{s}.{i}"), data(file_of(s, i, v, b"abcd")))
                for (s, i), versions in self.before.items()
                for v in versions
                if s == study
            }
            kept = {(p.name.split(".")[0], data(p.read_bytes())) for p in self.spool.replaced(key)}
            assert older <= kept, "an older version is gone"

    @invariant()
    def a_fingerprint_changes_when_and_only_when_the_content_does(self) -> None:
        for study in {s for s, _ in self.now}:
            content = sorted((i, v) for (s, i), v in self.now.items() if s == study)
            fingerprint = Spool.fingerprint(self.spool.instances(hashed(str(study))))
            last = self.content.get(study)
            if last is not None:
                assert (last[0] == content) == (last[1] == fingerprint)
            self.content[study] = (content, fingerprint)


def data(file: bytes) -> bytes:
    """A file without its file meta information."""
    return file[132 + len(META) + 4 :]


SpoolMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=20)
TestSpool = SpoolMachine.TestCase
