"""The workflow of a shadow reading: once more with other versions, and nobody waits for it."""

from dbos import DBOS, SetWorkflowID

from cadnode.log import get_logger
from cadnode.node.jobs import ShadowEnd
from cadnode.node.workflow_steps import bound

SHADOWS = "shadows"

log = get_logger("jobs")


@DBOS.step(name="shadow")
def _shadow(study: str, content: str) -> str:
    return bound().shadow(study, content)


@DBOS.workflow(name="shadow")
def shadow(study: str, content: str, attempt: int) -> str:
    """Have other versions read a content as well; returns a `ShadowEnd`."""
    try:
        answer = _shadow(study, content)
    except Exception as error:
        # Nobody waits for a shadow: it ends here, and the next exam has another.
        log.error("shadow_failed", study=study, reason="error", error=error)
        return ShadowEnd.FAILED.value
    if answer == ShadowEnd.INTERRUPTED:
        cast_shadow(study, content, attempt + 1)
    return answer


def cast_shadow(study: str, content: str, attempt: int = 0) -> None:
    """Once per content and attempt, by whichever caller asks first."""
    with SetWorkflowID(f"shadow-{study}-{content}-{attempt}"):
        DBOS.enqueue_workflow(SHADOWS, shadow, study, content, attempt)
