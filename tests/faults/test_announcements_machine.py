"""Announcements against the sweep: each content of a study that has become quiet is read once.

Whatever is announced, not announced or interrupted, the last content is read.
"""

import hashlib
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from cadnode.node import trial_job, workflow
from cadnode.node.workflow import Announcer
from cadnode.node.workflow_steps import Start
from cadnode.receive.identity import InstanceIdentity
from cadnode.receive.spool import Spool

QUIET_S = 0.2
WITHIN_S = 30.0
STUDIES, INSTANCES = st.integers(1, 2), st.integers(1, 3)


class Announcements(RuleBasedStateMachine):
    """A spool, a job database and steps that only note what they are asked to read."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="announcements-"))
        self.spool = Spool(self.root / "spool")
        self.url = f"sqlite:///{self.root / 'jobs.sqlite'}"
        self.lock = threading.Lock()
        self.read: Counter[tuple[str, str]] = Counter()
        self.done: set[tuple[str, str]] = set()
        self.versions: Counter[tuple[int, int]] = Counter()
        workflow.prepare(self.url)
        self._launch()
        self.announcer = Announcer(self.url)

    def teardown(self) -> None:
        if not hasattr(self, "start"):
            return
        try:
            self._everything_is_read_once()
        finally:
            self.announcer.close()
            workflow.stop(within_s=2)
            shutil.rmtree(self.root)

    def _launch(self) -> None:
        steps = replace(
            trial_job._steps(threading.Event()),
            fingerprint=self._content, read=self._read, report=self._report,
            has_result=lambda study, content: (study, content) in self.done,
        )  # fmt: skip
        self.start: Start = workflow.launch(steps, self.url)

    def _content(self, study: str) -> str:
        paths = self.spool.instances(study)
        return Spool.fingerprint(paths) if paths else ""

    def _read(self, study: str, content: str) -> bool:
        if self._content(study) != content:
            return False
        with self.lock:
            self.read[study, content] += 1
        return True

    def _report(self, study: str, content: str, _old: str, _at: str) -> int:
        with self.lock:
            self.done.add((study, content))
        return 1

    @rule(study=STUDIES, instance=INSTANCES, is_announced=st.booleans())
    def receive(self, study: int, instance: int, is_announced: bool) -> None:
        """A new image, or a corrected one; a killed listener may not have announced it."""
        self.versions[study, instance] += 1
        text = f"{study} {instance} {self.versions[study, instance]}"
        incoming = self.spool.open()
        incoming.write(hashlib.sha256(text.encode()).digest() * 8)
        stored = self.spool.publish(
            incoming, InstanceIdentity("1.2", f"{study}.{instance}", str(study))
        )
        if is_announced:
            self.announcer.announce(stored.study_key, QUIET_S)

    @rule(study=STUDIES)
    def announce_once_more(self, study: int) -> None:
        for key in self.spool.studies()[study - 1 : study]:
            self.announcer.announce(key, QUIET_S)

    @rule()
    def sweep(self) -> None:
        """As `node.sweep` does for quiet studies without a result."""
        for study in self.spool.studies():
            content = self._content(study)
            is_quiet = self.spool.quiet_s(study) >= QUIET_S
            if is_quiet and (study, content) not in self.done:
                self.start.consider(study)

    @rule()
    def wait(self) -> None:
        time.sleep(QUIET_S)

    @rule()
    def restart(self) -> None:
        workflow.stop(within_s=2)
        self._launch()

    def _everything_is_read_once(self) -> None:
        studies = self.spool.studies()

        def is_read() -> bool:
            self.sweep()
            return all((s, self._content(s)) in self.done for s in studies)

        _until(is_read)
        with self.lock:
            twice = {key: n for key, n in self.read.items() if n > 1}
        assert not twice, "a content was read twice"


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, "a study is not read"
        time.sleep(0.1)


Announcements.TestCase.settings = settings(max_examples=3, stateful_step_count=8)
TestAnnouncements = Announcements.TestCase
