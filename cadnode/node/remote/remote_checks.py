"""`cadnode check` of remote workers: on the node, who asks; on the other machine, who answers."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from cadnode import http
from cadnode.http import HttpFailure
from cadnode.models.device import choose_device
from cadnode.node.check import Check, CheckVerdict
from cadnode.node.readers import choices_of, load_readers
from cadnode.node.remote.desk import failing, refusal
from cadnode.node.remote.machines import AROUND_S
from cadnode.node.remote.node_line import NodeLine
from cadnode.node.remote.offers import Offers
from cadnode.node.remote.remote_worker import machine_name
from cadnode.settings import Settings
from cadnode.settings.section import is_loopback

_NAME = "remote workers"


def remote_checks(settings: Settings) -> Iterator[Check]:
    """Checks of either side; none where nothing is read elsewhere."""
    if settings.remote.url is not None:
        yield from _of_worker(settings)
    elif settings.remote.workers:
        yield from _of_node(settings)


def _of_node(settings: Settings) -> Iterator[Check]:
    if not settings.web.enabled:
        yield Check(
            _NAME, CheckVerdict.FAILED, "reach the node by its HTTP side, which is switched off",
            "set web.enabled, or remote.workers = 0",
        )  # fmt: skip
        return
    offers, now = Offers(settings.storage.folder), time.time()
    seen = offers.machines.seen()
    if not any(now - one.at < AROUND_S for one in seen):
        yield Check(
            _NAME, CheckVerdict.WARNING, "none asks: this node reads all exams itself",
            "fine until there is one; `cadnode check` on its machine says why it does not come",
        )  # fmt: skip
    for one in seen:
        if now - one.at >= AROUND_S:
            found = f"{one.machine} asked {(now - one.at) / 60:.0f} min ago for the last time"
            yield Check(_NAME, CheckVerdict.WARNING, found, "does it run, does it reach the node?")
        elif problem := refusal(offers.digest(), one):
            yield Check(
                _NAME, CheckVerdict.WARNING, f"{one.machine} gets no exams: {problem}",
                "`cadnode models list` on both machines shows the difference",
            )  # fmt: skip
        elif problem := failing(offers.machines, one.machine):
            yield Check(
                _NAME, CheckVerdict.WARNING, f"{one.machine} gets no exams for now: {problem}",
                "this node and others read them; try `cadnode read` and `cadnode check` there",
            )  # fmt: skip
        else:
            yield Check(_NAME, CheckVerdict.OK, f"{one.machine} asks for exams")


def _of_worker(settings: Settings) -> Iterator[Check]:
    values = settings.remote.http_values()
    assert values is not None
    url = urlsplit(values.url)
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        yield Check(
            "node", CheckVerdict.WARNING, "images and the token cross the network in clear",
            "give the node's HTTP side a certificate (`cadnode tls make`), and remote.url https",
        )  # fmt: skip
    readers = load_readers(settings, choose_device(settings.reading.device))
    digest = readers.digest(choices_of(settings.reading))
    try:
        found = NodeLine(values, machine_name("")).readings(digest)
    except HttpFailure as failure:
        yield Check("node", CheckVerdict.FAILED, f"{values.url}: {failure}", http.ADVICE)
        return
    if found.refused:
        yield Check(
            "node", CheckVerdict.FAILED, f"it gives this machine no exams: {found.refused}",
            "`cadnode models list` on both machines shows the difference",
        )  # fmt: skip
    else:
        yield Check("node", CheckVerdict.OK, f"{values.url} gives exams to this machine")
