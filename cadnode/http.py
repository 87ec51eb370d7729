"""HTTP to a configured peer: who we are, whom we trust, and what its failures mean.

Credentials are read from their files at every session, so that a changed password is used at the
next try. Failures never name URLs, identifiers or another library's text.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.exceptions import HTTPError

ADVICE: Final = "is it running, is the url right, and is our user, password or token?"
"""What to look at when a peer cannot be reached by HTTP, or refuses us."""

CONNECT_TIMEOUT_S = 10.0
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


@dataclass(frozen=True, slots=True)
class HttpPeerValues:
    """How a peer is reached. TLS is used for https URLs; the files are read at each session."""

    name: str
    url: str
    username: str = ""
    password_file: Path | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: float = 30.0


class HttpFailure(Exception):
    """A request came to nothing; `status` is the answer's, None when there was no answer."""

    def __init__(self, text: str, *, retryable: bool, status: int | None = None) -> None:
        super().__init__(text)
        self.retryable = retryable
        self.status = status


class Peer:
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
            return None if response.status_code == 204 else json_of(response, self.name)

    @contextmanager
    def request(
        self, method: str, path: str, *, also: tuple[int, ...] = (), **how: Any
    ) -> Iterator[requests.Response]:
        """Answer of the peer, its body not read yet; `how` as for `requests.Session.request`.

        A status outside 200–299 and `also` fails. Failures within the block, of reading the body,
        are mapped too.

        Raises
        ------
        HttpFailure
            There is no answer, or none that was wanted, or its body ends early.
        """
        timeout = (min(CONNECT_TIMEOUT_S, self.values.timeout_s), self.values.timeout_s)
        try:
            with self._session.request(
                method, self.values.url + path, timeout=timeout, stream=True,
                allow_redirects=False, **how,
            ) as response:  # fmt: skip
                if not 200 <= response.status_code < 300 and response.status_code not in also:
                    raise _of_status(response.status_code, self.name)
                yield response
        except (requests.RequestException, HTTPError) as error:
            raise _of_exception(error, self.name) from None


@contextmanager
def connected(values: HttpPeerValues) -> Iterator[Peer]:
    """A session with a peer, closed at the end of the block.

    Raises
    ------
    HttpFailure
        A file of credentials or certificates cannot be read.
    """
    with requests.Session() as session:
        # Neither proxies nor ~/.netrc of the environment: the configuration says it all.
        session.trust_env = False
        session.auth = _credentials(values)
        if values.url.startswith("https:"):
            session.mount("https://", _TlsAdapter(_trusted(values)))
        yield Peer(values, session)


def json_of(response: requests.Response, name: str) -> Any:
    """Parsed JSON of an answer; raises `HttpFailure` when it is none."""
    try:
        return response.json()
    except requests.JSONDecodeError:
        raise HttpFailure(
            f"{name} answered something else than JSON: is the url right?", retryable=False
        ) from None


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self._value = f"Bearer {token}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


class _TlsAdapter(HTTPAdapter):
    """Transport that trusts the certificates of `context`."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
        return super().init_poolmanager(*args, ssl_context=self._context, **kwargs)


def _credentials(values: HttpPeerValues) -> AuthBase | None:
    if values.token_file is not None:
        return _Bearer(_first_line(values.token_file, "token_file", values.name))
    if values.password_file is not None:
        password = _first_line(values.password_file, "password_file", values.name)
        # As bytes: `requests` would encode text as Latin-1 (RFC 7617 section 2.1 wants UTF-8).
        return HTTPBasicAuth(values.username.encode(), password.encode())
    return None


def _first_line(file: Path, key: str, name: str) -> str:
    try:
        with file.open(encoding="utf-8") as text:
            line = text.readline().strip()
    except (OSError, UnicodeDecodeError):
        raise HttpFailure(f"the {key} of {name} cannot be read", retryable=True) from None
    if not line.isprintable() or not line or not (line.isascii() or key == "password_file"):
        raise HttpFailure(f"the {key} of {name} has no usable first line", retryable=True)
    return line


def _trusted(values: HttpPeerValues) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if values.ca_file is not None:
        try:
            context.load_verify_locations(values.ca_file)
        except OSError:  # ssl.SSLError, "not a certificate", is one too
            raise HttpFailure(
                f"the ca_file of {values.name} cannot be read", retryable=True
            ) from None
    return context


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
    if isinstance(error, requests.exceptions.SSLError):
        # Retryable: an expired certificate is renewed, a missing one is put into place.
        text = f"{name} shows a certificate that is not trusted, or speaks no TLS: see ca_file"
    elif isinstance(error, requests.Timeout):
        text = f"{name} did not answer in time"
    elif isinstance(error, requests.exceptions.InvalidURL):
        return HttpFailure(f"the url of {name} cannot be used", retryable=False)
    else:
        text = f"{name} cannot be reached or went away"
    return HttpFailure(text, retryable=True)
