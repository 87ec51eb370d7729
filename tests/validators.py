"""Outside validators, run as programs; what they say wrongly is listed in docs/dicom-objects.md."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

PIXELMED_JAR = Path("/usr/share/java/pixelmed.jar")

PIXELMED = [
    "java",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # half the time of a run this short
    "-Xshare:auto",
    "-Djdk.xml.xpathTotalOpLimit=0",
    "-Djdk.xml.xpathExprGrpLimit=0",
    "-Djdk.xml.xpathExprOpLimit=0",
    "-cp",
    str(PIXELMED_JAR),
]
SR_VALIDATOR = "com.pixelmed.validate.DicomSRValidator"
LAUNCHER = Path(__file__).parent / "ValidateReports.java"
NO_COMPLAINT_LOST = "Root Template Validation Complete"


@dataclass(frozen=True)
class FalseAlarm:
    """A line that is dropped, and the words with which docs/dicom-objects.md explains it."""

    pattern: str
    documented: str


FALSE_ALARMS = (
    FalseAlarm(
        r"Warning - Unrecognized defined term <99CADNODE> for value 1 of attribute "
        r"<Coding Scheme Designator>",
        "Unrecognized defined term <99CADNODE>",
    ),
    FalseAlarm(
        r"Warning - Value dubious for this VR - \((0x0010,0x0010|0x0008,0x0090)\) PN "
        r".*Retired Person Name form",
        "Retired Person Name form",
    ),
    FalseAlarm(
        r"^Warning: .*/CODE \((READING_STATUS|REASON_NOT_READ|REACHES_OP|REGION_ORIGIN"
        r"|READER_VERDICT),99CADNODE,"
        r"\"[^\"]*\"\): Content Item not in template",
        "Content Item not in template",
    ),
    FalseAlarm(
        r"^Warning: .*/CODE \((111008|111009),DCM,\"[^\"]*\"\): Content Item not in template",
        "Content Item not in template",
    ),
    FalseAlarm(
        r"^Warning: .*/COMPOSITE \(121112,DCM,\"[^\"]*\"\): Content Item not in template",
        "the person's object",
    ),
    FalseAlarm(
        r"^Warning: .*\(125007,DCM,[^)]*\)/(CODE \(121005|PNAME \(121008|TEXT \(128774),DCM,"
        r".*: Content Item not in template",
        "the person who judged",
    ),
    FalseAlarm(
        r"^Warning: .*/(IMAGE \(121191|COMPOSITE \(121180),DCM,\"[^\"]*\"\): Content Item not in",
        "the segmentations and key objects",
    ),
    FalseAlarm(
        r"^Error: Template 1410 PlanarROIMeasurements/.*\[Row (5|7)\].*Missing conditional content",
        "Missing conditional content item",
    ),
    FalseAlarm(
        r"^Error: Template 4023 CADOperatingPoints/.*\[Row [89]\] NUM \*: within",
        "rows 8 and 9 of template 4023",
    ),
    FalseAlarm(
        r"^Warning: Template 40\d\d.*: Code \((111016|111024|111025|111093|111233|111234),DCM,"
        r".* has different code meaning",
        "different code meaning",
    ),
    FalseAlarm(
        r"^Error: Template 401[56]MammoParameters .*Missing conditional content item",
        "rows 1 and 3 of templates 4015 and 4016",
    ),
    FalseAlarm(
        r"^Warning: .*\(111059,DCM,[^)]*\)/NUM \(81827009,SCT,\"Diameter\"\): Content Item not in",
        "the diameter of a cluster",
    ),
    FalseAlarm(
        r"^Warning - Different information entities for attribute - Element=<AccessionNumber> "
        r"IE <(Study> versus <Series|Series> versus <Study)>",
        "Different information entities for attribute",
    ),
)


def dciodvfy(path: Path) -> list[str]:
    """Errors and warnings of dicom3tools."""
    return _lines(["dciodvfy", str(path)], r"^(Error|Warning)")


def dcentvfy(paths: Sequence[Path]) -> list[str]:
    """Disagreements between files about one patient, study or series."""
    return _lines(["dcentvfy", *map(str, paths)], r".")


def dsrdump(path: Path) -> list[str]:
    """Errors and warnings of DCMTK's SR parser."""
    return _lines(["dsrdump", "-q", "+U8", str(path)], r"^(E|W|F):")


def dsr2html(path: Path) -> str:
    """The report as DCMTK renders it, and what it says on standard error."""
    run = subprocess.run(
        ["dsr2html", "+U8", str(path)], capture_output=True, timeout=60, check=True
    )
    return (run.stdout + run.stderr).decode("utf-8")


def pixelmed_of(paths: Sequence[Path]) -> dict[Path, list[str]]:
    """Errors and warnings of PixelMed's SR template validator, by file.

    Five seconds and a fifth of one each, of a core, where Java has its compiler; else it starts
    apiece and takes ten seconds each.
    """
    if shutil.which("javac") is None:
        return {path: _complaints(_run([*PIXELMED, SR_VALIDATOR, str(path)])) for path in paths}
    text = _run([*PIXELMED, str(LAUNCHER), *map(str, paths)], timeout_s=60 + 40 * len(paths))
    begin, *told = re.split(r"^File: (.*)$", text, flags=re.MULTILINE)
    said = dict(zip(map(Path, told[::2]), told[1::2], strict=True))
    assert list(said) == list(paths), begin + text[-400:]
    assert all(NO_COMPLAINT_LOST in part for part in said.values())
    return {path: _complaints(part) for path, part in said.items()}


def dcmpschk(path: Path) -> list[str]:
    """Whether DCMTK's checker passes a presentation state; it knows no times with a zone."""
    ds = dcmread(path)
    for equipment in ds.ContributingEquipmentSequence:
        equipment.pop("ContributionDateTime", None)
    plain = path.with_suffix(".plain")
    ds.save_as(plain)
    text = _run(["dcmpschk", str(plain)])
    plain.unlink()
    return [] if "Test passed" in text else [text]


def _lines(command: Sequence[str], pattern: str) -> list[str]:
    return _complaints(_run(command), pattern)


def _run(command: Sequence[str], timeout_s: float = 280) -> str:
    run = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
    return (run.stdout + run.stderr).decode("utf-8", "replace")


def _complaints(text: str, pattern: str = r"^(Error|Warning)") -> list[str]:
    """Lines that match, but for those that are known to be wrong."""
    found = [line for line in text.splitlines() if re.search(pattern, line)]
    return [line for line in found if not any(re.search(a.pattern, line) for a in FALSE_ALARMS)]
