"""Names in every script go into every kind of object unharmed; DCMTK is asked, not pydicom alone.

Decided: the bytes of the source stay, and with them its Specific Character Set, true or wrong, as
long as our own text needs no other; where it does, all is UTF-8 and the characters stay.
"""

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from cadnode.domain import Calcification, FloatImage
from cadnode.exam.dicom_file import tolerant
from cadnode.exam.exam import Exam
from cadnode.exam.read import read_exams
from cadnode.report.edition import DISCLAIMER
from cadnode.report.identity import patient_and_study
from cadnode.report.objects import make_objects, write_objects
from cadnode.report.profiles import ObjectKind, kind_of
from tests.report_cases import MADE_AT, result_of
from tests.synthetic import STANDARD_VIEWS, view_dataset

PDF = b"%PDF-1.4\n%%EOF"
IN_KOREAN = "연구용, 일차 진단용 아님"
# Attributes of patient and study in which a name stands, and one inside of a sequence.
NAMED = {0x00080090: "PN", 0x00081030: "LO", 0x00100010: "PN", 0x00104000: "LT"}
# The kinds in whose data set, and not in its picture alone, the disclaimer stands.
SPEAKING = frozenset(
    {
        ObjectKind.MEASUREMENT_SR,
        ObjectKind.CAD_SR,
        ObjectKind.OUTLINES,
        ObjectKind.KEY_OBJECTS,
    }
)


@dataclass(frozen=True)
class Script:
    """A name as PS3.5 prints it: the declared set, the bytes, the characters."""

    declared: str | None
    stored: bytes
    name: str
    dcmtk_knows: bool = True


SCRIPTS = {
    "latin 1": Script("ISO_IR 100", "Buc^Jérôme".encode("latin1"), "Buc^Jérôme"),
    "latin 2": Script("ISO_IR 101", "Wałęsa^Łucja".encode("iso8859-2"), "Wałęsa^Łucja"),
    "cyrillic": Script("ISO_IR 144", "Люкceмбypг".encode("iso8859-5"), "Люкceмбypг"),
    "greek": Script("ISO_IR 126", "Διονυσιος".encode("iso8859-7"), "Διονυσιος"),
    # PS3.5 annex H.3: half-width katakana, kanji, hiragana. Its annex H.2 has no IR 13.
    "japanese": Script(
        "\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        dcmtk_knows=False,
    ),
    "katakana": Script(
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J="
        b"\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        dcmtk_knows=False,
    ),
    # PS3.5 annex I.2.
    "korean": Script(
        "\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7="
        b"\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    # PS3.5 annex J.
    "utf-8": Script("ISO_IR 192", "Wang^XiaoDong=王^小東=".encode(), "Wang^XiaoDong=王^小東="),
    "gb18030": Script(
        "GB18030", "Wang^XiaoDong=王^小东=".encode("gb18030"), "Wang^XiaoDong=王^小东="
    ),
    "gbk": Script("GBK", "Wang^XiaoDong=王^小东=".encode("gbk"), "Wang^XiaoDong=王^小东="),
    "arabic": Script("ISO_IR 127", "قباني^لنزار".encode("iso8859-6"), "قباني^لنزار"),
    "hebrew": Script("ISO_IR 138", "שרון^דבורה".encode("iso8859-8"), "שרון^דבורה"),
}
# What archives hold as well: no set, the default, another one, or none that there is.
WRONG = {
    "latin 1 undeclared": Script(None, "Buc^Jérôme".encode("latin1"), "Buc^Jérôme"),
    "latin 1 as ASCII": Script("ISO_IR 6", "Buc^Jérôme".encode("latin1"), "Buc^Jérôme"),
    "utf-8 undeclared": Script(None, "Müller^洪".encode(), "Müller^洪"),
    "latin 1 as utf-8": Script("ISO_IR 192", "Buc^Jérôme".encode("latin1"), "Buc^Jérôme"),
    "no such set": Script("ISO_IR 999", "Buc^Jérôme".encode("latin1"), "Buc^Jérôme"),
    "misspelt": Script("ISO-IR 100", "Buc^Jérôme".encode("latin1"), "Buc^Jérôme"),
    "korean without escapes": Script(
        "\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞".encode("euc_kr"), "Hong^Gildong=洪^吉洞"
    ),
}
ALL = {**SCRIPTS, **WRONG}


def source(script: Script, folder: Path) -> list[Path]:
    """Four views whose texts are these very bytes."""
    folder.mkdir(exist_ok=True)
    return [with_texts(script, *view, folder / "".join(view)) for view in STANDARD_VIEWS]


def with_texts(script: Script, laterality: str, view: str, path: Path) -> Path:
    with tolerant():  # pydicom warns of sets that there are not
        ds = view_dataset(laterality, view, rows=96, columns=80)
        if script.declared is not None:
            ds.SpecificCharacterSet = script.declared.split("\\")
        ds.save_as(path, enforce_file_format=True)
        ds = pydicom.dcmread(path)
        for number, vr in NAMED.items():
            ds[number] = raw(number, vr, script.stored)
        code = Dataset({Tag(0x00080104): raw(0x00080104, "LO", script.stored)})
        code.set_original_encoding(False, True, "iso8859")  # so that it is written as it is
        ds.ProcedureCodeSequence = [code]
        ds.save_as(path, enforce_file_format=True)
    assert path.read_bytes().count(script.stored) == 5
    return path


def raw(number: int, vr: str, value: bytes) -> RawDataElement:
    value += b" " * (len(value) % 2)
    return RawDataElement(Tag(number), vr, len(value), value, 0, False, True, True)


def objects(
    paths: list[Path], folder: Path, kinds: frozenset[ObjectKind] = SPEAKING, **options: str
) -> list[Path]:
    """One file of every one of these kinds, for an exam with calcifications."""
    (exam,) = read_exams(paths)
    result = result_of(exam, "systems")
    first = replace(result.findings[0], calcifications=(Calcification(40, 40, 0.5, 0.8, 0.3),))
    result = replace(result, findings=(first, *result.findings[1:]))
    folder.mkdir(exist_ok=True)
    made = make_objects(
        exam, result, lambda uid: picture(exam, uid), MADE_AT, longest_side=96, small_side=64,
        kinds=kinds, pdf=lambda: PDF, **options,  # type: ignore[arg-type]
    )  # fmt: skip
    paths = {kind_of(path): path for path in write_objects(made, folder)}
    assert set(paths) == kinds
    return list(paths.values())


def picture(exam: Exam, uid: str) -> FloatImage:
    return np.full((96, 80), 0.25, np.float32)


def dcmdump(path: Path, *options: str) -> bytes:
    """The named attributes as DCMTK prints them, one a line; it fails on what it cannot decode."""
    asked = [
        word for number in NAMED for word in ("+P", f"{number >> 16:04x},{number & 0xFFFF:04x}")
    ]
    command = ["dcmdump", "-q", *options, *asked, str(path)]
    run = subprocess.run(command, capture_output=True, timeout=30, check=True)
    return b"\n".join(sorted(line.split(b"#")[0] for line in run.stdout.splitlines()))


@pytest.mark.parametrize("script", ALL)
def test_the_bytes_of_a_name_and_the_set_that_is_said_to_hold_them_stay(
    script: str, tmp_path: Path
) -> None:
    told = ALL[script]
    sources = source(told, tmp_path)
    expected = dcmdump(sources[0])
    assert expected.count(told.stored.rstrip()) == 4

    made = objects(sources, tmp_path / "out", frozenset(ObjectKind))

    for path in made:
        assert dcmdump(path) == expected, path.name
        assert path.read_bytes().count(told.stored) == 5, path.name
    if script in SCRIPTS and told.dcmtk_knows:
        assert dcmdump(made[0], "+U8").decode("utf-8").count(f"[{told.name}]") == 4


@pytest.mark.parametrize("script", ALL)
def test_a_disclaimer_in_another_script_and_the_name_both_survive(
    script: str, tmp_path: Path
) -> None:
    told = ALL[script]

    made = objects(source(told, tmp_path), tmp_path / "out", disclaimer=IN_KOREAN)

    for path in made:
        text = dumped(path)
        assert IN_KOREAN in text, path.name
        assert text.count(f"[{told.name}") + text.count(f"[{told.name.rstrip('=')}]") >= 5


def test_a_disclaimer_that_the_sources_set_can_hold_leaves_it_alone(tmp_path: Path) -> None:
    told = SCRIPTS["latin 1"]

    made = objects(source(told, tmp_path), tmp_path / "out", disclaimer="Nur für die Forschung")

    for path in made:
        assert declared(path) == "ISO_IR 100"
        assert "Buc^Jérôme" in dumped(path)


def test_kanji_are_not_written_into_a_set_that_has_katakana_alone(tmp_path: Path) -> None:
    # Python's codec for ISO_IR 13 is Shift JIS, which has kanji; JIS X 0201 has none.
    told = Script("ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ")

    made = objects(source(told, tmp_path), tmp_path / "out", disclaimer="研究用")

    report = next(path for path in made if kind_of(path) is ObjectKind.MEASUREMENT_SR)
    assert declared(report) == "ISO_IR 192"
    assert "研究用" in dumped(report)
    assert "ﾔﾏﾀﾞ^ﾀﾛｳ" in dumped(report)


@pytest.mark.parametrize(
    ("disclaimer", "drawn"), [(IN_KOREAN, DISCLAIMER), ("Für Forschung", "Fur Forschung")]
)
def test_what_is_burned_in_is_never_written_in_boxes(
    disclaimer: str, drawn: str, tmp_path: Path
) -> None:
    # The font that the picture is drawn with has no more than ASCII.
    pictures = []
    for number, text in enumerate((disclaimer, drawn)):
        folder = tmp_path / str(number)
        (path,) = objects(
            source(SCRIPTS["latin 1"], folder),
            folder / "out",
            frozenset({ObjectKind.HEAT_MAP}),
            disclaimer=text,
        )
        pictures.append(pydicom.dcmread(path).PixelData)

    assert pictures[0] == pictures[1]


def test_a_text_that_was_changed_after_reading_is_the_one_that_goes_out(tmp_path: Path) -> None:
    (exam,) = read_exams(source(SCRIPTS["latin 1"], tmp_path))
    assert exam.reference is not None
    exam.reference.PatientName = "Anders^Änne"

    assert str(patient_and_study(exam.reference).PatientName) == "Anders^Änne"


def declared(path: Path) -> str | None:
    line = subprocess.run(
        ["dcmdump", "-q", "+P", "0008,0005", str(path)], capture_output=True, timeout=30, check=True
    ).stdout.decode("ascii")
    return line.partition("[")[2].partition("]")[0] if line else None


def dumped(path: Path) -> str:
    """All text of a file in UTF-8, as DCMTK reads it."""
    command = ["dcmdump", "-q", "+U8", "+L", str(path)]
    return subprocess.run(command, capture_output=True, timeout=30, check=True).stdout.decode()
