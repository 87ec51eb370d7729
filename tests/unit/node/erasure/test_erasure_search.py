"""The search finds a patient however her identifiers are written, and nobody else instead."""

import gzip
import html
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from cadnode.audit.entry import Remark, RemarkKind, TrailEntry
from cadnode.audit.event import Action, Actor, ActorKind, Event, EventOutcome
from cadnode.log import hashed
from cadnode.node.erasure.forms import name_forms
from cadnode.node.erasure.patient import IdentifierKind, Identifiers, facts_of
from cadnode.node.erasure.search import PatientSearch
from cadnode.page.pdf import pdf_of
from tests.synthetic import encode, view_dataset, write

UID = "1.2.840.99999.4.77"
ID, NAME, ACCESSION = "K-4711-Z", "Bäcker^Élodie", "A77-1"


def identifiers(*more: tuple[IdentifierKind, str]) -> Identifiers:
    found = Identifiers()
    found.values = {
        (IdentifierKind.PATIENT_ID, ID),
        (IdentifierKind.NAME, NAME),
        (IdentifierKind.ACCESSION, ACCESSION),
        *more,
    }
    found.add_uids([UID])
    return found


def kinds(path: Path, known: Identifiers | None = None) -> set[str]:
    search = PatientSearch(known or identifiers())
    search.look([path], lambda: None)
    assert search.report.unread == []
    return {kind for hit in search.report.hits for kind in hit.kinds}


def png(text: bytes, chunk: bytes) -> bytes:
    value = b"Comment\0" + (b"\0" + zlib.compress(text) if chunk == b"zTXt" else text)
    data = struct.pack(">I", len(value)) + chunk + value + b"\0\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + data


def in_zip(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("inside.txt", data)
    return stream.getvalue()


@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        in_zip,
        gzip.compress,
        lambda data: png(data, b"tEXt"),
        lambda data: png(data, b"zTXt"),
        lambda data: b"%PDF-1.7\n1 0 obj\nstream\n" + zlib.compress(data) + b"\nendstream\n",
    ],
    ids=["plain", "zip", "gzip", "png", "png, deflated", "pdf stream"],
)
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"of {ID},".encode(), "patient ID"),
        (json.dumps({"n": NAME}).encode(), "name"),
        (NAME.encode("latin-1"), "name"),
        ("Bäcker, Élodie".encode(), "name"),
        ("Élodie Bäcker".encode("utf-16-be"), "name"),
        (html.escape("BÄCKER, ÉLODIE").encode(), "name"),
        (f'"{ACCESSION}"'.encode(), "accession number"),
        (f"<{UID}>".encode(), "UID"),
        (f"job-{hashed(UID)}-0".encode(), "key"),
    ],
)
def test_a_text_is_found_however_it_is_packed(
    tmp_path: Path, pack: Callable[[bytes], bytes], text: bytes, kind: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(pack(b"before " + text + b" after"))

    assert kinds(path) == {kind}


@pytest.mark.parametrize(
    "text",
    [
        f"{ID}9", f"x{ID}", UID + "8", UID + ".1", "9" + UID, "7." + UID, ACCESSION + "2",
        "Bäcker", "Élodie", hashed("another"),
    ],
)  # fmt: skip
def test_what_is_anothers_is_not_taken_for_hers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file"
    path.write_text(f"before {text} after", encoding="utf-8")

    assert kinds(path) == set()


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)  # fmt: skip
@pytest.mark.parametrize("short", ["7", "12"])
def test_dicom_is_read_in_every_syntax_also_for_the_shortest_number(
    tmp_path: Path, syntax: str, short: str
) -> None:
    ds = view_dataset("L", "CC", PatientID=short, PatientName="Other^Name", AccessionNumber="Q9-11")
    path = write(encode(ds, syntax), tmp_path / "image.dcm")
    known = Identifiers()
    known.values = {(IdentifierKind.PATIENT_ID, short)}
    known.add_uids([str(ds.SOPInstanceUID)])

    assert kinds(path, known) == {"patient ID", "UID"}
    other = Identifiers()
    other.values = {(IdentifierKind.PATIENT_ID, "8")}
    assert kinds(path, other) == set()


def test_a_short_number_counts_between_marks_alone(tmp_path: Path) -> None:
    known = Identifiers()
    known.values = {(IdentifierKind.PATIENT_ID, "42")}
    path = tmp_path / "file"

    path.write_text('{"patient": "42"}')
    assert kinds(path, known) == {"patient ID"}
    path.write_text('{"score": 0.42, "n": 42}')
    assert kinds(path, known) == set()


def test_the_bytes_of_her_own_encoding_are_looked_for(tmp_path: Path) -> None:
    ds = view_dataset("L", "CC")
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    ds.PatientName = "Yamada^Tarou=山田^太郎"
    source = write(ds, tmp_path / "image.dcm")
    facts = facts_of(source)
    assert facts is not None
    known = Identifiers()
    known.stored = set(facts.stored)
    copied = tmp_path / "copy.bin"
    raw = next(data for kind, data in facts.stored if kind is IdentifierKind.NAME)
    assert b"\x1b$B" in raw
    copied.write_bytes(b"\0" + raw + b"\0")

    assert kinds(copied, known) == {"name"}


def test_text_that_a_pdf_shows_is_read_by_its_fonts(tmp_path: Path) -> None:
    path = tmp_path / "page.pdf"
    page = f"<html><body><main><p>Bäcker, Élodie</p><p>{ID}</p></main></body></html>"
    path.write_bytes(pdf_of(page).data)

    assert {"name", "patient ID"} <= kinds(path)


def test_a_name_of_a_file_counts(tmp_path: Path) -> None:
    path = tmp_path / f"{hashed(UID)}.out.json"
    path.write_text("{}")

    assert kinds(path) == {"key"}


def test_keys_may_stay_where_they_are_evidence(tmp_path: Path) -> None:
    path = tmp_path / "trail"
    path.write_text(f"study {hashed(UID)} erased")
    search = PatientSearch(identifiers())

    search.look([path], lambda: None, keys=False)

    assert search.report.is_clean


@pytest.mark.parametrize(
    ("actor", "detail", "found"),
    [("anna", "deleted", set()), ("471100", "deleted", {"patient ID"}),
     ("anna", "of 471100", {"patient ID"})],
)  # fmt: skip
def test_the_number_of_a_line_of_the_trail_is_no_patients(
    tmp_path: Path, actor: str, detail: str, found: set[str]
) -> None:
    """Else nobody with that number could be erased: a trail is never written anew."""
    event = Event(
        Action.REMOVED, EventOutcome.SUCCESS, Actor(ActorKind.PERSON, actor), detail=detail
    )
    lines = [
        TrailEntry(471100, "2026-03-04T05:06:07.000000Z", "CADNODE", "1", said, "a" * 64).line()
        for said in (event, Remark(RemarkKind.REMOVED, 471100, "2026-02", (471100, "b" * 64)))
    ]
    (tmp_path / "2026-03.jsonl").write_bytes(b"".join(lines))
    for name in ("head.json", "syslog.json"):
        (tmp_path / name).write_text(json.dumps({"sequence": 471100, "offset": 471100}))
    search = PatientSearch(identifiers((IdentifierKind.PATIENT_ID, "471100")))

    search.look([p for p in sorted(tmp_path.iterdir()) if p.is_file()], lambda: None, keys=False)

    assert {kind for hit in search.report.hits for kind in hit.kinds} == found


def test_a_text_across_two_reads_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cadnode.node.erasure.search._AT_ONCE", 4096)
    path = tmp_path / "large"
    path.write_bytes(b" " * 4090 + ID.encode() + b" " * 9000)

    assert kinds(path) == {"patient ID"}


def test_a_damaged_archive_is_not_taken_for_searched(tmp_path: Path) -> None:
    path = tmp_path / "maps.npz"
    path.write_bytes(in_zip(b"x" * 4000)[:60])
    search = PatientSearch(identifiers())

    search.look([path], lambda: None)

    assert search.report.unread == [path]
    assert not search.report.is_clean


def test_a_name_has_the_forms_that_pages_and_programs_write() -> None:
    forms = name_forms("Beta^Bea^M^Dr=文^字")

    assert {"Beta^Bea^M^Dr", "Beta, Bea M", "Bea M Beta", "BETA^BEA", "文^字", "字 文"} <= set(
        forms
    )
    assert name_forms("Cher") == ["Cher", "CHER"]
