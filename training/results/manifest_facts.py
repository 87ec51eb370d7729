"""Which facts the data's own manifest adds to scored cases (docs/data.md)."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cadnode_training.data import sources
from cadnode_training.data.facts import of_rows
from cadnode_training.data.manifest import ManifestRow
from cadnode_training.results.scored import FACTS, Scored, ScoredCase, key

BREASTS: Final = "breasts"


def enriched(cases: Scored, data: str) -> Scored:
    """The cases with the facts that the manifest of `KIND:PATH` adds; what they have stays.

    A manifest identifies only breasts, by woman and side; other cases are returned unchanged.

    Raises
    ------
    DataError
        What is there is not of that kind.
    """
    kind = data.partition(":")[0]
    if cases.unit != BREASTS or kind not in sources.SOURCES:
        return cases
    breasts: dict[str, list[ManifestRow]] = defaultdict(list)
    for row in sources.open_manifest(data).rows:
        breasts[key(cases.data, row.woman, row.laterality)].append(row)
    by_case = {case: of_rows(rows) for case, rows in breasts.items()}
    return replace(cases, cases=tuple(_with(c, by_case.get(c.id, {})) for c in cases.cases))


def _with(case: ScoredCase, stated: Mapping[str, str]) -> ScoredCase:
    known = dict(case.facts)
    return replace(
        case,
        facts=tuple((n, v) for n in FACTS if (v := known.get(n, "") or stated.get(n, ""))),
    )
