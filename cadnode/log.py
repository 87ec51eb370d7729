"""Structured logs: one JSON line per change of state, only allow-listed fields.

Anything not on the allow-list is dropped, so that a careless call cannot leak patient data.
UIDs are written hashed; `hashed` is the one way to name an instance, series or study.
"""

import hashlib
import logging
import sys
import warnings
from collections.abc import MutableMapping
from typing import Any, cast

import structlog

ALLOWED_FIELDS = frozenset(
    {
        "event", "level", "timestamp", "room", "role", "pid", "port",
        "study", "instance", "job", "peer", "ae_title", "calling_ae", "destination",
        "status", "reason", "error", "attempt", "outcome", "transfer_syntax", "sop_class",
        "bytes", "count", "views", "findings", "skipped", "seconds", "queue",
        "model", "version", "device", "free_bytes", "signal", "exit_code",
        "method", "route",
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


def configure(level: str = "INFO", *, human: bool = False) -> None:
    """Send logs to standard error, as JSON lines or, for people, as coloured text."""
    renderer = structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _drop_unknown_fields,
            cast(structlog.typing.Processor, renderer),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        # Standard error as it is when the line is written, not when this was called.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Other libraries log identifiers in clear: they are kept to errors, without their texts.
    for name in ("pydicom", "pynetdicom", "highdicom", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Their warnings quote the odd value, too. Here once for all threads of the process: a
    # `warnings.catch_warnings` of one thread takes effect in the others.
    warnings.filterwarnings("ignore", module=r"(pydicom|pynetdicom|highdicom)(\.|$)")


def get_logger(room: str) -> structlog.typing.FilteringBoundLogger:
    """Logger of one room."""
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger(room=room))
