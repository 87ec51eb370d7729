"""Which baselines the AUC is compared with: ordered pairs, digitizer or age alone, a threshold."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from cadnode.statistics.auc import clustered, delong
from cadnode_training.data import birads
from cadnode_training.papers.kim2018.breasts import BreastScored, ExamScored
from cadnode_training.statistics.grouped import shown


def at_threshold(breasts: Sequence[BreastScored], threshold: float) -> dict[str, Any]:
    """Sensitivity and specificity at the card's operating point, by breast."""
    called = [(b.cancer, b.score >= threshold) for b in breasts]
    cancers = [c for truth, c in called if truth]
    others = [c for truth, c in called if not truth]
    return {
        "threshold": round(threshold, 4),
        "sensitivity": round(sum(cancers) / len(cancers), 4),
        "specificity": round(1 - sum(others) / len(others), 4),
    }


def film(pairs: Sequence[BreastScored], exams: Sequence[ExamScored]) -> dict[str, Any]:
    """Pairs of one woman put in the right order, and the digitizer-only baseline.

    `pairs` holds both breasts of women with one malignant breast.
    """
    sides: dict[str, dict[bool, float]] = defaultdict(dict)
    for breast in pairs:
        sides[breast.woman][breast.cancer] = breast.score
    gaps = [s[True] - s[False] for s in sides.values()]
    ordered = sum(g > 0 for g in gaps) + 0.5 * sum(g == 0 for g in gaps)
    return {
        "pairs": len(gaps),
        "pairs_ordered": round(ordered / len(gaps), 4),
    } | _exams(exams)


def _exams(exams: Sequence[ExamScored]) -> dict[str, Any]:
    """Cancer exams against all others: by the digitizer's letter alone, and by the model."""
    labels = [e.cancer for e in exams]
    letters = [e.stratum for e in exams]
    scores = [e.score for e in exams]
    contrast = "exams with cancer against exams without (benign and normal)"
    if len(set(labels)) < 2:
        return {"digitizer_only": {"auc": 0.5, "contrast": "malignant against other breast"}}
    share = {
        letter: sum(t for t, name in zip(labels, letters, strict=True) if name == letter)
        / letters.count(letter)
        for letter in set(letters)
    }
    alone = delong(labels, [share[name] for name in letters]).as_dict()
    within = []
    for letter in sorted(share):
        of = [(t, s) for t, s, name in zip(labels, scores, letters, strict=True) if name == letter]
        if len({t for t, _ in of}) == 2:
            row = delong([t for t, _ in of], [s for _, s in of]).as_dict()
            within.append({"stratum": letter} | row)
    return {
        "digitizer_only": {
            "auc": 0.5,
            "note": "malignant against the same woman's other breast: one digitizer a woman, so "
            "the letter alone orders no pair",
            "exam_contrast": alone | {"contrast": f"{contrast}, by the digitizer's letter alone"},
        },
        "by_digitizer_exam_level": within,
    }


def age(breasts: Sequence[BreastScored]) -> dict[str, Any]:
    """The AUC that the woman's age alone reaches, and the model's on the same breasts.

    Nothing where the age, or a class, is unknown. Older women have more cancer: a model that is
    no better than this may have learned how old breasts look.
    """
    stated = [(b, birads.age(b.first.fact("age"))) for b in breasts]
    known = [(b, years) for b, years in stated if years is not None]
    labels = [b.cancer for b, _ in known]
    if len(set(labels)) < 2:
        return {}
    women = [b.woman for b, _ in known]
    alone = clustered(labels, [value for _, value in known], women).as_dict()
    model = clustered(labels, [b.score for b, _ in known], women).as_dict()
    return {"age_only": alone | {"contrast": "the woman's age instead of a score", "model": model}}


def sentences(result: dict[str, Any]) -> list[str]:
    """The baselines in words, for the terminal."""
    point = result["operating_point"]
    lines = [
        f"At {point['threshold']:.3f}: sensitivity {point['sensitivity']:.1%}, "
        f"specificity {point['specificity']:.1%}."
    ]
    if "age_only" in result:
        alone, model = result["age_only"], result["age_only"]["model"]
        value, interval = shown(alone)
        lines.append(
            f"The woman's age alone: AUC {value} ({interval}); the model on the same "
            f"{alone['n_pos']} + {alone['n_neg']} breasts: {model['auc']:.3f}."
        )
    if "image_and_age" in result:
        lines += _of_image_and_age(result["image_and_age"])
    if "pairs" in result:
        value, interval = shown(result["each_breast_alone"])
        lines.append(
            f"{result['pairs_ordered']:.1%} of {result['pairs']} pairs ordered; each breast scored "
            f"alone: AUC {value} ({interval})."
        )
    if level := result.get("exam_level"):
        lines += _of_exams(level)
    letter = result.get("digitizer_only", {}).get("exam_contrast")
    if letter:
        lines.append(
            "Digitizer's letter alone: 0.5 on the pairs by construction; "
            f"{letter['auc']:.3f} for exams with cancer against the others."
        )
    return lines


def _of_image_and_age(both: dict[str, Any]) -> list[str]:
    """The separate score of image and age beside the image's own, in words."""
    left_out = (
        f"{both['women_without_age']} women without a stated age and {both['women_out_of_range']} "
        f"outside {both['ages'][0]} to {both['ages'][1]} years are left out"
    )
    lines = []
    for row in (both, *both["further"]) if both["auc"] is not None else ():
        value, interval = shown(row)
        low, high = row["difference_ci"]
        alone = ", of one machine" if "one machine" in row["contrast"] else ""
        lines.append(
            f"Image and age, a separate score, {row['unit']}{alone}: AUC {value} ({interval}), "
            f"{row['n_pos']} + {row['n_neg']}; the image alone {row['image_only']['auc']:.3f}, "
            f"difference {row['difference_to_image']:+.3f} ({low:+.3f} to {high:+.3f})."
        )
    return [*lines, f"Image and age: {left_out}."]


def _of_exams(level: dict[str, Any]) -> list[str]:
    """How well exams are separated, in words."""
    value, interval = shown(level)
    lines = [
        f"Exams: AUC {value} ({interval}), {level['n_pos']} with and {level['n_neg']} without "
        f"cancer; {level['contrast']}."
    ]
    if level["within_stratum"]:
        value, interval = shown(level["within_stratum"])
        lines.append(f"Exams of one machine or digitizer: AUC {value} ({interval}).")
    point = level["operating_point"]
    shares = {
        f"sensitivity at {point['threshold']:.3f}": point["sensitivity"],
        "specificity there": point["specificity"],
        "specificity at 80 % sensitivity": level["specificity_at_80_sensitivity"],
    }
    lines.append("; ".join(f"{name} {_percent(share)}" for name, share in shares.items()) + ".")
    return lines


def _percent(share: dict[str, Any]) -> str:
    if share["value"] is None:
        return "–"
    bounds = "–".join(f"{100 * bound:.0f}" for bound in share["ci"] or ())
    return f"{share['value']:.1%}" + (f" ({bounds})" if bounds else "")
