"""What a bundle's configs name: MONAI's transform, inferer and handler around a `Reader`."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.inferers import Inferer
from monai.transforms import Transform
from torch import nn

from cadnode.domain import Skipped, SkipReason
from cadnode.errors import ModelError, NotProcessable
from cadnode.exam.exam import Exam
from cadnode.export.cases import ExportCase
from cadnode.export.readers import ExportRow, Reader
from cadnode.files import write_whole
from cadnode.reading.verdict import verdict
from cadnode.reading.views import load_view, skipped_view


@dataclass(frozen=True, eq=False, slots=True)
class Prepared:
    """A view before it is read; `content` is the reader's, `skipped` why there is none."""

    case: ExportCase
    content: Any = None
    skipped: Skipped | None = None


@dataclass(frozen=True, eq=False, slots=True)
class ViewOutput:
    """The result for a view: a row, or the reason why there is none."""

    case: ExportCase
    row: ExportRow | None
    skipped: Skipped | None = None


class Prepare(Transform):  # type: ignore[misc]  # MONAI ships no types
    """Decodes a view and prepares it: `Case` in, `Prepared` out."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def __call__(self, case: ExportCase) -> Prepared:
        """The view as the reader takes it; a view that it does not read has a coded reason."""
        if case.mammogram.acquisition not in self.reader.card.applies_to:
            none = NotProcessable(SkipReason.NO_MODEL_APPLIES)
            return Prepared(case, skipped=skipped_view(case.mammogram, none))
        try:
            return Prepared(case, self.reader.prepare(load_view(case.mammogram), case))
        except NotProcessable as error:
            return Prepared(case, skipped=skipped_view(case.mammogram, error))


class Reading(Inferer):  # type: ignore[misc]  # MONAI ships no types
    """Reads prepared views one at a time, as the node does.

    The network that the evaluator hands over is the model's own; the model runs it.
    """

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    def __call__(
        self, inputs: Sequence[Prepared], network: nn.Module, *args: Any, **kwargs: Any
    ) -> list[ViewOutput]:
        """The reading of each view."""
        return [self._read(prepared) for prepared in inputs]

    def _read(self, prepared: Prepared) -> ViewOutput:
        case = prepared.case
        if prepared.skipped is not None:
            return ViewOutput(case, None, prepared.skipped)
        try:
            return ViewOutput(case, self.reader.read(prepared.content, case))
        except (NotProcessable, ModelError) as error:
            return ViewOutput(case, None, skipped_view(case.mammogram, error))


def as_it_is(batch: Sequence[Prepared], *args: Any, **kwargs: Any) -> tuple[Any, None]:
    """The batch without labels: the evaluator's `prepare_batch`."""
    return batch, None


@dataclass(eq=False, slots=True)
class Scores:
    """Collects the readings of an evaluator's model, and writes them as JSON.

    Parameters
    ----------
    reader
        Its card is named in the file.
    exams
        Every exam of the folder, also those without a view that can be read.
    """

    reader: Reader
    exams: Sequence[Exam]
    readings: list[ViewOutput] = field(default_factory=list)

    def attach(self, engine: Any) -> None:
        """Collect from now on (MONAI's handlers have this method)."""
        from ignite.engine import Events  # an extra: only bundles need it

        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)

    def collect(self, engine: Any) -> None:
        """Take over the readings of an iteration."""
        self.readings += engine.state.output["pred"]

    def write(self, file: str | Path) -> None:
        """Write `as_dict` to a file."""
        write_json(self.as_dict(), file)

    def as_dict(self) -> dict[str, Any]:
        """The model, and its reading of each exam (docs/bundles.md)."""
        card = self.reader.card
        by_exam: dict[int, list[ViewOutput]] = defaultdict(list)
        for reading in self.readings:
            by_exam[id(reading.case.exam)].append(reading)
        return {
            "schema_version": 1,
            "model": {"name": card.name, "version": card.version, "sha256": card.weights_sha256},
            "kind": card.kind,
            "exams": [_exam(exam, by_exam[id(exam)]) for exam in self.exams],
        }


def write_json(content: Any, file: str | Path) -> None:
    """Write a JSON document to a file."""
    write_whole(Path(file), (json.dumps(content, indent=2) + "\n").encode())


def _exam(exam: Exam, readings: Sequence[ViewOutput]) -> dict[str, Any]:
    skipped = [*exam.skipped, *(s.skipped for s in readings if s.skipped is not None)]
    content: dict[str, Any] = {"study_instance_uid": exam.study_instance_uid}
    scored = [s.row.scored for s in readings if s.row is not None and s.row.scored is not None]
    if scored:
        scores = verdict(scored)
        content["exam_score"] = scores.exam_score
        content["breasts"] = [
            {"laterality": b.laterality.value, "score": b.score} for b in scores.breasts
        ]
    content["views"] = [_view(s.case) | s.row.content for s in readings if s.row is not None]
    content["skipped"] = [
        {"sop_instance_uid": s.sop_instance_uid, "reason": s.reason.value} for s in skipped
    ]
    return content


def _view(case: ExportCase) -> dict[str, Any]:
    m = case.mammogram
    return {
        "sop_instance_uid": m.sop_instance_uid,
        "laterality": m.laterality.value,
        "view": m.view.value,
    }
