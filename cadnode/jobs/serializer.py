"""JSON for the job database: workflow arguments and step results are plain values, never pickle."""

import json
from typing import Any

from dbos import Serializer


class JsonSerializer(Serializer):
    """Arguments and results of workflows as JSON text; exceptions as their class name alone."""

    def serialize(self, data: Any) -> str:
        """JSON text. An exception becomes its class name: its text might hold an identifier."""
        return json.dumps(data, default=_plain)

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805 - as the base class has it
        """Value of a JSON text; a recorded exception comes back as `StepFailed`."""
        value = json.loads(serialized_data)
        if isinstance(value, dict) and _FAILED in value:
            return StepFailed(value[_FAILED])
        return value

    def name(self) -> str:
        """Name under which the job database records the format."""
        return "cadnode_json"


class StepFailed(Exception):
    """A step failed in an earlier life of the process; the message is the error's class name."""


_FAILED = "__failed__"


def _plain(value: object) -> object:
    if isinstance(value, BaseException):
        return {_FAILED: type(value).__name__}
    raise TypeError(f"{type(value).__name__} does not belong in the job database")
