"""The models a running node reads with: those that are active, also after they were changed."""

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cadnode.errors import CadnodeError, ModelError, SignatureError
from cadnode.log import get_logger
from cadnode.models.device import is_out_of_memory
from cadnode.node.model_overview import own_store
from cadnode.node.worker_state import ModelProblem, NodeState, Used, write
from cadnode.reading import Readers
from cadnode.registry import history
from cadnode.settings import Settings

log = get_logger("models")


class ModelSetRefusal(StrEnum):
    """Why a changed set of models was rejected; the code in logs and in `cadnode check`."""

    SIGNATURE = "signature"  # of a model: it does not hold, or is missing and required
    MODEL = "model"  # a card or weights are damaged or missing, or no model reads whole views
    SETTINGS = "settings"
    MEMORY = "memory"
    ERROR = "error"  # anything else


Load = Callable[[Readers | None], Readers]
"""Gives the active models, ready to read, using again those of an earlier set."""


@dataclass(slots=True)
class ActiveModels:
    """The active models, loaded; `current` sees changes.

    A set that does not work leaves the one before it in use, and is tried again each time.
    """

    values: Settings
    load: Load
    _readers: Readers | None = None
    _seen: history.FileIdentity | None = None
    _problem: ModelProblem | None = None

    def start(self) -> Readers:
        """The models at the node's start.

        Raises
        ------
        ModelError
            They do not work: there is no earlier set.
        """
        self._seen = history.identity(own_store(self.values))
        self._readers = self.load(None)
        self._write_state()
        return self._readers

    @property
    def loaded(self) -> Readers | None:
        """The models of the last study, without a look whether others are active now."""
        return self._readers

    @property
    def are_loaded(self) -> bool:
        """Whether there are models to read with."""
        return self._readers is not None

    @property
    def is_changed(self) -> bool:
        """Whether others were activated than `loaded` are, as far as a look at a file shows."""
        return history.identity(own_store(self.values)) != self._seen

    def current(self) -> Readers:
        """The models for the next study: reloaded when the activation has changed.

        Costs one look at a file where nothing has changed.
        """
        if self._readers is None:
            return self.start()
        seen = history.identity(own_store(self.values))
        if seen == self._seen and self._problem is None:
            return self._readers
        try:
            self._readers, self._problem = self.load(self._readers), None
            log.info("models_changed", count=len(list(self._readers)))
        except Exception as error:
            # Whatever is wrong with the new set, the node keeps reading with the old one.
            self._problem = _refusal(error)
            log.error("models_refused", reason=self._problem.code, error=error)
        self._seen = seen
        self._write_state()
        return self._readers

    def _write_state(self) -> None:
        """Record the models in use for `cadnode check`; reading continues if it fails."""
        used = tuple(
            Used(name=c.name, version=c.version, sha256=c.weights_sha256)
            for c in (m.card for m in self._readers or ())
        )
        state = NodeState(pid=os.getpid(), models=used, problem=self._problem)
        try:
            write(self.values.storage.folder, state)
        except OSError as error:
            log.warning("state_not_written", error=error)


def settled(load: Callable[[], Readers]) -> Readers:
    """What `load` gives, with everything in memory so far kept out of the garbage collector's way.

    Libraries and models are some hundred thousand objects that stay; to look through them takes
    a third of a second, once an exam (benchmarks/LOG.md). What older models leave is found when
    the next ones are loaded.
    """
    gc.unfreeze()
    readers = load()
    gc.collect()
    gc.freeze()
    return readers


def _refusal(error: Exception) -> ModelProblem:
    """The code of an error, with its text only where cadnode wrote it (no patient data)."""
    if isinstance(error, SignatureError):
        return ModelProblem(code=ModelSetRefusal.SIGNATURE.value, message=str(error))
    if isinstance(error, ModelError):
        return ModelProblem(code=ModelSetRefusal.MODEL.value, message=str(error))
    if isinstance(error, CadnodeError):
        return ModelProblem(code=ModelSetRefusal.SETTINGS.value, message=str(error))
    if is_out_of_memory(error):
        return ModelProblem(
            code=ModelSetRefusal.MEMORY.value, message="there is not enough memory for them"
        )
    return ModelProblem(code=ModelSetRefusal.ERROR.value, message=type(error).__name__)
