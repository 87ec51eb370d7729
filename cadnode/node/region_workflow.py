"""The workflow of one region that somebody asks about: assessed, then sent to the destinations.

It has a queue of its own, which the worker asks often: whoever drew the region waits for it. An
attempt that broke is tried again under a new identifier, as a study's is; the last one answers that
it failed.
"""

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

from cadnode.log import get_logger
from cadnode.node import poison
from cadnode.node.delivery_workflow import send_to
from cadnode.node.jobs import REGIONS, RegionStatus, region_id
from cadnode.node.workflow_steps import bound

POLLED_EVERY_S = 0.1
_PAUSES_S = (5.0, 30.0)  # before the second and the third attempt

log = get_logger("jobs")


@DBOS.step(name="assess_region")
def _assess(study: str, region: str) -> str:
    return bound().assess_region(study, region)


@DBOS.step(name="give_up_region")
def _give_up(study: str, region: str) -> None:
    bound().give_up_region(study, region)


@DBOS.workflow(name="region")
def region(study: str, name: str, tries: int, attempt: int = 0) -> str:
    """Assess the region `name` of a study and have the answer delivered; how it ended."""
    try:
        status = _assess(study, name)
    except Exception as error:
        # The worker loop: whatever failed with one region, the next one is assessed.
        log.error("region_failed", study=study, error=error, attempt=attempt)
        if attempt >= len(_PAUSES_S) or poison.is_final(error):
            _give_up(study, name)
            return RegionStatus.FAILED.value
        with (
            SetWorkflowID(region_id(study, name, tries, attempt + 1)),
            SetEnqueueOptions(delay_seconds=_PAUSES_S[attempt]),
        ):
            DBOS.enqueue_workflow(REGIONS, region, study, name, tries, attempt + 1)
        return RegionStatus.TRIED_AGAIN_LATER.value
    if status == RegionStatus.ASSESSED:
        send_to(study, name, bound().answer_takers)
    return status


def start_region(study: str, name: str, tries: int) -> None:
    """Have a region assessed; once for each time that it was asked about."""
    with SetWorkflowID(region_id(study, name, tries)):
        DBOS.enqueue_workflow(REGIONS, region, study, name, tries)


@DBOS.step(name="mark_regions")
def _marked(study: str) -> list[tuple[str, int]]:
    return [(name, tries) for name, tries in bound().mark_regions(study)]


@DBOS.workflow(name="marks")
def marks(study: str) -> int:
    """Have assessed what people drew in objects of a study that is read; how many regions."""
    found = _marked(study)
    for name, tries in found:
        start_region(study, name, tries)
    return len(found)
