"""Reading in shadow mode, in a process of its own: whatever happens in it, the node keeps reading.

The process yields to everybody (nice 19), computes on one thread of the CPU, and ends with its
one study: neither its memory nor a fault of it can reach the worker, which only waits for it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cadnode import log as logs
from cadnode.errors import ModelError
from cadnode.files import write_whole
from cadnode.log import get_logger
from cadnode.node import orphans, results
from cadnode.node.model_overview import stores
from cadnode.receive.spool import Spool
from cadnode.registry import shadow_log, shadow_set
from cadnode.registry.shadow_log import Failure, ShadowStatus
from cadnode.registry.shadow_set import ShadowSet
from cadnode.settings import Settings

log = get_logger("shadow")

NICENESS: Final = 19
LONGEST_S: Final = 3600.0
OFF, DONE, INTERRUPTED = "off", "done", "interrupted"
_EXIT_CODES: Final = {Failure.MODEL: 4, Failure.INPUTS_GONE: 3, Failure.ERROR: 1}


def chosen(values: Settings) -> ShadowSet:
    """The node's shadows now.

    Raises
    ------
    ModelError
        The own store's `active.json` is damaged.
    """
    return shadow_set.resolve(stores(values).catalogue(), values.reading.shadow)


def run(
    values: Settings,
    study: str,
    folder: Path,
    stopping: Callable[[], bool],
    *,
    longest_s: float = LONGEST_S,
) -> str:
    """Have the shadow read the study whose result is in `folder`; returns how it ended.

    "off": nothing reads in shadow mode; "done": `shadow.json` is written; "interrupted": the node
    stops, the reading must be restarted. Raises nothing that its child's failure could cause.
    """
    try:
        wanted = chosen(values)
    except ModelError as error:
        log.error("shadow_failed", study=study, reason=Failure.MODEL.value, error=error)
        if not results.shadow_file(folder).exists():
            _write(folder, shadow_log.without_reading(ShadowStatus.FAILED, (), Failure.MODEL))
        return DONE
    if wanted.missing:
        log.warning("shadow_incomplete", study=study, reason=Failure.SETTINGS.value)
    if not wanted.entries and not wanted.missing:
        return OFF
    if results.exam_folders(folder) != [folder]:
        return OFF  # a study of several patients is an accident, not a sample
    if _is_read(folder, wanted):
        return DONE
    if not wanted.entries:
        _write(folder, _failed(wanted, Failure.SETTINGS))
        return DONE
    return _read(values, study, folder, wanted, stopping, longest_s)


def _read(
    values: Settings,
    study: str,
    folder: Path,
    wanted: ShadowSet,
    stopping: Callable[[], bool],
    longest_s: float,
) -> str:
    """Wait for a process that reads; returns how it ended, as `run`."""
    started = time.monotonic()
    ended = _wait_for(_child(values, study, folder), stopping, started + longest_s)
    if ended == INTERRUPTED:
        return INTERRUPTED
    if isinstance(ended, Failure):
        log.error("shadow_failed", study=study, reason=ended.value)
        _write(folder, _failed(wanted, ended))
    else:
        log.info("shadow_read", study=study, seconds=round(time.monotonic() - started, 2))
    return DONE


def _failed(wanted: ShadowSet, why: Failure) -> dict[str, Any]:
    return shadow_log.without_reading(
        ShadowStatus.FAILED, wanted.specs, why, missing=wanted.missing
    )


def _is_read(folder: Path, wanted: ShadowSet) -> bool:
    """Whether `shadow.json` exists, of the same shadows."""
    # With scipy.stats, a second of a worker's start: only where a shadow reads.
    from cadnode.registry import shadow_summary

    try:
        reading = shadow_summary.parse(results.shadow_file(folder).read_bytes())
    except OSError:
        return False
    if reading is None:
        return False
    return (reading.wanted, reading.missing) == (wanted.specs, wanted.missing)


def _child(values: Settings, study: str, folder: Path) -> subprocess.Popen[bytes]:
    """The process, given its task on standard input: arguments are visible to all."""
    child = subprocess.Popen(
        [sys.executable, "-m", "cadnode.node.shadow_process"],
        stdin=subprocess.PIPE,
        # What a dying library prints may hold identifiers; codes are logged by the worker.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert child.stdin is not None
    task = {
        "settings": values.model_dump(mode="json"), "study": study, "folder": str(folder),
        "parent": os.getpid(),
    }  # fmt: skip
    with contextlib.suppress(BrokenPipeError), child.stdin:
        child.stdin.write(json.dumps(task).encode())
    return child


def _wait_for(
    child: subprocess.Popen[bytes], stopping: Callable[[], bool], deadline: float
) -> Failure | str:
    """How the process ended: "done", "interrupted" or a failure. None is left behind."""
    while child.poll() is None:
        if stopping() or time.monotonic() > deadline:
            child.kill()
            child.wait()
            return INTERRUPTED if stopping() else Failure.OUT_OF_TIME
        time.sleep(0.1)
    if child.returncode == 0:
        return DONE
    if child.returncode in (-signal.SIGTERM, -signal.SIGINT):
        return INTERRUPTED  # ending a node may signal all of its processes
    codes = {code: failure for failure, code in _EXIT_CODES.items()}
    return codes.get(child.returncode, Failure.CRASHED)


def main() -> int:
    """Exit code of the process: 0 when `shadow.json` is written, else that of a failure."""
    task = json.load(sys.stdin)
    logs.configure("CRITICAL")
    os.nice(NICENESS)
    orphans.end_with(task["parent"])
    try:
        read_one(Settings.model_validate(task["settings"]), task["study"], Path(task["folder"]))
    except ModelError:
        return _EXIT_CODES[Failure.MODEL]
    except FileNotFoundError:
        return _EXIT_CODES[Failure.INPUTS_GONE]
    except Exception:
        # A process of its own: the code is all that may be reported of what went wrong.
        return _EXIT_CODES[Failure.ERROR]
    return 0


def read_one(values: Settings, study: str, folder: Path) -> None:
    """Write `shadow.json` of the study whose result is in `folder`.

    Raises
    ------
    ModelError
        A shadow's card or weights are damaged.
    FileNotFoundError
        An image of the reading, or the reading itself, is not there any more.
    """
    from cadnode.exam.read import read_study
    from cadnode.imaging import pixels
    from cadnode.models.device import use_threads
    from cadnode.node.shadow_reading import read

    use_threads(1)
    names = results.inputs_of(folder)
    # Nothing is received here: the disk's free space does not matter.
    spool = Spool(values.storage.folder / "spool", min_free_bytes=0)
    paths = [p for p in spool.instances(study) if p.name in names]
    if len(paths) < len(names):
        raise FileNotFoundError
    (exam,) = read_study(
        paths,
        replaced=spool.replaced(study),
        read_for_processing=values.reading.for_processing,
        checks=pixels.CHECKS,
    )
    _write(folder, read(exam, results.load_reading(folder), chosen(values), values))


def _write(folder: Path, document: dict[str, Any]) -> None:
    write_whole(results.shadow_file(folder), json.dumps(document, indent=2).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
