"""What others send ends at a limit, with a reason, before memory is taken for it."""

import asyncio
import gzip
import http.server
import itertools
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cadnode.domain import SkipReason
from cadnode.errors import ModelError
from cadnode.exam.markings import regions, seg
from cadnode.exam.read import exam_of
from cadnode.http import FailureKind, HttpFailure, HttpPeerValues, connected
from cadnode.limits import ANSWER_BYTES, MIB, PARTS
from cadnode.multipart import MOST_HEADER_BYTES, MultipartError, stream_parts
from cadnode.receive.fetch import compression
from cadnode.registry import parcel
from cadnode.web import request_log
from cadnode.web.request_log import BodyLimit
from tests.synthetic import write
from tests.unit import region_cases


class Endless(http.server.BaseHTTPRequestHandler):
    """`/bomb`: gzip that expands to more than an answer may have; `/drip`: a byte now and then."""

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/bomb":
            body = gzip.compress(bytes(ANSWER_BYTES + MIB))
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.end_headers()
        for _ in range(100):
            try:
                self.wfile.write(b" ")
                time.sleep(0.05)
            except OSError:
                return

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_that_expands_past_the_limit_is_left(url: str) -> None:
    with connected(HttpPeerValues("pacs", url)) as peer, pytest.raises(HttpFailure) as caught:
        peer.get_json("/bomb")
    assert not caught.value.retryable
    assert f"{ANSWER_BYTES >> 20} MB" in str(caught.value)


def test_an_answer_that_drips_is_left_though_no_byte_is_late(url: str) -> None:
    began = time.monotonic()
    with (
        connected(HttpPeerValues("pacs", url, timeout_s=0.1)) as peer,
        pytest.raises(HttpFailure) as caught,
    ):
        peer.get_json("/drip")
    assert caught.value.kind is FailureKind.NO_ANSWER
    assert time.monotonic() - began < 4


def test_an_instance_without_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "INSTANCE_BYTES", 100)
    taken: list[bytes] = []
    one = compression.ByteCount("identity", taken.append)
    one.sink(bytes(100))
    with pytest.raises(HttpFailure):
        one.sink(b"x")
    assert taken == [bytes(100)]


@pytest.mark.parametrize(
    "blocks",
    [
        itertools.chain([b"--b\r\n"], itertools.repeat(b"\r\n\r\n\r\n--b\r\n")),
        itertools.repeat(b"x" * 1000),
        itertools.chain([b"--b\r\n"], itertools.repeat(b"X: y\r\n" * 100)),
        itertools.chain([b"--b\r\n"], itertools.repeat(b"X" * 1000)),
    ],
    ids=["parts", "preamble", "header lines", "header line"],
)
def test_a_multipart_body_without_an_end_is_left(blocks: Iterator[bytes]) -> None:
    n_bytes = 0

    def counted() -> Iterator[bytes]:
        nonlocal n_bytes
        for block in blocks:
            n_bytes += len(block)
            yield block

    with pytest.raises(MultipartError):
        stream_parts(counted(), b"b", lambda _: lambda _: None)
    assert n_bytes < 20 * PARTS + 2 * MOST_HEADER_BYTES


def test_a_request_whose_body_drips_or_is_long_never_reaches_the_routes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_log, "REQUEST_S", 0.3)
    scope = {"type": "http", "method": "POST", "path": "/api/studies", "headers": []}

    async def answer_to(block: bytes, pause_s: float) -> int:
        sent: list[dict[str, Any]] = []
        n_asked = 0

        async def receive() -> dict[str, Any]:
            nonlocal n_asked
            n_asked += 1
            assert n_asked < 100
            await asyncio.sleep(pause_s)
            return {"type": "http.request", "body": block, "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        async def routes(*_: object) -> None:
            raise AssertionError

        await BodyLimit(routes)(scope, receive, send)  # type: ignore[arg-type]
        return int(sent[0]["status"])

    assert asyncio.run(answer_to(b"x", 0.05)) == 408
    assert asyncio.run(answer_to(b"x" * 4096, 0.0)) == 413


def test_a_parcel_of_too_many_files_is_refused_unopened(tmp_path: Path) -> None:
    archive = tmp_path / "models.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(parcel._MOST_MEMBERS + 1):
            file.writestr(f"m{number}/1.0.0/{parcel.CARD}", b"")
    with (
        pytest.raises(ModelError, match="more than"),
        parcel.opened(archive),
    ):
        raise AssertionError


def problems(folder: Path) -> list[str]:
    exam = exam_of([folder])
    assert len(exam.mammograms) == 1
    assert {s.reason for s in exam.skipped} <= {SkipReason.ROI_UNUSABLE}
    return [s.detail for s in exam.skipped]


def test_an_object_with_more_shapes_than_people_draw_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(region_cases.mammogram(), tmp_path / "view.dcm")
    points = [("POINT", [(10.0 + n, 20.0)]) for n in range(5)]
    write(region_cases.tid1500(points), tmp_path / "report.dcm")
    assert problems(tmp_path) == []
    monkeypatch.setattr(regions, "REGIONS", 3)
    assert problems(tmp_path) == ["it has more than 3 regions on one image"]
    assert len(exam_of([tmp_path]).regions) == 3
    monkeypatch.setattr(regions, "SHAPES", 2)
    assert problems(tmp_path) == ["it has more than 2 shapes"]


def test_a_segmentation_of_more_frames_than_images_have_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(region_cases.mammogram(), tmp_path / "view.dcm")
    mask = np.zeros((region_cases.ROWS, region_cases.COLUMNS), np.uint8)
    mask[10:20, 30:45] = 1
    write(region_cases.segmentation(mask), tmp_path / "seg.dcm")
    assert problems(tmp_path) == []
    monkeypatch.setattr(seg, "MARKED_FRAMES", 0)
    assert problems(tmp_path) == ["it has more than 0 frames"]
