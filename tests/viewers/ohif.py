"""The OHIF viewer as its makers built it, served beside a DICOMweb archive from one origin."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PACKAGE = json.loads((Path(__file__).parent / "ohif.json").read_bytes())
FOLDER = Path(__file__).parents[2] / "build" / "viewers"
DIST = FOLDER / f"ohif-{PACKAGE['version']}" / "dist"
DICOM_WEB = "/dicom-web"

_SOURCE = {
    "friendlyName": "Orthanc", "name": "orthanc", "qidoRoot": DICOM_WEB, "wadoRoot": DICOM_WEB,
    "wadoUriRoot": DICOM_WEB, "qidoSupportsIncludeField": False, "supportsReject": False,
    "imageRendering": "wadors", "thumbnailRendering": "wadors", "enableStudyLazyLoad": True,
    "supportsFuzzyMatching": False, "supportsWildcard": True, "dicomUploadEnabled": False,
    "omitQuotationForMultipartRequest": True, "bulkDataURI": {"enabled": True},
}  # fmt: skip
CONFIGURATION = {
    "name": "tests", "routerBasename": "/", "extensions": [], "modes": [], "showStudyList": True,
    "customizationService": {}, "maxNumberOfWebWorkers": 2, "defaultDataSourceName": "dicomweb",
    "showWarningMessageForCrossOrigin": False, "investigationalUseDialog": {"option": "never"},
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "dicomweb",
            "configuration": _SOURCE,
        }
    ],
}  # fmt: skip
_MODALITY, _SHARED_GROUPS = "00080060", "52009229"
_PLANE_ORIENTATION, _ORIENTATION = "00209116", "00200037"


class _Site(SimpleHTTPRequestHandler):
    """Files of the viewer; `/dicom-web` is passed on to the archive."""

    protocol_version = "HTTP/1.1"

    def __init__(self, archive_port: int, *args: Any) -> None:
        self.archive_port = archive_port
        super().__init__(*args, directory=str(DIST))

    def do_GET(self) -> None:
        address = self.path.split("?")[0]
        if address.startswith(DICOM_WEB):
            self._pass_on()
        elif address == "/app-config.js":
            script = f"window.config = {json.dumps(CONFIGURATION)};"
            self._answer(200, "text/javascript", script.encode())
        else:
            if not (DIST / address.lstrip("/")).is_file():
                self.path = "/index.html"  # an address inside the application
            super().do_GET()

    def do_POST(self) -> None:
        """What the viewer stores (STOW-RS)."""
        self._pass_on(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def end_headers(self) -> None:
        """What a page needs before it may share memory with its workers."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def _pass_on(self, sent: bytes | None = None) -> None:
        archive = http.client.HTTPConnection("127.0.0.1", self.archive_port, timeout=120)
        # Orthanc writes addresses of bulk data with the name by which it was asked.
        kept = {"Accept": self.headers.get("Accept", "*/*"), "Host": self.headers["Host"]}
        if sent is not None:
            kept["Content-Type"] = self.headers.get("Content-Type", "")
        archive.request(self.command, self.path, sent, kept)
        response = archive.getresponse()
        body = response.read()
        archive.close()
        if response.status == 200 and self.path.endswith("/metadata"):
            body = json.dumps([oriented(document) for document in json.loads(body)]).encode()
        self._answer(response.status, response.headers["Content-Type"] or "", body)

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: addresses hold UIDs."""


def oriented(document: dict[str, Any]) -> dict[str, Any]:
    """A segmentation's metadata with an orientation, which OHIF 3.13.2 cannot do without.

    Mammograms have none (no Frame of Reference, PS3.3 A.26), so neither have segmentations of
    them. OHIF takes a mammogram for axial and then asks whether the segmentation is parallel.
    """
    if document.get(_MODALITY, {}).get("Value") == ["SEG"]:
        orientation = {_ORIENTATION: {"vr": "DS", "Value": [1, 0, 0, 0, 1, 0]}}
        shared = document[_SHARED_GROUPS]["Value"][0]
        shared.setdefault(_PLANE_ORIENTATION, {"vr": "SQ", "Value": [orientation]})
    return document


@contextmanager
def ohif(archive_port: int) -> Iterator[str]:
    """Address of an OHIF that shows what the archive at that HTTP port holds."""
    assert DIST.is_dir(), "OHIF is missing: deploy/viewers.sh"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Site, archive_port))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
