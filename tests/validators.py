"""Outside validators, run as programs; what they say wrongly is listed in docs/dicom-objects.md."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PIXELMED_JAR = Path("/usr/share/java/pixelmed.jar")

PIXELMED = [
    "java",
    "-Xshare:auto",
    "-Djdk.xml.xpathTotalOpLimit=0",
    "-Djdk.xml.xpathExprGrpLimit=0",
    "-Djdk.xml.xpathExprOpLimit=0",
    "-cp",
    str(PIXELMED_JAR),
    "com.pixelmed.validate.DicomSRValidator",
]


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
        r"Warning - Value dubious for this VR - \(0x0010,0x0010\) PN .*Retired Person Name form",
        "Retired Person Name form",
    ),
    FalseAlarm(
        r"^Warning: .*/CODE \((READING_STATUS|REASON_NOT_READ|REACHES_OP|REGION_ORIGIN),99CADNODE,"
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
        r"IE <Study> versus <Series>",
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


def pixelmed(path: Path) -> list[str]:
    """Errors and warnings of PixelMed's SR template validator; about ten seconds of a core."""
    return _lines([*PIXELMED, str(path)], r"^(Error|Warning)")


def _lines(command: Sequence[str], pattern: str) -> list[str]:
    run = subprocess.run(command, capture_output=True, timeout=280, check=False)
    text = (run.stdout + run.stderr).decode("utf-8", "replace")
    found = [line for line in text.splitlines() if re.search(pattern, line)]
    return [line for line in found if not any(re.search(a.pattern, line) for a in FALSE_ALARMS)]
