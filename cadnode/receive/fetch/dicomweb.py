"""Studies from a DICOMweb server, instance by instance in the transfer syntax as stored.

QIDO-RS lists the instances (DICOM PS3.18 10.6), WADO-RS returns each (PS3.18 10.4).
"""

from typing import Any, Final

from cadnode.http import HttpFailure, PeerSession, Response
from cadnode.limits import INSTANCES
from cadnode.multipart import MultipartError, boundary_of, first_part
from cadnode.receive.fetch.compression import Line
from cadnode.receive.fetch.fetch import BLOCK_BYTES, Sink
from cadnode.receive.fetch.listing import Listed
from cadnode.receive.fetch.requests import Request
from cadnode.receive.fetch.studies import STUDIES, ListedStudy, header_of
from cadnode.receive.identity import is_valid_uid

_SOP_CLASS_UID: Final = "00080016"
_SOP_INSTANCE_UID: Final = "00080018"
_MODALITY: Final = "00080060"
_MANUFACTURER: Final = "00080070"
_BODY_PART_EXAMINED: Final = "00180015"
_FIELDS: Final = (_SOP_CLASS_UID, _MODALITY, _MANUFACTURER, _BODY_PART_EXAMINED)
_SERIES_INSTANCE_UID: Final = "0020000E"
_STUDY_FIELDS: Final = {
    "00080020": "StudyDate",
    "00081030": "StudyDescription",
    "00100010": "PatientName",
    "00100020": "PatientID",
    "00100021": "IssuerOfPatientID",
    "00100030": "PatientBirthDate",
    "0020000D": "StudyInstanceUID",
    "00080061": "",
    "00201208": "",
}
_MODALITIES: Final = "00080061"
_N_INSTANCES: Final = "00201208"
_GONE: Final = (404, 410)
_MOST_PAGES: Final = 1000
_AS_STORED: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'


class DicomwebSource:
    """A `pull.Source` that is a DICOMweb server; its url is that of the service root."""

    def __init__(self, peer: PeerSession, line: Line | None = None) -> None:
        self._peer = peer
        self._line = line or Line()

    def check(self) -> str:
        """Whether QIDO-RS answers, by a query for one study; raises `HttpFailure`."""
        headers = {"Accept": "application/dicom+json"}
        with self._peer.request("GET", "/studies", params={"limit": "1"}, headers=headers):
            return "answered QIDO-RS"

    def instances(self, request: Request) -> list[Listed]:
        """Every instance that the server lists, page by page until a page brings nothing new.

        Raises
        ------
        HttpFailure
            The server does not answer, refuses us, or answers something else.
        """
        found: dict[str, Listed] = {}
        for _ in range(_MOST_PAGES):
            before = len(found)
            for item in self._page(request, offset=before):
                listed = self._listed(item, request.study_instance_uid)
                found.setdefault(listed.sop_instance_uid, listed)
            if len(found) == before:
                break
            if len(found) > INSTANCES:
                raise self._not_understood()
        return list(found.values())

    def stream(self, instance: Listed, sink: Sink) -> bool:
        """Give the instance's file, as stored, to `sink`; False when it is gone.

        Raises
        ------
        HttpFailure
            The server does not answer, or its answer ends early or is of another form.
        """
        with (
            self._line.measured(sink) as measured,
            self._peer.request(
                "GET", instance.where, headers={"Accept": _AS_STORED, **measured.headers},
                also=_GONE,
            ) as response,
        ):  # fmt: skip
            if response.status_code in _GONE:
                return False
            self._pass_on(response, measured.sink)
        return True

    def studies_of(self, value: str, keyword: str = "PatientID") -> list[ListedStudy]:
        """What QIDO-RS lists under that Patient ID, or other key (PS3.18 10.6, table 10.6.1-5).

        Raises
        ------
        HttpFailure
            As `instances`.
        """
        params = [(keyword, value), ("limit", str(STUDIES))]
        params += [("includefield", tag) for tag in _STUDY_FIELDS]
        headers = {"Accept": "application/dicom+json"}
        with self._peer.request("GET", "/studies", params=params, headers=headers) as response:
            found = [] if response.status_code == 204 else self._peer.json_of(response)
        if not isinstance(found, list):
            raise self._not_understood()
        return [_listed_study(one) for one in found]

    def _pass_on(self, response: Response, sink: Sink) -> None:
        """Give the one part of an answer to `sink`."""
        content_type = response.headers.get("Content-Type", "")
        blocks = response.iter_content(BLOCK_BYTES)
        if content_type.lower().startswith("application/dicom"):
            for block in blocks:  # a single part, which PS3.18 8.7.3.1 allows for one instance
                sink(block)
            return
        try:
            boundary = boundary_of(content_type)
        except MultipartError:
            raise self._not_understood() from None
        try:
            n_parts = first_part(blocks, boundary, sink)
        except MultipartError:
            text = f"{self._peer.name} went away in the middle of an instance"
            raise HttpFailure(text, retryable=True) from None
        if n_parts != 1:
            raise self._not_understood()

    def _page(self, request: Request, offset: int) -> list[Any]:
        # One parameter a field: Orthanc passes over a list with commas.
        params = [("includefield", tag) for tag in _FIELDS]
        if offset:
            params.append(("offset", str(offset)))
        path = f"/studies/{request.study_instance_uid}/instances"
        headers = {"Accept": "application/dicom+json"}
        with self._peer.request(
            "GET", path, params=params, headers=headers, also=(404,)
        ) as response:
            # PS3.18 10.6.3.2: no match is 200 with an empty list, or 204; some answer 404.
            if response.status_code in (204, 404):
                return []
            answer = self._peer.json_of(response)
        if not isinstance(answer, list):
            raise self._not_understood()
        return answer

    def _listed(self, item: Any, study_instance_uid: str) -> Listed:
        uid, series = _text(item, _SOP_INSTANCE_UID), _text(item, _SERIES_INSTANCE_UID)
        if not is_valid_uid(uid) or not is_valid_uid(series):
            raise self._not_understood()
        return Listed(
            sop_instance_uid=uid,
            where=f"/studies/{study_instance_uid}/series/{series}/instances/{uid}",
            sop_class_uid=_text(item, _SOP_CLASS_UID),
            modality=_text(item, _MODALITY),
            manufacturer=_text(item, _MANUFACTURER),
            body_part=_text(item, _BODY_PART_EXAMINED),
        )

    def _not_understood(self) -> HttpFailure:
        text = f"{self._peer.name} does not answer as DICOMweb does: is the url right?"
        return HttpFailure(text, retryable=False)


def _listed_study(item: Any) -> ListedStudy:
    values = {keyword: _text(item, tag) for tag, keyword in _STUDY_FIELDS.items() if keyword}
    element = item.get(_MODALITIES) if isinstance(item, dict) else None
    modalities = element.get("Value") if isinstance(element, dict) else None
    count = _text(item, _N_INSTANCES)
    return ListedStudy(
        header_of(values), "",
        tuple(map(str, modalities)) if isinstance(modalities, list) else (),
        int(count) if count.isascii() and count.isdigit() else None,
    )  # fmt: skip


def _text(item: Any, tag: str) -> str:
    """First value of an element of a DICOM JSON data set as text; "" when there is none."""
    element = item.get(tag) if isinstance(item, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    first = values[0] if isinstance(values, list) and values else ""
    if isinstance(first, dict):  # a person's name (PS3.18 F.2.2)
        groups = (first.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic"))
        first = "=".join(map(str, groups)).rstrip("=")
    return str(first).strip("\0 ")
