"""What `cadnode models` shows people and machines: tables, cards, curves, JSON."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cadnode.domain import YOUDEN, SystemStatus
from cadnode.models.card import (
    CnnCard,
    DibMgCard,
    FeatureCard,
    FoundShare,
    MassFinderCard,
    Metric,
    ModelCard,
    OnnxRegionCard,
    OnnxViewCard,
)
from cadnode.models.operating_point import OperatingPoint, Roc
from cadnode.node.model_overview import ModelRow, Overview, Verified
from cadnode.registry.history import Change, Proof
from cadnode.registry.trust import Signed
from cadnode.terminal import styled

_SHARES: Final = ("0.8", "0.9", "0.95")
CHOICES: Final = (
    YOUDEN,
    *(f"sensitivity={share}" for share in _SHARES),
    *(f"specificity={share}" for share in _SHARES),
)
"""The operating points that are shown."""


def headline(card: ModelCard) -> Metric | None:
    """The metric that stands for a card in a table: of the test part, else the first."""
    on_test = [m for m in card.metrics if "test" in f"{m.name} {m.data}".lower()]
    return next(iter([*on_test, *card.metrics]), None)


def print_overview(console: Console, overview: Overview) -> None:
    """The models, and below them the systems."""
    table = Table(box=None, pad_edge=False)
    for name in ("", "model", "version", "system", "reads", "AUC (95 % CI; n)", "trained on"):
        table.add_column(name, no_wrap=name in {"", "model", "version"})
    table.add_column("size", justify="right", no_wrap=True)
    for row in overview.rows:
        table.add_row(*_cells(row))
    console.print(table)
    for row in overview.rows:
        if row.problem:
            console.print(styled("[red]✗[/] {}", row.problem), soft_wrap=True)
        elif row.signed:
            console.print(Text(f"{row.entry.spec}: {row.whose}"), soft_wrap=True)
    console.print()
    for status in overview.systems:
        console.print(_system_line(status), soft_wrap=True)


def _cells(row: ModelRow) -> tuple[Text, ...]:
    mark = styled("[red]✗[/]" if row.problem else "[green]✓[/]" if row.active else "")
    return mark, *map(Text, _words_of(row))


def _words_of(row: ModelRow) -> tuple[str, ...]:
    if row.card is None:
        return (row.entry.name, row.entry.version, "", "", "", "", "")
    card = row.card
    return (
        card.name,
        card.version,
        card.system.value if card.system else "all",
        ", ".join(card.applies_to),
        _measured(card),
        ", ".join(s.name for s in card.training_sets),
        f"{row.size / 1e6:.1f} MB",
    )


def _measured(card: ModelCard) -> str:
    """Its AUC, or the share of lesions that a detector of masses finds."""
    if isinstance(card, MassFinderCard) and card.found:
        return f"finds {_share(card.found[0])}"
    return _auc(headline(card))


def _share(found: FoundShare) -> str:
    low, high = found.interval
    return f"{found.sensitivity:.0%} ({low:.0%}–{high:.0%})"


def _auc(metric: Metric | None) -> str:
    if metric is None:
        return "not measured"
    low, high = metric.auc_ci
    return f"{metric.auc:.2f} ({low:.2f}–{high:.2f}; {metric.n_pos}+{metric.n_neg})"


def _system_line(status: SystemStatus) -> Text:
    mark = "[green]✓[/]" if status.active else "[yellow]–[/]"
    state = f"active: {', '.join(status.models)}" if status.active else "not active"
    reason = f"; {status.reason}" if status.reason else ""
    return styled(mark + " [bold]{}[/] {}{}", status.system.value, state, reason)


def print_card(console: Console, row: ModelRow, changes: Sequence[Change]) -> None:
    """Everything a card states, in the order in which a reader asks."""
    card = row.card
    if card is None:
        return
    state = "active" if row.active else "not active"
    console.print(
        styled("[bold]{} {}[/] · {} · {}\n", card.name, card.version, state, row.entry.origin.value)
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _facts(card, row):
        table.add_row(Text(label), Text(text))
    console.print(table, highlight=False)
    console.print(Text(f"\nROC on {card.curve.measured_on}"))
    console.print("\n".join(curve(card.curve)), highlight=False)
    console.print(_operating_table(card))
    for change in changes:
        console.print(change_lines(change), soft_wrap=True)
    if row.problem:
        console.print(styled("[red]✗[/] {}", row.problem), soft_wrap=True)


def _facts(card: ModelCard, row: ModelRow) -> Iterable[tuple[str, str]]:
    yield "system", f"{card.system.value if card.system else 'all'} ({card.kind})"
    yield "paper", card.paper
    yield "algorithm", card.algorithm
    yield "intended use", card.intended_use
    yield "reads", f"{', '.join(card.applies_to)} images"
    yield "licence", card.licence
    yield "data", card.training_data
    for data in card.training_sets:
        yield "", f"{data.name}: {data.counts}; {data.terms}"
    yield "split", card.split
    for metric in card.metrics:
        yield metric.name, f"{_auc(metric)} {metric.unit}; {metric.contrast}; {metric.ci_method}"
    for share in card.found if isinstance(card, MassFinderCard) else ():
        women = f"{share.n_lesions} lesions, {share.n_images} images, {share.n_women} women"
        yield "found", f"{_share(share)}; {women}; {share.data}; {share.contrast}"
    yield "calibration", f"{card.calibration.fitted_on}; prevalence {card.calibration.prevalence:g}"
    for scanner in getattr(card, "scanners", ()):
        change = f"slope {scanner.slope:g}, intercept {scanner.intercept:+g}"
        yield "calibrated for", f"{scanner}; {change}"
    yield "input", _input(card)
    if prior := getattr(card, "age_prior", None):
        yield "prior by age", str(prior)
        for limit in prior.limits:
            yield "limit", limit
    for limit in card.limits:
        yield "limit", limit
    for difference in card.differences:
        yield "unlike the paper", difference
    for content in card.training_content:
        yield "trained on", f"the cohort of content sha256 {content}"
    seed = "" if card.seed is None else f"seed {card.seed}, "
    yield "made by", f"{card.command} ({seed}{card.trained_on.isoformat()})"
    yield "weights", f"{row.size / 1e6:.1f} MB as {card.stored_as}, sha256 {card.weights_sha256}"
    if not row.problem:
        words = row.signed.manifest.signer if row.signed else ""
        yield "from", f"{row.whose}; in the signer's words: {words}" if words else row.whose
    yield "folder", str(row.entry.folder)


def _input(card: ModelCard) -> str:
    """What is done to an image before the model sees it."""
    if isinstance(card, DibMgCard | MassFinderCard):
        return _words(card.preprocess.model_dump())
    if isinstance(card, CnnCard):
        return _words(card.roi.model_dump())
    if isinstance(card, FeatureCard):
        return f"{card.scenario}: {', '.join(card.features)}"
    if isinstance(card, OnnxViewCard | OnnxRegionCard):
        return _words(card.spec.model_dump(exclude_none=True))
    return _words(card.architecture.model_dump())


def _words(values: dict[str, Any]) -> str:
    parts = []
    for name, value in values.items():
        shown = f"({_words(value)})" if isinstance(value, dict) else f"{value}"
        parts.append(f"{name} {shown}")
    return ", ".join(parts)


def operating_points(card: ModelCard) -> list[tuple[str, OperatingPoint]]:
    """The choices a setting offers, with the operating point of each on the card's ROC curve."""
    return [(choice, card.curve.at(choice)) for choice in CHOICES]


def _operating_table(card: ModelCard) -> Table:
    title = f"{card.curve.n_pos} positive, {card.curve.n_neg} negative"
    table = Table("reading.operating_point", box=None, pad_edge=False, caption=title)
    for name in ("from", "sensitivity", "specificity"):
        table.add_column(name, justify="right")
    for choice, point in operating_points(card):
        mark = "" if _reaches(choice, point) else " [yellow]not reached[/]"
        numbers = (point.threshold, point.sensitivity, point.specificity)
        table.add_row(styled("{}" + mark, choice), *(f"{value:.3f}" for value in numbers))
    return table


def _reaches(choice: str, point: OperatingPoint) -> bool:
    rule, _, wanted = choice.partition("=")
    return not wanted or float(getattr(point, rule)) >= float(wanted)


def change_lines(change: Change) -> Text:
    """Who changed what and when; below it why, and from which evidence by which rule."""
    was, now = (v or "off" for v in (change.from_version, change.to_version))
    when = change.at.isoformat(timespec="seconds")
    steps = {
        "remove": f"remove {was}",
        "shadow_start": f"{now} reads in shadow mode",
        "shadow_stop": f"{was} no longer reads in shadow mode",
    }
    what = steps.get(change.action, f"{change.action} {was} → {now}")
    why = [f"why: {change.reason}"] if change.reason else []
    below = [f"\n    {line}" for line in [*why, *_proof_lines(change.evidence)]]
    return styled("[dim]{}[/] {}: {}{}", when, change.by, what, "".join(below))


def _proof_lines(proof: Proof | None) -> list[str]:
    if proof is None:
        return []
    low, high = proof.difference_ci or (None, None)
    numbers = (proof.auc_before, proof.auc_now, proof.difference, low, high)
    before, now, by, least, most = ("unknown" if v is None else f"{v:.3f}" for v in numbers)
    outcome = "allowed it" if proof.allowed else "did not allow it: it was forced"
    return [
        f"evidence: {proof.data}, {proof.n_pos} + {proof.n_neg} cases, against {proof.against}: "
        f"AUC {before} → {now}, difference {by} ({least} to {most})",
        f"comparison's sha256: {proof.sha256}",
        f"rule, which {outcome}: {proof.rule}",
    ]


def print_verified(console: Console, results: Sequence[Verified]) -> None:
    """One line for each model, damaged or not."""
    for result in results:
        name, version = result.entry.name, result.entry.version
        sign = "[red]✗[/]" if result.problem else "[green]✓[/]"
        found = result.problem or "whole and working"
        console.print(styled(sign + " {} {}: {}", name, version, found), soft_wrap=True)


def overview_json(overview: Overview) -> dict[str, Any]:
    """For `list --json`."""
    return {
        "models": [_row_json(row) for row in overview.rows],
        "systems": [
            {"system": s.system.value, "active": s.active, "models": s.models, "reason": s.reason}
            for s in overview.systems
        ],
    }


def card_json(row: ModelRow, changes: Sequence[Change]) -> dict[str, Any]:
    """For `show --json`: the card as it is, and what is not in it."""
    if row.card is None:
        return _row_json(row)
    points = [{"choice": c, **p.model_dump()} for c, p in operating_points(row.card)]
    return {
        **_row_json(row),
        "card": row.card.model_dump(mode="json"),
        "operating_points": points,
        "history": [change.model_dump(mode="json") for change in changes],
    }


def verified_json(result: Verified) -> dict[str, Any]:
    """For `verify --json`."""
    return {
        "name": result.entry.name,
        "version": result.entry.version,
        "origin": result.entry.origin.value,
        "active": result.active,
        "ok": not result.problem,
        "problem": result.problem,
    }


def _row_json(row: ModelRow) -> dict[str, Any]:
    common = {
        "name": row.entry.name,
        "version": row.entry.version,
        "origin": row.entry.origin.value,
        "active": row.active,
        "folder": str(row.entry.folder),
        "size_bytes": row.size,
        "problem": row.problem,
        "signed_by": signed_json(row.signed),
    }
    if row.card is None:
        return common
    metric = headline(row.card)
    return {
        **common,
        "kind": row.card.kind,
        "system": row.card.system.value if row.card.system else None,
        "applies_to": [a.value for a in row.card.applies_to],
        "metric": metric.model_dump(mode="json") if metric else None,
        "trained_on": [s.name for s in row.card.training_sets],
        "sha256": row.card.weights_sha256,
    }


def signed_json(signed: Signed | None) -> dict[str, Any] | None:
    """Whose signature a model bears; null where it has none that holds."""
    if signed is None:
        return None
    return {
        "name": signed.key.name,
        "key_id": signed.key.key_id,
        "trusted_since": signed.key.since.isoformat(),
        "signer": signed.manifest.signer,
        "signed_at": signed.manifest.signed_at.isoformat(),
    }


# Bit of each dot within a character, by row and column (Unicode chapter 21.1).
_BITS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


def curve(roc: Roc, columns: int = 26, rows: int = 9) -> list[str]:
    """Lines of text: sensitivity upwards against 1 − specificity, the diagonal dotted."""
    dots = np.zeros((rows * 4, columns * 2), bool)
    _draw_diagonal(dots)
    _draw_steps(dots, roc)
    cells = dots.reshape(rows, 4, columns, 2).transpose(0, 2, 1, 3)
    codes = (cells * _BITS).sum((2, 3))
    lines = ["".join(chr(0x2800 + int(code)) for code in line) for line in codes]
    edge = ["1 ┤", *["  │"] * (rows - 2), "0 ┤"]
    drawn = [mark + line for mark, line in zip(edge, lines, strict=True)]
    return [*drawn, f"  └{'─' * columns}", "   0  1 − specificity".ljust(columns + 2) + "1"]


def _draw_diagonal(dots: NDArray[np.bool_]) -> None:
    height, width = dots.shape
    for x in range(0, width, 3):
        dots[height - 1 - round(x / (width - 1) * (height - 1)), x] = True


def _draw_steps(dots: NDArray[np.bool_], roc: Roc) -> None:
    """At each column the highest sensitivity at no more false positives, joined by risers."""
    height, width = dots.shape
    before = 0
    for x in range(width):
        reached = [p[1] for p in roc.points if 1 - p[2] <= x / (width - 1) + 1e-9]
        now = round(max(reached, default=0.0) * (height - 1))
        dots[height - 1 - now : height - before, x] = True
        before = now
