"""The node's models for the HTTP side: asked of a process that ends with its answer.

What is shown is kept, also on the disk, until a file of the stores, a setting or the version
changes; how shadows agree, for a minute. Pages wait for none of it: they ask what is known.

    STORAGE/roles/models.json   what was shown last, and of which files
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError

from cadnode import __version__
from cadnode.errors import CadnodeError
from cadnode.files import write_whole
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

_PACKAGED: Final = Path(__file__).parents[1] / "weights"

log = get_logger("web")
Shown = TypeVar("Shown", ModelsShown, ModelDone)


class ModelDesk:
    """Asks about one node's models. Threads may share it; one asks, others wait for its answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._known: tuple[str, ModelsShown] | None = None
        self._shadow: tuple[float, ShadowShown] | None = None
        self._kept = settings.storage.folder / "roles" / "models.json"
        self._looks = threading.Lock()  # held by the one look that pages have begun
        self._failed: CadnodeError | None = None

    def models(self) -> Models:
        """What may be asked and ordered, for those who pass it on."""
        return Models(self.look, self.order, self.known)

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
            if not self._has(stamp):
                found = _checked(self._asked(None, LOOK_WITHIN_S), "shown", ModelsShown)
                self._known = stamp, found
            if self._is_shadow_due():
                self._shadow = time.monotonic(), agreement(self._settings.storage.folder)
            self._keep()
            return self._whole()

    def known(self) -> ModelsShown | None:
        """The same where it is known already; else None, and it is being looked at from now on.

        How shadows agree may be what was last found out, while it is found out again.

        Raises
        ------
        ModelRefused, Unavailable
            What the last look of this kind has raised, once.
        """
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed
        is_known = self._has(self._stamp()) and self._shadow is not None
        if not is_known or self._is_shadow_due():
            self._begin()
        return self._whole() if is_known else None

    @property
    def is_looking(self) -> bool:
        """Whether a look that a page has begun is under way."""
        return self._looks.locked()

    def _begin(self) -> None:
        """Look, in a thread of its own, where no such look is under way."""
        if self._looks.acquire(blocking=False):
            threading.Thread(target=self._look_behind, name="models", daemon=True).start()

    def _look_behind(self) -> None:
        failed: CadnodeError | None = Unavailable(
            N_("the models could not be looked at"), N_("see the node's log")
        )
        try:
            self.look()
            failed = None
        except CadnodeError as error:
            failed = error
        finally:  # whatever it was: no page waits for ever
            self._failed = failed
            self._looks.release()

    def _has(self, stamp: str) -> bool:
        """Whether what is known, or was kept by a process before, is of these files."""
        if self._known is None:
            with suppress(OSError, ValueError, LookupError, TypeError):
                kept = json.loads(self._kept.read_bytes())
                found = ModelsShown.model_validate(kept["shown"])
                shadow = ShadowShown.model_validate(kept["shadow"])
                self._known = str(kept["stamp"]), found
                self._shadow = self._shadow or (time.monotonic() - SHADOW_GOOD_FOR_S - 1, shadow)
        return self._known is not None and self._known[0] == stamp

    def _keep(self) -> None:
        """For the next start; where there is no room, the next look takes as long as this one."""
        assert self._known is not None
        assert self._shadow is not None
        document = {
            "stamp": self._known[0],
            "shown": self._known[1].model_dump(mode="json"),
            "shadow": self._shadow[1].model_dump(mode="json"),
        }
        with suppress(OSError):
            write_whole(self._kept, json.dumps(document).encode())

    def _whole(self) -> ModelsShown:
        """What is known, with how shadows agree and what the worker reads with now."""
        assert self._known is not None
        assert self._shadow is not None
        shown, shadow = self._known[1], self._shadow[1]
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

    def _stamp(self) -> str:
        """Changes with everything that what is shown depends on: files, settings, the version."""
        values = self._settings
        store = values.storage.folder / "models"
        paths = [path for pattern in _WATCHED for path in store.glob(pattern)]
        paths += [folder / "card.json" for folder in values.reading.model_folders]
        paths += _PACKAGED.glob("*/*/card.json")
        stated = values.model_dump_json(include={"reading", "models"})
        parts = [__version__, stated, *map(str, sorted(_marks(paths)))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _is_shadow_due(self) -> bool:
        return self._shadow is None or time.monotonic() - self._shadow[0] > SHADOW_GOOD_FOR_S


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
