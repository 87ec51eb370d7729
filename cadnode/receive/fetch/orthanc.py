"""Studies from an Orthanc by its REST interface, from version 1.10 on.

A series states modality and maker, so that whole series are skipped without reading their
instances. The SOP class of the others is requested one by one: every version keeps it as the
metadata `SopClassUid`, while `requestedTags` came with 1.11 and opens files where the database
does not hold a tag.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from cadnode.http import HttpFailure, PeerSession
from cadnode.limits import INSTANCES
from cadnode.receive.fetch.compression import Line
from cadnode.receive.fetch.fetch import BLOCK_BYTES, Sink
from cadnode.receive.fetch.listing import Listed, is_mammogram, may_concern
from cadnode.receive.fetch.requests import Request
from cadnode.receive.fetch.studies import COUNTED, STUDIES, ListedStudy, header_of

_NOT_FOUND: Final = (404,)
_LONGEST_METADATA: Final = 64 << 10


class OrthancSource:
    """A `pull.Source` that is an Orthanc."""

    def __init__(self, peer: PeerSession, line: Line | None = None) -> None:
        self._peer = peer
        self._line = line or Line()

    def check(self) -> str:
        """The version that answers. Raises `HttpFailure` like `instances`."""
        system = self._peer.get_json("/system")
        if not isinstance(system, dict) or "ApiVersion" not in system:
            raise self._not_understood()
        return f"Orthanc {system.get('Version', 'of unknown version')}"

    def instances(self, request: Request) -> list[Listed]:
        """Every instance; of those that can concern us, with their SOP class.

        Raises
        ------
        HttpFailure
            The Orthanc does not answer, refuses us, or answers something else.
        """
        try:
            found = (
                instance
                for study in self._studies(request)
                for series in self._get(f"/studies/{study}/series") or ()
                for instance in self._instances(series)
            )
            listed = list(islice(found, INSTANCES + 1))
        except (KeyError, TypeError, AttributeError):
            raise self._not_understood() from None
        if len(listed) > INSTANCES:
            raise self._not_understood()
        return listed

    def stream(self, instance: Listed, sink: Sink) -> bool:
        """Give the instance's file, as stored, to `sink`; False when it is gone.

        Raises
        ------
        HttpFailure
            The Orthanc does not answer, or its answer ends early.
        """
        path = f"/instances/{instance.where}/file"
        with (
            self._line.measured(sink) as measured,
            self._peer.request("GET", path, headers=measured.headers, also=_NOT_FOUND) as response,
        ):
            if response.status_code == 404:
                return False
            for block in response.iter_content(BLOCK_BYTES):
                measured.sink(block)
        return True

    def studies_of(self, value: str, keyword: str = "PatientID") -> list[ListedStudy]:
        """Its studies with mammography under that Patient ID, or other key of a study.

        The newest say how many images they have.

        Raises
        ------
        HttpFailure
            As `instances`.
        """
        query = {keyword: value, "ModalitiesInStudy": "MG"}
        wanted = {"Level": "Study", "Expand": True, "Limit": STUDIES, "Query": query}
        with self._peer.request("POST", "/tools/find", json=wanted) as response:
            found = self._peer.json_of(response)
        try:
            found.sort(key=lambda one: str(one["MainDicomTags"].get("StudyDate", "")), reverse=True)
            return [self._listed_study(one, counts=n < COUNTED) for n, one in enumerate(found)]
        except (KeyError, TypeError, AttributeError):
            raise self._not_understood() from None

    def _listed_study(self, study: dict[str, Any], *, counts: bool) -> ListedStudy:
        n_images = None
        if counts:
            series = self._get(f"/studies/{study['ID']}/series") or ()
            of_breasts = [s for s in series if s["MainDicomTags"].get("Modality") == "MG"]
            n_images = sum(len(s["Instances"]) for s in of_breasts)
        values = {**study["PatientMainDicomTags"], **study["MainDicomTags"]}
        return ListedStudy(header_of(values), str(study["ID"]), ("MG",), n_images)

    def _studies(self, request: Request) -> list[str]:
        """Orthanc's identifiers of the study: the one that was named, else those that it finds.

        There are several where one Study Instance UID was used for several patients.
        """
        named = request.source_id
        if named.replace("-", "").isalnum():
            study = self._get(f"/studies/{named}") or {"MainDicomTags": {}}
            if _uid(study, "StudyInstanceUID") == request.study_instance_uid:
                return [named]
        uid = request.study_instance_uid
        with self._peer.request("POST", "/tools/lookup", data=uid) as response:
            found = self._peer.json_of(response)
        return [str(f["ID"]) for f in found if f["Type"] == "Study"]

    def _instances(self, series: dict[str, Any]) -> Iterator[Listed]:
        """A series' instances; named by Orthanc's identifiers alone where none can concern us."""
        tags = {keyword: str(value) for keyword, value in series["MainDicomTags"].items()}
        any_of_them = Listed(
            "", "",
            modality=tags.get("Modality", ""),
            manufacturer=tags.get("Manufacturer", ""),
            body_part=tags.get("BodyPartExamined", ""),
        )  # fmt: skip
        if not is_mammogram(any_of_them) and not may_concern(any_of_them):
            yield from (replace(any_of_them, sop_instance_uid=str(i)) for i in series["Instances"])
            return
        for instance in self._get(f"/series/{series['ID']}/instances") or ():
            yield replace(
                any_of_them,
                sop_instance_uid=_uid(instance, "SOPInstanceUID"),
                where=str(instance["ID"]),
                sop_class_uid=self._sop_class_uid(str(instance["ID"])),
            )

    def _sop_class_uid(self, instance: str) -> str:
        """SOP class in the metadata; "" where an old database or a deleted instance has none."""
        path = f"/instances/{instance}/metadata/SopClassUid"
        with self._peer.request("GET", path, also=_NOT_FOUND) as response:
            if response.status_code == 404:
                return ""
            body = self._peer.body_of(response, at_most=_LONGEST_METADATA)
        return body.decode("ascii", "replace").strip("\0 \r\n")

    def _not_understood(self) -> HttpFailure:
        text = f"{self._peer.name} does not answer as an Orthanc: is the url right?"
        return HttpFailure(text, retryable=False)

    def _get(self, path: str) -> Any:
        """Parsed JSON; None when there is no such thing."""
        with self._peer.request("GET", path, also=_NOT_FOUND) as response:
            return None if response.status_code == 404 else self._peer.json_of(response)


def _uid(resource: dict[str, Any], keyword: str) -> str:
    return str(resource["MainDicomTags"].get(keyword, "")).strip("\0 ")
