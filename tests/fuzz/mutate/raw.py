"""Mutations of bytes that know no structure: flips, cuts, splices, numbers at their limits."""

from collections.abc import Callable, Sequence
from random import Random

LIMITS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF,
          0x80000000, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip
MOST_BYTES = 256 << 10

Step = Callable[[bytearray, Random, bytes], None]


def mutated(data: bytes, rng: Random, other: bytes = b"", tokens: Sequence[bytes] = ()) -> bytes:
    """`data` after one to six random steps; `other` is spliced in, `tokens` are strewn."""
    found = bytearray(data or b"\0")
    for _ in range(1 + min(5, int(rng.expovariate(0.9)))):
        if tokens and rng.random() < 0.25:
            _token(found, rng, rng.choice(tokens))
        else:
            rng.choice(_STEPS)(found, rng, other)
        found = found or bytearray(b"\0")
    return bytes(found[:MOST_BYTES])


def _flip(data: bytearray, rng: Random, _other: bytes) -> None:
    for _ in range(rng.choice((1, 1, 1, 4, 16))):
        data[_at(data, rng)] ^= 1 << rng.randrange(8)


def _byte(data: bytearray, rng: Random, _other: bytes) -> None:
    data[_at(data, rng)] = rng.choice((0, 0xFF, 0x7F, 0x80, rng.randrange(256)))


def _number(data: bytearray, rng: Random, _other: bytes) -> None:
    """A number at the limits of its type, in either byte order."""
    size, at = rng.choice((1, 2, 4)), _at(data, rng)
    number = rng.choice(LIMITS) & (256**size - 1)
    data[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))


def _near(data: bytearray, rng: Random, _other: bytes) -> None:
    """A number that is there already, a little more or less: lengths that lie by one."""
    size, at = rng.choice((1, 2, 4)), _at(data, rng)
    order: str = rng.choice(("little", "big"))
    number = int.from_bytes(data[at : at + size], order) + rng.randint(-4, 4)  # type: ignore[arg-type]
    data[at : at + size] = (number % 256**size).to_bytes(size, order)  # type: ignore[arg-type]


def _cut(data: bytearray, rng: Random, _other: bytes) -> None:
    del data[_at(data, rng) :]


def _delete(data: bytearray, rng: Random, _other: bytes) -> None:
    at = _at(data, rng)
    del data[at : at + _length(rng)]


def _insert(data: bytearray, rng: Random, _other: bytes) -> None:
    at = _at(data, rng)
    data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8, 64)))


def _repeat(data: bytearray, rng: Random, _other: bytes) -> None:
    at = _at(data, rng)
    chunk = bytes(data[at : at + _length(rng)])
    data[at:at] = chunk * rng.choice((1, 1, 2, 8, 64))


def _move(data: bytearray, rng: Random, _other: bytes) -> None:
    at, to = _at(data, rng), _at(data, rng)
    chunk = bytes(data[at : at + _length(rng)])
    data[to : to + len(chunk)] = chunk


def _splice(data: bytearray, rng: Random, other: bytes) -> None:
    if other:
        at = rng.randrange(len(other))
        data[_at(data, rng) :] = other[at:]


def _borrow(data: bytearray, rng: Random, other: bytes) -> None:
    if other:
        at, to = rng.randrange(len(other)), _at(data, rng)
        chunk = other[at : at + _length(rng)]
        data[to : to + rng.choice((0, len(chunk)))] = chunk


def _token(data: bytearray, rng: Random, token: bytes) -> None:
    at = _at(data, rng)
    data[at : at + rng.choice((0, len(token)))] = token


def _at(data: bytearray, rng: Random) -> int:
    """A position; often near the beginning, where headers are."""
    end = len(data)
    return rng.randrange(min(end, 64)) if rng.random() < 0.3 else rng.randrange(max(end, 1))


def _length(rng: Random) -> int:
    return rng.choice((1, 2, 3, 4, 8, 16, 32, 128, 1024))


_STEPS: tuple[Step, ...] = (
    _flip, _flip, _byte, _number, _number, _near, _cut, _delete, _insert, _repeat, _move, _splice,
    _borrow,
)  # fmt: skip
