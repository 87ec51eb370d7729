"""The key of a cohort's pseudonyms: who has it can join them to patients, and nobody else can."""

import hashlib
import hmac
import os
import secrets
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cadnode.errors import DataError

_BYTES: Final = 32
_FURTHEST_DAYS: Final = 3650
_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """Keyed hashes (HMAC-SHA256, RFC 2104) of identifiers: equal for equal ones, and one-way.

    Patient IDs are compared as DICOM compares LO (PS3.5 6.2), and without regard to case.
    """

    secret: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """16 hexadecimal digits that stand for the key and give nothing of it away."""
        return self._hash("key", "").hex()[:16]

    def uid(self, uid: str) -> str:
        """UID `2.25.<integer of a UUID>` (PS3.5 B.2) in place of `uid`."""
        return f"2.25.{uuid.UUID(bytes=self._hash('uid', uid)[:16], version=5).int}"

    def woman(self, patient_id: str) -> str:
        """16 hexadecimal digits in place of a Patient ID."""
        return self._hash("woman", _plain(patient_id)).hex()[:16]

    def exam(self, study_instance_uid: str) -> str:
        """16 hexadecimal digits in place of a Study Instance UID."""
        return self._hash("exam", study_instance_uid).hex()[:16]

    def days(self, patient_id: str) -> int:
        """By how many days a patient's dates are moved back, 1 to 3650: one number for each."""
        number = int.from_bytes(self._hash("days", _plain(patient_id))[:8], "big")
        return 1 + number % _FURTHEST_DAYS

    def _hash(self, what: str, value: str) -> bytes:
        text = f"{what}\0{value}".encode("utf-8", "surrogateescape")
        return hmac.new(self.secret, text, hashlib.sha256).digest()


def key_in(path: Path) -> PseudonymKey:
    """The key in a file; a file that is missing is made, readable by its owner alone.

    Raises
    ------
    DataError
        It cannot be read or made, holds no key, or others can read it.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise DataError(f"the key {path.name} cannot be made: {reason}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        secret = secrets.token_bytes(_BYTES)
        file.write(secret.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return PseudonymKey(secret)


def _read(path: Path) -> PseudonymKey:
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii").strip()
        secret = bytes.fromhex(text)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise DataError(f"the key {path.name} cannot be read: {reason}") from None
    except ValueError:
        secret = b""
    if len(secret) != _BYTES:
        raise DataError(f"{path.name} is no key: one has 64 hexadecimal digits")
    if mode & _OTHERS:
        raise DataError(f"the key {path.name} can be read by others: chmod 600")
    return PseudonymKey(secret)


def _plain(patient_id: str) -> str:
    return " ".join(patient_id.split()).upper()
