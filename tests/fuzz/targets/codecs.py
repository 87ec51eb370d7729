"""Every codec's stream, in a file whose header is right (`imaging.decode.stored_codes`)."""

from functools import cache
from pathlib import Path
from random import Random

from pydicom import uid
from pydicom.encaps import generate_fragments

from cadnode.errors import NotProcessable
from cadnode.exam.mammogram import read_instance
from cadnode.imaging.decode import stored_codes
from tests.encoding import encode, item
from tests.fuzz.mutate import raw
from tests.fuzz.oracles import Violation
from tests.fuzz.target import Target
from tests.fuzz.targets.files import COLUMNS, ROWS, file_bytes, start_decoder, view, with_decoder

_MARKERS = tuple(
    bytes((0xFF, n)) for n in (*range(0x4F, 0x66), *range(0x90, 0x94), *range(0xC0, 0x100))
)
_MATRICES = tuple(
    rows.to_bytes(2, "big") + columns.to_bytes(2, "big")
    for rows, columns in ((0, 0), (65535, 65535), (ROWS, 65535), (1, 1), (ROWS * 2, COLUMNS))
)


class Codec(Target):
    """One transfer syntax: `variants` of how the image is stored, one byte in front says which."""

    allowed = (NotProcessable,)
    kept_descriptors = 4  # of the decoding process, which is replaced when it was worn or died
    tokens = (*_MARKERS, *_MATRICES, item(b""), b"\xfe\xff\xdd\xe0\0\0\0\0", b"\0" * 64)

    def __init__(self, name: str, *syntaxes: str) -> None:
        self.name = name
        self._syntaxes = syntaxes

    def open(self, folder: Path) -> None:
        super().open(folder)
        self._file = folder / "input.dcm"
        start_decoder()
        self._heads = [head for syntax in self._syntaxes for head, _ in _variants(syntax)]

    def seeds(self) -> list[bytes]:
        streams = [stream for syntax in self._syntaxes for _, stream in _variants(syntax)]
        return [bytes((number,)) + stream for number, stream in enumerate(streams)]

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        if rng.random() < 0.05:
            return bytes((rng.randrange(256),)) + data[1:]  # under another header
        return data[:1] + raw.mutated(data[1:], rng, other[1:], self.tokens)

    def run(self, data: bytes) -> None:
        head = self._heads[data[0] % len(self._heads)]
        stream = data[1:]
        if head.endswith(b"\0\0\xff\xff\xff\xff"):  # encapsulated; 0xFF in front: no delimiter
            items = (
                stream if stream.startswith(b"\xfe\xff\0\xe0") else item(b"") + item(_even(stream))
            )
            stream = items + (b"" if data[0] > 127 else b"\xfe\xff\xdd\xe0\0\0\0\0")
        self._file.write_bytes(head + stream)
        mammogram = read_instance(self._file)
        with with_decoder():
            cells, bits, _ = stored_codes(mammogram)
        if cells.shape != (mammogram.rows, mammogram.columns) or int(cells.max(initial=0)) >> bits:
            raise Violation(f"cells of another form: {cells.shape}, more than {bits} bits")


def codecs() -> list[Target]:
    """A target for each family of codecs."""
    return [
        Codec("native", uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian),
        Codec("rle", uid.RLELossless),
        Codec("jpeg", uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit),
        Codec("jpeg-lossless", uid.JPEGLossless, uid.JPEGLosslessSV1),
        Codec("jpeg-ls", uid.JPEGLSLossless, uid.JPEGLSNearLossless),
        Codec("jpeg-2000", uid.JPEG2000Lossless, uid.JPEG2000),
        Codec("htj2k", uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K),
    ]


@cache
def _variants(syntax: str) -> list[tuple[bytes, bytes]]:
    """(file up to its pixel value, the stream) of images of 8 and 12 bits, signed and not."""
    found = []
    for how in ({}, {"bits_stored": 8}, {"signed": True}):
        if how.get("signed") and uid.UID(syntax) in (
            uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEGBaseline8Bit
        ):  # fmt: skip
            continue
        ds = encode(view(**how), syntax)
        whole, value = file_bytes(ds), ds.PixelData
        if ds["PixelData"].is_undefined_length:
            head = whole[: whole.index(b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff") + 12]
            _, *frames = generate_fragments(value)
            found.append((head, b"".join(frames)))
        else:
            found.append((whole[: -len(value)], value))
    return found


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)
