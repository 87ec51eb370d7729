"""A line of the list of studies as it is kept on the disk: JSON, and a line again."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from cadnode.domain import Priority
from cadnode.exam.patient import Patient
from cadnode.web.queue import StudyRow
from cadnode.web.study import Reason, State, StudyState


def document_of(row: StudyRow) -> str:
    """What a line shows, as JSON; the study by its key alone."""
    study, patient = row.study, row.patient
    return json.dumps(
        {
            "state": study.state.value,
            "outcome": study.outcome,
            "is_complete": study.is_complete,
            "n_findings": study.n_findings,
            "exam_score": study.exam_score,
            "scored_by": study.scored_by,
            "reasons": [[r.code, r.meaning] for r in study.reasons],
            "deliveries": study.deliveries,
            "n_instances": study.n_instances,
            "priority": study.priority.value,
            "at": study.updated_at.timestamp() if study.updated_at else None,
            "names": patient.names,
            "patient_id": patient.patient_id,
            "accession_number": patient.accession_number,
            "study_date": patient.study_date.isoformat() if patient.study_date else None,
        },
        ensure_ascii=False,
    )


def row_of(key: str, document: str) -> StudyRow:
    """The line of the study with that key."""
    held: Mapping[str, Any] = json.loads(document)
    at, day = held["at"], held["study_date"]
    study = StudyState(
        key=key,
        study_instance_uid="",
        state=State(held["state"]),
        outcome=held["outcome"],
        is_complete=held["is_complete"],
        n_findings=held["n_findings"],
        exam_score=held["exam_score"],
        scored_by=tuple(held["scored_by"]),
        reasons=tuple(Reason(*one) for one in held["reasons"]),
        deliveries=tuple((name, word) for name, word in held["deliveries"]),
        n_instances=held["n_instances"],
        priority=Priority(held.get("priority", Priority.SCREENING)),
        updated_at=None if at is None else datetime.fromtimestamp(at, UTC),
    )
    patient = Patient(
        names=tuple(held["names"]),
        patient_id=held["patient_id"],
        study_date=None if day is None else date.fromisoformat(day),
        accession_number=held["accession_number"],
    )
    return StudyRow(study, patient)
