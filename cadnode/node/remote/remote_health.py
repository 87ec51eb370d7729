"""What health says of remote workers."""

import time
from collections.abc import Iterator
from typing import Final

from cadnode.node.remote.desk import refusal
from cadnode.node.remote.offers import Offers
from cadnode.phrases import N_, phrase
from cadnode.settings import Settings
from cadnode.web.node import HealthProblem

_SILENT_S: Final = 60.0


def remote_problems(settings: Settings) -> Iterator[HealthProblem]:
    """Of those that asked during the last day: who does not any more, and who gets no exams."""
    if not settings.remote.workers:
        return
    offers = Offers(settings.storage.folder)
    digest = offers.digest()
    for one in offers.machines.seen():
        if time.time() - one.at > _SILENT_S:
            yield HealthProblem(
                "remote_worker_silent",
                phrase("The remote worker %(name)s asks for no exams any more", name=one.machine),
                N_("does it run, does it reach the node? Its exams are read here meanwhile"),
                failing=False,
            )
        elif digest and refusal(digest, one):
            yield HealthProblem(
                "remote_worker_refused",
                phrase(
                    "The remote worker %(name)s gets no exams: its version, models or [reading] "
                    "are not the node's",
                    name=one.machine,
                ),
                N_("`cadnode check` on its machine says which"),
                failing=False,
            )
        elif offers.machines.n_failed(one.machine):
            yield HealthProblem(
                "remote_worker_failing",
                phrase("The remote worker %(name)s failed with its last exam", name=one.machine),
                N_("its log says why; it gets fewer exams until it reads one, others have them"),
                failing=False,
            )
