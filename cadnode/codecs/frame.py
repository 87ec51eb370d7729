"""One compressed frame as it goes to the decoding process: its facts, and what it may cost."""

import mmap
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cadnode.limits import MIB, SLACK_BYTES

_FORM: Final = struct.Struct("<64s5IQ")
LENGTH: Final = _FORM.size
DTYPES: Final = ("|u1", "|i1", "<u2", "<i2")
"""What cells come back as; an answer names one by its place here."""


class Answer(IntEnum):
    """What the decoding process answers."""

    READY = 0  # once, at its start
    DECODED = 1
    CORRUPT = 2
    UNSUPPORTED = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """What the data set states of one frame of one sample a pixel.

    `n_bytes` is the length of its compressed stream.
    """

    transfer_syntax_uid: str
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    n_bytes: int

    @property
    def pixels(self) -> int:
        """Rows × Columns."""
        return self.rows * self.columns

    @property
    def most_cell_bytes(self) -> int:
        """Bytes of its cells, at 16 bits."""
        return 2 * self.pixels

    @property
    def is_plausible(self) -> bool:
        """Whether the stream is no longer than twice what it encodes: no codec inflates so."""
        return 0 < self.n_bytes <= 2 * self.most_cell_bytes + SLACK_BYTES

    @property
    def address_bytes(self) -> int:
        """Address space that decoding may take beyond the process at rest and the stream.

        OpenJPEG holds 32-bit integers of the tile, of its wavelet transform and of the image:
        12 bytes a pixel; the cells and a plugin's copies of them are 8 more. Stacks and heaps of
        its threads, and libraries that are loaded at first use, take the fixed part.
        """
        return 512 * MIB + 24 * self.pixels + 4 * self.n_bytes

    @property
    def cpu_s(self) -> int:
        """Seconds of processor time; 13 million pixels of JPEG 2000 take two."""
        return 10 + self.pixels // 500_000

    def packed(self) -> bytes:
        """The message to the decoding process, `LENGTH` bytes."""
        return _FORM.pack(
            self.transfer_syntax_uid.encode("ascii"), self.rows, self.columns, self.bits_allocated,
            self.bits_stored, self.signed, self.n_bytes,
        )  # fmt: skip

    @classmethod
    def unpacked(cls, message: bytes) -> "Frame":
        """The frame that a message is about."""
        syntax, rows, columns, allocated, stored, signed, n_bytes = _FORM.unpack(message)
        return cls(
            syntax.rstrip(b"\0").decode("ascii"), rows, columns, allocated, stored, bool(signed),
            n_bytes,
        )  # fmt: skip


def cells_at(n_bytes: int) -> int:
    """Where in the shared memory the cells begin behind a stream of `n_bytes`."""
    return -(-n_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
