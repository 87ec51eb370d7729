"""Which of several images of one side and view is read, and the coded reason why the rest are not.

Pure rules on header values; the standard view is one CC and one MLO of each breast.
"""

from collections.abc import Iterable
from itertools import groupby

from cadnode.domain import Intent, Skipped, SkipReason, ViewModifier, ViewPosition
from cadnode.exam.attributes import text
from cadnode.exam.exam import Mammogram
from cadnode.exam.kind import MAMMOGRAPHY, is_generated_2d
from cadnode.exam.pixel_checks import PixelChecks
from cadnode.exam.view import CLOSE_UP

SMALLEST_PX = (180, 240)  # of the shorter and the longer side; icons and previews stay below
SMALLEST_MM = 25.0  # of the longer side; detectors and films have 180 mm and more
ELIGIBLE_VIEWS = (ViewPosition.CC, ViewPosition.MLO)
_OTHER_ASPECT = {
    ViewModifier.CLEAVAGE,
    ViewModifier.AXILLARY_TAIL,
    ViewModifier.ROLLED,
    ViewModifier.TANGENTIAL,
    ViewModifier.INFRAMAMMARY_FOLD,
}


def choose(
    mammograms: Iterable[Mammogram], checks: PixelChecks
) -> tuple[tuple[Mammogram, ...], tuple[Skipped, ...]]:
    """The mammograms to be read, at most one a side and view, and the rest with reasons.

    Sorted by side and view; the outcome does not depend on the order of `mammograms`.
    One that cannot be decoded displaces none that can: where a side and view has several, they are
    tried, best first.
    An ML is not read in place of a missing MLO: the models never saw one.
    """
    ranked = sorted(mammograms, key=_rank)
    distinct, skipped = _without_repeats(ranked)
    candidates: list[Mammogram] = []
    for mammogram in distinct:
        reason = reason_against(mammogram)
        if reason is None:
            candidates.append(mammogram)
        else:
            skipped.append(Skipped(mammogram.sop_instance_uid, reason))
    chosen: list[Mammogram] = []
    for _, group in groupby(candidates, key=lambda m: (m.laterality, m.view)):
        best, damaged, others = _first_sound(list(group), checks)
        chosen.append(best)
        skipped += damaged
        skipped += [_beaten(best, other, checks) for other in others]
    return tuple(chosen), tuple(skipped)


def _first_sound(
    ranked: list[Mammogram], checks: PixelChecks
) -> tuple[Mammogram, list[Skipped], list[Mammogram]]:
    """The first that can be decoded, why those before it cannot, and those after it.

    Of several that all cannot, and of a single one, it is the first: its reading says why.
    """
    damaged: list[Skipped] = []
    for number, mammogram in enumerate(ranked if len(ranked) > 1 else ()):
        error = checks.fault(mammogram)
        if error is None:
            return mammogram, damaged, ranked[number + 1 :]
        damaged.append(Skipped(mammogram.sop_instance_uid, error.reason, error.detail))
    return ranked[0], [], ranked[1:]


def reason_against(mammogram: Mammogram) -> SkipReason | None:
    """Why an image is not to be read, whatever else the study has; None when it may be."""
    if mammogram.modifiers & CLOSE_UP:
        return SkipReason.MAGNIFIED_OR_SPOT
    if _is_too_small(mammogram):
        return SkipReason.TOO_SMALL
    if mammogram.view not in ELIGIBLE_VIEWS or mammogram.modifiers & _OTHER_ASPECT:
        return SkipReason.UNSUPPORTED_VIEW
    if mammogram.implant and ViewModifier.IMPLANT_DISPLACED not in mammogram.modifiers:
        return SkipReason.IMPLANT
    if mammogram.partial:
        return SkipReason.PARTIAL_BREAST
    return None


def _is_too_small(mammogram: Mammogram) -> bool:
    """Whether it cannot show a breast: an icon or preview, or a field of a few cm."""
    shorter, longer = sorted((mammogram.rows, mammogram.columns))
    if shorter < SMALLEST_PX[0] or longer < SMALLEST_PX[1]:
        return True
    if mammogram.spacing_mm is None:
        return False
    row_mm, col_mm = mammogram.spacing_mm
    return max(mammogram.rows * row_mm, mammogram.columns * col_mm) < SMALLEST_MM


def _rank(mammogram: Mammogram) -> tuple[object, ...]:
    """The sort key: side and view first, then images that may be read, then the better first."""
    header = mammogram.header
    day = text(header, "AcquisitionDate") or text(header, "ContentDate")
    time = text(header, "AcquisitionTime") or text(header, "ContentTime")
    return (
        mammogram.laterality,
        mammogram.view,
        reason_against(mammogram) is not None,
        mammogram.sop_class_uid not in MAMMOGRAPHY,  # a film's Secondary Capture never comes first
        mammogram.intent is not Intent.PRESENTATION,
        is_generated_2d(header),
        ViewModifier.IMPLANT_DISPLACED not in mammogram.modifiers,
        len(mammogram.modifiers),
        -mammogram.rows * mammogram.columns,
        _descending(text(header, "AcquisitionDateTime") or day + time),
        mammogram.sop_instance_uid,
        str(mammogram.path),
    )


def _descending(words: str) -> tuple[int, ...]:
    """A sort key that puts later (greater) text first, and none last."""
    return (*(-ord(character) for character in words), 0) if words else (1,)


def _without_repeats(ranked: list[Mammogram]) -> tuple[list[Mammogram], list[Skipped]]:
    seen: set[str] = set()
    distinct: list[Mammogram] = []
    repeats: list[Skipped] = []
    for mammogram in ranked:
        if mammogram.sop_instance_uid in seen:
            repeats.append(Skipped(mammogram.sop_instance_uid, SkipReason.DUPLICATE))
        else:
            distinct.append(mammogram)
        seen.add(mammogram.sop_instance_uid)
    return distinct, repeats


def _beaten(best: Mammogram, other: Mammogram, checks: PixelChecks) -> Skipped:
    same_matrix = (best.rows, best.columns) == (other.rows, other.columns)
    reason = (
        SkipReason.DUPLICATE if same_matrix and checks.same(best, other) else SkipReason.SUPERSEDED
    )
    return Skipped(other.sop_instance_uid, reason)
