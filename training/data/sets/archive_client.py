"""Studies and files of an archive over HTTP: Orthanc's REST interface, or DICOMweb (PS3.18)."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from cadnode.errors import DataError
from cadnode.files import written_whole
from cadnode.http import (
    Credentials,
    FailureKind,
    HttpFailure,
    HttpPeerValues,
    PeerSession,
    connected,
)
from cadnode.multipart import MultipartError, boundary_of, first_part

MODALITY: Final = "MG"
# QIDO-RS' and Orthanc's wildcards and list separators: an identifier that holds one would find
# other women's studies.
WILDCARDS: Final = re.compile(r"[*?\\]")
_PAGE: Final = 500
_BLOCK_BYTES: Final = 2**20
_TAGS: Final = {
    "study": "0020000D", "series": "0020000E", "instance": "00080018", "modality": "00080060",
}  # fmt: skip
_JSON: Final = "application/dicom+json"
_FILE: Final = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
_UNANSWERED: Final = {
    FailureKind.CERTIFICATE: (
        "the archive's certificate is not trusted: name its authority's file as `ca_file`"
    ),
    FailureKind.NO_ANSWER: (
        "the archive does not answer, or broke off: is `url` right, and is it running? "
        "What was fetched is kept: run the command again"
    ),
    FailureKind.ANSWER: "the archive's answer cannot be understood: is `url` right?",
}


@dataclass(frozen=True, slots=True)
class ArchiveInstance:
    """A file of the archive: its path below the root, and its SOP Instance UID."""

    path: str
    sop_instance_uid: str


class ArchiveClient(Protocol):
    """What both interfaces can do; a request that fails raises `HttpFailure`."""

    def studies(self, keyword: str, value: str) -> list[str]:
        """The studies whose attribute `keyword` (as in DICOM) is exactly `value`."""
        ...

    def mammograms(self, study: str) -> list[ArchiveInstance]:
        """The instances of the study's series of modality MG."""
        ...

    def fetch(self, instance: ArchiveInstance, path: Path) -> None:
        """Write an instance's file to `path`, whole or not at all."""
        ...


@contextmanager
def session(values: HttpPeerValues, credentials: Credentials | None) -> Iterator[PeerSession]:
    """A session with the archive, in which what goes wrong is an error that says what to do.

    Raises
    ------
    DataError
        Instead of `HttpFailure`.
    """
    try:
        with connected(values, credentials) as peer:
            yield peer
    except HttpFailure as failure:
        raise DataError(_meaning(failure)) from None


def _meaning(failure: HttpFailure) -> str:
    status = failure.status
    if status in (401, 403):
        return (
            "the archive refuses access: set CADNODE_ARCHIVE_USER and CADNODE_ARCHIVE_PASSWORD "
            "(or CADNODE_ARCHIVE_TOKEN), or name a `credentials_file`"
        )
    if status in (400, 404, 405):
        return (
            "the archive knows no such address: `protocol` is orthanc for Orthanc's REST "
            'interface (http://host:8042), dicomweb for one that ends in "/dicom-web" or the like'
        )
    if status is not None:
        return f"the archive answers with HTTP status {status}"
    if failure.kind is FailureKind.OURS:
        return str(failure)
    return _UNANSWERED[failure.kind]


class OrthancClient:
    """Orthanc's REST interface."""

    def __init__(self, peer: PeerSession) -> None:
        self._peer = peer

    def studies(self, keyword: str, value: str) -> list[str]:
        """Orthanc's identifiers of the studies, sorted."""
        query = {"Level": "Study", "Query": {keyword: value}, "CaseSensitive": True}
        with self._peer.request("POST", "/tools/find", json=query) as response:
            return sorted(map(str, self._peer.json_of(response)))

    def mammograms(self, study: str) -> list[ArchiveInstance]:
        """The instances of modality MG, series by series."""
        found = []
        for series in self._peer.get_json(f"/studies/{study}/series") or ():
            if series["MainDicomTags"].get("Modality") != MODALITY:
                continue
            for item in self._peer.get_json(f"/series/{series['ID']}/instances") or ():
                uid = str(item["MainDicomTags"]["SOPInstanceUID"])
                found.append(ArchiveInstance(f"/instances/{item['ID']}/file", uid))
        return found

    def fetch(self, instance: ArchiveInstance, path: Path) -> None:
        """Stream the file to disk."""
        with self._peer.request("GET", instance.path) as response, written_whole(path) as file:
            for block in response.iter_content(_BLOCK_BYTES):
                file.write(block)


class DicomWebClient:
    """QIDO-RS and WADO-RS (PS3.18, 10.6 and 10.4)."""

    def __init__(self, peer: PeerSession) -> None:
        self._peer = peer

    def studies(self, keyword: str, value: str) -> list[str]:
        """Study Instance UIDs, sorted."""
        found = self._search("/studies", {keyword: value})
        return sorted({_value(item, "study") for item in found})

    def mammograms(self, study: str) -> list[ArchiveInstance]:
        """The instances of modality MG, series by series."""
        base = f"/studies/{study}/series"
        found = []
        for series in self._search(base, {"Modality": MODALITY}):
            if _value(series, "modality") != MODALITY:
                continue  # an archive may ignore a key that it does not know
            items = f"{base}/{_value(series, 'series')}/instances"
            for item in self._search(items, {}):
                uid = _value(item, "instance")
                found.append(ArchiveInstance(f"{items}/{uid}", uid))
        return found

    def fetch(self, instance: ArchiveInstance, path: Path) -> None:
        """Stream the only part of the multipart answer to disk.

        Raises
        ------
        DataError
            The answer has no parts, or ends within one.
        """
        with (
            self._peer.request("GET", instance.path, headers=_FILE) as response,
            written_whole(path) as file,
        ):
            try:
                boundary = boundary_of(response.headers.get("Content-Type", ""))
            except MultipartError:
                raise DataError(
                    "the archive's answer is no multipart/related: is `url` its DICOMweb root?"
                ) from None
            try:
                n_parts = first_part(response.iter_content(_BLOCK_BYTES), boundary, file.write)
            except MultipartError:
                n_parts = 0
            if not n_parts:
                raise DataError("the archive broke off within a file: run the command again")

    def _search(self, path: str, query: Mapping[str, str]) -> list[Any]:
        """All matches, page by page."""
        found: list[Any] = []
        while True:
            parameters = {**query, "limit": str(_PAGE), "offset": str(len(found))}
            page = self._peer.get_json(path, parameters, _JSON) or []
            new = [item for item in page if item not in found]
            found += new
            if len(page) < _PAGE or not new:
                return found


def _value(item: Mapping[str, Any], name: str) -> str:
    """The first value of an attribute in the DICOM JSON model (PS3.18 F.2.2)."""
    values = item.get(_TAGS[name], {}).get("Value") or [""]
    return str(values[0])
