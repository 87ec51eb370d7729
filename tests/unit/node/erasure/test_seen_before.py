"""A web server that has shown a patient shows nothing of her once she is erased."""

from pathlib import Path
from typing import Any

import pytest

from cadnode.log import hashed
from cadnode.node.health import HealthCheck
from cadnode.node.jobs import DeliveryStatus
from cadnode.node.study_index import Studies
from cadnode.node.study_queue import StudyQueue
from cadnode.node.undelivered import Undelivered, UndeliveredIndex
from cadnode.web.queue import StudyFilter
from cadnode.web.study import State
from tests.erasure_cases import ANN, BEA, ErasureNode, images, make_two
from tests.synthetic import uid
from tests.unit.node.test_health import Jobs

ANNS, BEAS = hashed(uid("erasure", "ann")), hashed(uid("erasure", "bea"))


def studies_of(node: ErasureNode) -> Studies:
    jobs: Any = node.jobs
    return Studies(node.settings, node.spool, jobs)


def listed(queue: StudyQueue) -> set[str]:
    queue.refresh()
    return {row.study.key for row in queue.page(StudyFilter()).rows}


def test_pages_lists_and_health_forget_her_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_two(tmp_path)
    node = ErasureNode(tmp_path)
    contents = {study: node.worker.fingerprint(study) for study in (ANNS, BEAS)}
    for study, content in contents.items():
        entry = Undelivered(study, content, "out", DeliveryStatus.REFUSED, "refused", 1.0, 2.0)
        UndeliveredIndex(node.folder).put(entry)
    jobs: Any = Jobs()
    shown_jobs: Any = node.jobs
    shown, health = studies_of(node), HealthCheck(node.settings, jobs)
    assert health().as_dict(with_details=True)["queue"]["undelivered"] == {"out": 2}
    assert shown.patient_of(ANNS).names
    queue = StudyQueue(node.settings, shown, shown_jobs)
    assert listed(queue) == {ANNS, BEAS}
    page = shown.page_of(ANNS)
    assert page is None or page.path.exists()

    assert node.erase().search.is_clean

    monkeypatch.setattr("cadnode.node.health.GOOD_FOR_S", -1.0)
    assert health().as_dict(with_details=True)["queue"]["undelivered"] == {"out": 1}
    assert listed(queue) == {BEAS}
    assert shown.state_of(ANNS).state is State.UNKNOWN
    assert shown.state_of(ANNS).study_instance_uid == ""
    assert not shown.patient_of(ANNS).names
    assert shown.page_of(ANNS) is None
    assert shown.patient_of(BEAS).names


def test_of_a_study_of_two_the_other_is_shown_under_her_own_name(tmp_path: Path) -> None:
    node = ErasureNode(tmp_path)
    study = node.study([*images(ANN, "both"), *images(BEA, "both", seed=3)])
    shown = studies_of(node)
    assert shown.patient_of(study).names == ("2 patients in one study",)

    assert node.erase().search.is_clean

    assert ANN["PatientName"].split("^")[0] not in str(shown.patient_of(study))
    assert BEA["PatientName"].split("^")[0] in str(shown.patient_of(study))
