"""The exception tree. Each room raises its own branch; `cli.command` maps a branch to an exit code.

CadnodeError
 ├── SettingsError      the configuration file or environment is wrong            (exit 2)
 ├── DataError          training or evaluation data is missing or malformed       (exit 2)
 │    └── MissingExtra  an extra is not installed; a SettingsError too             (exit 2)
 ├── NotProcessable     an instance cannot be read; carries a coded `SkipReason`  (a result)
 ├── DecoderUnavailable  no decoding process can be had: not an image's fault     (exit 1)
 ├── ModelError         a card or its weights are missing, damaged or unfit       (exit 4)
 │    └── SignatureError   not signed by whom this node trusts; carries a coded reason
 ├── ReportError        a DICOM object could not be made from a result            (exit 5)
 └── DeliveryError      a destination did not take an object                      (exit 6)
      ├── TransientDeliveryError   unreachable, busy, out of resources: try again soon
      └── PermanentDeliveryError   refused: the same would be refused again, a person has to look
           └── PassingRefusal      refused for a cause that can pass: try again daily

Messages never hold patient data: no names, identifiers, dates, accession numbers, nor paths or
third-party texts that may hold them.
"""

from enum import StrEnum
from typing import ClassVar

from cadnode.domain import SkipReason


class CadnodeError(Exception):
    """Root of all errors that cadnode raises on purpose."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False


class SettingsError(CadnodeError):
    """The configuration is wrong; the message names the key, what was found, what is wanted."""

    exit_code = 2


class DataError(CadnodeError):
    """Training or evaluation data is missing or malformed."""

    exit_code = 2


class MissingExtra(SettingsError, DataError):
    """Something was asked for that needs an extra which is not installed (`cadnode.extras`)."""


class NotProcessable(CadnodeError):
    """An instance cannot be read; it ends as `Skipped` in the result, never as a crash."""

    exit_code = 3

    def __init__(self, reason: SkipReason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail


class DecoderUnavailable(CadnodeError):
    """No process to decode images can be started or kept; a later try may succeed."""

    retryable = True


class ModelError(CadnodeError):
    """A model card or its weights are missing, damaged or do not fit each other."""

    exit_code = 4


class SignatureProblem(StrEnum):
    """Why a model is refused for its signature (`registry.trust`)."""

    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "key_not_trusted"
    WRONG = "signature_wrong"
    FILES = "files_differ"
    DAMAGED = "signature_damaged"
    KEY = "trusted_key_damaged"


class SignatureError(ModelError):
    """A model is not signed by a trusted key, or is not what was signed."""

    def __init__(self, reason: SignatureProblem, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ReportError(CadnodeError):
    """A DICOM object could not be made from a result."""

    exit_code = 5


class Again(StrEnum):
    """When something that a destination did not take is tried again (`deliver.answers`)."""

    SOON = "soon"
    SLOWLY = "slowly"
    NEVER = "never"


class DeliveryError(CadnodeError):
    """A destination did not take an object; `again` is when the same is tried again.

    `hint` is what to look at, "" where only the kind of destination says it.
    """

    exit_code = 6
    again: ClassVar[Again] = Again.NEVER

    def __init__(self, text: str = "", hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class TransientDeliveryError(DeliveryError):
    """The destination is unreachable, busy or out of resources; a later try may succeed."""

    retryable = True
    again = Again.SOON


class PermanentDeliveryError(DeliveryError):
    """The destination refused; the same attempt will fail again."""


class PassingRefusal(PermanentDeliveryError):
    """The destination refused for a cause that can pass: a right, a title, its configuration."""

    again = Again.SLOWLY


def not_taken(again: Again, text: str, hint: str = "") -> DeliveryError:
    """The error of that class."""
    kinds: dict[Again, type[DeliveryError]] = {
        Again.SOON: TransientDeliveryError,
        Again.SLOWLY: PassingRefusal,
        Again.NEVER: PermanentDeliveryError,
    }
    return kinds[again](text, hint)
