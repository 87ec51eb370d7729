"""How much of a data set is read and inflated: files whose reads count, deflate piece by piece."""

import zlib
from io import SEEK_CUR, SEEK_END
from typing import IO, Final

from cadnode.limits import ELEMENTS, HEADER_BYTES, INFLATED_HEADER_BYTES

_BLOCK: Final = 1 << 18
_BEHIND: Final = 1 << 16  # bytes kept behind the position; pydicom seeks back some 12


class TooLarge(ValueError):
    """There is more than a limit of `cadnode.limits` allows."""


class BoundedFile:
    """A file of which no more than so many bytes, in so many pieces, are read into memory.

    Passing over bytes is free. `short` is set once a read ended early, or one began past the
    end: the sign of a cut header.
    """

    def __init__(self, file: IO[bytes], *, at_most: int = HEADER_BYTES) -> None:
        self._file = file
        self._left = at_most
        self._reads_left = 3 * ELEMENTS  # an element takes two or three
        self._end = None if isinstance(file, InflatedFile) else _end_of(file)
        self.short = False
        self.name = ""
        self.tell, self.close = file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        """As of any file; raises `TooLarge`."""
        self._reads_left -= 1
        if self._reads_left < 0:
            raise TooLarge
        # Asked for more than may be had, whether the file has it or not: no memory is taken.
        most = self._left + 1
        value = self._file.read(most if size < 0 else min(size, most))
        self._left -= len(value)
        if self._left < 0:
            raise TooLarge
        clean_end = size == 8 and not value  # where the next element would begin
        self.short = self.short or (len(value) < size and not clean_end)
        return value

    def seek(self, position: int, whence: int = 0) -> int:
        """As of any file."""
        reached = self._file.seek(position, whence)
        if whence == 0:
            end = self._end
            self.short = self.short or (position > end if end is not None else reached < position)
        return reached


class InflatedFile:
    """A deflated data set as the file that it inflates to (PS3.5 A.5; also with RFC 1950's frame).

    Nothing is held but what lies just behind the position: going back further inflates again
    from the start. Nothing past `limit` is inflated. Seeking past the end stops there.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._start = file.tell()
        self.limit = INFLATED_HEADER_BYTES
        self.name = ""
        self._wbits = self._window_bits()
        self._rewind()

    def _window_bits(self) -> int:
        head = self._file.read(_BLOCK)
        self._file.seek(self._start)
        for wbits in (-zlib.MAX_WBITS, zlib.MAX_WBITS):
            try:
                zlib.decompressobj(wbits).decompress(head, 1)
            except zlib.error:
                continue
            return wbits
        raise zlib.error("not deflated")

    def _rewind(self) -> None:
        self._file.seek(self._start)
        self._inflate = zlib.decompressobj(self._wbits)
        self._held = bytearray()
        self._at = 0  # where `_held` begins
        self._position = 0
        self._ended = False

    @property
    def whole(self) -> bool:
        """Whether the stream, as far as it was inflated, has not ended early."""
        return self._inflate.eof or not self._ended

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; raises `TooLarge` past `limit`."""
        end = self.limit + 1 if size < 0 else self._position + size
        self._fill(end)
        value = bytes(self._held[self._position - self._at : end - self._at])
        self._position += len(value)
        self._let_go()
        return value

    def seek(self, position: int, whence: int = 0) -> int:
        """Position that was reached, the end where that comes first; raises `TooLarge`."""
        if whence == SEEK_CUR:
            position += self._position
        elif whence == SEEK_END:
            position = self.limit + 1
        if position < self._at:
            self._rewind()
        at_end = False
        while not at_end and self._at + len(self._held) < position:
            self._position = min(position, self._at + len(self._held))
            self._let_go()
            at_end = not self._fill(min(position, self._at + len(self._held) + _BLOCK))
        self._position = min(position, self._at + len(self._held))
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def close(self) -> None:
        """Nothing: the file is closed where it was opened."""

    def _fill(self, end: int) -> bool:
        """Inflate until `end` is held; whether it is."""
        while (missing := end - self._at - len(self._held)) > 0 and not self._ended:
            data = self._inflate.unconsumed_tail or self._file.read(_BLOCK)
            try:
                piece = self._inflate.decompress(data, min(missing, _BLOCK))
            except zlib.error:
                piece, data = b"", b""
            self._held += piece
            self._ended = self._inflate.eof or not (data or piece)
            if self._at + len(self._held) > self.limit:
                raise TooLarge
        return missing <= 0

    def _let_go(self) -> None:
        surplus = self._position - self._at - _BEHIND
        if surplus > _BLOCK:
            del self._held[:surplus]
            self._at += surplus


def _end_of(file: IO[bytes]) -> int:
    position = file.tell()
    end = file.seek(0, SEEK_END)
    file.seek(position)
    return end
