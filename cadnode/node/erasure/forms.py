"""How a patient's texts are written: each form of a name, each encoding, as bytes to look for."""

import html
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cadnode.node.erasure.patient import IdentifierKind, Identifiers

SHORT: Final = 6
"""A text of fewer bytes stands between marks, or it is no sign of her."""


@dataclass(frozen=True, slots=True)
class WrittenText:
    """A text in one encoding; `is_short`: only between marks."""

    data: bytes
    kind: IdentifierKind
    value: str
    is_short: bool


def written_texts(identifiers: Identifiers) -> Iterator[WrittenText]:
    """Every form of each text; the same bytes once."""
    seen: set[bytes] = set()
    for kind, value in sorted(identifiers.values):
        if kind in (IdentifierKind.UID, IdentifierKind.KEY):
            continue
        forms = name_forms(value) if kind is IdentifierKind.NAME else [value]
        for data in (data for form in forms for data in encodings(form)):
            if data not in seen:
                seen.add(data)
                yield WrittenText(data, kind, value, len(data) < SHORT)
    for kind, data in sorted(identifiers.stored):
        if data and data not in seen:
            seen.add(data)
            yield WrittenText(data, kind, data.hex(), len(data) < SHORT)


def name_forms(name: str) -> list[str]:
    """How a person's name (PN, PS3.5 6.2.1) is written: in DICOM, on pages, by other programs."""
    forms: dict[str, None] = {}
    for group in name.split("="):
        parts = [" ".join(part.split()) for part in group.split("^")]
        family, given = parts[0], [part for part in parts[1:3] if part]
        whole = "^".join(parts).rstrip("^")
        written = [group.rstrip("^ "), whole]
        if family and given:
            first = " ".join(given)
            written += [
                "^".join([family, given[0]]), f"{family}, {first}", f"{family},{first}",
                f"{first} {family}", f"{family} {first}", f"{family}_{first}",
            ]  # fmt: skip
        forms |= dict.fromkeys(one for form in written if form for one in (form, form.upper()))
    return list(forms)


def encodings(text: str) -> list[bytes]:
    """A text's bytes as files of this node may have them."""
    written = {text, json.dumps(text)[1:-1], html.escape(text), html.escape(text, quote=False)}
    found = {one.encode("utf-8", "surrogateescape") for one in written}
    try:
        found.add(text.encode("latin-1"))
        # Without the zeros at its ends it is the same in both byte orders.
        found.add(text.encode("utf-16-le")[:-1])
    except UnicodeEncodeError:
        found |= {text.encode(one, "surrogatepass") for one in ("utf-16-be", "utf-16-le")}
    return sorted(found)
