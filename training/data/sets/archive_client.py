"""Studies and files of an archive over HTTP: Orthanc's REST interface, or DICOMweb (PS3.18)."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from cadnode.errors import DataError
from cadnode.files import written_whole

MODALITY: Final = "MG"
# QIDO-RS' and Orthanc's wildcards and list separators: an identifier that holds one would find
# other women's studies.
WILDCARDS: Final = re.compile(r"[*?\\]")
_PAGE: Final = 500
_CHUNK: Final = 2**20
_TAGS: Final = {
    "study": "0020000D", "series": "0020000E", "instance": "00080018", "modality": "00080060",
}  # fmt: skip
_JSON: Final = {"Accept": "application/dicom+json"}
_FILE: Final = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}


@dataclass(frozen=True, slots=True)
class ArchiveInstance:
    """A file of the archive: where it is, and its SOP Instance UID."""

    url: str
    sop_instance_uid: str


class ArchiveClient(Protocol):
    """What both interfaces can do."""

    def studies(self, keyword: str, value: str) -> list[str]:
        """The studies whose attribute `keyword` (as in DICOM) is exactly `value`."""
        ...

    def mammograms(self, study: str) -> list[ArchiveInstance]:
        """The instances of the study's series of modality MG."""
        ...

    def fetch(self, instance: ArchiveInstance, path: Path) -> None:
        """Write an instance's file to `path`, whole or not at all."""
        ...


class _Http:
    """A session that turns what goes wrong into errors that say what to do."""

    def __init__(self, url: str, session: requests.Session, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self._session = session
        self._timeout_s = timeout_s
        # A lost answer to a GET is asked for again; a file is begun anew.
        adapter = HTTPAdapter(max_retries=Retry(total=3, connect=1, backoff_factor=0.5))
        session.mount("http://", adapter)
        session.mount("https://", adapter)

    @contextmanager
    def response(self, method: str, url: str, **options: Any) -> Iterator[requests.Response]:
        """The answer, streamed; an error if it is none of 2xx."""
        try:
            with self._session.request(
                method, url, timeout=self._timeout_s, stream=True, **options
            ) as response:
                _check(response.status_code)
                yield response
        except requests.exceptions.SSLError:
            raise DataError(
                "the archive's certificate is not trusted: name its authority's file as `ca_file`"
            ) from None
        except (
            requests.exceptions.ConnectionError,
            requests.exceptions.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ):
            raise DataError(
                "the archive does not answer, or broke off: is `url` right, and is it running? "
                "What was fetched is kept: run the command again"
            ) from None
        except requests.exceptions.RequestException:
            raise DataError("the archive's answer cannot be understood: is `url` right?") from None

    def json(self, method: str, url: str, **options: Any) -> Any:
        """Parsed JSON; [] when there is no content."""
        with self.response(method, url, **options) as response:
            if response.status_code == 204:
                return []
            return response.json()


def _check(status: int) -> None:
    if status in (401, 403):
        raise DataError(
            "the archive refuses access: set CADNODE_ARCHIVE_USER and CADNODE_ARCHIVE_PASSWORD "
            "(or CADNODE_ARCHIVE_TOKEN), or name a `credentials_file`"
        )
    if status in (400, 404, 405):
        raise DataError(
            "the archive knows no such address: `protocol` is orthanc for Orthanc's REST "
            'interface (http://host:8042), dicomweb for one that ends in "/dicom-web" or the like'
        )
    if status >= 300:
        raise DataError(f"the archive answers with HTTP status {status}")


class OrthancClient:
    """Orthanc's REST interface."""

    def __init__(self, url: str, session: requests.Session, timeout_s: float) -> None:
        self._http = _Http(url, session, timeout_s)

    def studies(self, keyword: str, value: str) -> list[str]:
        """Orthanc's identifiers of the studies, sorted."""
        query = {"Level": "Study", "Query": {keyword: value}, "CaseSensitive": True}
        found = self._http.json("POST", f"{self._http.url}/tools/find", json=query)
        return sorted(map(str, found))

    def mammograms(self, study: str) -> list[ArchiveInstance]:
        """The instances of modality MG, series by series."""
        url = self._http.url
        found = []
        for series in self._http.json("GET", f"{url}/studies/{study}/series"):
            if series["MainDicomTags"].get("Modality") != MODALITY:
                continue
            for item in self._http.json("GET", f"{url}/series/{series['ID']}/instances"):
                uid = str(item["MainDicomTags"]["SOPInstanceUID"])
                found.append(ArchiveInstance(f"{url}/instances/{item['ID']}/file", uid))
        return found

    def fetch(self, instance: ArchiveInstance, path: Path) -> None:
        """Stream the file to disk."""
        with self._http.response("GET", instance.url) as response, written_whole(path) as file:
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)


class DicomWebClient:
    """QIDO-RS and WADO-RS (PS3.18, 10.6 and 10.4)."""

    def __init__(self, url: str, session: requests.Session, timeout_s: float) -> None:
        self._http = _Http(url, session, timeout_s)

    def studies(self, keyword: str, value: str) -> list[str]:
        """Study Instance UIDs, sorted."""
        found = self._search(f"{self._http.url}/studies", {keyword: value})
        return sorted({_value(item, "study") for item in found})

    def mammograms(self, study: str) -> list[ArchiveInstance]:
        """The instances of modality MG, series by series."""
        base = f"{self._http.url}/studies/{study}/series"
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
        """Stream the only part of the multipart answer to disk."""
        with (
            self._http.response("GET", instance.url, headers=_FILE) as response,
            written_whole(path) as file,
        ):
            _write_part(response, file)

    def _search(self, url: str, query: Mapping[str, str]) -> list[Any]:
        """All matches, page by page."""
        found: list[Any] = []
        while True:
            parameters = {**query, "limit": _PAGE, "offset": len(found)}
            page = self._http.json("GET", url, params=parameters, headers=_JSON)
            new = [item for item in page if item not in found]
            found += new
            if len(page) < _PAGE or not new:
                return found


def _value(item: Mapping[str, Any], name: str) -> str:
    """The first value of an attribute in the DICOM JSON model (PS3.18 F.2.2)."""
    values = item.get(_TAGS[name], {}).get("Value") or [""]
    return str(values[0])


def _write_part(response: requests.Response, file: BinaryIO) -> None:
    """Write the first part of a multipart/related body (RFC 2046, 5.1) without its headers."""
    match = re.search(r'boundary="?([^";]+)', response.headers.get("Content-Type", ""))
    if match is None:
        raise DataError("the archive's answer is no multipart/related: is `url` its DICOMweb root?")
    end = b"\r\n--" + match[1].encode()
    waiting = b""
    inside = False
    for chunk in response.iter_content(_CHUNK):
        waiting += chunk
        if not inside:
            _, blank, rest = waiting.partition(b"\r\n\r\n")
            if not blank:
                continue
            waiting, inside = rest, True
        data, closed, _ = waiting.partition(end)
        if closed:
            file.write(data)
            return
        # The boundary may be cut by the end of a chunk.
        file.write(waiting[: -len(end)])
        waiting = waiting[-len(end) :]
    raise DataError("the archive broke off within a file: run the command again")
