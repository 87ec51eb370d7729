"""Scores of made-up cases for tests of tables, pages and comparisons."""

from collections.abc import Sequence

import numpy as np

from cadnode_training.results.scored import CHOICES, Cutoff, Scored, Scorer, key, scored


def scorer(name: str, version: str = "1.0.0", threshold: float = 0.5) -> Scorer:
    chosen = tuple(Cutoff(choice, threshold, "validation part") for choice in CHOICES)
    return Scorer(name, version, name[-1] * 64, chosen, calibrated=True)


def made(
    labels: Sequence[bool],
    columns: dict[str, Sequence[float]],
    *,
    women: Sequence[str] | None = None,
    facts: Sequence[dict[str, str]] | None = None,
    threshold: float = 0.5,
) -> Scored:
    """Cases of toys; every scorer is version 1.0.0 with cut-offs at one threshold."""
    scorers = [scorer(name, threshold=threshold) for name in columns]
    rows = [
        (
            key("toys", "case", i), key("toys", women[i] if women else i), label,
            facts[i] if facts else {},
        )
        for i, label in enumerate(labels)
    ]  # fmt: skip
    by_spec = {s.spec: columns[s.name] for s in scorers}
    return scored(("toys", "malignant against benign", "ROIs"), scorers, by_spec, rows)


def drawn(n: int = 120, *, noise: Sequence[float] = (0.4, 0.9), seed: int = 0) -> Scored:
    """`a` with more noise than `b`... in the order of `noise`; two cases a woman, two vendors."""
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.4
    truth = labels * 1.2 + rng.normal(0, 0.5, n)
    columns = {
        name: (1 / (1 + np.exp(-(truth + rng.normal(0, s, n) - 0.7)))).tolist()
        for name, s in zip("abcdef", noise, strict=False)
    }
    women = [str(i // 2) for i in range(n)]
    facts = [{"vendor": ("X", "Y")[i // 2 % 2], "density": "ABCD"[i % 4]} for i in range(n)]
    return made(labels.tolist(), columns, women=women, facts=facts)
