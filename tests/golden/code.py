"""The one place where the golden files meet the code that they guard.

Modules move; what they make must not. So the code under test is imported here and nowhere else in
`tests.golden` and in the tests `test_golden_*` that begin with its files.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cadnode import __version__
from cadnode.cli.app import app
from cadnode.demo.archive import free_port
from cadnode.domain import (
    Acquisition,
    CalcificationType,
    Distribution,
    EvidenceLevel,
    ExamResult,
    FindingKind,
    Laterality,
    NoAgeScore,
    Outcome,
    Profile,
    SkipReason,
    System,
    TrainingMaterial,
    ViewModifier,
    ViewPosition,
)
from cadnode.exam.exam import Exam
from cadnode.export import bundle, configs
from cadnode.log import ALLOWED_FIELDS, hashed
from cadnode.models import store
from cadnode.models.card import CnnCard, FeatureCard
from cadnode.models.engine import default_folder
from cadnode.node import outputs, results, supervise, trial_job, worker_state
from cadnode.node.jobs import deliver_id, process_id
from cadnode.node.workflow import config, launch, prepare, stop
from cadnode.node.workflow_steps import FetchAnswer, Steps
from cadnode.orthanc_setup import apply as orthanc_setup
from cadnode.registry import history, shadow_log
from cadnode.registry.comparison import ComparisonEvidence
from cadnode.registry.shadow_summary import ShadowDocument
from cadnode.report.edition import OFFLINE_OBSERVER_UID, Edition
from cadnode.report.fhir.bundle import write_bundle
from cadnode.report.identity import IMPLEMENTATION_CLASS_UID
from cadnode.report.objects import _SERIES as SERIES
from cadnode.report.objects import make_objects, write_objects
from cadnode.report.profiles import STRUCTURED, ObjectKind, kind_of, kinds_of
from cadnode.report.result import SCHEMA_VERSION, write_result
from cadnode.report.uids import NAMESPACE
from cadnode.settings import Destination, Settings, Source, example, load

__all__ = [
    "ALLOWED_FIELDS", "FILE_NAMES", "IMPLEMENTATION_CLASS_UID", "NAMESPACE",
    "OFFLINE_OBSERVER_UID", "SCHEMAS", "SERIES", "STRUCTURED", "WORDS", "Destination", "Edition",
    "Exam", "ExamResult", "ObjectKind", "Profile", "Settings", "Source", "__version__", "app",
    "bundle_configs", "config", "default_folder", "deliver_id", "example", "free_port", "hashed",
    "idle_steps", "kind_of", "kinds_of", "launch", "load", "make_objects", "prepare", "process_id",
    "serve_command", "stop", "write_bundle", "write_exported", "write_objects", "write_result",
]  # fmt: skip

FILE_NAMES: Final[dict[str, str]] = {
    "result": results.RESULT,
    "page": results.PAGE,
    "pdf": results.PDF,
    "bundle": results.BUNDLE,
    "made_at": results.MADE_AT,
    "trial": trial_job.STAMP,
    "worker": worker_state.FILE,
    "installation": outputs.INSTALLATION,
    "active models": history.FILE,
    "shadow": shadow_log.FILE,
    "card": store.CARD,
    "weights": store.WEIGHTS,
    "split": store.SPLIT,
    "shared weights": store.BLOBS,
    "fragment for Orthanc": orthanc_setup.FRAGMENT,
}
"""Names of files in state folders, stores and results."""

SCHEMAS: Final[dict[str, Any]] = {
    "result.json": SCHEMA_VERSION,
    "shadow.json": shadow_log.SCHEMA,
    "active.json": history.Activation.model_json_schema()["properties"]["schema_version"],
    "card.json": CnnCard.model_json_schema()["properties"]["schema_version"],
    "worker.json": worker_state.NodeState.model_json_schema()["properties"]["schema_version"],
    "evidence": ComparisonEvidence.model_json_schema()["properties"]["schema_version"],
    "shadow.json, as read": ShadowDocument.model_json_schema()["properties"]["schema_version"],
}
"""Versions of the files' formats, as they are written or read."""

WORDS: Final[tuple[type[StrEnum], ...]] = (
    Acquisition, CalcificationType, Distribution, EvidenceLevel, FindingKind, Laterality,
    NoAgeScore, ObjectKind, Outcome, Profile, SkipReason, System, TrainingMaterial, ViewModifier,
    ViewPosition, shadow_log.Failure, shadow_log.ShadowStatus,
)  # fmt: skip
"""Enumerations whose values are written into files."""


def idle_steps(destination: str) -> Steps:
    """Steps that do nothing, for a worker with one destination."""
    return Steps(
        fetch=lambda *_: FetchAnswer("nothing_asked"),
        fingerprint=lambda *_: "",
        read=lambda *_: True,
        predecessor=lambda *_: "",
        report=lambda *_: 0,
        deliver=lambda *_: "delivered",
        answer=lambda study, content, has_failed: "",
        shadow=lambda *_: "read",
        has_result=lambda *_: False,
        now=lambda: datetime.now(UTC),
        destinations=((destination, 0.0),),
    )


def bundle_configs() -> Iterator[tuple[Path, list[Any]]]:
    """The folder of each packaged model, and the configs of a bundle of it."""
    for folder in store.available():
        card = store.read_card(folder)
        looks = isinstance(card, CnnCard | FeatureCard)
        inference = configs.inference(card, detector=looks)
        yield folder, [inference, configs.evaluate(card), configs.train(card)]


def write_exported(model: str, out: Path) -> None:
    """A bundle of a packaged model."""
    (folder,) = (f for f in store.available() if f.parent.name == model)
    bundle.write(folder, out)


def serve_command(file: Path) -> list[str]:
    """The command that runs a node."""
    return supervise.command("all", file)
