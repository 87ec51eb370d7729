"""How `Scored` is stored: JSON, or a CSV table with the head in its first line."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from cadnode.errors import DataError
from cadnode.files import write_whole
from cadnode_training.results.scored import FACTS, Scored, ScoredCase

_SCORE: Final = "score:"
_SCORED: Final[TypeAdapter[Scored]] = TypeAdapter(Scored)


def write(file: Path, content: Scored) -> None:
    """Write as JSON, or as CSV where the name ends in `.csv`; `read` reads it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".csv":
        write_whole(file, _as_csv(content).encode())
    else:
        write_whole(file, _SCORED.dump_json(content, indent=1) + b"\n")


def read(file: Path) -> Scored:
    """What `write` wrote.

    Raises
    ------
    DataError
        There is no such file.
    """
    try:
        content = file.read_bytes()
        return (
            _of_csv(content.decode()) if file.suffix == ".csv" else _SCORED.validate_json(content)
        )
    except FileNotFoundError:
        raise DataError(f"{file.name} is missing") from None
    except (OSError, ValidationError, ValueError, KeyError, IndexError):
        raise DataError(f"{file.name} holds no scores as cadnode writes them") from None


def _as_csv(content: Scored) -> str:
    """A first line with all but the cases, as a comment in JSON; then one row a case."""
    head = _SCORED.dump_python(replace(content, cases=()), mode="json")
    out = io.StringIO()
    out.write("# " + json.dumps(head, ensure_ascii=False) + "\n")
    facts = [f for f in FACTS if any(name == f for c in content.cases for name, _ in c.facts)]
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["id", "woman", "label", *facts, *(_SCORE + s.spec for s in content.scorers)])
    for c in content.cases:
        known = dict(c.facts)
        facts_of = [known.get(f, "") for f in facts]
        table.writerow([c.id, c.woman, int(c.label), *facts_of, *map(repr, c.scores)])
    return out.getvalue()


def _of_csv(text: str) -> Scored:
    first, _, rest = text.partition("\n")
    head = _SCORED.validate_json(first.removeprefix("# "))
    cases = []
    for row in csv.DictReader(io.StringIO(rest)):
        facts = tuple((f, row[f]) for f in FACTS if row.get(f))
        scores = tuple(float(row[_SCORE + s.spec]) for s in head.scorers)
        cases.append(ScoredCase(row["id"], row["woman"], row["label"] == "1", scores, facts))
    return replace(head, cases=tuple(cases))
