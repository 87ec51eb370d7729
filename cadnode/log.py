"""Structured logs: one JSON line per change of state, only allow-listed fields.

Anything not on the allow-list is dropped, so that a careless call cannot leak patient data.
UIDs are written hashed; `hashed` is the one way to name an instance, series or study.

In a process of the node (`nothing_escapes`) what nobody caught ends in the same lines: an exception
of any thread, one that cannot be raised, a warning, a line that a library logs. Their texts may
quote a peer's bytes, a parameter of a statement or a name: only their kind and place are written.
"""

import hashlib
import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO, cast

import structlog

ALLOWED_FIELDS = frozenset(
    {
        "event", "level", "timestamp", "room", "role", "pid", "port",
        "study", "instance", "job", "peer", "ae_title", "calling_ae", "destination",
        "status", "reason", "error", "attempt", "outcome", "transfer_syntax", "sop_class",
        "bytes", "count", "views", "findings", "skipped", "seconds", "queue",
        "model", "version", "device", "free_bytes", "signal", "exit_code",
        "method", "route", "where", "slot",
    }
)  # fmt: skip


def hashed(uid: str) -> str:
    """16 hex digits that stand for a UID in logs, job tables and folder names."""
    return hashlib.sha256(uid.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _drop_unknown_fields(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Keep allow-listed fields only; an exception is named by its class, never by its text."""
    if isinstance(event.get("error"), BaseException):
        event["error"] = type(event["error"]).__name__
    return {k: v for k, v in event.items() if k in ALLOWED_FIELDS}


_COMMANDS: Final = {
    code: "\ufffd" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"
}  # ECMA-48: C0, DEL and C1


def harmless(text: str) -> str:
    """The text without characters that a terminal obeys."""
    return text.translate(_COMMANDS)


def _harmless(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """What a peer calls itself gives no commands to a terminal; JSON escapes by itself."""
    return {k: harmless(v) if isinstance(v, str) else v for k, v in event.items()}


class _StandardError:
    """Standard error as it is when a line is written; what cannot be written is left out.

    A full disk or a reader that is gone costs lines of the log, never what they report.
    """

    def write(self, text: str) -> int:
        """Write, if it can be."""
        with suppress(OSError, ValueError):  # ValueError: it is closed
            return sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if it can be."""
        with suppress(OSError, ValueError):
            sys.stderr.flush()


_STANDARD_ERROR: Final = _StandardError()  # one, so that threads write a line after the other


class _Also:
    """Gives each line, as JSON, to somebody else as well."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write, self._render = write, structlog.processors.JSONRenderer()

    def __call__(
        self, logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        self._write(str(self._render(logger, method, dict(event))))
        return event


def configure(
    level: str = "INFO", *, human: bool = False, also: Callable[[str], None] | None = None
) -> None:
    """Send logs to standard error, as JSON lines or, for people, as coloured text.

    `also` gets each line as JSON, and raises nothing (`cadnode.log_files`).
    """
    renderers: list[Any] = [structlog.processors.JSONRenderer()]
    if human:
        renderers = [_harmless, structlog.dev.ConsoleRenderer()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _drop_unknown_fields,
            *([_Also(also)] if also else []),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=lambda *_: structlog.WriteLogger(cast(TextIO, _STANDARD_ERROR)),
        cache_logger_on_first_use=False,
    )
    # Other libraries log identifiers in clear: they are kept to errors, without their texts.
    for name in ("pydicom", "pynetdicom", "highdicom", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Their warnings quote the odd value, too. Here once for all threads of the process: a
    # `warnings.catch_warnings` of one thread takes effect in the others.
    warnings.filterwarnings("ignore", module=r"(pydicom|pynetdicom|highdicom)(\.|$)")


def set_level(level: str) -> None:
    """Log from another level on; where lines go stays as it is."""
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(least))


def get_logger(room: str) -> structlog.typing.FilteringBoundLogger:
    """Logger of one room."""
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger(room=room))


_ROOT: Final = Path(__file__).parents[1]


def nothing_escapes() -> None:
    """Have everything that would be printed past our loggers written as one line without its text.

    For processes that run unattended; a command that a person runs shows its traceback.
    """
    sys.excepthook = _escaped
    threading.excepthook = _escaped_thread
    sys.unraisablehook = _not_raised
    warnings.showwarning = _warned
    logging.root.handlers = [_Nameless(logging.WARNING)]


def _escaped(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """In place of a traceback; an interrupt by the keyboard is none of an error."""
    if not issubclass(kind, KeyboardInterrupt):
        get_logger("process").critical("not_caught", error=kind.__name__, where=_place(trace))


def _escaped_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_type is not SystemExit:
        get_logger("process").critical(
            "not_caught", error=arguments.exc_type.__name__, where=_place(arguments.exc_traceback)
        )


def _not_raised(arguments: Any) -> None:
    get_logger("process").error(
        "not_raised", error=arguments.exc_type.__name__, where=_place(arguments.exc_traceback)
    )


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """In place of `warnings.showwarning`, which quotes the message."""
    get_logger("process").warning(
        "library_warned", reason=category.__name__, where=_short(filename, lineno)
    )


class _Nameless(logging.Handler):
    """What a library logs: who, how bad and where, never what."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; of an exception that belongs to it, the class."""
        kind = record.exc_info[0] if record.exc_info else None
        get_logger("library").log(
            record.levelno,
            "library_logged",
            reason=record.name,
            error=kind.__name__ if kind else None,
            where=_short(record.pathname, record.lineno),
        )


def _place(trace: TracebackType | None) -> str:
    """File and line of the innermost frame, and of the innermost of ours; without any text."""
    frames = [_short(f.filename, f.lineno or 0) for f in traceback.extract_tb(trace)]
    ours = [place for place in frames if place.startswith("cadnode")]
    return " < ".join(dict.fromkeys([*frames[-1:], *ours[-1:]]))


def _short(filename: str, line: int) -> str:
    """A file as it lies in its package, so that no folder of this machine is written."""
    path = Path(filename)
    if path.is_relative_to(_ROOT):
        return f"{path.relative_to(_ROOT)}:{line}"
    return f"{'/'.join(path.parts[-2:])}:{line}"
