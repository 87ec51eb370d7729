"""The node's models for the HTTP side: asked of a process that ends with its answer.

What is shown is kept until a file of the stores changes; how shadows agree, for a minute.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError

from cadnode.log import get_logger
from cadnode.node import worker_state
from cadnode.node.results import Results
from cadnode.phrases import N_
from cadnode.settings import Settings
from cadnode.web.models import (
    AgreementShown,
    ModelDone,
    ModelOrder,
    ModelRefused,
    Models,
    ModelsShown,
    ShadowShown,
)
from cadnode.web.node import Unavailable

if TYPE_CHECKING:
    from cadnode.registry.shadow_summary import ShadowDocument

LOOK_WITHIN_S: Final = 90.0
ORDER_WITHIN_S: Final = 300.0
SHADOW_GOOD_FOR_S: Final = 60.0
_WATCHED: Final = ("active.json", "trusted/*.json", "*/*/card.json", "*/*/signature.json", "*/*")

log = get_logger("web")
Shown = TypeVar("Shown", ModelsShown, ModelDone)
_Stamp = tuple[tuple[str, int, int], ...]


class ModelDesk:
    """Asks about one node's models. Threads may share it; one asks, others wait for its answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._known: tuple[_Stamp, ModelsShown] | None = None
        self._shadow: tuple[float, ShadowShown] | None = None

    def models(self) -> Models:
        """What may be asked and ordered, for those who pass it on."""
        return Models(self.look, self.order)

    def look(self) -> ModelsShown:
        """Everything about the models now.

        Raises
        ------
        ModelRefused
            The store's `active.json` is damaged.
        Unavailable
            The process did not answer.
        """
        with self._lock:
            stamp = self._stamp()
            if self._known is None or self._known[0] != stamp:
                found = _checked(self._asked(None, LOOK_WITHIN_S), "shown", ModelsShown)
                self._known = stamp, found
            shown, shadow = self._known[1], self._agreement()
        state = worker_state.read(self._settings.storage.folder)
        runs = state is not None and state.runs
        used = tuple(f"{m.name}@{m.version}" for m in state.models) if state and runs else None
        refused = state.problem.message if state and runs and state.problem else ""
        now = shown.shadow
        shadow = shadow.model_copy(update={"now": now.now, "problems": now.problems})
        return shown.model_copy(update={"shadow": shadow, "running": used, "refused": refused})

    def order(self, order: ModelOrder) -> ModelDone:
        """What became of an order.

        Raises
        ------
        ModelRefused
            It cannot be carried out; nothing has changed.
        Unavailable
            The process did not answer in time: nobody knows.
        """
        found = self._asked(order.model_dump(mode="json"), ORDER_WITHIN_S)
        done = _checked(found, "done", ModelDone)
        if done.is_done:
            log.info("models_changed", model=order.name, version=done.version, reason=order.act)
        return done

    def _asked(self, order: dict[str, Any] | None, within_s: float) -> dict[str, Any]:
        """The process's answer. It must be waited for by the thread that started it."""
        task = {
            "settings": self._settings.model_dump(mode="json"), "parent": os.getpid(),
            "order": order,
        }  # fmt: skip
        try:
            ended = subprocess.run(
                [sys.executable, "-m", "cadnode.node.model_process"],
                input=json.dumps(task).encode(), stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # what a dying library prints is for nobody
                timeout=within_s, check=True,
            )  # fmt: skip
            answer = json.loads(ended.stdout)
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            log.error("models_not_asked", error=error)
            raise Unavailable(
                N_("the models could not be looked at"),
                N_("`cadnode models list` says more; try again when the machine has less to do"),
            ) from None
        if "error" in answer:
            raise ModelRefused(str(answer["error"]))
        return dict(answer)

    def _stamp(self) -> _Stamp:
        """Changes with every file that what is shown depends on, but those that are packaged."""
        store = self._settings.storage.folder / "models"
        paths = [path for pattern in _WATCHED for path in store.glob(pattern)]
        paths += [folder / "card.json" for folder in self._settings.reading.model_folders]
        return tuple(sorted(_marks(paths)))

    def _agreement(self) -> ShadowShown:
        now = time.monotonic()
        if self._shadow is None or now - self._shadow[0] > SHADOW_GOOD_FOR_S:
            self._shadow = now, agreement(self._settings.storage.folder)
        return self._shadow[1]


def agreement(storage: Path) -> ShadowShown:
    """How the scores of shadows agree with those that were reported, over all studies."""
    from cadnode.registry import shadow_summary  # scipy: only where somebody asks

    found = list(_readings(storage))
    whole = [one for one in found if one is not None]
    summary = shadow_summary.summarize(whole)
    rows = []
    for row, pairs in zip(summary.rows, summary.pairs, strict=True):
        values = asdict(row)
        del values["histogram"], values["histogram_to"]
        rows.append(AgreementShown(**{**values, "system": row.system.value}, pairs=pairs))
    return ShadowShown(
        n_read=summary.n_read,
        n_unaffected=summary.n_unaffected,
        n_damaged=len(found) - len(whole),
        failures=summary.failures,
        rows=tuple(rows),
    )


def _readings(storage: Path) -> "Iterator[ShadowDocument | None]":
    from cadnode.registry import shadow_summary

    for file in Results.in_storage(storage).shadows():
        try:
            yield shadow_summary.parse(file.read_bytes())
        except OSError:  # removed meanwhile
            continue


def _marks(paths: Iterable[Path]) -> Iterator[tuple[str, int, int]]:
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            continue
        yield str(path), found.st_mtime_ns, found.st_size


def _checked(answer: dict[str, Any], key: str, kind: type[Shown]) -> Shown:
    try:
        return kind.model_validate(answer.get(key))
    except ValidationError:
        raise Unavailable(
            N_("the models could not be looked at"), N_("see the node's log")
        ) from None
