"""What of a patient is not here: what destinations have got, and how they are asked to erase it."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from cadnode.domain import Profile
from cadnode.errors import SettingsError
from cadnode.node import delivery_record, results
from cadnode.node.destination_profiles import profile_of
from cadnode.report.profiles import chosen, kind_of, wants_fhir, wants_hl7
from cadnode.settings import Destination, Settings

REMAINS: Final = (
    "the audit trail, and logs outside the storage folder: they name studies by keys (hashes)",
    "backups of this machine, of the job database and of its log: erase there by their own means",
    "blocks of the disk that were freed: overwriting is the disk's (encryption, secure erase)",
    "models that learned from her images, and lists of women (hashes) in their cards",
    "the archives that sent the images: this node asks none of them to delete anything",
)
"""Places that this node does not reach."""

_HOW: Final = {
    "dicom": "ask the administrator of {where} to delete these objects, or the study",
    "orthanc": "in Orthanc at {where}: delete the study's series that this node made, or the study",
    "stow": "ask the administrator of the DICOMweb server {where} to delete these objects",
    "fhir": "at the FHIR server {where}: delete the DiagnosticReport and what belongs to it",
    "folder": "delete the study's folder in {where}",
    "hl7": "ask whoever runs the HL7 listener {where} to delete the result of this order",
}


def delivered(
    settings: Settings, contents: Iterable[tuple[Path, list[Path]]]
) -> list[dict[str, Any]]:
    """What each destination took of a patient's exams, by its record: kinds, counts, how to ask.

    `contents` are folders of contents, each with the folders of her exams in it.
    """
    n_results: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {}
    for content, parts in contents:
        for name, last in delivery_record.last_tries(content).items():
            if last.status.has_arrived:
                n_results[name] += 1
                kinds.setdefault(name, Counter()).update(_kinds(settings, name, parts))
    return [
        {
            "destination": name,
            "results": n_results[name],
            "objects": dict(sorted(kinds[name].items())),
            "how": how_to_ask(settings, name),
        }
        for name in sorted(n_results)
    ]


def how_to_ask(settings: Settings, name: str) -> str:
    """What a person does so that a destination erases it, too."""
    try:
        one = settings.destination(name)
    except SettingsError:
        return "it is configured no more: ask whoever runs it"
    return _HOW[one.kind].format(where=_where(one))


def _where(one: Destination) -> str:
    if one.kind == "dicom":
        return f"{one.ae_title} ({one.host}:{one.port})"
    if one.kind == "hl7":
        return f"{one.host}:{one.port}"
    return str(one.folder if one.kind == "folder" else one.url)


def _kinds(settings: Settings, name: str, parts: Iterable[Path]) -> Counter[str]:
    """Objects that a destination's profile has, by kind; all where it is configured no more."""
    try:
        profile = profile_of(settings, settings.destination(name))
    except SettingsError:
        profile = Profile.ALL
    found: Counter[str] = Counter()
    for part in parts:
        found.update(str(kind_of(path)) for path in chosen(results.objects_in(part), profile))
        if wants_fhir([profile]) and (part / results.BUNDLE).is_file():
            found["fhir bundle"] += 1
        if wants_hl7([profile]) and (part / results.MESSAGE).is_file():
            found["hl7 message"] += 1
    return found
