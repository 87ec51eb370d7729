"""HTTP to a configured peer: who we are, whom we trust, and what its failures mean.

Credentials are read from their files at every session, so that a changed password is used at the
next try. Failures never name URLs, identifiers or another library's text.
"""

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, TypeAlias

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.exceptions import DecodeError, HTTPError, ReadTimeoutError
from urllib3.util import Retry

from cadnode.limits import ANSWER_BYTES, ANSWER_TIMES_TIMEOUT

Response: TypeAlias = requests.Response

ADVICE: Final = "is it running, is the url right, and is our user, password or token?"
"""What to look at when a peer cannot be reached by HTTP, or refuses us."""

CONNECT_TIMEOUT_S = 10.0
_TIMEOUT_S: Final = 30.0
_BLOCK: Final = 64 << 10
# A lost answer is asked for again only where asking twice is safe: urllib3 leaves POST out, unless
# there was no connection at all.
_PATIENT: Final = Retry(total=3, connect=1, backoff_factor=0.5)
_ONCE: Final = Retry(total=0, read=False)
# 401, 403: a corrected password, token or right is used at the next try.
_TRY_AGAIN: Final = frozenset({401, 403, 408, 425, 429, 500, 502, 503, 504, 507})
_MEANINGS: Final = {
    400: "does not understand the request: is the url right?",
    401: "refuses the user, password or token",
    403: "does not allow this",
    404: "has nothing at that address: is the url right?",
    405: "does not allow this",
    406: "cannot answer in a form that we understand",
    413: "takes no objects of that size",
    415: "does not take this kind of object",
    429: "is busy",
    503: "is busy or not ready",
    507: "is out of storage",
}

_BROKEN_OFF: Final = (
    requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, HTTPError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HttpPeerValues:
    """How a peer is reached. TLS is used for https URLs; the files are read at each session.

    `retries_requests`: a request other than POST is repeated, up to three times, when its answer
    was lost.
    `follows_redirects`: an answer that names another address leads there; credentials stay behind
    when it is another host.
    """

    name: str
    url: str
    username: str = ""
    password_file: Path | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: float = _TIMEOUT_S
    retries_requests: bool = False
    follows_redirects: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token, or a user with a password, that is in no file of the peer's values."""

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


class FailureKind(StrEnum):
    """What a request failed for."""

    ANSWER = "answer"  # it is not one that we can use
    NO_ANSWER = "no_answer"  # missing or incomplete
    CERTIFICATE = "certificate"  # the peer's is not trusted
    OURS = "ours"  # a file of credentials or certificates cannot be read


class HttpFailure(Exception):
    """A request failed; `status` is the answer's, None when there was no answer."""

    def __init__(
        self,
        text: str,
        *,
        retryable: bool,
        status: int | None = None,
        kind: FailureKind = FailureKind.ANSWER,
    ) -> None:
        super().__init__(text)
        self.retryable = retryable
        self.status = status
        self.kind = kind


class _Unreadable(Exception):
    """The head of an answer makes no sense."""


class PeerSession:
    """A session with a peer; `connected` gives it."""

    def __init__(self, values: HttpPeerValues, session: requests.Session) -> None:
        self.values = values
        self._session = session

    @property
    def name(self) -> str:
        """The peer's name in the configuration."""
        return self.values.name

    def get_json(self, path: str, params: dict[str, str] | None = None, accept: str = "") -> Any:
        """Parsed JSON of a GET; None when the answer is 204 (nothing matches).

        Raises
        ------
        HttpFailure
            There is no answer, another status, or the body is not JSON.
        """
        headers = {"Accept": accept or "application/json"}
        with self.request("GET", path, params=params, headers=headers) as response:
            return None if response.status_code == 204 else self.json_of(response)

    def body_of(self, response: Response, *, at_most: int = ANSWER_BYTES) -> bytes:
        """An answer's body, decompressed; raises `HttpFailure` past `at_most` or the time for it.

        The time-out of a request counts from byte to byte: an answer that drips would never end.
        """
        return body_of(response, self.name, at_most, self.values.timeout_s)

    def json_of(self, response: Response) -> Any:
        """Parsed JSON of an answer; raises `HttpFailure` as `body_of`, and when it is none."""
        try:
            return json.loads(self.body_of(response))
        except (ValueError, RecursionError):
            raise HttpFailure(
                f"{self.name} answered something else than JSON: is the url right?",
                retryable=False,
            ) from None

    @contextmanager
    def request(
        self, method: str, path: str, *, also: tuple[int, ...] = (), **how: Any
    ) -> Iterator[Response]:
        """Answer of the peer, its body not read yet; `how` as for `requests.Session.request`.

        A status outside 200–299 and `also` fails. Failures within the block, of reading the body,
        are mapped too.

        Raises
        ------
        HttpFailure
            There is no answer, or none that was wanted, or its body ends early.
        """
        try:
            with self._answer(method, path, **how) as response:
                if not 200 <= response.status_code < 300 and response.status_code not in also:
                    raise _of_status(response.status_code, self.name)
                yield response
        except (requests.RequestException, HTTPError, _Unreadable) as error:
            raise _of_exception(error, self.name) from None

    @contextmanager
    def _answer(self, method: str, path: str, **how: Any) -> Iterator[Response]:
        """Any answer; what the libraries raise of their own over its head is `_Unreadable`."""
        timeout = (min(CONNECT_TIMEOUT_S, self.values.timeout_s), self.values.timeout_s)
        try:
            response = self._session.request(
                method, self.values.url + path, timeout=timeout, stream=True,
                allow_redirects=self.values.follows_redirects, **how,
            )  # fmt: skip
        except (requests.RequestException, HTTPError):
            raise
        except (ValueError, HTTPException):  # of a Location that is no UTF-8, to begin with
            raise _Unreadable from None
        with response:
            yield response


@contextmanager
def connected(
    values: HttpPeerValues, credentials: Credentials | None = None
) -> Iterator[PeerSession]:
    """A session with a peer, closed at the end of the block.

    `credentials` take the place of those in the files that `values` name.

    Raises
    ------
    HttpFailure
        A file of credentials or certificates cannot be read.
    """
    with requests.Session() as session:
        # Neither proxies nor ~/.netrc of the environment: the configuration is complete.
        session.trust_env = False
        session.auth = _authentication(credentials or _credentials(values))
        retries = _PATIENT if values.retries_requests else _ONCE
        session.mount("http://", HTTPAdapter(max_retries=retries))
        if values.follows_redirects or values.url.startswith("https:"):
            session.mount("https://", _TlsAdapter(_trusted(values), retries))
        yield PeerSession(values, session)


def body_of(
    response: Response, name: str, at_most: int = ANSWER_BYTES, timeout_s: float = _TIMEOUT_S
) -> bytes:
    """As `PeerSession.body_of`."""
    body, until = bytearray(), time.monotonic() + ANSWER_TIMES_TIMEOUT * timeout_s
    for block in _as_they_come(response):
        body += block
        if len(body) > at_most:
            text = f"{name} answered more than {at_most >> 20} MB: is the url right?"
            raise HttpFailure(text, retryable=False)
        if time.monotonic() > until:
            raise HttpFailure(
                f"{name} did not answer in time", retryable=True, kind=FailureKind.NO_ANSWER
            )
    return bytes(body)


def _as_they_come(response: Response) -> Iterator[bytes]:
    """Blocks of a body, decompressed; `iter_content` would wait until each of them is full."""
    try:
        while block := response.raw.read1(_BLOCK, decode_content=True):
            yield block
    except ReadTimeoutError:
        raise requests.ReadTimeout from None
    except DecodeError:
        raise requests.exceptions.ContentDecodingError from None


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self._value = f"Bearer {token}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


class _TlsAdapter(HTTPAdapter):
    """Transport that trusts the certificates of `context`."""

    def __init__(self, context: ssl.SSLContext, retries: Retry) -> None:
        self._context = context
        super().__init__(max_retries=retries)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
        return super().init_poolmanager(*args, ssl_context=self._context, **kwargs)


def _credentials(values: HttpPeerValues) -> Credentials | None:
    if values.token_file is not None:
        return Credentials(token=_first_line(values.token_file, "token_file", values.name))
    if values.password_file is not None:
        password = _first_line(values.password_file, "password_file", values.name)
        return Credentials(values.username, password)
    return None


def _authentication(credentials: Credentials | None) -> AuthBase | None:
    if credentials is None:
        return None
    if credentials.token:
        return _Bearer(credentials.token)
    # As bytes: `requests` would encode text as Latin-1 (RFC 7617 section 2.1 wants UTF-8).
    return HTTPBasicAuth(credentials.username.encode(), credentials.password.encode())


def _first_line(file: Path, key: str, name: str) -> str:
    try:
        with file.open(encoding="utf-8") as text:
            line = text.readline().strip()
    except (OSError, UnicodeDecodeError):
        raise _ours(f"the {key} of {name} cannot be read") from None
    if not line.isprintable() or not line or not (line.isascii() or key == "password_file"):
        raise _ours(f"the {key} of {name} has no usable first line")
    return line


def _trusted(values: HttpPeerValues) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if values.ca_file is not None:
        try:
            context.load_verify_locations(values.ca_file)
        except OSError:  # ssl.SSLError, "not a certificate", is one too
            raise _ours(f"the ca_file of {values.name} cannot be read") from None
    return context


def _ours(text: str) -> HttpFailure:
    """Of a file that may be there, and right, at the next try."""
    return HttpFailure(text, retryable=True, kind=FailureKind.OURS)


def _of_status(status: int, name: str) -> HttpFailure:
    if 300 <= status < 400:
        text = f"{name} sends us to another address ({status}): write that one as url"
        return HttpFailure(text, retryable=False, status=status)
    meaning = _MEANINGS.get(status, "failed" if status >= 500 else "refuses the request")
    return HttpFailure(
        f"{name} {meaning} ({status})", retryable=status in _TRY_AGAIN, status=status
    )


def _of_exception(error: Exception, name: str) -> HttpFailure:
    """Everything but an unusable URL may be better at the next try."""
    kind = FailureKind.NO_ANSWER if isinstance(error, _BROKEN_OFF) else FailureKind.ANSWER
    if isinstance(error, requests.exceptions.SSLError):
        # Retryable: an expired certificate is renewed, a missing one is put into place.
        text = f"{name} shows a certificate that is not trusted, or speaks no TLS: see ca_file"
        kind = FailureKind.CERTIFICATE
    elif isinstance(error, requests.Timeout):
        text = f"{name} did not answer in time"
    elif isinstance(error, requests.exceptions.InvalidURL):
        return HttpFailure(f"the url of {name} cannot be used", retryable=False)
    elif isinstance(error, _Unreadable):
        text = f"{name} answered something that is no HTTP: is the url right?"
        return HttpFailure(text, retryable=False)
    else:
        text = f"{name} cannot be reached or went away"
    return HttpFailure(text, retryable=True, kind=kind)
