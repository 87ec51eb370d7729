"""The workflow's steps, while which no study is erased, and which do nothing for one that was."""

from collections.abc import Callable
from dataclasses import replace
from typing import Concatenate, ParamSpec, TypeVar

from cadnode.node.jobs import DeliveryStatus, RegionStatus, ShadowEnd
from cadnode.node.study_gate import StudyGate
from cadnode.node.workflow_steps import DeliveryNote, Steps

P = ParamSpec("P")
T = TypeVar("T")


def gated(steps: Steps, gate: StudyGate) -> Steps:
    """The same steps. A delivery passes the gate by itself (`DeliveryTries`): it may be abandoned.

    Of a content that was erased nothing is read, reported, delivered or noted any more.
    """

    def passing(do: Callable[Concatenate[str, P], T]) -> Callable[Concatenate[str, P], T]:
        def through(study: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
            with gate.passing(study):
                return do(study, *args, **kwargs)

        return through

    def of_content(
        do: Callable[Concatenate[str, str, P], T], erased: T
    ) -> Callable[Concatenate[str, str, P], T]:
        def through(study: str, content: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
            with gate.passing(study):
                if gate.is_erased(study, content):
                    return erased
                return do(study, content, *args, **kwargs)

        return through

    def note(one: DeliveryNote) -> None:
        with gate.passing(one.study):
            if not gate.is_erased(one.study, one.content):
                steps.note(one)

    return replace(
        steps,
        fetch=passing(steps.fetch),
        read=of_content(steps.read, False),
        report=of_content(steps.report, 0),
        answer=of_content(steps.answer, ""),
        shadow=of_content(steps.shadow, ShadowEnd.OFF.value),
        settled=of_content(steps.settled, DeliveryStatus.DROPPED.value),
        note=note,
        assess_region=of_content(steps.assess_region, RegionStatus.GONE.value),
        give_up_region=of_content(steps.give_up_region, None),
        mark_regions=passing(steps.mark_regions),
    )
