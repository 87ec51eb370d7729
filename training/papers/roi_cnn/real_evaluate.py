"""How well CNNs read real regions of unseen women, cut as the node cuts them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from cadnode import terminal
from cadnode.imaging.roi_chain import Roi
from cadnode.models import ensemble, store
from cadnode.models.roi import RoiModel
from cadnode.statistics import binary
from cadnode_training.data.facts import facts_of
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.data.regions import Question, RegionSet, open_regions, without_reading
from cadnode_training.data.rois import RoiRecord
from cadnode_training.papers.roi_cnn.measure import Floats
from cadnode_training.papers.roi_cnn.real_rois import cut_all, record_of, roi_of
from cadnode_training.statistics.grouped import STRATA, GroupedCases, auc_of, message, strata, words

UNIT: Final = "ROIs"
_BATCH: Final = 4


@dataclass(frozen=True, eq=False, slots=True)
class RealReads:
    """Regions as networks read them.

    Parameters
    ----------
    regions
        Those of the women whom no network has seen.
    women_seen
        How many women were left out because one has.
    records, facts
        What is known of each ROI that was read; facts by the names of `grouped.STRATA`.
    probabilities
        `(n, networks)`.
    left_out
        Reasons with their counts: rows that are no such region, images that cannot be read.
    """

    regions: RegionSet
    women_seen: int
    records: tuple[RoiRecord, ...]
    facts: tuple[dict[str, str], ...]
    probabilities: Floats
    left_out: dict[str, int]

    def cases(self, scores: Floats) -> GroupedCases:
        """The ROIs with those scores."""
        labels = np.array([r.malignant for r in self.records], bool)
        return GroupedCases(labels, scores, np.array([r.key for r in self.records], np.str_))


def run(
    models: Sequence[RoiModel],
    folders: Sequence[Path],
    data: str,
    cache: ReadCache | None = None,
) -> dict[str, Any]:
    """AUC, strata and shares of the networks' mean, and of each network where there are several.

    `auc` and `auc_ci` are None where the data do not allow them; `message` gives the reason.

    Raises
    ------
    DataError
        What is there is not of that kind.
    """
    reads = read(models, folders, data, cache)
    scores = reads.probabilities.mean(1)
    row = auc_of(reads.cases(scores)) | {"unit": UNIT}
    result = {
        "data": reads.regions.name,
        "part": "women whom no model has seen",
        "contrast": _contrast(reads.regions),
        **row,
        "message": message(row, *words(reads.regions.question)),
        "women": len({r.key for r in reads.records}),
        "women_left_out_as_seen_in_training": reads.women_seen,
        "left_out": reads.left_out,
        **strata(reads.cases(scores), reads.facts, STRATA),
    }
    point = ensemble.operating_point([m.card for m in models], models[0].choice)
    result["operating_point"] = _at(reads, scores, point.threshold)
    if len(models) == 1:
        return result
    return result | {"members": {m.card.name: _member(reads, i, m) for i, m in enumerate(models)}}


def read(
    models: Sequence[RoiModel],
    folders: Sequence[Path],
    data: str,
    cache: ReadCache | None = None,
) -> RealReads:
    """The probabilities of each model, in float32, without flips: as `cadnode evaluate` reads.

    Raises
    ------
    DataError
        What is there is not of that kind.
    """
    shas = tuple(model.sha256 for model in models)
    known = (cache or ReadCache()).of(("regions", data, shas))
    if not known:
        known["reads"] = _read(models, folders, data)
    found: RealReads = known["reads"]
    return found


def _read(models: Sequence[RoiModel], folders: Sequence[Path], data: str) -> RealReads:
    whole = open_regions(data, "calcifications")
    seen = reduce(frozenset.union, (store.seen_women(folder) for folder in folders))
    regions, women_seen = whole.unseen(seen)
    failed: list[str] = []
    known: list[tuple[RoiRecord, dict[str, str]]] = []
    rows: list[Floats] = []
    ready = _cut(models, regions, failed)
    while part := list(islice(ready, _BATCH)):
        known += [(record, fact) for record, fact, _ in part]
        columns = [
            [r.probability for r in model.read([rois[i] for _, _, rois in part], cam=False)]
            for i, model in enumerate(models)
        ]
        rows.append(np.array(columns, np.float64).T)
    return RealReads(
        regions,
        women_seen,
        tuple(record for record, _ in known),
        tuple(fact for _, fact in known),
        np.concatenate(rows) if rows else np.zeros((0, len(models))),
        without_reading(regions, failed),
    )


def _cut(
    models: Sequence[RoiModel], regions: RegionSet, failed: list[str]
) -> Iterator[tuple[RoiRecord, dict[str, str], list[Roi]]]:
    """Each region that can be read, cut for each model; reasons of the others go to `failed`."""
    quiet = not terminal.console(stderr=True).is_terminal
    for _, found in cut_all(regions.items, quiet=quiet):
        if isinstance(found, str):
            failed.append(found)
        else:
            yield (
                record_of(found),
                facts_of(found.region),
                [roi_of(found, m.card.roi) for m in models],
            )


def _contrast(regions: RegionSet) -> str:
    if regions.question == Question.PRESENCE:
        return f"{regions.contrast}; the score is the probability of malignancy, made for another"
    return regions.contrast


def _member(reads: RealReads, number: int, model: RoiModel) -> dict[str, Any]:
    scores = reads.probabilities[:, number]
    at = _at(reads, scores, model.operating_point.threshold)
    return auc_of(reads.cases(scores)) | {"operating_point": at}


def _at(reads: RealReads, scores: Floats, threshold: float) -> dict[str, Any]:
    """Shares at a threshold with Wilson's intervals; None without cases."""
    labels = [r.malignant for r in reads.records]
    shares = binary.at_threshold(labels, scores, threshold)
    return {"threshold": round(threshold, 4)} | {m.value: s.as_dict() for m, s in shares.items()}
