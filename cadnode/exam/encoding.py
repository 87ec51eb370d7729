"""How the bytes of a data set are written, whatever its transfer syntax states (PS3.5 annex A).

Archives and modalities write implicit VR under the label of explicit VR, the reverse, and the
wrong byte order. The label decides only where the bytes fit several encodings alike.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal, cast

from pydicom import Dataset, config
from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

from cadnode.exam.bounded import BoundedFile, InflatedFile
from cadnode.limits import META_BYTES, VALUE_BYTES

UNDEFINED: Final = 0xFFFFFFFF
_VRS: Final = frozenset(str(vr).encode() for vr in STANDARD_VR)
_LONG: Final = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)
_ITEM: Final = 0xFFFEE000
_END_OF_ITEM: Final = 0xFFFEE00D
_END_OF_SEQUENCE: Final = 0xFFFEE0DD
_HEAD_BYTES: Final = 1 << 16  # of a data set: all elements of most headers
_ENOUGH: Final = 32  # elements that fit settle it
_FEWEST_INFLATED: Final = 2  # elements that bytes not labelled deflated must give to be taken so


@dataclass(frozen=True, slots=True)
class Encoding:
    """Whether VRs are implicit and numbers little endian (PS3.5 sections 7.1 and 7.3)."""

    implicit: bool
    little: bool

    @property
    def order(self) -> Literal["little", "big"]:
        """The byte order, as `int.from_bytes` calls it."""
        return "little" if self.little else "big"


_EXPLICIT: Final = Encoding(implicit=False, little=True)
_IMPLICIT: Final = Encoding(implicit=True, little=True)
_BIG: Final = Encoding(implicit=False, little=False)
_LABELS: Final = {
    ImplicitVRLittleEndian: _IMPLICIT,
    ExplicitVRLittleEndian: _EXPLICIT,
    ExplicitVRBigEndian: _BIG,
}


@dataclass(frozen=True, eq=False, slots=True)
class EncodedDataSet:
    """A data set that is about to be read: `stream` is at its first element, inflated as it goes.

    `transfer_syntax_uid` is the stated one where the bytes agree with it, else the one they are
    written in; of encapsulated and unknown syntaxes it is the stated one.
    """

    stream: BinaryIO
    encoding: Encoding
    transfer_syntax_uid: str
    inflated: InflatedFile | None = None

    @property
    def whole(self) -> bool:
        """False when a deflated stream has ended early."""
        return self.inflated is None or self.inflated.whole

    def read(
        self,
        stop_when: Callable[[BaseTag, str | None, int], bool] | None = None,
        specific_tags: Sequence[int] = (),
        stream: BinaryIO | None = None,
    ) -> Dataset:
        """Its elements up to the one that `stop_when` names, where the stream then is.

        Values of more than `VALUE_BYTES` are passed over. `stream` stands in for the data set's
        own, at the same position.

        Raises
        ------
        TooLarge
            There is more than a header may have.
        """
        ds = read_dataset(
            stream or cast(BinaryIO, BoundedFile(self.stream)),
            self.encoding.implicit,
            self.encoding.little,
            stop_when=stop_when,
            specific_tags=[BaseTag(tag) for tag in specific_tags],
            defer_size=VALUE_BYTES,
            at_top_level=False,  # else pydicom decides again, by the first element alone
        )
        for tag in passed_over(ds) if specific_tags else ():
            del ds[tag]
        return ds


def passed_over(ds: Dataset) -> list[BaseTag]:
    """Tags of values that were too large to be read; pydicom fails at any access to them."""
    raw = ((tag, ds.get_item(tag, keep_deferred=True)) for tag in ds.keys())  # noqa: SIM118
    return [
        tag
        for tag, element in raw
        if isinstance(element, RawDataElement) and element.value is None and element.length
    ]


def read_file_meta(file: BinaryIO) -> Dataset:
    """File meta information (PS3.10 section 7.1), empty when there is none.

    The file is then at its data set. Command set elements before it are passed over.
    """
    read_preamble(file, force=True)
    bounded = cast(BinaryIO, BoundedFile(file, at_most=META_BYTES))
    meta = read_dataset(bounded, False, True, stop_when=_not_in(0x0002), at_top_level=False)
    read_dataset(bounded, True, True, stop_when=_not_in(0x0000), at_top_level=False)
    return meta


def begin(file: BinaryIO, stated: str) -> EncodedDataSet:
    """The data set that starts at the file's position; `stated` is its declared transfer syntax.

    Raises
    ------
    zlib.error
        The data set should be deflated and is neither that nor anything else.
    """
    start = file.tell()
    head = file.read(_HEAD_BYTES)
    left = file.seek(0, 2) - start
    file.seek(start)
    # Deflated and encapsulated syntaxes are explicit little endian (PS3.5 A.4 and A.5).
    label = _LABELS.get(UID(stated, config.IGNORE), _EXPLICIT)
    encoding, fit = _best(head, left, label)
    labelled = stated == DeflatedExplicitVRLittleEndian
    if labelled or not fit:
        inner, fewest = _inflate(head, _HEAD_BYTES), 1 if labelled else _FEWEST_INFLATED
        inner_encoding, inner_fit = _best(inner, UNDEFINED, _EXPLICIT)
        if inner_fit >= max(fit + 1, fewest):
            inflated, syntax = InflatedFile(file), str(DeflatedExplicitVRLittleEndian)
            return EncodedDataSet(cast(BinaryIO, inflated), inner_encoding, syntax, inflated)
        if labelled and not fit:
            raise zlib.error("not deflated")
    return EncodedDataSet(file, encoding, _syntax(stated, encoding))


def is_long(vr: bytes) -> bool:
    """Whether an explicit VR has a length of 32 bits after two reserved bytes (PS3.5 7.1.2)."""
    return vr in _LONG


def _syntax(stated: str, encoding: Encoding) -> str:
    """The transfer syntax that the bytes are written in."""
    if stated and stated not in _LABELS and stated != DeflatedExplicitVRLittleEndian:
        return stated
    return str(next(uid for uid, label in _LABELS.items() if label == encoding))


def _best(head: bytes, left: int, label: Encoding) -> tuple[Encoding, float]:
    """The encoding that most elements at the start fit, and their number; `label` among equals."""
    others = (e for e in _LABELS.values() if e != label)
    ranked = [(_fitting(head, left, e), e) for e in (label, *others)]
    fit, encoding = max(ranked, key=lambda pair: pair[0])
    return encoding, fit


def _fitting(head: bytes, left: int, encoding: Encoding) -> float:
    """How many elements `head` begins with when it is read so, up to the first impossible one.

    Tags ascend (PS3.5 7.1), VRs are known or implied, and values end within the `left` bytes. An
    element that ends after `head`, so that none follows it, is half an element.
    """
    count, position, previous = 0.0, 0, 0
    while position + 8 <= len(head) and count < _ENOUGH:
        tag, end = _element(head, position, encoding)
        if not previous < tag < _ITEM or not 0 <= end <= left:
            break
        count += 1.0 if end <= len(head) else 0.5
        position, previous = end, tag
    return count


def _element(head: bytes, position: int, encoding: Encoding) -> tuple[int, int]:
    """The tag of the element at `position`, and where it ends; -1 when it is none."""
    tag, vr = _tag(head, position, encoding), head[position + 4 : position + 6]
    if encoding.implicit:
        known = dictionary_has_tag(tag) or bool(tag >> 16 & 1) or not tag & 0xFFFF
        at, start = position + 4, position + 8
    elif vr in _LONG:
        known = head[position + 6 : position + 8] == b"\0\0"
        at, start = position + 8, position + 12
    else:
        known = vr in _VRS
        at, start = position + 6, position + 8
    length = int.from_bytes(head[at:start], encoding.order)
    if not known or start > len(head):
        return tag, -1
    return tag, _end_of_items(head, start, encoding) if length == UNDEFINED else start + length


def _end_of_items(head: bytes, position: int, encoding: Encoding) -> int:
    """Where items end that make a value of undefined length (PS3.5 7.5); -1 when they are none.

    Where `head` ends within them it is the end of `head`.
    """
    while position + 8 <= len(head):
        tag, length = _tag(head, position, encoding), head[position + 4 : position + 8]
        position += 8
        if tag == _END_OF_SEQUENCE:
            return position
        if tag != _ITEM:
            return -1
        if length != b"\xff\xff\xff\xff":
            position += int.from_bytes(length, encoding.order)
            continue
        while position + 8 <= len(head):
            tag, end = _element(head, position, encoding)
            if tag == _END_OF_ITEM:
                position += 8
                break
            if end < 0:
                return -1
            position = end
    return len(head)


def _tag(head: bytes, position: int, encoding: Encoding) -> int:
    group, element = (
        int.from_bytes(head[at : at + 2], encoding.order) for at in (position, position + 2)
    )
    return group << 16 | element


def _inflate(data: bytes, at_most: int) -> bytes:
    """Bytes as far as they inflate (PS3.5 A.5; also RFC 1950)."""
    for window_bits in (-zlib.MAX_WBITS, zlib.MAX_WBITS):
        try:
            return zlib.decompressobj(window_bits).decompress(data, at_most)
        except zlib.error:
            continue
    return b""


def _not_in(group: int) -> Callable[[BaseTag, str | None, int], bool]:
    return cast(
        Callable[[BaseTag, str | None, int], bool], lambda tag, _vr, _length: tag >> 16 != group
    )
