"""Models as people see them: cards, what is active and since when, shadows; and what is ordered.

The node looks in a process of its own (`node.model_process`), because cards and weights need torch,
which the HTTP side starts without. What that process says is checked here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from cadnode.errors import CadnodeError

Interval = tuple[float, float]
SHARED: Final = "shared"
"""The word for what all systems share, in the place of a system."""


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CurveShown(_Shown):
    """A ROC curve: (threshold, sensitivity, specificity), thresholds falling."""

    points: tuple[tuple[float, float, float], ...]
    measured_on: str
    n_pos: int
    n_neg: int


class MetricShown(_Shown):
    """A measured AUC with its interval, of what, and how many."""

    name: str
    data: str
    contrast: str
    unit: str
    n_pos: int
    n_neg: int
    auc: float
    auc_ci: Interval
    ci_method: str


class CalibrationShown(_Shown):
    """Platt's, and the share of cancers that it holds for."""

    slope: float
    intercept: float
    fitted_on: str
    prevalence: float


class PointShown(_Shown):
    """An operating point; `is_used`: it is that of `reading.operating_point`."""

    choice: str
    threshold: float
    sensitivity: float
    specificity: float
    is_used: bool = False


class CardShown(_Shown):
    """What a card states, in words."""

    kind: str
    system: str
    paper: str
    algorithm: str
    intended_use: str
    licence: str
    reads: tuple[str, ...]
    training_data: str
    training_sets: tuple[str, ...]
    trained_on: tuple[str, ...]
    split: str
    metrics: tuple[MetricShown, ...]
    curve: CurveShown
    calibration: CalibrationShown
    points: tuple[PointShown, ...]
    limits: tuple[str, ...]
    command: str
    made_on: str
    sha256: str
    scanners: tuple[str, ...] = ()


class ModelShown(_Shown):
    """One version of a model; `card` None where it cannot be read, and `problem` says why.

    `whose`: who vouches for it. `since` and `by`: of the change that made it active; None where
    it is active without one.
    """

    name: str
    version: str
    origin: str
    is_active: bool
    is_shadow: bool
    is_fixed: bool
    problem: str
    whose: str
    is_signed: bool
    signer: str
    n_bytes: int
    card: CardShown | None
    since: AwareDatetime | None = None
    by: str = ""

    @property
    def spec(self) -> str:
        """`NAME@VERSION`."""
        return f"{self.name}@{self.version}"

    @property
    def system(self) -> str:
        """The system that it belongs to; "" where its card cannot be read."""
        return self.card.system if self.card else ""

    @property
    def headline(self) -> MetricShown | None:
        """The metric that stands for it: of the test part, else the first."""
        metrics = self.card.metrics if self.card else ()
        on_test = [m for m in metrics if "test" in f"{m.name} {m.data}".lower()]
        return next(iter([*on_test, *metrics]), None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.model_dump(mode="json"), "system": self.system}


class EvidenceShown(_Shown):
    """What a promotion rested on."""

    sha256: str
    data: str
    against: str
    n_pos: int
    n_neg: int
    auc_before: float | None
    auc_now: float | None
    difference: float | None
    difference_ci: Interval | None
    rule: str
    allowed: bool


class ChangeShown(_Shown):
    """An entry of the history."""

    name: str
    action: str
    from_version: str | None
    to_version: str | None
    by: str
    at: AwareDatetime
    reason: str
    evidence: EvidenceShown | None


class SystemShown(_Shown):
    """A system: whether it is active, with which models, and if not, or in part, why."""

    system: str
    is_active: bool
    models: tuple[str, ...]
    reason: str


class AgreementShown(_Shown):
    """How scores in shadow mode agree with those that were reported (`registry.shadow_summary`)."""

    system: str
    active: tuple[str, ...]
    shadow: tuple[str, ...]
    counts: dict[str, int]
    n: int
    correlation: float | None
    correlation_ci: Interval | None
    mean_difference: float | None
    mean_difference_ci: Interval | None
    limits: Interval | None
    pairs: tuple[tuple[float, float], ...]


class ShadowShown(_Shown):
    """All readings in shadow mode."""

    now: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    n_read: int = 0
    n_unaffected: int = 0
    n_damaged: int = 0
    failures: dict[str, int] = {}
    rows: tuple[AgreementShown, ...] = ()


class ModelsShown(_Shown):
    """Everything about the node's models; `rule` is the default rule of a promotion.

    `running` are those that a running worker reads with, None where none runs; `refused` why it did
    not take a change.
    """

    models: tuple[ModelShown, ...]
    systems: tuple[SystemShown, ...]
    history: tuple[ChangeShown, ...]
    shadow: ShadowShown = ShadowShown()
    operating_point: str
    needs_signature: bool
    rule: str
    running: tuple[str, ...] | None = None
    refused: str = ""

    def state_of(self, system: str) -> SystemShown | None:
        """Whether a system is active; None of what is none."""
        return next((one for one in self.systems if one.system == system), None)

    def of_system(self, system: str) -> tuple[ModelShown, ...]:
        """Its models, by name and rising version."""
        return tuple(model for model in self.models if model.system == system)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        document = self.model_dump(mode="json")
        return {**document, "models": [model.as_dict() for model in self.models]}


ModelAct = Literal[
    "activate", "deactivate", "rollback", "judge", "promote", "shadow_start", "shadow_stop"
]


class ModelOrder(_Shown):
    """What is to be done with a model, by whom and why.

    `evidence` is the content of a comparison, `rule` of a rule in TOML ("": the default one), both
    for `judge` and `promote`; `forced` a reason to promote against the rule.
    """

    act: ModelAct
    name: str
    version: str = ""
    by: str = ""
    reason: str = ""
    evidence: str = ""
    rule: str = ""
    forced: str = ""

    @property
    def spec(self) -> str:
        """`NAME@VERSION`, or the name alone."""
        return f"{self.name}@{self.version}" if self.version else self.name


class ModelDone(_Shown):
    """What became of an order: `is_done`, and sentences on it; `is_allowed`: the rule's verdict."""

    is_done: bool
    version: str | None = None
    is_allowed: bool | None = None
    sentences: tuple[str, ...] = ()


class ModelRefused(CadnodeError):
    """An order that cannot be carried out: the message says why."""


@dataclass(frozen=True, slots=True)
class Models:
    """What is asked about models, and ordered.

    Both take seconds, and raise `Unavailable` where their process does not answer. `order` raises
    `ModelRefused`, and `look` too where the store is damaged. `known` answers at once: None while
    that look is under way; it raises what the look has raised.
    """

    look: Callable[[], ModelsShown]
    order: Callable[[ModelOrder], ModelDone]
    known: Callable[[], ModelsShown | None]
