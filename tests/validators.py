"""Outside validators, run as programs; what they say wrongly is listed in docs/dicom-objects.md."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

PIXELMED = [
    "java",
    "-Xshare:auto",
    "-XX:TieredStopAtLevel=1",
    "-Djdk.xml.xpathTotalOpLimit=0",
    "-Djdk.xml.xpathExprGrpLimit=0",
    "-Djdk.xml.xpathExprOpLimit=0",
    "-cp",
    "/usr/share/java/pixelmed.jar",
    "com.pixelmed.validate.DicomSRValidator",
]


def dciodvfy(path: Path) -> list[str]:
    """Errors and warnings of dicom3tools."""
    return _lines(["dciodvfy", str(path)], r"^(Error|Warning)")


def dcentvfy(paths: Sequence[Path]) -> list[str]:
    """Disagreements between files about one patient, study or series."""
    return _lines(["dcentvfy", *map(str, paths)], r".")


def dsrdump(path: Path) -> list[str]:
    """Errors and warnings of DCMTK's SR parser."""
    return _lines(["dsrdump", "-q", "+U8", str(path)], r"^(E|W|F):")


def pixelmed(path: Path) -> list[str]:
    """Errors and warnings of PixelMed's SR template validator."""
    return _lines([*PIXELMED, str(path)], r"^(Error|Warning)")


def _lines(command: Sequence[str], pattern: str) -> list[str]:
    run = subprocess.run(command, capture_output=True, timeout=120, check=False)
    text = (run.stdout + run.stderr).decode("utf-8", "replace")
    return [line for line in text.splitlines() if re.search(pattern, line)]
