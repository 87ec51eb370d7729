"""A small strict FHIR R5 server: validates transactions, creates conditionally, and remembers."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from fhir.resources.bundle import Bundle

CONDITION = re.compile(r"identifier=(?P<system>[^|]+)\|(?P<value>.+)")


@dataclass
class FhirServer:
    """What a server was given. `fail_with`: it answers the next requests with these statuses."""

    url: str = ""
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)
    fail_with: list[int] = field(default_factory=list)

    def transaction(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and answer, by FHIR R5 3.2.0.13: all or nothing, references resolved."""
        try:
            bundle = json.loads(body)
            Bundle.model_validate(bundle)
            addresses = [entry["fullUrl"] for entry in bundle["entry"]]
            assert len(set(addresses)) == len(addresses)
            assert set(references(bundle)) <= set(addresses)
            answers = [self._create(entry) for entry in bundle["entry"]]
        except (ValueError, AssertionError, KeyError) as error:
            return 422, {"resourceType": "OperationOutcome", "text": str(error)}
        return 200, {
            "resourceType": "Bundle",
            "type": "transaction-response",
            "entry": [{"response": {"status": status}} for status in answers],
        }

    def _create(self, entry: dict[str, Any]) -> str:
        request, resource = entry["request"], entry["resource"]
        assert request["method"] == "POST"
        assert request["url"] == resource["resourceType"]
        condition = CONDITION.fullmatch(request["ifNoneExist"])
        assert condition
        wanted = condition.groupdict()
        assert wanted in resource["identifier"]
        key = f"{request['url']} {wanted['system']}|{wanted['value']}"
        if key in self.resources:
            return "200 OK"
        self.resources[key] = resource
        return "201 Created"


def references(value: Any) -> Iterator[str]:
    """Every reference by address in a tree of JSON values."""
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)


@contextmanager
def running() -> Iterator[FhirServer]:
    """A server on a free port of this machine."""
    state = FhirServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.headers.append(dict(self.headers))
            if state.fail_with:
                self._answer(state.fail_with.pop(0), {"resourceType": "OperationOutcome"})
            elif self.path.rstrip("/") != "/fhir":
                self._answer(404, {"resourceType": "OperationOutcome"})
            else:
                self._answer(*state.transaction(body))

        def do_GET(self) -> None:
            told = {"resourceType": "CapabilityStatement", "fhirVersion": "5.0.0"}
            self._answer(200 if self.path == "/fhir/metadata" else 404, told)

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}/fhir"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
