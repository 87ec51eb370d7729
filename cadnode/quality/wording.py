"""What a scanner's scores mean, and what to do about it, in sentences for people."""

from collections.abc import Iterator
from datetime import datetime

from cadnode.phrases import N_, Phrase, phrase
from cadnode.quality.drift import DriftState
from cadnode.quality.overview import ScannerDrift, SystemDrift

STATE_WORDS = {
    DriftState.TOO_FEW: N_("too few exams"),
    DriftState.STEADY: N_("steady"),
    DriftState.WATCH: N_("watch"),
    DriftState.DRIFTS: N_("drifts"),
}


def meaning_of(one: SystemDrift) -> Phrase | str:
    """What a system's scores on a scanner say, in a sentence or two."""
    if one.last is None:
        return phrase(
            "%(n)s of %(wanted)s exams that are needed before a change can be told from chance.",
            n=one.n_exams,
            wanted=one.n_wanted,
        )
    called = one.last.called
    values = {
        "before": percent(called.reference.share),
        "now": percent(called.now.share),
        "window": called.now.n,
        "baseline": called.reference.n,
    }
    if one.state is DriftState.STEADY:
        return phrase(
            "Of the last %(window)s exams %(now)s are called, of the first %(baseline)s it were "
            "%(before)s: no change that is large and more than chance.",
            **values,
        )
    moved = _moved(one)
    if one.state is DriftState.WATCH:
        return phrase(
            "%(moved)s. Of the last %(window)s exams %(now)s are called, of the first %(baseline)s "
            "it were %(before)s. This may be chance: look again when more exams are read.",
            moved=moved,
            **values,
        )
    return phrase(
        "%(moved)s since %(since)s. Of the last %(window)s exams %(now)s are called, of the first "
        "%(baseline)s it were %(before)s. This is not chance.",
        moved=moved,
        since=day(one.since or one.last.at),
        **values,
    )


def _moved(one: SystemDrift) -> Phrase:
    """Which way scores went."""
    worst = one.worst
    if worst is None:
        return phrase("More or fewer exams are called")
    values = {
        "view": worst.position,
        "before": _three(worst.mean_reference),
        "now": _three(worst.mean_now),
    }
    if worst.mean_now > worst.mean_reference:
        return phrase("Scores in %(view)s views rose from %(before)s to %(now)s", **values)
    return phrase("Scores in %(view)s views fell from %(before)s to %(now)s", **values)


def advice_of(scanner: ScannerDrift) -> Phrase | str:
    """What to do about a scanner; "" where there is nothing to do."""
    if scanner.state is DriftState.DRIFTS:
        return N_(
            "Ask who maintains the scanner what changed: detector calibration, image processing, "
            "dose, compression, software. Look at some exams and a phantom image. Until it is "
            "explained, the operating point does not hold for this scanner. A change that is meant "
            "to stay: `cadnode quality accept`, and its scores are compared from then on."
        )
    if scanner.state is DriftState.WATCH:
        return N_("Nothing has to be done yet. Ask whether the scanner was serviced.")
    return ""


def remarks_of(scanner: ScannerDrift) -> Iterator[Phrase | str]:
    """What else is to be known of a scanner."""
    if scanner.is_new:
        yield phrase(
            "A new scanner: its first exam came on %(day)s. Its scores are compared with "
            "those of the other scanners until it has a baseline of its own.",
            day=day(scanner.first_seen),
        )
    for one in scanner.systems:
        for beside in one.others:
            if beside.state in (DriftState.WATCH, DriftState.DRIFTS):
                yield phrase(
                    "%(system)s scores %(view)s views otherwise than on your other scanners: "
                    "%(now)s here, %(others)s there (PSI %(psi)s).",
                    system=one.system,
                    view=beside.position,
                    now=_three(beside.mean_now),
                    others=_three(beside.mean_reference),
                    psi=_three(beside.psi),
                )
    if scanner.is_silent:
        yield phrase("No exam came from it since %(day)s.", day=day(scanner.last_seen))
    if scanner.is_named is False:
        yield N_(
            "No card of the models that read it names its vendor: what they measured was measured "
            "on other scanners."
        )
    if len(scanner.software) > 1:
        since, version = scanner.software[-1]
        yield phrase(
            "Its software changed on %(day)s: %(version)s instead of %(before)s.",
            day=day(since),
            version=version or "?",
            before=scanner.software[-2][1] or "?",
        )


def expected_of(one: SystemDrift) -> Phrase | str:
    """What the card leads one to expect of the share of called exams; "" where it says nothing."""
    if one.specificity is None or not one.baseline.n:
        return ""
    return phrase(
        "The card measured a specificity of %(specificity)s at this operating point: of exams "
        "without cancer it would call %(expected)s.",
        specificity=percent(one.specificity),
        expected=percent(1 - one.specificity),
    )


def percent(share: float) -> str:
    """A share as "12 %"; with a digit more below ten per cent."""
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"


def day(at: datetime) -> str:
    """A day as 2026-03-04 (UTC)."""
    return f"{at:%Y-%m-%d}"


def _three(value: float) -> str:
    return f"{value:.3f}"
