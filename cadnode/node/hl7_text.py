r"""The text of HL7 v2 messages: character sets (MSH-18) and escape sequences (chapter 2, 2.7).

Escapes of delimiters (`\F\`, `\S\`, `\T\`, `\R\`, `\E\`) stay until a field was split, so that no
`^` of a value is taken for a delimiter; all others are resolved before.
"""

import codecs
import re
from collections.abc import Mapping
from typing import Final

from cadnode.deliver.hl7 import CHARACTER_SETS

_CHARACTER_SETS: Final[Mapping[str, str]] = {  # HL7 table 0211
    **CHARACTER_SETS,
    "ISO IR6": "ascii",
    "ISO IR14": "shift_jis",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    **{f"8859/{part}": f"iso8859-{part}" for part in (3, 4, 6, 8)},
}
_SEQUENCE: Final = re.compile(r"\\([^\\]*)\\")
_DELIMITERS: Final = "FSTRE"


def decoded(message: bytes) -> str:
    """A message's text, in the character set that its first segment states.

    One that states none is UTF-8, or where it is not, Windows' Latin-1.

    Raises
    ------
    LookupError
        The character set is unknown.
    ValueError
        The bytes are none of it.
    """
    head = re.split(rb"[\r\n]", message, maxsplit=1)[0]
    fields = head.split(head[3:4]) if head[3:4] else []
    stated = fields[17].decode("ascii", "replace").strip() if len(fields) > 17 else ""
    # Of several the first is the one that is begun with; ISO 2022 has all of those of Japan.
    names = [name.strip() for name in stated.upper().split("~") if name.strip()]
    if not names:
        try:
            return message.decode("utf-8")
        except UnicodeDecodeError:
            return message.decode("cp1252", "replace")
    japanese = [name for name in names if name in ("ISO IR87", "ISO IR159")]
    return message.decode(_codec(japanese[-1] if japanese else names[0]))


def resolved(segment: str) -> str:
    r"""A segment without escapes but those of delimiters: `\Xhh\` are characters, markup goes."""
    marks = {segment[3:4]: "F", "^": "S", "&": "T", "~": "R", "\\": "E"}

    def as_text(found: re.Match[str]) -> str:
        name = found[1]
        if name in tuple(_DELIMITERS):
            return found[0]
        if re.fullmatch(r"X([0-9A-Fa-f]{2})+", name):
            text = _of_hex(name[1:])
            return "".join(f"\\{marks[one]}\\" if one in marks else one for one in text)
        return " " if name.startswith(".") or name == "" else ""

    return _SEQUENCE.sub(as_text, segment)


def unescaped(text: str, field_separator: str = "|") -> str:
    """A component's value, its escaped delimiters as they are meant."""
    meant = dict(zip(_DELIMITERS, (field_separator, "^", "&", "~", "\\"), strict=True))
    return _SEQUENCE.sub(lambda found: meant.get(found[1], found[0]), text)


def _codec(name: str) -> str:
    known = _CHARACTER_SETS.get(name)
    if known is not None:
        return known
    codec = codecs.lookup(name.removeprefix("UNICODE ").replace("ISO ", "iso-", 1))
    return codec.name


def _of_hex(digits: str) -> str:
    data = bytes.fromhex(digits)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
