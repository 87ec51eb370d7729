"""Which studies the worker takes up by itself: quiet ones without a result, and late ones."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cadnode.node import readiness
from cadnode.node.failed_readings import DroppedReadings
from cadnode.node.fetching import spool_folder
from cadnode.node.heartbeat import Pulse
from cadnode.node.poison import Casualties
from cadnode.node.readiness import ArrivalFacts, Ready
from cadnode.node.worker_steps import WorkerSteps
from cadnode.node.workflow_steps import Start
from cadnode.receive.fetch import requests
from cadnode.receive.spool import Spool
from cadnode.settings import Settings

SWEEP: Final = "sweeping the spool"
_SWEPT_WITHIN_S: Final = 600.0  # the headers of one study, on a slow disk


class Sweep:
    """Turns over one node's spool; what was looked at is remembered until it changes."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        steps: WorkerSteps,
        casualties: Casualties,
        pulse: Pulse,
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._steps = steps
        self._casualties = casualties
        self._dropped = DroppedReadings(settings.storage.folder)
        self._pulse = pulse
        self._rules = readiness.rules_of(settings)
        self._swept: dict[str, float] = {}  # study: its last change when it was checked
        self._answered: dict[str, float] = {}  # the same of those that are read or late

    def take(self, start: Start) -> None:
        """Consider every quiet study whose content has no result yet, once for each change.

        Finds what was received while it could not be announced: a crash between publishing an image
        and announcing it, or a job database that was away. So for studies that are asked for.
        """
        self._steps.fetching.sweep(start.fetch)
        studies = self._spool.studies()
        self._answer_late(start, studies)
        self._casualties.keep_only(studies)
        self._dropped.keep_only(studies)
        for study in studies:
            self._pulse.tick(SWEEP, _SWEPT_WITHIN_S)
            changed_at = self._spool.changed_at(study)
            if self._swept.get(study) == changed_at:
                continue
            facts = self._arrival(study)
            if readiness.waits(facts, self._rules):
                continue  # `Fetcher` has a study considered when it is fetched
            self._swept[study] = changed_at
            facts = replace(facts, content=self._steps.fingerprint(study))
            is_ready = isinstance(readiness.decide(facts, self._rules), Ready)
            if is_ready and not self._steps.has_result(study, facts.content):
                start.consider(study)
        self._pulse.ended(SWEEP)

    def answer_late(self, start: Start) -> None:
        """Have every study reported as not read that should have been by now, once a content."""
        self._answer_late(start, self._spool.studies())

    def _answer_late(self, start: Start, studies: Sequence[str]) -> None:
        within_s = self._settings.study.answer_within_s
        if within_s <= 0:
            return
        for study in studies:
            changed_at = self._spool.changed_at(study)
            if time.time() - changed_at < within_s or self._answered.get(study) == changed_at:
                continue
            content = self._steps.fingerprint(study)
            if content and not self._steps.has_result(study, content):
                start.answer(study, content)
            self._answered[study] = changed_at

    def _arrival(self, study: str) -> ArrivalFacts:
        """What is known without a look into the files: of these, only quiet makes a study ready."""
        is_requested = requests.load(spool_folder(self._settings), study) is not None
        return ArrivalFacts(quiet_for_s=self._spool.quiet_s(study), is_requested=is_requested)
