"""DICOM data sets as trees of elements whose lengths, VRs and order may lie (PS3.5 section 7).

`parsed` takes any Part 10 file apart as far as it goes; `written` puts a tree together again in
any native encoding, deflated or not, under any label.
"""

import struct
import zlib
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Final

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

IMPLICIT: Final = b"1.2.840.10008.1.2"
EXPLICIT: Final = b"1.2.840.10008.1.2.1"
BIG: Final = b"1.2.840.10008.1.2.2"
DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
JPEG2000: Final = b"1.2.840.10008.1.2.4.90"
RLE: Final = b"1.2.840.10008.1.2.5"
SYNTAXES: Final = (
    IMPLICIT, EXPLICIT, EXPLICIT, BIG, DEFLATED, RLE, JPEG2000, b"1.2.840.10008.1.2.4.70",
    b"1.2.840.10008.1.2.4.80", b"1.2.840.10008.1.2.4.203", b"1.2.3.4", b"", b"\xff\xfe",
    b"1.2" * 40,
)  # fmt: skip
UNDEFINED: Final = 0xFFFFFFFF
_LONG: Final = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)
VRS: Final = (*(str(vr).encode() for vr in STANDARD_VR), b"ZZ", b"\0\0", b"ox")
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXELS: Final = 0x7FE00010
_DEEPEST: Final = 60


@dataclass
class Element:
    """One element; `value` is bytes, or items where it is a sequence. `length` lies when set."""

    tag: int
    vr: bytes
    value: "bytes | list[list[Element]]"
    length: int | None = None
    undefined: bool = False


@dataclass
class File:
    """A Part 10 file: what is before the data set, its label, the tree, and how it is written."""

    preamble: bytes
    meta: list[Element]
    elements: list[Element]
    encoding: bytes = EXPLICIT
    tail: bytes = b""
    extra: dict[str, bytes] = field(default_factory=dict)


def parsed(data: bytes) -> File:
    """A file taken apart; what is not understood ends up in its tail."""
    preamble, rest = (data[:132], data[132:]) if data[128:132] == b"DICM" else (b"", data)
    meta, rest = _elements(rest, EXPLICIT, stop_group=2)
    label = next((e.value for e in meta if e.tag == 0x00020010), b"")
    label = label.strip(b" \0") if isinstance(label, bytes) else b""
    encoding = label if label in (IMPLICIT, BIG, DEFLATED) else EXPLICIT
    if encoding == DEFLATED:
        try:
            rest = zlib.decompressobj(-zlib.MAX_WBITS).decompress(rest, 1 << 20)
        except zlib.error:
            encoding = EXPLICIT
    elements, tail = _elements(rest, encoding)
    return File(preamble, meta, elements, encoding, tail)


def written(file: File) -> bytes:
    """The file's bytes; the label is whatever its meta information says."""
    body = encoded(file.elements, file.encoding) + file.tail
    if file.encoding == DEFLATED:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = deflate.compress(body) + deflate.flush()
    return file.preamble + encoded(file.meta, EXPLICIT) + body


def encoded(elements: list[Element], encoding: bytes = EXPLICIT) -> bytes:
    """Elements in a native encoding."""
    order = ">" if encoding == BIG else "<"
    return b"".join(_encoded(element, encoding, order) for element in elements)


def _encoded(element: Element, encoding: bytes, order: str) -> bytes:
    value = element.value
    if isinstance(value, list):
        parts = []
        for item in value:
            inner = encoded(item, encoding)
            if element.undefined:
                parts.append(_head(_ITEM, UNDEFINED, order) + inner + _head(_ITEM_END, 0, order))
            else:
                parts.append(_head(_ITEM, len(inner), order) + inner)
        value = b"".join(parts) + (_head(_SEQUENCE_END, 0, order) if element.undefined else b"")
    length = len(value) if element.length is None else element.length
    if element.undefined and element.length is None:
        length = UNDEFINED
    tag = struct.pack(order + "HH", element.tag >> 16 & 0xFFFF, element.tag & 0xFFFF)
    if encoding == IMPLICIT:
        return tag + struct.pack(order + "I", length & UNDEFINED) + value
    vr = element.vr[:2].ljust(2, b"\0")
    if vr in _LONG:
        return tag + vr + b"\0\0" + struct.pack(order + "I", length & UNDEFINED) + value
    return tag + vr + struct.pack(order + "H", length & 0xFFFF) + value


def _head(tag: int, length: int, order: str) -> bytes:
    return struct.pack(order + "HHI", tag >> 16, tag & 0xFFFF, length)


def _elements(
    data: bytes, encoding: bytes, *, stop_group: int | None = None, depth: int = 0
) -> tuple[list[Element], bytes]:
    """Elements, and the bytes behind the last that was understood."""
    order = ">" if encoding == BIG else "<"
    found: list[Element] = []
    at = 0
    while at + 8 <= len(data) and len(found) < 2000:
        group, number = struct.unpack_from(order + "HH", data, at)
        tag, vr, start = group << 16 | number, data[at + 4 : at + 6], at + 8
        if stop_group is not None and group != stop_group:
            break
        if encoding == IMPLICIT:
            vr = _vr_of(tag)
            (length,) = struct.unpack_from(order + "I", data, at + 4)
        elif vr in _LONG:
            if at + 12 > len(data):
                break
            (length,), start = struct.unpack_from(order + "I", data, at + 8), at + 12
        else:
            (length,) = struct.unpack_from(order + "H", data, at + 6)
        undefined = length == UNDEFINED
        if tag == _PIXELS and undefined:
            found.append(Element(tag, vr, data[start:], undefined=True))
            return found, b""
        if vr == b"SQ" and depth < _DEEPEST:
            end = len(data) if undefined else start + length
            items, used, ok = _items(data[start:end], encoding, order, depth)
            if not ok:
                break
            found.append(Element(tag, vr, items, undefined=undefined))
            at = start + used if undefined else end
            continue
        if undefined or start + length > len(data) or vr not in VRS:
            break
        found.append(Element(tag, vr, data[start : start + length]))
        at = start + length
    return found, data[at:]


def _items(
    data: bytes, encoding: bytes, order: str, depth: int
) -> tuple[list[list[Element]], int, bool]:
    items: list[list[Element]] = []
    at = 0
    while at + 8 <= len(data):
        group, number, length = struct.unpack_from(order + "HHI", data, at)
        tag, at = group << 16 | number, at + 8
        if tag == _SEQUENCE_END:
            return items, at, True
        if tag != _ITEM:
            return items, at, False
        if length != UNDEFINED:
            items.append(_elements(data[at : at + length], encoding, depth=depth + 1)[0])
            at += length
            continue
        inner, rest = _elements(data[at:], encoding, depth=depth + 1)
        if inner and inner[-1].tag == _ITEM_END:
            inner.pop()
        else:
            end = data.find(_head(_ITEM_END, 0, order), at)
            if end < 0:
                return items, at, False
            inner, rest = _elements(data[at:end], encoding, depth=depth + 1)[0], data[end + 8 :]
        items.append(inner)
        at = len(data) - len(rest)
    return items, at, True


def _vr_of(tag: int) -> bytes:
    try:
        return dictionary_VR(tag)[:2].encode()
    except KeyError:
        return b"UN"


# What our own code reads, so that mutations hit something.
KEYWORDS: Final = (
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyDate", "Modality",
    "Manufacturer", "ManufacturerModelName", "SeriesDescription", "StudyDescription",
    "PresentationIntentType", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "PatientAge", "IssuerOfPatientID", "OtherPatientIDs", "OtherPatientIDsSequence",
    "BodyPartExamined", "ViewPosition", "Laterality", "ImageLaterality", "ViewCodeSequence",
    "ViewModifierCodeSequence", "PatientOrientation", "ImagerPixelSpacing", "PixelSpacing",
    "NominalScannedPixelSpacing", "EstimatedRadiographicMagnificationFactor",
    "PixelSpacingCalibrationType", "DistanceSourceToDetector", "DistanceSourceToPatient",
    "PaddleDescription", "BreastImplantPresent", "PartialView", "PartialViewCodeSequence",
    "QualityControlImage", "CompressionForce", "DetectorType", "ConversionType", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "NumberOfFrames", "PhotometricInterpretation", "PlanarConfiguration", "PresentationLUTShape",
    "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "VOILUTSequence", "ModalityLUTSequence", "LUTDescriptor", "LUTData", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "SmallestImagePixelValue", "AcquisitionDate", "AcquisitionTime",
    "ContentDate", "ContentTime", "InstanceNumber", "SeriesNumber", "AccessionNumber", "StudyID",
    "AnatomicRegionSequence", "CodeValue", "LongCodeValue", "URNCodeValue", "CodeMeaning",
    "CodingSchemeDesignator", "ContentSequence", "ConceptNameCodeSequence", "ConceptCodeSequence",
    "ValueType", "GraphicType", "GraphicData", "ReferencedSOPSequence", "ReferencedSOPInstanceUID",
    "ReferencedContentItemIdentifier", "ReferencedSeriesSequence", "ReferencedImageSequence",
    "GraphicAnnotationSequence", "GraphicObjectSequence", "CompoundGraphicSequence",
    "CompoundGraphicType", "CompoundGraphicInstanceID", "RotationAngle", "RotationPoint",
    "DisplayedAreaSelectionSequence", "DisplayedAreaTopLeftHandCorner",
    "DisplayedAreaBottomRightHandCorner", "ImageRotation", "SegmentSequence", "SegmentNumber",
    "SegmentAlgorithmType", "SegmentationType", "MaximumFractionalValue",
    "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence",
    "SegmentIdentificationSequence", "ReferencedSegmentNumber", "DerivationImageSequence",
    "SourceImageSequence", "PredecessorDocumentsSequence", "AuthorObserverSequence",
    "VerifyingObserverSequence", "ObserverType", "ContentCreatorName",
    "CurrentRequestedProcedureEvidenceSequence", "EquivalentCodeSequence",
    "ContributingEquipmentSequence", "PurposeOfReferenceCodeSequence", "DigitalSignaturesSequence",
    "OverlayRows", "LossyImageCompression", "Manufacturer", "DeviceSerialNumber",
)  # fmt: skip
TAGS: Final = tuple(tag for k in KEYWORDS if (tag := tag_for_keyword(k)) is not None)

_NUMBERS: Final = (
    b"1e400", b"-1e400", b"nan", b"inf", b"-Infinity", b"1,5", b"1,234", b"9" * 400, b"1e308",
    b"0", b"-0", b"-1", b"1e-320", b"0.0", b"1\\2\\3", b"\\", b"1\\", b"--1", b"1_000", b"0x10",
    b" 5 ", b"\xd9\xa3", b"1e5", b"2147483648", b"99999999999999999999", b"5\0\0", b"",
)  # fmt: skip
_TEXTS: Final = (
    b"", b" ", b"\0", b"\\" * 50, b"=" * 5, b"^^^^^^^", b"\x1b$B%d\x1b(B", b"\x1b", b"\x1b$)C\xbf",
    b"\xff\xfe\xfd", b"<script>alert(1)</script>", b"{{7*7}}", b"ZZQ" * 400, b"L", b"R", b"MLO",
    b"\r\n\t", "Ä^Ö=日本=に".encode(), b"\xed\xa0\x80", b"../../etc/passwd", b"%s%n",
    b"FOR PROCESSING", b"MONOCHROME1", b"YES", b"113001", b"R-10226", b"\xc3\x28",
)  # fmt: skip
_CHARSETS: Final = (
    b"", b"ISO_IR 100", b"ISO_IR 192", b"GB18030", b"GBK", b"\\ISO 2022 IR 87", b"ISO 2022 IR 13",
    b"ISO 2022 IR 149\\ISO 2022 IR 58", b"ISO_IR 999", b"utf-8", b"\\\\\\",
    b"ISO_IR 192\\ISO 2022 IR 87",
    b"latin-1", b"idna", b"zip", b"rot13", b"hex", b"ISO 2022 B", b"ISO-2022-144",
    b"unicode_escape",
)  # fmt: skip
_DATES: Final = (
    b"00000000", b"20259999", b"2025.01.02", b"19010203", b"9" * 30, b"20250230", b"2025010", b"X",
    b"250000", b"235960.999999999", b"-20250101", b"20250101-", b"\xb2\xb3\xb9\xb2\xb3\xb9\xb2\xb3",
)  # fmt: skip
_UIDS: Final = (
    b"", b"1", b"1.2.", b"1..2", b"1" * 65, b"1.2.840.10008.5.1.4.1.1.88.59", b"a.b", b"1.2\0\0",
    b"1.2.840.10008.5.1.4.1.1.1.2", b"1.2.840.10008.5.1.4.1.1.66.4", b"../x", b"1.2\\1.3",
    b"1.2.840.10008.5.1.4.1.1.11.1", b"1.2.840.10008.5.1.4.1.1.88.33", b"2.25." + b"9" * 39,
)  # fmt: skip
_BY_VR: Final = {
    b"DS": _NUMBERS, b"IS": _NUMBERS, b"DA": _DATES, b"TM": _DATES, b"DT": _DATES, b"AS": _DATES,
    b"UI": _UIDS,
}  # fmt: skip
_BINARY: Final = (b"US", b"SS", b"UL", b"SL", b"FL", b"FD", b"AT", b"OB", b"OW", b"UV", b"SV")


def value_for(vr: bytes, rng: Random) -> bytes:
    """A hostile value of a VR."""
    if vr in _BINARY:
        number = rng.choice((0, 1, 0xFFFF, 0x8000, 0x7FFF, 0x0101, rng.getrandbits(32)))
        some = (
            b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f", b"\0\0\0\0\0\0\xf8\x7f",
            b"", b"\1", b"\1\0\0", number.to_bytes(4, "little")[: rng.choice((2, 4))],
            rng.randbytes(rng.choice((2, 4, 8, 3, 64))),
        )  # fmt: skip
        return rng.choice(some)
    if rng.random() < 0.2:
        return rng.choice(rng.choice((_NUMBERS, _TEXTS, _DATES, _UIDS)))
    return rng.choice(_BY_VR.get(vr, _TEXTS))


def mutated(data: bytes, rng: Random, other: bytes = b"") -> bytes:
    """A file with one to five lies in its tree, its label or its encoding."""
    file = parsed(data)
    if not file.elements:
        return data + b"\0"
    for _ in range(1 + min(4, int(rng.expovariate(0.8)))):
        roll = rng.random()
        if roll < 0.75:
            _lie(file.elements, rng, other)
        elif roll < 0.85:
            _relabel(file, rng)
        elif roll < 0.95:
            _lie(file.meta, rng, other)
        else:
            file.preamble = rng.choice((b"", b"\0" * 128 + b"DICM", b"DICM", file.preamble[:60]))
    result = written(file)
    return _deflated_lie(result, rng) if file.encoding == DEFLATED else result


def _relabel(file: File, rng: Random) -> None:
    """Another label, another encoding, or both; they need not agree."""
    if rng.random() < 0.7:
        label = rng.choice(SYNTAXES)
        for element in file.meta:
            if element.tag == 0x00020010:
                element.value = label + b"\0" * (len(label) % 2)
        file.encoding = label if label in (IMPLICIT, EXPLICIT, BIG, DEFLATED) else file.encoding
    if rng.random() < 0.4:
        file.encoding = rng.choice((IMPLICIT, EXPLICIT, BIG, DEFLATED))


def _deflated_lie(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.05:
        return data[: data.find(DEFLATED) + len(DEFLATED) + 1] + _bomb(rng.choice((1, 16, 200)))
    return data


@cache
def _bomb(mebibytes: int) -> bytes:
    """A deflated data set with a value of that many zeros: a thousandth of its size."""
    deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = encoded([Element(0x00080016, b"UI", b"1.2\0"), Element(0x00080018, b"UI", b"1.3\0")])
    body = [deflate.compress(head + b"\x08\0\x60\0CS\2\0MG\x09\0\x10\0UN\0\0\xff\xff\xff\x7f")]
    body += [deflate.compress(b"\0" * (1 << 20)) for _ in range(mebibytes)]
    return b"".join(body) + deflate.flush()


def _lie(elements: list[Element], rng: Random, other: bytes) -> None:
    level = elements
    for _ in range(8):  # somewhere in the tree
        inside = [e for e in level if isinstance(e.value, list) and e.value]
        if not inside or rng.random() < 0.4:
            break
        level = rng.choice(rng.choice(inside).value)  # type: ignore[assignment]
    if not level:
        level.append(Element(rng.choice(TAGS), b"LO", b"x "))
        return
    rng.choice(_LIES)(level, rng)
    if other and rng.random() < 0.05:
        level += parsed(other).elements


def _set_value(level: list[Element], rng: Random) -> None:
    element = rng.choice(level)
    element.value = value_for(element.vr, rng)
    if rng.random() < 0.8 and len(element.value) % 2:
        element.value += b"\0" if element.vr in (b"UI", b"OB", b"UN") else b" "


def _change_bytes(level: list[Element], rng: Random) -> None:
    element = rng.choice(level)
    if isinstance(element.value, bytes) and element.value:
        value = bytearray(element.value)
        value[rng.randrange(len(value))] = rng.randrange(256)
        element.value = bytes(value)


def _change_vr(level: list[Element], rng: Random) -> None:
    rng.choice(level).vr = rng.choice(VRS)


def _change_length(level: list[Element], rng: Random) -> None:
    element = rng.choice(level)
    true = len(element.value) if isinstance(element.value, bytes) else 0
    lies = (0, true + 1, max(0, true - 1), true + 2, UNDEFINED, 0xFFFFFFFE, 0x7FFFFFFF, 0xFFFF)
    element.length = rng.choice(lies)


def _add(level: list[Element], rng: Random) -> None:
    tag = rng.choice(TAGS)
    vr = _vr_of(tag)
    value: bytes | list[list[Element]] = value_for(vr, rng)
    if vr == b"SQ":
        value = [[Element(rng.choice(TAGS), b"LO", b"1 ")]] * rng.choice((0, 1, 1, 2, 300))
    level.append(Element(tag, vr, value, undefined=vr == b"SQ" and rng.random() < 0.5))
    if rng.random() < 0.8:
        level.sort(key=lambda element: element.tag)


def _remove(level: list[Element], rng: Random) -> None:
    level.remove(rng.choice(level))


def _double(level: list[Element], rng: Random) -> None:
    level.insert(rng.randrange(len(level)), deepcopy(rng.choice(level)))


def _swap(level: list[Element], rng: Random) -> None:
    one, other = rng.choice(level), rng.choice(level)
    if isinstance(one.value, bytes) and isinstance(other.value, bytes):
        one.value, other.value = other.value, one.value


def _retag(level: list[Element], rng: Random) -> None:
    rng.choice(level).tag = rng.choice((*TAGS, rng.getrandbits(32), _ITEM, _ITEM_END, _PIXELS, 0))


def _shuffle(level: list[Element], rng: Random) -> None:
    rng.shuffle(level)


def _charset(level: list[Element], rng: Random) -> None:
    value = rng.choice(_CHARSETS)
    value += b" " * (len(value) % 2)
    level[:] = [e for e in level if e.tag != 0x00080005]
    level.insert(0, Element(0x00080005, b"CS", value))


def _nest(level: list[Element], rng: Random) -> None:
    """A sequence in a sequence in a sequence, and so on."""
    depth = rng.choice((2, 10, 20, 400, 1500))
    tag = rng.choice((0x0040A730, 0x0040A043, 0x00081115))
    undefined = rng.random() < 0.5
    inner = deepcopy([e for e in level if isinstance(e.value, bytes)][:3])
    if depth <= 20:
        for _ in range(depth):
            inner = [Element(tag, b"SQ", [inner], undefined=undefined)]
    else:  # by bytes: as a tree it would be too deep for this module, too
        head = struct.pack("<HH2s2xI", tag >> 16, tag & 0xFFFF, b"SQ", UNDEFINED)
        ends = _head(_ITEM_END, 0, "<") + _head(_SEQUENCE_END, 0, "<")
        value = (_head(_ITEM, UNDEFINED, "<") + head) * depth + ends * rng.choice((0, depth))
        inner = [Element(tag, b"SQ", value, length=UNDEFINED)]
    level += inner


def _many(level: list[Element], rng: Random) -> None:
    sequences = [e for e in level if isinstance(e.value, list) and e.value]
    if sequences:
        element = rng.choice(sequences)
        element.value = element.value[:1] * rng.choice((0, 3, 100))


def _undefine(level: list[Element], rng: Random) -> None:
    element = rng.choice(level)
    element.undefined = not element.undefined


_LIES = (
    _set_value, _set_value, _set_value, _set_value, _change_bytes, _change_bytes, _change_vr,
    _change_vr, _change_length, _add, _add, _remove, _double, _swap, _retag, _shuffle, _charset,
    _nest, _many, _undefine,
)  # fmt: skip
