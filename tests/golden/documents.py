"""`result.json` and `fhir.json` of the same exams and outcomes: the text of two, hashes of all."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from tests.cad_cases import CURVES, cad_result
from tests.golden.code import Edition, Exam, write_bundle, write_result
from tests.golden.objects import EXAMS, REPLACED, made_exam, outcomes_of
from tests.golden_cases import OUTCOMES
from tests.report_cases import MADE_AT, with_marker

WHOLE = (("benign", "findings"), ("phantom", "partial"))
"""Exam and outcome of those that are kept as text."""


@dataclass(frozen=True)
class Documents:
    """The bytes of both files by exam and outcome."""

    results: dict[str, dict[str, bytes]]
    bundles: dict[str, dict[str, bytes]]


def documents_of_all(folder: Path) -> Documents:
    """Both files of every outcome, written below `folder`."""
    made = Documents({}, {})
    for name in EXAMS:
        exam = made_exam(name, folder)
        for outcome in outcomes_of(name):
            if outcome == REPLACED:  # they name no earlier report
                continue
            result, bundle = _written(exam, outcome, folder / f"{name} {outcome}")
            made.results.setdefault(name, {})[outcome] = result
            made.bundles.setdefault(name, {})[outcome] = bundle
    return made


def _written(exam: Exam, outcome: str, folder: Path) -> tuple[bytes, bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    exam = with_marker(exam) if outcome == "marked" else exam
    result = cad_result(exam, OUTCOMES.get(outcome, outcome))
    models = tuple(replace(m, curve=CURVES.get(m.name)) for m in result.models)
    result = replace(result, models=models)
    written = write_result(folder / "result.json", result, made_at=MADE_AT, timings={"total": 1.5})
    bundle = write_bundle(folder / "fhir.json", Edition(exam, result, MADE_AT))
    return written.read_bytes(), bundle.read_bytes()


def text_file(kind: str, name: str, outcome: str) -> str:
    """Name of the golden file with the whole text; `kind` is "result" or "fhir"."""
    return f"{kind}-{name}-{outcome.replace(' ', '-')}.json"


def hashes(documents: dict[str, dict[str, bytes]]) -> dict[str, dict[str, str]]:
    """Sha256 of each."""
    return {
        name: {outcome: hashlib.sha256(data).hexdigest() for outcome, data in outcomes.items()}
        for name, outcomes in documents.items()
    }
