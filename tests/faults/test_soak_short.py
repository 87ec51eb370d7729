"""The short form of the soak: 20 studies, each role killed, refusals, cut networks.

Every step waits for a condition; nothing depends on how quick the machine is.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness.faults import kill
from tests.faults.harness.proxy import Condition
from tests.faults.harness.site import Site
from tests.faults.harness.storm import happen
from tests.faults.harness.studies import make_studies
from tests.faults.harness.wait import until

N_STUDIES = 20
SHAPES = ("four_views", "later_image", "corrected", "sent_twice")
LONG_S = 600.0  # of a machine on which much else runs


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    studies = make_studies(tmp_path / "in", N_STUDIES, 11, SHAPES)
    site = Site(tmp_path, studies, seed=11, say=print)
    yield site
    site.close()


@pytest.mark.timeout(1800)
def test_nothing_is_lost_or_doubled_whatever_is_killed_cut_or_refused(site: Site) -> None:
    record = site.archive.record
    site.node.start()
    site.archive.behave("a700")
    site.front.become(Condition("cut", 60_000, "up"))  # in the middle of each data set
    senders = site.senders(3)
    senders.start()

    until(lambda: site.front.cuts >= 3, "senders are cut off", LONG_S)
    n_cuts = site.front.cuts
    site.front.become(Condition("cut", 230, "down"))  # in an answer
    until(lambda: site.front.cuts > n_cuts, "an answer is cut off", LONG_S)
    site.front.become(Condition())
    happen(site, kill("listener"))

    until(lambda: any(o.status == 0xA700 for o in record.read()), "a refusal", LONG_S)
    site.node.kill("worker")
    site.archive.behave("ok")
    site.node.kill("web")
    until(lambda: len(record.held()) >= 5, "results arrive", LONG_S)

    site.back.become(Condition("cut", 3000, "up"))  # in the middle of a result
    until(lambda: site.back.cuts, "a delivery is cut off", LONG_S)
    site.back.become(Condition())
    happen(site, kill("supervisor"))

    until(lambda: senders.is_done, "everything is sent", LONG_S)
    site.drain(LONG_S)
    assert site.missing_results() == []
    figures = site.check() | site.check_processes()
    assert site.node.stop()
    site.check_leftovers()
    assert not site.defects, site.report()
    assert figures["files_taken"] == sum(len(study.files) for study in site.studies)
