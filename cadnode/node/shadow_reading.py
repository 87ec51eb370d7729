"""What the shadow says of an exam that the active models have read: only what differs is computed.

- Other view models: whole views are read again. Regions are not looked for: they do not take part
  in the scores of exams and breasts.
- Other models of regions: the regions are those of the active reading, which models of regions
  cannot change (`shadow_regions`).
- Another detector, or models of views and of regions: everything is read again.
"""

import time
from dataclasses import replace
from typing import Any

from cadnode.domain import ExamResult, ModelUse
from cadnode.errors import ModelError, NotProcessable
from cadnode.exam.exam import Exam, Mammogram
from cadnode.imaging import pixels
from cadnode.models.card import DibMgCard
from cadnode.models.loading import load
from cadnode.models.view import ViewModel
from cadnode.node.readers import choices_of, readers_of
from cadnode.node.shadow_lineup import Lineup, lineup
from cadnode.node.shadow_regions import read_regions
from cadnode.reading import read_exam
from cadnode.reading.verdict import ScoredView, verdict
from cadnode.registry import shadow_log
from cadnode.registry.shadow_log import ShadowStatus
from cadnode.registry.shadow_set import ShadowSet
from cadnode.settings import ReadingSection, Settings


def read(exam: Exam, active: ExamResult, chosen: ShadowSet, values: Settings) -> dict[str, Any]:
    """Content of `shadow.json` of an exam, given what the active models said of it.

    Raises
    ------
    ModelError
        A model that is needed is damaged or missing.
    """
    started = time.monotonic()
    models = lineup(values, chosen)
    used = models.used_on(exam)
    if not used:
        return shadow_log.without_reading(
            ShadowStatus.UNAFFECTED, chosen.specs, missing=chosen.missing
        )
    models = replace(models, names=frozenset(model.name for model in used))  # those that apply
    result = _result(exam, active, models, values.reading)
    seconds = time.monotonic() - started
    return shadow_log.document(
        active,
        result,
        used,
        models.systems,
        wanted=chosen.specs,
        missing=chosen.missing,
        seconds=seconds,
    )


def _result(exam: Exam, active: ExamResult, models: Lineup, reading: ReadingSection) -> ExamResult:
    if models.detects or (models.reads_views and models.reads_regions):
        return _read_all(exam, models, reading)
    if models.reads_views:
        # Detection was not run again: the marks are the active reading's.
        return replace(read_views(exam, models, reading), findings=active.findings)
    return read_regions(exam, active, models, reading)


def _read_all(exam: Exam, models: Lineup, reading: ReadingSection) -> ExamResult:
    # Choice: on the CPU, also beside a GPU, because the GPU's memory is the active models'.
    loaded = [
        load(f, operating_point=reading.operating_point, bf16=reading.bf16) for f in models.cards
    ]
    return read_exam(exam, readers_of(loaded), choices=choices_of(reading))


def read_views(exam: Exam, models: Lineup, reading: ReadingSection) -> ExamResult:
    """Scores of views, breasts and exam, as `read_exam` has them; no regions, no maps.

    Raises
    ------
    ModelError
        A model that is needed is damaged or missing.
    """
    chosen = [(m, _card_for(m, models)) for m in exam.mammograms]
    folders = dict.fromkeys(models.folder(card) for _, card in chosen if card is not None)
    loaded = [load(f, operating_point=reading.operating_point, bf16=reading.bf16) for f in folders]
    by_name = {m.card.name: m for m in loaded if isinstance(m, ViewModel)}
    scored = [
        view
        for mammogram, card in chosen
        if card is not None and (view := _scored(mammogram, by_name[card.name])) is not None
    ]
    said = verdict(scored)
    used = {s.model.card.name: s.model.card for s in scored}
    return ExamResult(
        study_instance_uid=exam.study_instance_uid,
        exam_score=said.exam_score,
        breasts=said.breasts,
        views=tuple(s.score for s in scored),
        findings=(),
        skipped=(),
        models=tuple(ModelUse(c.name, c.version, c.weights_sha256) for c in used.values()),
        operating_point=said.operating_point,
    )


def _card_for(mammogram: Mammogram, models: Lineup) -> DibMgCard | None:
    """The first that applies, as `reading.verdict.model_for` chooses."""
    cards = (c for c in models.cards.values() if isinstance(c, DibMgCard))
    return next((c for c in cards if mammogram.acquisition in c.applies_to), None)


def _scored(mammogram: Mammogram, model: ViewModel) -> ScoredView | None:
    """The view as the model reads it; None where it cannot be read, as in an active reading."""
    try:
        (reading,) = model.score([(pixels.load(mammogram), mammogram.laterality)])
    except (NotProcessable, ModelError):
        return None
    return ScoredView(mammogram, reading, model)
