"""What failures of HTTP mean, and that their words name nobody."""

import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from cadnode.deliver.over_http import delivering
from cadnode.errors import PermanentDeliveryError, TransientDeliveryError
from cadnode.http import Credentials, FailureKind, HttpFailure, HttpPeerValues, connected

UID = "1.2.826.0.1.77777.1"  # stands for an identifier in a URL
SECRET = "ZZQ-secret"


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers `/STATUS/…` with that status, and `/cut` with less than it promised.

    `/once/…` drops the connection at the first request and answers the second; `/moved` leads to
    `/whoami`, which answers the Authorization header. `/odd-location` leads to bytes that are no
    text, `/deep` and `/digits` answer JSON that no parser takes.
    """

    dropped: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        what = self.path.split("/")[1]
        if what == "once" and self.path not in self.dropped:
            self.dropped.add(self.path)
            return
        if what in ("once", "whoami", "moved"):
            self.send_response(302 if what == "moved" else 200)
            self.send_header("Location", "/whoami")
            body = self.headers.get("Authorization", "").encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        if what == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
            return
        if what == "odd-location":
            self.wfile.write(b"HTTP/1.0 302 Found\r\nLocation: /\xdb\r\n\r\n")
            return
        if what in ("deep", "digits"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"[" * 100_000 if what == "deep" else b"9" * 5000)
            return
        self.send_response(int(what))
        self.send_header("Location", f"http://127.0.0.1/{UID}")
        self.end_headers()
        if int(what) == 200:
            self.wfile.write(f"<html>{UID}</html>".encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def failure(values: HttpPeerValues, path: str) -> HttpFailure:
    with (
        pytest.raises(HttpFailure) as failed,
        connected(values) as peer,
        peer.request("GET", path) as response,
    ):
        assert response.content
    text = str(failed.value)
    assert text.startswith("archive ")
    assert [word for word in (UID, "127.0.0.1", "http", SECRET) if word in text] == []
    return failed.value


@pytest.mark.parametrize("status", [401, 403, 408, 425, 429, 500, 502, 503, 504, 507])
def test_a_busy_or_broken_peer_or_one_whose_password_changed_is_worth_another_try(
    url: str, status: int
) -> None:
    failed = failure(HttpPeerValues("archive", url), f"/{status}/{UID}")
    assert (failed.retryable, failed.status) == (True, status)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 405, 406, 413, 415, 501])
def test_a_refusal_is_final_and_a_redirection_is_not_followed(url: str, status: int) -> None:
    failed = failure(HttpPeerValues("archive", url), f"/{status}/{UID}")
    assert (failed.retryable, failed.status) == (False, status)


def test_an_answer_that_ends_early_is_worth_another_try(url: str) -> None:
    assert failure(HttpPeerValues("archive", url), f"/cut/{UID}").retryable


def test_a_get_is_repeated_after_a_lost_answer_where_that_is_asked_for_and_a_post_never(
    url: str,
) -> None:
    patient = HttpPeerValues("archive", url, retries_requests=True)
    with connected(patient) as peer, peer.request("GET", "/once/patient") as response:
        assert response.status_code == 200
    with connected(patient) as peer, pytest.raises(HttpFailure) as failed:
        peer.request("POST", "/once/posted").__enter__()
    assert failed.value.kind is FailureKind.NO_ANSWER
    assert failure(replace(patient, retries_requests=False), "/once/hasty").retryable


def test_a_redirection_is_followed_where_that_is_asked_for_and_credentials_are_kept(
    url: str,
) -> None:
    values = HttpPeerValues("archive", url, follows_redirects=True)
    with (
        connected(values, Credentials("ä", "ö")) as peer,
        peer.request("GET", "/moved") as response,
    ):
        assert response.text == "Basic w6Q6w7Y="  # of UTF-8: RFC 7617 section 2.1
    with connected(values, Credentials(token="t")) as peer, peer.request("GET", "/moved") as again:
        assert again.text == "Bearer t"
    assert SECRET not in repr(Credentials("u", SECRET, SECRET))


def test_an_answer_that_is_not_json_is_final_and_not_quoted(url: str) -> None:
    with connected(HttpPeerValues("archive", url)) as peer, pytest.raises(HttpFailure) as failed:
        peer.get_json(f"/200/{UID}")
    assert str(failed.value) == "archive answered something else than JSON: is the url right?"
    assert not failed.value.retryable


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00", b"a\x07b", "tökén".encode()])
def test_a_token_file_without_a_usable_line_is_told_without_its_content(
    tmp_path: Path, content: bytes
) -> None:
    token = tmp_path / "token"
    token.write_bytes(content)
    with (
        pytest.raises(HttpFailure, match="the token_file of archive") as failed,
        connected(HttpPeerValues("archive", "http://127.0.0.1:1", token_file=token)),
    ):
        pass
    assert failed.value.retryable
    assert str(tmp_path) not in str(failed.value)


def test_delivery_maps_failures_to_its_own_errors(url: str) -> None:
    values = HttpPeerValues("archive", url)
    with pytest.raises(TransientDeliveryError), delivering(values) as peer:
        peer.get_json("/503")
    with pytest.raises(PermanentDeliveryError), delivering(values) as peer:
        peer.get_json("/404")


def test_a_location_that_is_no_text_and_json_beyond_all_measure_are_failures(url: str) -> None:
    for path in ("/odd-location", "/deep", "/digits"):
        with pytest.raises(HttpFailure) as caught, connected(HttpPeerValues("pacs", url)) as peer:
            peer.get_json(path)
        assert not caught.value.retryable, path
        assert "pacs" in str(caught.value)
