"""Is a study complete, and what is the node waiting for: decided here and nowhere else.

    asked for, and not fetched yet                  Fetching
    something came less than the quiet time ago     Wait: for views, or for stragglers
    otherwise, with a mammogram in it               Ready
    otherwise                                       Ignore

The quiet time is `study.settle_s` once the wanted views are present, `study.quiet_s` until then:
a study is never held back for a view that does not come.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cadnode.domain import Laterality, SkipReason, ViewPosition
from cadnode.exam.mammogram import Instance
from cadnode.exam.markings.regions import holds_regions
from cadnode.exam.rejection import rejected_by
from cadnode.log import hashed
from cadnode.receive.removed import Removed
from cadnode.receive.spool import Spool
from cadnode.settings import Settings

WantedView = tuple[Laterality, ViewPosition]
Views = frozenset[WantedView]

NOT_OURS = frozenset(
    {
        SkipReason.NOT_DICOM,
        SkipReason.NOT_AN_IMAGE,
        SkipReason.NOT_MAMMOGRAPHY,
        SkipReason.OWN_OUTPUT,
    }
)


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide when a study is read; where no view is wanted, only quiet counts."""

    wanted: Views
    settle_s: float
    quiet_s: float


def rules_of(settings: Settings) -> Rules:
    """The node's rules, from the settings' `[study]`."""
    study = settings.study
    pairs = (text.split(" ") for text in study.wanted_views)
    wanted = frozenset((Laterality(side), ViewPosition(view)) for side, view in pairs)
    return Rules(wanted, study.settle_s, study.quiet_s)


@dataclass(frozen=True, slots=True)
class ArrivalFacts:
    """What is known of one study's arrival.

    `present` are sides and views of its mammograms; `quiet_for_s` is the time since an arrival.
    `content` is the fingerprint of what is to be read, "" when nothing in the study concerns us.
    `is_requested`: the study was requested and is not fetched yet. `at_once`: it is to
    be read without any wait.
    """

    present: Views = frozenset()
    quiet_for_s: float = 0.0
    content: str = ""
    is_requested: bool = False
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """More may come: the study is read when nothing has come for `quiet_s`, in `seconds` from now.

    `for_what` are the wanted views that are not here; with none, stragglers are waited for.
    """

    seconds: float
    quiet_s: float
    for_what: tuple[WantedView, ...] = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """The study is read as it is."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """The study has nothing to read."""


@dataclass(frozen=True, slots=True)
class Fetching:
    """The study was requested, and is considered once it is fetched."""


Readiness = Wait | Ready | Ignore | Fetching


def waits(facts: ArrivalFacts, rules: Rules) -> Wait | Fetching | None:
    """What the node waits for, whatever the study holds; None when nothing."""
    if facts.is_requested:
        return Fetching()
    missing = tuple(sorted(rules.wanted - facts.present))
    quiet_s = rules.settle_s if rules.wanted and not missing else rules.quiet_s
    if facts.at_once or facts.quiet_for_s >= quiet_s:
        return None
    return Wait(quiet_s - facts.quiet_for_s, quiet_s, missing)


def decide(facts: ArrivalFacts, rules: Rules) -> Readiness:
    """Whether the study is read, waited for, or left alone."""
    return waits(facts, rules) or (Ready() if facts.content else Ignore())


def debounce_s(present: Views, rules: Rules, *, at_once: bool = False) -> float:
    """Seconds without a further arrival after which a study is considered that has just changed.

    Whether somebody asked for it is not looked at: what is sent meanwhile counts by itself.
    """
    waiting = waits(ArrivalFacts(present, at_once=at_once), rules)
    return waiting.seconds if isinstance(waiting, Wait) else 0.0


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What readiness needs of a stored file's header; UIDs are hashed (`log.hashed`).

    `view` is None where the file is no mammogram that can be read. `marks_regions`: a person drew
    regions in it. `rejects` are the instances that it rejects.
    """

    path: Path
    instance: str
    is_mammogram: bool
    view: WantedView | None = None
    marks_regions: bool = False
    rejects: frozenset[str] = frozenset()


def describe(instance: Instance) -> StoredFile:
    """The facts of a file that was inspected."""
    mammogram, header = instance.mammogram, instance.header
    return StoredFile(
        instance.path,
        hashed(instance.sop_instance_uid),
        is_mammogram=instance.skipped is None or instance.skipped.reason not in NOT_OURS,
        view=None if mammogram is None else (mammogram.laterality, mammogram.view),
        marks_regions=holds_regions(instance),
        rejects=frozenset(map(hashed, rejected_by(header))) if header else frozenset(),
    )


def relevant(files: Sequence[StoredFile]) -> list[Path]:
    """The relevant files of a study; none where there is no mammogram.

    Mammograms are relevant, damaged ones too; beside them also objects in which people marked
    regions, and notes that reject images of the study. Other objects, above all our own coming
    back from an archive, are not: they never cause a study to be read again.
    """
    images = {file.instance for file in files if file.is_mammogram}
    if not images:
        return []
    return [
        file.path
        for file in files
        if file.is_mammogram or file.marks_regions or file.rejects & images
    ]


def views_of(files: Iterable[StoredFile]) -> Views:
    """Sides and views of the mammograms that can be read; other images do not count."""
    return frozenset(file.view for file in files if file.view is not None)


def content_of(files: Sequence[StoredFile], removed: Removed | None = None) -> str:
    """Fingerprint of the relevant files; "" when there are none.

    `removed` is what was removed of the study before: as long as all that is relevant has only
    come again, its content is the one that it had.
    """
    paths = relevant(files)
    if not paths:
        return ""
    if removed is not None and removed.content and removed.holds(paths):
        return removed.content
    return Spool.fingerprint(paths)
