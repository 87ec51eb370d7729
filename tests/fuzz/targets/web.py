"""The HTTP side, asked in this process as an ASGI server would (`cadnode.web`)."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from cadnode.exam.patient import Patient
from cadnode.web.api import create
from cadnode.web.node import UnknownSource, jobs_away
from cadnode.web.study import State, StudyState
from tests.fuzz.mutate import raw, text
from tests.fuzz.oracles import Violation
from tests.fuzz.target import Target
from tests.web_cases import DONE, KEY, TOKEN, UID, VIEWERS_TOKEN, Told, known, nobody_known

_PATHS = (
    "/", "/health", "/login", f"/studies/{UID}", f"/studies/{UID}/report", "/api/studies",
    f"/api/studies/{UID}", f"/api/studies/{KEY}", "/static/base.css", "/api/openapi.json",
    "/logout", f"/studies/{UID}/retry", "/login/openid?code=1&state=2", "/login/openid/begin",
    f"/api/studies/{UID}/redeliver", f"/studies/{UID}?ordered=drop", "/login?next=/&ended=1",
    "/api/studies?limit=5", "/studies/x/report?patient=2", "/login?next=/studies/1", "/static/../x",
    "/?state=done&since=2026-03-04&after=1-0123456789abcdef",
    "/api/studies?needs_you=1&until=2026-03-04",
    f"/studies/{UID}/assessment", f"/studies/{UID}/verdicts", f"/api/studies/{UID}/verdicts",
)  # fmt: skip
_PARTS = (
    "..", "%2e%2e", "%00", "%ff", "%ed%a0%80", "//", "?", "&limit=", "limit=1e400",
    "patient=-1", "next=",
    "next=//evil", "next=%0d%0aSet-Cookie:%20a=b", "next=javascript:1", "9" * 400, "ZZQ", ";", "*",
    "<script>", "{{7*7}}", "%", "\u0661", "limit=%d9%a3", "a" * 3000, "patient=9" + "9" * 5000,
)  # fmt: skip
_HEADERS = (
    ["host", "127.0.0.1"], ["host", "evil"], ["host", "["], ["host", ""], ["host", "[::1]:80"],
    ["authorization", "Bearer " + TOKEN], ["authorization", "Bearer \xff"], ["authorization", ""],
    ["authorization", "Basic ZZQ"], ["cookie", "cadnode_session=1.2"], ["cookie",
    "cadnode_session="],
    ["cookie", "cadnode_session=\xe9.\xe9"], ["cookie", 'a="b; c=;;;=,'], ["accept", "text/html"],
    ["cookie", "cadnode_session=99999999999999999999." + "0" * 64], ["content-length", "-1"],
    ["content-type", "application/json"], ["content-type", "text/plain"], ["content-type", "\xff"],
    ["content-type", "application/json; charset=utf-16"], ["via", "1"], ["forwarded", "for=1"],
    ["x-forwarded-for", "\xff"], ["sec-fetch-site", "cross-site"], ["range", "bytes=0-"],
    ["\xff", "x"],
    ["cookie", "cadnode_session=\u00b2.x"], ["sec-fetch-site", "same-origin"], ["origin", "http://["],
    ["origin", "http://127.0.0.1"], ["origin", "null"], ["x-csrf-token", "\xff"],
    ["x-csrf-token", "x"], ["content-type", "application/x-www-form-urlencoded"],
    ["authorization", "Bearer " + VIEWERS_TOKEN], ["x-cadnode-refresh", "1"],
    ["sec-fetch-dest", "iframe"], ["cookie", "cadnode_openid=x"],
)  # fmt: skip
_METHODS = (
    "GET",
    "GET",
    "GET",
    "POST",
    "POST",
    "HEAD",
    "PUT",
    "DELETE",
    "OPTIONS",
    "PATCH",
    "X",
    "",
)
_BODY = {"study_instance_uid": "1.2.3", "source": "orthanc", "orthanc_id": None, "at_once": True}
_KEYS = (*_BODY, "study_instance_uid")


class Web(Target):
    """One request as JSON: method, path, headers, body. Only what is documented is answered."""

    name = "web"
    weight = 2.0

    def open(self, folder: Path) -> None:
        super().open(folder)
        (folder / "report.html").write_text("<p>report")
        self._known = known()
        self._loop = asyncio.new_event_loop()
        hostile = "ZZQ<script>alert(1)</script>\"'\0\u202e"
        states = {UID: DONE, "x": replace(DONE, study_instance_uid=hostile)}
        states |= {s.value: StudyState(KEY, "", s, deliveries=(("a", "?"),)) for s in State}
        report = folder / "report.html"
        patient = Patient((hostile, hostile), hostile)
        told = Told(states, patient, report)
        nodes = (
            told,
            told,
            replace(told, error=jobs_away()),
            replace(told, refusal=UnknownSource((hostile,))),
        )
        self._nodes = [(one.node(), to) for one in nodes for to in (nobody_known(), self._known)]
        self._apps: dict[int, Any] = {}

    def _app(self, number: int) -> Any:
        """One of the applications, made when it is first asked."""
        number %= len(self._nodes)
        if number not in self._apps:
            self._apps[number] = create(*self._nodes[number])
        return self._apps[number]

    def close(self) -> None:
        self._loop.close()

    def seeds(self) -> list[bytes]:
        asked = [["GET", path, [["host", "127.0.0.1"]], ""] for path in _PATHS]
        json_type = ["content-type", "application/json"]
        asked.append(
            ["POST", "/api/studies", [["host", "localhost"], json_type], json.dumps(_BODY)]
        )
        asked.append(["POST", "/login", [["host", "localhost"]], f"password={TOKEN}&next=/x"])
        here = ["sec-fetch-site", "same-origin"]
        asked.append(["POST", "/login", [here], "name=vera&password=x&next=/x"])
        asked.append(["POST", f"/studies/{UID}/drop", [["host", "localhost"], here], "csrf=x"])
        looking = ["authorization", f"Bearer {VIEWERS_TOKEN}"]
        asked.append(["POST", f"/studies/{UID}/retry", [looking], "destination=x"])
        with_token = [["authorization", f"Bearer {TOKEN}"], json_type]
        asked.append(["POST", "/api/studies", with_token, json.dumps(_BODY)])
        asked.append(["POST", "/api/studies/search", with_token, json.dumps({"text": "Roe"})])
        asked.append(["POST", "/search", [["host", "localhost"], here], "csrf=x&text=Roe&after=1"])
        return [json.dumps([0, *one]).encode() for one in asked]

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        try:
            app, method, path, headers, body = json.loads(data)
        except (ValueError, TypeError):
            return data
        for _ in range(rng.choice((1, 1, 2, 3))):
            roll = rng.random()
            if roll < 0.15:
                app = rng.randrange(8)
            elif roll < 0.25:
                method = rng.choice(_METHODS)
            elif roll < 0.5:
                at = rng.randrange(len(path) + 1)
                path = (
                    path[:at]
                    + rng.choice((*_PARTS, *_PATHS))
                    + path[at + rng.choice((0, 0, 1, 5)) :]
                )
            elif roll < 0.65:
                headers = [*headers, rng.choice(_HEADERS)]
            elif roll < 0.7:
                headers = headers[1:]
            elif roll < 0.85:
                body = text.mutated_json(body.encode("latin-1", "replace"), rng, _KEYS).decode(
                    "latin-1"
                )
            else:
                body = raw.mutated(body.encode("latin-1", "replace"), rng).decode("latin-1")[
                    :20_000
                ]
        return json.dumps([app, method, path[:8000], headers[:20], body]).encode()

    def run(self, data: bytes) -> Iterator[str]:
        try:
            number, method, path, headers, body = json.loads(data)
            app = self._app(number)
        except (ValueError, TypeError):
            return
        status, sent, text_sent = self._loop.run_until_complete(
            asked(app, method, path, headers, body.encode("latin-1", "replace"))
        )
        if status >= 500 and status != 503:
            raise Violation(f"status {status}: {method} {path[:80]}")
        if b"<script>alert" in text_sent and b"application/json" not in sent.get(
            b"content-type", b""
        ):
            raise Violation(f"a value is not escaped: {method} {path[:80]}")
        for value in (*sent, *sent.values()):
            if b"\r" in value or b"\n" in value:
                raise Violation("a header is split: " + repr(value)[:80])
        where = sent.get(b"location", b"")
        if where and not (where.startswith(b"/") and not where.startswith((b"//", b"/\\"))):
            raise Violation(f"sent elsewhere: {where!r}")
        if status in (401, 403, 421, 422):  # whoever has no token learns nothing
            yield text_sent.decode("latin-1")


async def asked(
    app: Any, method: str, path: str, headers: list[list[str]], body: bytes
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of an answer."""
    plain, _, query = path.partition("?")
    raw_path = quote(plain, safe="/%").encode()
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method.upper(),
        "path": unquote_to_bytes(raw_path).decode("utf-8", "replace"), "raw_path": raw_path,
        "query_string": query.encode("utf-8", "surrogatepass"), "scheme": "http", "root_path": "",
        "headers": [
            (str(n).lower().encode("latin-1", "replace"), str(v).encode("latin-1", "replace"))
            for n, v in headers
        ],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
    }  # fmt: skip
    blocks = [body[:4000], body[4000:]]
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        block = blocks.pop(0) if blocks else b""
        return {"type": "http.request", "body": block, "more_body": bool(blocks)}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive, send)
    if not messages or messages[0]["type"] != "http.response.start":
        raise Violation("no answer: " + method)
    start, *rest = messages
    return (
        start["status"],
        {bytes(n): bytes(v) for n, v in start["headers"]},
        b"".join(m.get("body", b"") for m in rest),
    )
