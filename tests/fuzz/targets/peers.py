"""Hostile HTTP peers: what Orthancs, DICOMweb and FHIR servers answer, over a real socket."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

from cadnode.deliver import fhir, orthanc, stow
from cadnode.errors import DeliveryError
from cadnode.http import HttpFailure, HttpPeerValues, connected
from cadnode.receive.fetch.dicomweb import DicomwebSource
from cadnode.receive.fetch.fetch import FetchFailure, fetch
from cadnode.receive.fetch.orthanc import OrthancSource
from cadnode.receive.fetch.requests import Request
from cadnode.receive.spool import Spool
from tests.encoding import uid
from tests.fuzz.mutate import raw, text
from tests.fuzz.target import Target
from tests.fuzz.targets.files import file_bytes, view

_NEXT: Final = b"\n=====NEXT=====\n"  # between two answers
_KEYS = (
    "ID", "Type", "MainDicomTags", "Instances", "ApiVersion", "Status", "00080018", "00081199",
    "00081198", "00081197", "Value", "vr", "entry", "response", "status", "type", "00080060",
)  # fmt: skip
_HEADS = (
    b"HTTP/1.1 204 \r\n", b"HTTP/1.1 301 x\r\nLocation: file:///etc/passwd\r\n",
    b"HTTP/1.1 500 \r\n",
    b"HTTP/1.1 503 \r\nRetry-After: 99999999\r\n",
    b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n",
    b"HTTP/1.1 200 \r\nContent-Encoding: gzip\r\n",
    b"HTTP/1.1 200 \r\nContent-Encoding: deflate\r\n",
    b"HTTP/1.1 200 \r\nContent-Length: 99999999999\r\n", b"HTTP/1.1 100 \r\n", b"HTTP/1.1 999 \r\n",
    b"HTTP/1.1 401 \r\nWWW-Authenticate: Basic\r\n", b"HTTP/1.1 200 \r\nContent-Length: -1\r\n",
    b"HTTP/1.1 200 \r\nX: " + b"a" * 70_000 + b"\r\n", b"ICY 200\r\n", b"", b"HTTP/1.1 404 \r\n",
    b"HTTP/1.1 200 \r\nSet-Cookie: a=b\r\nContent-Type: application/json; charset=utf-7\r\n",
    b"HTTP/1.1 200 \r\nContent-Type: multipart/related\r\n", b"HTTP/1.1 202 \r\n",
    b"HTTP/1.1 409 \r\n",
)  # fmt: skip
STUDY = uid("study", 0)


class Peer(Target):
    """Answers as they come over the line, one after the other; the last one again and again."""

    allowed = (FetchFailure, DeliveryError, HttpFailure)

    def open(self, folder: Path) -> None:
        super().open(folder)
        self._server = _Answers()
        self._values = HttpPeerValues("peer", self._server.url, timeout_s=2.0)
        self._spool = Spool(folder / "spool")
        self._files = [folder / "ours.dcm"]
        self._files[0].write_bytes(file_bytes(view()))
        self._bundle = folder / "bundle.json"
        self._bundle.write_text('{"resourceType": "Bundle"}')
        self._request = Request(STUDY, "peer", "ab-cd")

    def close(self) -> None:
        self._server.close()

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        answers = data.split(_NEXT)
        at = rng.randrange(len(answers))
        head, _, body = answers[at].partition(b"\r\n\r\n")
        roll = rng.random()
        if roll < 0.5:
            answers[at] = answer(text.mutated_json(body, rng, _KEYS), _type_of(head))
        elif roll < 0.65:
            answers[at] = rng.choice(_HEADS) + b"\r\n" + body
        elif roll < 0.8:
            answers[at] = raw.mutated(answers[at], rng, other)
        elif roll < 0.9:
            body = raw.mutated(body, rng, other)
            answers[at] = answer(body, _type_of(head))
        else:
            rng.shuffle(answers)
            answers = answers[: rng.randint(1, len(answers))]
        return _NEXT.join(answers[:12])

    def run(self, data: bytes) -> Iterator[str]:
        self._server.answers = data.split(_NEXT)
        self.ask()
        yield ""

    def ask(self) -> None:
        """What the program does with the peer."""
        raise NotImplementedError


class DicomwebPeer(Peer):
    """A study fetched by QIDO-RS and WADO-RS."""

    name = "dicomweb"

    def seeds(self) -> list[bytes]:
        listed = [_json_instance(view())]
        part = (
            b"--B\r\nContent-Type: application/dicom\r\n\r\n"
            + file_bytes(view())
            + b"\r\n--B--\r\n"
        )
        related = b'multipart/related; type="application/dicom"; boundary=B'
        return [
            _NEXT.join((_json(listed), _json([]), answer(part, related))),
            _NEXT.join(
                (_json(listed), _json([]), answer(file_bytes(view()), b"application/dicom"))
            ),
        ]

    def ask(self) -> None:
        with connected(self._values) as peer:
            fetch(self._request, DicomwebSource(peer), self._spool)


class OrthancPeer(Peer):
    """A study fetched from an Orthanc."""

    name = "orthanc"

    def seeds(self) -> list[bytes]:
        ds = view()
        instance = {"ID": "i-1", "MainDicomTags": {"SOPInstanceUID": str(ds.SOPInstanceUID)}}
        tags = {"Modality": "MG", "Manufacturer": "ZZQ", "BodyPartExamined": "BREAST"}
        answers = (
            _json({"ID": "ab-cd", "MainDicomTags": {"StudyInstanceUID": STUDY}}),
            _json([{"ID": "s-1", "MainDicomTags": tags, "Instances": ["i-1"]}]),
            _json([instance]),
            answer(str(ds.SOPClassUID).encode(), b"text/plain"),
            answer(file_bytes(ds), b"application/dicom"),
        )
        return [_NEXT.join(answers)]

    def ask(self) -> None:
        with connected(self._values) as peer:
            fetch(self._request, OrthancSource(peer), self._spool)


class Destinations(Peer):
    """Results sent by STOW-RS, Orthanc's REST and FHIR; the first byte says by which."""

    name = "destinations"

    def seeds(self) -> list[bytes]:
        ds = view()
        item = {"00081155": {"vr": "UI", "Value": [str(ds.SOPInstanceUID)]}}
        stored = {"00081199": {"vr": "SQ", "Value": [item]}}
        had = {
            "00081198": {"vr": "SQ", "Value": [{**item, "00081197": {"vr": "US", "Value": [273]}}]}
        }
        status = {"response": {"status": "201 Created"}}
        system = _json({"ApiVersion": 26, "Version": "1.12.0"})
        found = _json([{"ID": "ab", "Type": "Instance"}])
        file = answer(file_bytes(ds), b"application/dicom")
        return [
            b"s" + _json(stored),
            b"s" + _NEXT.join((_json(had), _json([_json_instance(ds, all_of_it=True)]))),
            b"o" + _NEXT.join((system, _json([]), _json({"Status": "Success"}))),
            b"o" + _NEXT.join((system, found, file, _json({"Status": "AlreadyStored"}))),
            b"f"
            + _json({"resourceType": "Bundle", "type": "transaction-response", "entry": [status]}),
        ]

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        return data[:1] + super().mutate(data[1:], rng, other[1:])

    def run(self, data: bytes) -> Iterator[str]:
        self._kind = data[:1]
        return super().run(data[1:])

    def ask(self) -> None:
        if self._kind == b"s":
            stow.send(self._files, self._values)
            stow.check(self._values)
        elif self._kind == b"o":
            orthanc.send(self._files, self._values)
        else:
            fhir.send(self._bundle, self._values)
            fhir.check(self._values)


class _Answers:
    """A server that gives bytes for requests, whatever they ask, and closes each connection."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._answers: list[bytes] = [b""]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def answers(self) -> list[bytes]:
        """Those not given yet; the last one stays."""
        return self._answers

    @answers.setter
    def answers(self, answers: list[bytes]) -> None:
        self._answers = list(answers)

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(2)

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            with peer, suppress(OSError):
                peer.settimeout(2.0)
                _request_of(peer)
                given = self._answers
                peer.sendall(given.pop(0) if len(given) > 1 else given[0])


def _request_of(peer: socket.socket) -> None:
    """Read a request and its body, as far as it says how long that is."""
    data = b""
    while b"\r\n\r\n" not in data:
        block = peer.recv(65536)
        if not block:
            return
        data += block
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n")
         if line.lower().startswith(b"content-length:")), 0,
    )  # fmt: skip
    while len(body) < length:
        block = peer.recv(65536)
        if not block:
            return
        body += block


def answer(body: bytes, content_type: bytes) -> bytes:
    """A whole HTTP answer."""
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: " + content_type
    return head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _json(document: object) -> bytes:
    return answer(json.dumps(document).encode(), b"application/json")


def _type_of(head: bytes) -> bytes:
    found = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-type:")]
    return found[0].partition(b":")[2].strip() if found else b"application/json"


def _json_instance(ds: object, *, all_of_it: bool = False) -> dict[str, object]:
    document: dict[str, object] = ds.to_json_dict()  # type: ignore[attr-defined]
    document.pop("7FE00010", None)
    wanted = {"00080016", "00080018", "00080060", "00080070", "00180015", "0020000E"}
    return document if all_of_it else {t: e for t, e in document.items() if t in wanted}
