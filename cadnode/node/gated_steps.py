"""The workflow's steps with what is looked at before each: erasures, and the worker's lease."""

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


def confirmed(steps: Steps, confirm: Callable[[], None]) -> Steps:
    """The same steps, each of which begins with `confirm`: that this worker still has its jobs."""

    def sure(do: Callable[P, T]) -> Callable[P, T]:
        def through(*args: P.args, **kwargs: P.kwargs) -> T:
            confirm()
            return do(*args, **kwargs)

        return through

    return replace(
        steps,
        fetch=sure(steps.fetch),
        read=sure(steps.read),
        report=sure(steps.report),
        deliver=sure(steps.deliver),
        answer=sure(steps.answer),
        shadow=sure(steps.shadow),
        note=sure(steps.note),
        assess_region=sure(steps.assess_region),
        give_up_region=sure(steps.give_up_region),
        mark_regions=sure(steps.mark_regions),
    )
