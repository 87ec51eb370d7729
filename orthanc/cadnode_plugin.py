"""Orthanc notifies a cadnode of mammograms, and shows the state of their reading.

One file for Orthanc's Python plugin (`"PythonScript"`), Python's standard library only. Written
for Orthanc 1.10.1 with Python plugin 4.0 and later; what only later ones can do (labels) is used
where it is available. `README.md` beside this file describes the installation.

How it works
------------
Orthanc's callbacks only wake a thread (`Worker`). The thread reads Orthanc's log of changes from
the last sequence number that it has worked through, so that nothing is lost when Orthanc stops in
between; keeps one row a study in a small SQLite file (`Queue`); and takes each study through

    look → announce → (sending) → reading → final

*look*: some quiet time after the study became stable: which mammograms are in it? None, or none
that the node does not know already (such as when our own results come back): nothing happens.
*announce*: notify the node (mode "pull": it fetches the study; mode "store": Orthanc sends it by
C-STORE, which is *sending*). *reading*: poll the node for the study's state. *final*: no further
step.

Every call of `orthanc.RestApi…` holds Python's global lock until it returns (measured with plugin
4.0): so only short calls are made, jobs are asynchronous, and HTTP to the node goes by `urllib`.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import sqlite3
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import orthanc

VERSION = "1"
MANUFACTURER = "cadnode"  # of the node's own results

# --- settings ------------------------------------------------------------------------------------


class SettingsError(Exception):
    """The section "Cadnode" of Orthanc's configuration is wrong; names where, and the fix."""


@dataclass(frozen=True)
class Settings:
    """The section "Cadnode" of Orthanc's configuration; `quiet_seconds` is "QuietSeconds" there."""

    enabled: bool = True
    mode: str = "pull"
    url: str = "http://127.0.0.1:8114"
    token: str = ""
    token_file: str = ""
    ca_file: str = ""
    node_public_url: str = ""
    source: str = "orthanc"
    modality: str = "cadnode"
    quiet_seconds: float = 5.0
    poll_seconds: float = 2.0
    timeout_seconds: float = 10.0
    give_up_hours: float = 72.0
    catch_up_hours: float = 72.0
    metadata: int = 5114
    labels: bool = True
    queue_folder: str = ""

    @classmethod
    def read(cls, section: Any) -> Settings:
        """Checked settings. Raises `SettingsError` for an unknown key or a wrong value."""
        if not isinstance(section, dict):
            raise SettingsError('"Cadnode" must be an object: {"Url": "http://…", …}')
        known = {_json_key(f.name): f for f in fields(cls)}
        values = {}
        for key, value in section.items():
            if key not in known:
                near = get_close_matches(key, known, 1, 0.5)
                hint = f'did you mean "{near[0]}"?' if near else "known: " + ", ".join(known)
                raise SettingsError(f'"Cadnode" has no setting "{key}"; {hint}')
            values[known[key].name] = _checked(key, value, known[key].default)
        settings = cls(**values)
        settings._check()
        return settings

    def _check(self) -> None:
        if self.mode not in ("pull", "store"):
            raise SettingsError('"Mode" is "pull" (the node fetches) or "store" (C-STORE to it)')
        if not self.url and self.mode == "pull":
            raise SettingsError('mode "pull" needs "Url", such as "http://127.0.0.1:8114"')
        for key, url in (("Url", self.url), ("NodePublicUrl", self.node_public_url)):
            parts = urlsplit(url)
            if url and (parts.scheme not in ("http", "https") or not parts.hostname):
                raise SettingsError(f'"{key}" is written like "http://127.0.0.1:8114"')
            if parts.username or parts.password:
                raise SettingsError(f'"{key}" holds no credentials: use "TokenFile"')
        if self.metadata and not 1024 <= self.metadata <= 65535:
            raise SettingsError('"Metadata" is a number from 1024 to 65535, or 0 for none')

    def secret(self) -> str:
        """The node's token: from the environment, the file (re-read each time) or the settings."""
        if os.environ.get("CADNODE_TOKEN"):
            return os.environ["CADNODE_TOKEN"].strip()
        if self.token_file:
            with open(self.token_file, encoding="utf-8") as file:
                return file.readline().strip()
        return self.token

    def page_of(self, study_uid: str) -> str:
        """Where a browser finds the study's page at the node, or "" without a node's URL."""
        base = (self.node_public_url or self.url).rstrip("/")
        return f"{base}/studies/{quote(study_uid)}" if base and study_uid else ""


def _json_key(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _checked(key: str, value: Any, default: Any) -> Any:
    """`value` as the type of `default`. Raises `SettingsError`."""
    if isinstance(default, bool) or isinstance(value, bool):
        fits = isinstance(default, bool) and isinstance(value, bool)
    elif isinstance(default, (int, float)):
        fits = isinstance(value, (int, float)) and value >= 0
        fits = fits and (isinstance(default, float) or isinstance(value, int))
    else:
        fits = isinstance(value, str)
    if not fits:
        wanted = {bool: "true or false", int: "a whole number", float: "a number of 0 or more"}
        raise SettingsError(f'"{key}" is {wanted.get(type(default), "a text")}, not {value!r}')
    return float(value) if isinstance(default, float) else value


# --- pure parts: what is a mammogram, what is new, when to try again ------------------------------

# DICOM PS3.4 B.5: images that the node takes, in series of modality MG: mammography, breast
# tomosynthesis, and what also carries mammograms: CR, DX, secondary captures (digitised film).
MAMMOGRAPHY_CLASSES = frozenset(
    "1.2.840.10008.5.1.4.1.1." + end
    for end in (
        "1.2", "1.2.1", "13.1.3", "13.1.4", "13.1.5", "1", "1.1", "1.1.1",
        "7", "7.1", "7.2", "7.3", "7.4",
    )
)  # fmt: skip
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"  # among them rejection notes (IHE IOCM)
LONGEST_POLL_S = 30.0
LONGEST_PAUSE_S = 300.0
MARKS_AFTER_S = 0.5  # until what marks a region is in Orthanc, with all of its series
GRACE_S = 60.0  # the node may know less of a study for so long after it was notified
JOBS_AT_ONCE = 4
NO_SUCH_RESOURCE = (7, 17)  # Orthanc's error codes InexistentItem, UnknownResource
RESENT_AT_MOST = 3
CHANGED_NOT_READ = {
    "error": "an image changed under its UID: it was not read again",
    "hint": 'in mode "pull" the node keeps the image that it has; use "Mode": "store", or give the '
    "corrected image a new SOP Instance UID",
}


class Instance(NamedTuple):
    """One mammogram or key object in Orthanc; `key` changes when its content does."""

    id: str
    key: str


def is_mammogram(series_tags: dict[str, str], sop_class_uid: str) -> bool:
    """Whether an instance is an image for the node, and not one of the node's own."""
    if series_tags.get("Modality") != "MG" or series_tags.get("Manufacturer") == MANUFACTURER:
        return False
    return not sop_class_uid or sop_class_uid in MAMMOGRAPHY_CLASSES


def may_reject(series_tags: dict[str, str], sop_class_uid: str) -> bool:
    """Whether an instance is a key object, which may reject images, and not the node's own."""
    if series_tags.get("Modality") != "KO" or series_tags.get("Manufacturer") == MANUFACTURER:
        return False
    return sop_class_uid in ("", KEY_OBJECTS)


# Objects in which people mark regions: Enhanced, Comprehensive, Comprehensive 3D and Extensible SR,
# presentation states, segmentations. The node itself finds out whether a person drew in them.
MARKING_CLASSES = frozenset(
    "1.2.840.10008.5.1.4.1.1." + end
    for end in ("88.22", "88.33", "88.34", "88.35", "11.1", "11.2", "11.3", "66.4")
)


def may_mark(series_tags: dict[str, str], sop_class_uid: str) -> bool:
    """Whether an instance may hold regions that a person drew, and is not the node's own."""
    if series_tags.get("Modality") not in ("SR", "PR", "SEG"):
        return False
    if series_tags.get("Manufacturer") == MANUFACTURER:
        return False
    return not sop_class_uid or sop_class_uid in MARKING_CLASSES


def key_of(instance_id: str, md5: str) -> str:
    """16 hexadecimal digits: eight name an instance, eight its content."""
    return "".join(hashlib.sha256(text.encode()).hexdigest()[:8] for text in (instance_id, md5))


def is_changed(keys: Iterable[str], known: Iterable[str]) -> bool:
    """Whether an instance has other content now than when the node was notified of it."""
    before = {key[:8]: key for key in known}
    return any(before.get(key[:8], key) != key for key in keys)


def pause_s(tries: int) -> float:
    """Seconds until the next try after `tries` failures: 1, 2, 4, … up to five minutes."""
    return min(LONGEST_PAUSE_S, 2.0 ** min(tries - 1, 20))


def poll_s(elapsed_s: float, first_s: float) -> float:
    """Seconds until the node is polled again: a quarter of the time since it was notified."""
    return max(first_s, min(LONGEST_POLL_S, 0.25 * elapsed_s))


def trimmed(marks: list[list[float]], now: float, horizon_s: float) -> list[list[float]]:
    """`[time, sequence number]` marks from the newest one that is older than `horizon_s` on."""
    while len(marks) > 1 and marks[1][0] <= now - horizon_s:
        marks = marks[1:]
    return marks


# --- the queue -----------------------------------------------------------------------------------

LOOK, ANNOUNCE, SENDING, READING, FINAL = "look", "announce", "sending", "reading", "final"


@dataclass(frozen=True)
class Study:
    """A row of the queue. Times are seconds since 1970."""

    id: str
    uid: str = ""
    phase: str = LOOK
    state: str = "waiting"
    due: float = 0.0
    look: float | None = None  # when its mammograms are to be checked
    at_once: int = 0  # requested by a user: read it even if nothing is new
    urgent: int = 0  # the announcement carries `at_once`
    since: float = 0.0  # of the first check
    announced: float = 0.0
    tries: int = 0
    resent: int = 0
    job: str = ""
    keys: str = "[]"  # its mammograms, when last checked
    known: str = "[]"  # those that the node knows
    answer: str = "{}"  # the node's last answer
    problem: str = "{}"
    marked: str = ""  # what Orthanc's metadata hold
    updated: float = 0.0
    outdated: int = 0  # an image changed after the node was notified; it keeps the old one

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.phase == FINAL and self.look is None


class Queue:
    """Studies and the place in Orthanc's log of changes, in one SQLite file.

    Callbacks write `look` and `at_once` only, the worker all the rest: neither overwrites.
    """

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")  # after a power cut: an older, whole state
        columns = ", ".join(f.name for f in fields(Study) if f.name != "id")
        self._db.execute(f"CREATE TABLE IF NOT EXISTS studies (id TEXT PRIMARY KEY, {columns})")
        there = {row[1] for row in self._db.execute("PRAGMA table_info (studies)").fetchall()}
        if "outdated" not in there:  # a queue of before there was such a thing
            self._db.execute("ALTER TABLE studies ADD COLUMN outdated DEFAULT 0")
        self._db.execute("CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT)")

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._db.close()

    def _rows(self, query: str, *values: Any) -> list[Study]:
        names = ", ".join(f.name for f in fields(Study))
        with self._lock, closing(self._db.execute(f"SELECT {names} {query}", values)) as rows:
            return [Study(*row) for row in rows]

    def get(self, study_id: str) -> Study | None:
        """A study, or None."""
        rows = self._rows("FROM studies WHERE id = ?", study_id)
        return rows[0] if rows else None

    def open(self) -> list[Study]:
        """Studies with something to do, the next one first."""
        return self._rows(
            "FROM studies WHERE phase != 'final' OR look IS NOT NULL "
            "ORDER BY coalesce(min(look, due), look, due)"
        )

    def plan(self, study_id: str, look: float, at_once: bool = False, now: float = 0.0) -> None:
        """Check a study at that time; a later call moves it (a debounce), unless at once."""
        with self._lock:
            self._db.execute(
                "INSERT INTO studies VALUES (" + "?, " * (len(fields(Study)) - 1) + "?) "
                "ON CONFLICT (id) DO UPDATE SET at_once = max(at_once, excluded.at_once), "
                "look = CASE WHEN at_once THEN look ELSE excluded.look END",
                [getattr(Study(study_id, look=look, at_once=int(at_once), due=look, since=now,
                               updated=now), f.name) for f in fields(Study)],
            )  # fmt: skip

    def end_look(self, study: Study) -> None:
        """The check is done, unless another one was requested since `study` was read."""
        with self._lock:
            self._db.execute(
                "UPDATE studies SET look = NULL, at_once = 0 "
                "WHERE id = ? AND look = ? AND at_once = ?",
                (study.id, study.look, study.at_once),
            )

    def change(self, study_id: str, **values: Any) -> None:
        """Set columns of a study."""
        names = ", ".join(f"{name} = ?" for name in values)
        with self._lock:
            query = f"UPDATE studies SET {names} WHERE id = ?"
            self._db.execute(query, [*values.values(), study_id])

    def delete(self, study_id: str) -> None:
        """Forget a study."""
        with self._lock:
            self._db.execute("DELETE FROM studies WHERE id = ?", (study_id,))

    def fact(self, name: str) -> Any:
        """A remembered JSON value, or None."""
        with self._lock:
            query = "SELECT value FROM facts WHERE name = ?"
            row = self._db.execute(query, (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def remember(self, name: str, value: Any) -> None:
        """Keep a JSON value."""
        with self._lock:
            query = "INSERT OR REPLACE INTO facts VALUES (?, ?)"
            self._db.execute(query, (name, json.dumps(value)))


# --- the node, by HTTP ---------------------------------------------------------------------------


class NodeProblem(Exception):
    """The node did not do what was requested. `away`: of no study; none can proceed."""

    def __init__(self, error: str, hint: str, away: bool) -> None:
        super().__init__(error)
        self.error, self.hint, self.away = error, hint, away

    def as_json(self) -> str:
        """For the queue."""
        return json.dumps({"error": self.error, "hint": self.hint})


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token goes to the configured address and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Node:
    """The node's HTTP interface; no proxy, no redirects."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def announce(self, study: Study) -> dict[str, Any]:
        """Announce a study that the node is to fetch; a repeated announcement has no effect."""
        body = {
            "study_instance_uid": study.uid,
            "source": self._settings.source,
            "orthanc_id": study.id,
            "at_once": bool(study.urgent),
        }
        status, answer = self.call("POST", "/api/studies", body)
        if status not in (200, 202):
            raise self._refused(status, answer)
        return answer

    def state(self, study_uid: str) -> dict[str, Any]:
        """The node's state of a study; {"state": "unknown"} when it does not know it."""
        status, answer = self.call("GET", "/api/studies/" + quote(study_uid))
        if status == 404:
            return {"state": "unknown"}
        if status != 200:
            raise self._refused(status, answer)
        return answer

    def health(self) -> dict[str, Any]:
        """The node's own view of its health, also when it is degraded."""
        status, answer = self.call(
            "GET", "/health", timeout=min(3.0, self._settings.timeout_seconds)
        )
        if status not in (200, 503) or "status" not in answer:
            raise self._refused(status, answer)
        return answer

    def call(
        self, method: str, path: str, body: Any = None, timeout: float | None = None
    ) -> tuple[int, dict[str, Any]]:
        """HTTP status and JSON object. Raises `NodeProblem` when there is no usable answer."""
        opener, headers = self._prepared()
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        url = self._settings.url.rstrip("/") + path
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with opener.open(request, timeout=timeout or self._settings.timeout_seconds) as answer:
                return answer.status, _json_object(answer.read(1 << 20))
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _json_object(error.read(1 << 20))
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            hint = 'is the node running, and is "Url" its address? `cadnode serve`, [web]'
            if isinstance(reason, ssl.SSLError):
                hint = 'is its certificate signed by one in "CaFile", and for that host name?'
            raise NodeProblem(f"the node cannot be reached: {reason}", hint, True) from error

    def _prepared(self) -> tuple[urllib.request.OpenerDirector, dict[str, str]]:
        """What opens a request, and its headers; files are re-read, they may have changed."""
        headers = {"Accept": "application/json"}
        handlers: list[Any] = [urllib.request.ProxyHandler({}), _NoRedirect()]
        try:
            token = self._settings.secret()
            if self._settings.url.startswith("https:"):
                context = ssl.create_default_context()
                if self._settings.ca_file:
                    context.load_verify_locations(self._settings.ca_file)
                handlers.append(urllib.request.HTTPSHandler(context=context))
        except OSError as error:  # of which ssl.SSLError is one
            raise NodeProblem(
                f"a file of the configuration cannot be used: {error.strerror or error}",
                'check "TokenFile" and "CaFile", and whether Orthanc\'s user may read them',
                True,
            ) from error
        if token:
            headers["Authorization"] = "Bearer " + token
        return urllib.request.build_opener(*handlers), headers

    def _refused(self, status: int, answer: dict[str, Any]) -> NodeProblem:
        error = str(answer.get("error") or f"the node answered HTTP {status}")
        hints = {
            401: '"Token", "TokenFile" or CADNODE_TOKEN must be the token of the node\'s [web]',
            403: '"Token", "TokenFile" or CADNODE_TOKEN must be the token of the node\'s [web]',
            404: f'the node needs [[sources]] with name = "{self._settings.source}"',
        }
        hint = str(answer.get("hint") or hints.get(status) or "see the node's log")
        return NodeProblem(error, hint, away=status in (401, 403, 429) or status >= 500)


def _json_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`, or an empty one."""
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


# --- Orthanc, by its own REST interface ----------------------------------------------------------


class Gone(Exception):
    """A resource is not in Orthanc (any more)."""


class Archive:
    """What the plugin asks of Orthanc around it; each call is short."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._series: dict[str, tuple[str, str]] = {}
        self._has_labels: bool | None = None

    @staticmethod
    def get(path: str) -> Any:
        """Parsed JSON. Raises `Gone` when Orthanc has no such resource."""
        try:
            return json.loads(orthanc.RestApiGet(path))
        except orthanc.OrthancException as error:
            if error.args and error.args[0] not in NO_SUCH_RESOURCE:
                raise  # the database is away, or the like: that passes
            raise Gone(path) from error

    @staticmethod
    def text(path: str) -> str:
        """A text such as a metadata's, or "" where there is none."""
        try:
            value = orthanc.RestApiGet(path)
        except orthanc.OrthancException:
            return ""
        return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)

    def uid(self, study_id: str) -> str:
        """Study Instance UID. Raises `Gone`."""
        return str(self.get(f"/studies/{study_id}")["MainDicomTags"]["StudyInstanceUID"])

    def mammograms(self, study_id: str) -> list[Instance]:
        """The study's mammograms, and what may reject or mark something in them. Raises `Gone`."""
        series = self.get(f"/studies/{study_id}/series")
        found = self._instances(series, is_mammogram)
        if not found:
            return []
        return [*found, *self._instances(series, may_reject), *self._instances(series, may_mark)]

    def marked_study(self, series_id: str) -> str:
        """The study of a series in which somebody may have marked regions; "" for another one."""
        try:
            series = self.get(f"/series/{series_id}")
        except Gone:
            return ""
        return str(series["ParentStudy"]) if may_mark(series.get("MainDicomTags", {}), "") else ""

    def _instances(
        self, series: list[dict[str, Any]], is_wanted: Callable[[dict[str, str], str], bool]
    ) -> list[Instance]:
        found = []
        for one in series:
            tags = one.get("MainDicomTags", {})
            if not is_wanted(tags, ""):
                continue
            for instance in one["Instances"]:
                path = f"/instances/{instance}"
                if is_wanted(tags, self.text(f"{path}/metadata/SopClassUid")):
                    md5 = self.text(f"{path}/attachments/dicom/md5")
                    found.append(Instance(instance, key_of(instance, md5)))
        return found

    def study_of(self, kind: str, resource: str) -> str:
        """The mammography study that a new instance or series is in, or "" for another one."""
        try:
            if kind == "Instance":
                resource = self.get(f"/instances/{resource}")["ParentSeries"]
            if resource not in self._series:
                series = self.get(f"/series/{resource}")
                modality = series.get("MainDicomTags", {}).get("Modality", "")
                self._series[resource] = (modality, series["ParentStudy"])
        except Gone:
            return ""
        modality, study = self._series[resource]
        return study if modality in ("MG", "KO", "SR", "PR", "SEG") else ""

    def forget_series(self) -> None:
        """Release what `study_of` has kept."""
        self._series.clear()

    def changes(self, since: int) -> dict[str, Any]:
        """A page of the log of changes after a sequence number."""
        return dict(self.get(f"/changes?since={since}&limit=1000"))

    def last_change(self) -> int:
        """The newest sequence number."""
        return int(self.get("/changes?last")["Last"])

    def send(self, instances: Iterable[Instance]) -> str:
        """The job that sends instances to the node by C-STORE. Raises `NodeProblem`."""
        modality = self._settings.modality
        body = {"Resources": [i.id for i in instances], "Synchronous": False}
        try:
            answer = orthanc.RestApiPost(f"/modalities/{quote(modality)}/store", json.dumps(body))
            return str(json.loads(answer)["ID"])
        except (orthanc.OrthancException, KeyError, ValueError) as error:
            raise NodeProblem(
                f'Orthanc cannot send to the modality "{modality}"',
                f'"DicomModalities" needs "{modality}": [AE title, host, port] of the node', False,
            ) from error  # fmt: skip

    def job(self, job_id: str) -> str:
        """State of a job, or "Gone"."""
        try:
            return str(self.get(f"/jobs/{job_id}")["State"])
        except Gone:
            return "Gone"

    def mark(self, study_id: str, text: str, label: str) -> str:
        """Write the state where people and scripts see it; what went wrong, or ""."""
        try:
            if self._settings.metadata:
                number = self._settings.metadata
                orthanc.RestApiPut(f"/studies/{study_id}/metadata/{number}", text)
            if self._settings.labels and self._knows_labels():
                self._relabel(study_id, label)
        except (orthanc.OrthancException, Gone) as error:
            return f"cannot write metadata or label: {error}"
        return ""

    def _knows_labels(self) -> bool:
        """Orthanc 1.12.0 and later, unless its database plugin cannot."""
        if self._has_labels is None:
            system = self.get("/system")
            newer = system.get("ApiVersion", 0) >= 20
            self._has_labels = bool(system.get("HasLabels", newer))
        return self._has_labels

    def _relabel(self, study_id: str, label: str) -> None:
        """Exactly `label` of ours on the study ("": none); others' labels stay."""
        path = f"/studies/{study_id}/labels"
        for old in self.get(path):
            if old.startswith("cadnode-") and old != label:
                orthanc.RestApiDelete(f"{path}/{old}")
        if label:
            orthanc.RestApiPut(f"{path}/{label}", "")


# --- the worker ----------------------------------------------------------------------------------


class Worker:
    """The thread that does everything that takes time."""

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        archive: Archive,
        node: Node,
        stable_age_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings, self.queue, self.archive, self.node = settings, queue, archive, node
        self.trouble = ""  # the error that ended the last round
        self._clock = clock
        self._stable_age_s = stable_age_s
        self._horizon_s = stable_age_s + settings.quiet_seconds + 120.0
        self._events: deque[tuple[str, str]] = deque()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._node_tries = 0
        self._node_due = 0.0  # no request before that: the node is away
        self._thread: threading.Thread | None = None

    # What callbacks call: nothing here waits.

    def notify(self, event: str, resource: str) -> None:
        """Take note of an event in Orthanc."""
        self._events.append((event, resource))
        self._wake.set()

    def ask(self, study_id: str) -> None:
        """Read this study now, also when nothing in it is new."""
        now = self._clock()
        self.queue.plan(study_id, now, at_once=True, now=now)
        self._wake.set()

    def start(self) -> None:
        """Run in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="cadnode", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns when it has ended, at the latest after an HTTP time-out."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(self.settings.timeout_seconds + 2)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        is_first, failures = True, 0
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self.read_changes(catch_up=is_first)
                is_first = False
                self.work()
                self.trouble, failures = "", 0
                wait = self.idle_s()
            except Exception as error:  # the plugin never takes Orthanc down, and never gives up
                failures += 1
                wait = pause_s(failures)
                self.trouble = f"{type(error).__name__}: {error}"
                log(f"a round failed, the next one is in {wait:.0f} s: {self.trouble}")
            self._wake.wait(wait)

    def idle_s(self) -> float:
        """Seconds until something is due; half a minute at most."""
        now = self._clock()
        times = [30.0]
        for study in self.queue.open():
            due = [] if study.look is None else [study.look - now]
            if study.phase not in (LOOK, FINAL):
                due.append(max(study.due, self._node_due) - now)
            times += due
        return max(0.05, min(times))

    # Orthanc's log of changes.

    def read_changes(self, catch_up: bool) -> None:
        """Plan checks of studies that became stable, by the log and by callbacks.

        `catch_up` (at the start): go back far enough to also find studies that were still being
        received when Orthanc was stopped: it never reports these as stable.
        """
        self._take_events()
        now = self._clock()
        marks = self.queue.fact("marks")
        last = self.archive.last_change()
        if not marks or marks[-1][1] > last:  # the first start, or another database: from here on
            self.queue.remember("marks", [[now, last]])
            return
        since = int(marks[0][1] if catch_up else marks[-1][1])
        done = last <= since
        while not done and not self._stop.is_set():
            page = self.archive.changes(since)
            for change in page["Changes"]:
                self._note(change, now, catch_up)
            since, done = int(page["Last"]), bool(page["Done"])
        self.archive.forget_series()
        if since > marks[-1][1]:
            if now - marks[-1][0] < 60 and len(marks) > 1:
                marks[-1][1] = since
            else:
                marks.append([now, since])
            self.queue.remember("marks", trimmed(marks, now, self._horizon_s))

    def _note(self, change: dict[str, Any], now: float, catch_up: bool) -> None:
        kind, resource = change["ChangeType"], change["ID"]
        if kind == "StableStudy":
            if not catch_up or self._is_recent(change, now):
                self._plan(resource, now + self.settings.quiet_seconds, now)
        elif kind in ("NewInstance", "NewSeries") and catch_up and self._is_recent(change, now):
            study = self.archive.study_of(change["ResourceType"], resource)
            if study:
                quiet = max(self.settings.quiet_seconds, self._stable_age_s)
                self._plan(study, now + quiet, now)

    def _plan(self, study_id: str, look: float, now: float) -> None:
        known = self.queue.get(study_id)
        if known is None or known.look is None or known.look < look:
            self.queue.plan(study_id, look, now=now)

    def _is_recent(self, change: dict[str, Any], now: float) -> bool:
        oldest = time.gmtime(now - 3600 * self.settings.catch_up_hours)
        return str(change.get("Date", "9")) >= time.strftime("%Y%m%dT%H%M%S", oldest)

    def _take_events(self) -> None:
        now = self._clock()
        while self._events:
            event, resource = self._events.popleft()
            if event == "stable":
                self._plan(resource, now + self.settings.quiet_seconds, now)
            elif event == "new series":
                self._look_at_marks(resource, now)
            elif event == "deleted":
                self.queue.delete(resource)
            else:
                for study in self.queue.open():
                    if study.phase == SENDING and study.job == resource:
                        self._job_ended(study, event == "sent")

    def _look_at_marks(self, series_id: str, now: float) -> None:
        """Somebody who marks a region in a read study waits for its answer: look at once."""
        study_id = self.archive.marked_study(series_id)
        known = self.queue.get(study_id) if study_id else None
        if known is not None and known.phase == FINAL:
            self.queue.plan(study_id, now + MARKS_AFTER_S, now=now)

    # One study, one step.

    def work(self) -> None:
        """Everything that is due, one step a study."""
        for study in self.queue.open():
            if self._stop.is_set():
                return
            now = self._clock()
            try:
                if study.look is not None and study.look <= now:
                    self._look(study)
                elif study.phase not in (LOOK, FINAL) and study.due <= now:
                    self._step(study)
            except Gone:
                self.queue.delete(study.id)
            except NodeProblem as problem:
                self._failed(study, problem)
            except (orthanc.OrthancException, KeyError, TypeError, ValueError) as error:
                self._postpone(study, error)  # the others continue

    def _look(self, study: Study) -> None:
        mammograms = self.archive.mammograms(study.id)
        keys = [m.key for m in mammograms]
        now = self._clock()
        if not mammograms:
            if study.phase == LOOK and not study.at_once:
                self.queue.delete(study.id)
            elif study.phase == LOOK:
                self._set(study, phase=FINAL, state="ignored")
        elif study.at_once or set(keys) - set(json.loads(study.known)):
            is_pulled = self.settings.mode == "pull"  # C-STORE replaces what the node has
            changed = is_pulled and is_changed(keys, json.loads(study.known))
            self._set(
                study, phase=ANNOUNCE, state="waiting", keys=json.dumps(keys), due=now,
                urgent=study.at_once, uid=self.archive.uid(study.id), tries=0, resent=0, since=now,
                problem="{}", answer="{}", outdated=int(changed or (is_pulled and study.outdated)),
            )  # fmt: skip
            log(f"study {study.id[:8]}: {len(keys)} mammograms for the node")
            if changed:
                log(
                    f"study {study.id[:8]}: {CHANGED_NOT_READ['error']}; {CHANGED_NOT_READ['hint']}"
                )
        self.queue.end_look(study)  # last: a crash in between repeats it, which is safe

    def _step(self, study: Study) -> None:
        now = self._clock()
        if study.phase != READING and now - study.since > 3600 * self.settings.give_up_hours:
            self._end(study, "given_up")
        elif study.phase == SENDING:
            state = self.archive.job(study.job)
            if state in ("Success", "Failure", "Gone"):
                self._job_ended(study, state == "Success")
            else:
                self._set(study, due=now + 1)
        elif study.phase == ANNOUNCE and self.settings.mode == "store":
            self._send(study)
        elif not self.settings.url:  # it was sent when there was one
            self._end(study, "sent")
        elif now < self._node_due:
            self.queue.change(study.id, due=self._node_due)
        elif study.phase == ANNOUNCE:
            answer = self.node.announce(study)
            self._node_is_here()
            self._taken(study, str(answer.get("state", "fetching")))
        else:
            self._poll(study)

    def _send(self, study: Study) -> None:
        sending = sum(other.phase == SENDING for other in self.queue.open())
        if sending >= JOBS_AT_ONCE:
            self.queue.change(study.id, due=self._clock() + 1)
            return
        mammograms = self.archive.mammograms(study.id)
        job = self.archive.send(mammograms)
        keys = json.dumps([m.key for m in mammograms])
        self._set(study, phase=SENDING, state="sending", job=job, keys=keys, due=self._clock() + 1)

    def _job_ended(self, study: Study, is_sent: bool) -> None:
        if is_sent and self.settings.url:
            self._taken(study, "receiving")
        elif is_sent:
            self.queue.change(study.id, known=study.keys)
            self._end(study, "sent")
        else:
            self._failed(study, NodeProblem(
                "Orthanc could not send the study to the node by C-STORE",
                "does the node's listener run, and is its entry in \"DicomModalities\" right? "
                "see Orthanc's jobs page", False,
            ))  # fmt: skip

    def _taken(self, study: Study, state: str) -> None:
        now = self._clock()
        self._set(
            study, phase=READING, state=state, known=study.keys, announced=now, tries=0,
            due=now + self.settings.poll_seconds, problem="{}",
        )  # fmt: skip

    def _poll(self, study: Study) -> None:
        answer = self.node.state(study.uid)
        self._node_is_here()
        now = self._clock()
        elapsed = now - study.announced
        state = str(answer.get("state", "unknown"))
        due = now + poll_s(elapsed, self.settings.poll_seconds)
        if state == "unknown":
            if elapsed < GRACE_S:
                self._set(study, due=due)
            elif study.resent < RESENT_AT_MOST:  # it has lost its data
                self._set(
                    study, phase=ANNOUNCE, due=now, resent=study.resent + 1, state="waiting",
                    outdated=0,
                )  # fmt: skip
            else:
                self._end(study, "failed", "the node accepts the study and then does not know it")
            return
        values = {"state": state, "answer": json.dumps(answer), "due": due, "problem": "{}"}
        if not answer.get("is_final") or self._is_of_before(study, answer, elapsed):
            self._set(study, **values)
            return
        self._set(study, **values, phase=FINAL)
        log(f"study {study.id[:8]}: {state}, {answer.get('outcome') or 'no outcome'}")

    @staticmethod
    def _is_of_before(study: Study, answer: dict[str, Any], elapsed: float) -> bool:
        """Whether a final state may be that of a reading without the newest images."""
        n = answer.get("n_instances")
        is_short = isinstance(n, int) and n < len(json.loads(study.keys))
        return is_short and elapsed < GRACE_S

    def _failed(self, study: Study, problem: NodeProblem) -> None:
        now = self._clock()
        if problem.away:
            self._node_tries += 1
            self._node_due = now + min(LONGEST_POLL_S, pause_s(self._node_tries))
            due = self._node_due
            if self._node_tries == 1:
                log(f"{problem.error}; {problem.hint}. Studies wait in the queue")
        else:
            due = now + pause_s(study.tries + 1)
            log(f"study {study.id[:8]}: {problem.error}; {problem.hint}")
        phase = READING if study.phase == READING else ANNOUNCE
        waited = now - max(study.since, study.announced)
        if waited > 3600 * self.settings.give_up_hours:
            self._end(study, "given_up", problem.error)
        else:
            state = study.state if phase == READING else "waiting"
            self._set(study, phase=phase, state=state, due=due, tries=study.tries + 1,
                      problem=problem.as_json())  # fmt: skip

    def _postpone(self, study: Study, error: Exception) -> None:
        """Orthanc or the node answered with something unexpected: try this study later."""
        text = f"{type(error).__name__}: {error}"
        log(f"study {study.id[:8]}: {text}")
        later = self._clock() + pause_s(study.tries + 1)
        problem = json.dumps({"error": text, "hint": "see Orthanc's log"})
        look = None if study.look is None else max(study.look, later)
        if study.phase == FINAL:
            problem = study.problem
        self.queue.change(study.id, due=later, look=look, tries=study.tries + 1, problem=problem)

    def _node_is_here(self) -> None:
        if self._node_tries:
            log("the node can be reached again")
        self._node_tries, self._node_due = 0, 0.0

    def _end(self, study: Study, state: str, error: str = "") -> None:
        problem = json.dumps({"error": error, "hint": "resubmit by the button or by POST …/read"})
        self._set(study, phase=FINAL, state=state, problem=problem if error else study.problem)
        log(f"study {study.id[:8]}: {state} {error}".rstrip())

    def _set(self, study: Study, **values: Any) -> None:
        self.queue.change(study.id, updated=self._clock(), **values)
        self._mark(study.id)

    def _mark(self, study_id: str) -> None:
        """Write the study's state into Orthanc when it has changed."""
        study = self.queue.get(study_id)
        if study is None or study.phase == LOOK:
            return
        answer = json.loads(study.answer)
        mark = {"state": study.state}
        if study.outdated:
            mark["remark"] = "changed_image_not_read"
        mark.update({k: answer[k] for k in ("outcome", "n_findings") if answer.get(k) is not None})
        text = json.dumps(mark)
        if text != study.marked:
            self.queue.change(study_id, marked=text)
            problem = self.archive.mark(study_id, text, label_of(study, answer))
            if problem:
                log(f"study {study_id[:8]}: {problem}")


def label_of(study: Study, answer: dict[str, Any]) -> str:
    """The one label of ours that a study carries; "" while it is under way."""
    if study.phase != FINAL:
        return ""
    if study.state == "done" and answer.get("outcome") == "findings":
        return "cadnode-findings"
    if study.state == "done" and study.outdated:
        return "cadnode-outdated"
    return "cadnode-" + re.sub(r"[^a-z0-9]", "-", study.state.lower())


# --- routes --------------------------------------------------------------------------------------


class Answer(Exception):
    """Ends a request with a status and a JSON object, or leads to another `location`."""

    def __init__(self, status: int, body: dict[str, Any], location: str = "") -> None:
        super().__init__(status)
        self.status, self.body, self.location = status, body, location


class Routes:
    """`/cadnode/…` of Orthanc's REST interface. Only `health` queries the node (for 3 s)."""

    def __init__(self, settings: Settings | None, worker: Worker | None, wrong: str) -> None:
        self._settings, self._worker, self._wrong = settings, worker, wrong

    def register(self) -> None:
        """Bind the routes."""
        for pattern, method, function in (
            ("/cadnode/health", "GET", self.health),
            ("/cadnode/studies/([^/]+)/status", "GET", self.status),
            ("/cadnode/studies/([^/]+)/page", "GET", self.page),
            ("/cadnode/studies/([^/]+)/read", "POST", self.read),
        ):
            orthanc.RegisterRestCallback(pattern, _callback(method, function))

    def health(self) -> Answer:
        """200 when plugin and node are well, else 503; what is wrong, in words."""
        if self._settings is None or self._worker is None:
            problem = {
                "error": self._wrong,
                "hint": "correct the configuration and restart Orthanc",
            }
            body = {"status": "degraded", "plugin": VERSION, "problems": [problem]}
            return Answer(503, body)
        problems: list[dict[str, str]] = []
        if not self._worker.is_alive:
            problems.append({"error": "the plugin's thread does not run",
                             "hint": "restart Orthanc; its log has the reason"})  # fmt: skip
        if self._worker.trouble:
            problems.append({"error": self._worker.trouble, "hint": "see Orthanc's log"})
        node: dict[str, Any] | None = None
        if self._settings.url:
            try:
                node = self._worker.node.health()
                problems += [p for p in node.get("problems", []) if isinstance(p, dict)]
            except NodeProblem as problem:
                problems.append({"error": problem.error, "hint": problem.hint})
        is_ok = not problems or (node is not None and node.get("status") == "ok")
        is_ok = is_ok and self._worker.is_alive and not self._worker.trouble
        return Answer(200 if is_ok else 503, {
            "status": "ok" if is_ok else "degraded", "plugin": VERSION,
            "mode": self._settings.mode, "modality": self._settings.modality, "node": node,
            "queue": self._queue_state(), "problems": problems,
        })  # fmt: skip

    def _queue_state(self) -> dict[str, Any]:
        assert self._worker is not None
        rows = self._worker.queue.open()
        ages = [time.time() - row.since for row in rows]
        counts: dict[str, int] = {}
        for row in rows:
            counts[row.phase] = counts.get(row.phase, 0) + 1
        return {"length": len(rows), "oldest_s": round(max(ages, default=0.0)), "phases": counts}

    def status(self, study_id: str) -> Answer:
        """200 and what is known of a study; 404 when Orthanc has no such study."""
        worker = self._ready()
        uid, count = self._look(study_id)
        return Answer(200, self._state_of(worker, study_id, uid, count))

    def read(self, study_id: str) -> Answer:
        """202: the study is on its way; 422 when there are no mammograms in it."""
        worker = self._ready()
        uid, count = self._look(study_id)
        if not count:
            raise Answer(422, {"error": "there are no mammograms in this study",
                               "hint": "only images of modality MG are read"})  # fmt: skip
        worker.ask(study_id)
        return Answer(202, self._state_of(worker, study_id, uid, count))

    def page(self, study_id: str) -> Answer:
        """To the study's page at the node, for a link in Orthanc Explorer 2."""
        worker = self._ready()
        uid, _ = self._look(study_id)
        url = worker.settings.page_of(uid)
        if not url:
            raise Answer(404, {"error": "the node has no pages that Orthanc knows of",
                               "hint": 'set "NodePublicUrl", or "Url"'})  # fmt: skip
        return Answer(303, {"url": url}, url)

    def _ready(self) -> Worker:
        if self._worker is None:
            raise Answer(503, {"error": self._wrong, "hint": "see GET /cadnode/health"})
        return self._worker

    def _look(self, study_id: str) -> tuple[str, int]:
        """Study Instance UID and number of instances in series of mammograms."""
        archive = self._worker.archive if self._worker else None
        try:
            assert archive is not None
            if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}", study_id):
                raise Gone(study_id)
            series = archive.get(f"/studies/{study_id}/series")
            count = sum(
                len(s["Instances"]) for s in series if is_mammogram(s.get("MainDicomTags", {}), "")
            )
            return archive.uid(study_id), count
        except Gone:
            raise Answer(404, {
                "error": "Orthanc has no such study",
                "hint": "the identifier is Orthanc's, as in GET /studies (POST /tools/lookup with "
                "a Study Instance UID as body finds it)",
            }) from None  # fmt: skip

    def _state_of(self, worker: Worker, study_id: str, uid: str, count: int) -> dict[str, Any]:
        study = worker.queue.get(study_id)
        if study is None or (study.phase == LOOK and study.look is None):
            return {
                "orthanc_id": study_id, "study_instance_uid": uid, "state": "unknown",
                "is_final": False, "n_mammograms": count, "url": "", "problem": None,
            }  # fmt: skip
        answer = json.loads(study.answer)
        # a check that finds nothing new leaves the state as it is
        is_asked = study.look is not None and (study.phase == LOOK or study.at_once)
        return {
            "orthanc_id": study_id,
            "study_instance_uid": uid,
            "state": "waiting" if is_asked else study.state,
            "is_final": study.phase == FINAL and not is_asked,
            "outcome": answer.get("outcome"),
            "n_findings": answer.get("n_findings"),
            "reasons": answer.get("reasons", []),
            "n_mammograms": count,
            "problem": json.loads(study.problem) or (CHANGED_NOT_READ if study.outdated else None),
            "updated_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(study.updated)),
            "url": worker.settings.page_of(uid) if study.phase in (READING, FINAL) else "",
        }


def _callback(method: str, function: Callable[..., Answer]) -> Callable[..., None]:
    """`function` as Orthanc wants it: a wrong method or an error ends as an HTTP answer."""

    def answer(output: Any, _uri: str, **request: Any) -> None:
        try:
            if request["method"] != method:
                output.SendMethodNotAllowed(method)
                return
            try:
                done = function(*request.get("groups", ()))
            except Answer as early:
                done = early
            _send(output, done)
        except Exception as error:  # uncaught it would end as Orthanc's HTTP 500, without text
            log(f"a request failed: {type(error).__name__}: {error}")
            wrong = {"error": type(error).__name__, "hint": "see Orthanc's log"}
            _send(output, Answer(500, wrong))

    return answer


def _send(output: Any, answer: Answer) -> None:
    if answer.location:
        output.Redirect(answer.location)
        return
    body = json.dumps(answer.body, indent=1)
    if answer.status == 200:
        output.AnswerBuffer(body, "application/json")
        return
    output.SetHttpHeader("Content-Type", "application/json")
    try:
        output.SendHttpStatus(answer.status, body, len(body))
    except TypeError:  # later plugins take bytes and count them themselves
        output.SendHttpStatus(answer.status, body.encode())


# --- Orthanc Explorer ----------------------------------------------------------------------------

EXPLORER = r"""
(function () {
  "use strict";
  // "done" is not green: "no findings" must not be taken for an all-clear.
  var COLOURS = {done: "#37474f", sent: "#37474f", refused: "#c62828", failed: "#c62828",
                 given_up: "#c62828", ignored: "#757575", unknown: "#757575"};
  var WORDS = {unknown: "not read", waiting: "waiting", sending: "being sent",
               fetching: "being fetched", receiving: "being received", queued: "queued",
               reading: "being read", delivering: "being delivered", done: "done", sent: "sent",
               refused: "delivery refused", failed: "failed", given_up: "given up",
               ignored: "no mammograms"};
  var ITEMS = {};  // elements of the list that come and go
  var shown = null, timer = null, before = null;

  function current() {
    var found = /#study\?(?:.*&)?uuid=([0-9a-f-]+)/.exec(window.location.href);
    return found ? found[1] : null;
  }
  function element(name, id, text) {
    var made = document.createElement(name);
    if (id) { made.id = id; }
    if (text) { made.textContent = text; }
    return made;
  }
  function place(wanted) {
    var list = $("#cadnode-list"), names = ["state", "hint", "read", "page"];
    names = names.filter(function (name) { return wanted[name]; });
    if (list.attr("data-shown") === names.join()) { return; }
    Object.keys(ITEMS).forEach(function (name) { $(ITEMS[name]).detach(); });
    names.forEach(function (name) {
      list.append($(ITEMS[name]).removeClass("ui-corner-top ui-corner-bottom"));
    });
    list.attr("data-shown", names.join());
    try { list.listview("refresh"); } catch (e) { }  // it is not one yet
  }
  function words(status) {
    if (status.n_mammograms === 0 && status.state === "unknown") { return WORDS.ignored; }
    var text = WORDS[status.state] || String(status.state);
    if (status.state === "done" && status.outcome) {
      var n = status.n_findings, found = n + (n === 1 ? " finding" : " findings");
      text += ": " + (status.outcome === "findings" && n ? found
                      : String(status.outcome).replace(/_/g, " "));
    }
    return text;
  }
  function colour(status) {
    if (status.state === "done" && status.outcome === "findings") { return "#b45309"; }
    return COLOURS[status.state] || "#1565c0";
  }
  function hint(problem) {
    var text = problem && problem.error ? problem.error + " – " + (problem.hint || "") : "";
    $(ITEMS.hint).find("div").text(text);
    return text !== "";
  }
  function show(status) {
    var is_link = /^https?:\/\//.test(status.url || "");
    $(ITEMS.page).find("a").attr("href", is_link ? status.url : "#");
    place({state: true, hint: hint(status.problem), read: status.n_mammograms !== 0,
           page: is_link});
    $("#cadnode-badge").text(words(status)).css("background", colour(status));
    if (before !== null && before !== status.state && status.is_final
        && typeof window.RefreshStudy === "function") {
      window.RefreshStudy();  // so that the results are listed
    }
    before = status.state;
  }
  function failed(answer) {
    var body = {};
    try { body = JSON.parse(answer.responseText); } catch (e) { }
    hint(body.error ? body : {error: "no answer from Orthanc", hint: ""});
    place({state: true, hint: true, read: true, page: false});
  }
  function ask(method, what, uuid) {
    $.ajax({url: "../cadnode/studies/" + encodeURIComponent(uuid) + "/" + what, type: method,
            dataType: "json", cache: false,
            success: function (status) { if (uuid === current()) { show(status); } },
            error: failed});
  }
  function refresh() {
    var uuid = current();
    if (uuid === null) { return; }
    if (uuid !== shown) { shown = uuid; before = null; $("#cadnode-badge").text("…"); }
    ask("GET", "status", uuid);
  }
  function item(icon, id, text) {
    var made = element("li"), link = element("a", id, text);
    made.setAttribute("data-icon", icon);
    link.href = "#";
    made.appendChild(link);
    return made;
  }
  function build() {
    if (document.getElementById("cadnode-list")) { return; }
    var list = element("ul", "cadnode-list"), divider = element("li", "", "Breast CAD (cadnode)");
    $(list).attr({"data-role": "listview", "data-inset": "true", "data-theme": "d",
                  "data-divider-theme": "c", title: "Research use only, not for diagnosis"});
    divider.setAttribute("data-role", "list-divider");
    var badge = element("span", "cadnode-badge", "…"), text = element("div", "cadnode-hint");
    badge.style.cssText = "display:inline-block;padding:.15em .7em;border-radius:1em;color:#fff;" +
      "background:#757575;text-shadow:none;font-weight:bold;white-space:normal";
    text.style.cssText = "font-weight:normal;font-size:80%;white-space:normal;color:#b71c1c;" +
      "text-shadow:none;overflow-wrap:anywhere";
    ITEMS = {state: element("li"), hint: element("li"),
             read: item("search", "cadnode-read", "Read with cadnode"),
             page: item("info", "cadnode-page", "Open in cadnode")};
    ITEMS.state.appendChild(badge);
    ITEMS.hint.appendChild(text);
    $(ITEMS.page).find("a").attr({target: "_blank", rel: "noopener noreferrer"});
    list.appendChild(divider);
    $(list).insertBefore("#study-access");
    place({state: true, read: true});
    $(list).delegate("#cadnode-read", "click", function (event) {
      event.preventDefault();
      var uuid = current();
      if (uuid !== null) { $("#cadnode-badge").text("requesting …"); ask("POST", "read", uuid); }
    });
  }
  $(document).delegate("#study", "pagebeforecreate", build);
  $(document).delegate("#study", "pageshow", function () {
    refresh();
    if (timer === null) { timer = window.setInterval(refresh, 2000); }
  });
  $(document).delegate("#study", "pagehide", function () {
    window.clearInterval(timer);
    timer = null;
  });
}());
"""


# --- putting it together -------------------------------------------------------------------------


def log(message: str) -> None:
    """A line in Orthanc's log; no patient data, studies by the start of Orthanc's identifier."""
    orthanc.LogWarning(f"cadnode: {message}")


def queue_file(configuration: dict[str, Any], settings: Settings, configuration_path: str) -> str:
    """Where the queue is: "QueueFolder", else the folder "cadnode" in Orthanc's storage."""
    base = configuration_path
    if not os.path.isdir(base):
        base = os.path.dirname(os.path.abspath(base)) if base else os.getcwd()
    storage = str(configuration.get("StorageDirectory") or "OrthancStorage")
    folder = settings.queue_folder or os.path.join(storage, "cadnode")
    return os.path.join(base, folder, "queue.sqlite")


class Plugin:
    """The whole, as Orthanc sees it."""

    def __init__(self) -> None:
        self.worker: Worker | None = None

    def load(self) -> None:
        """Register everything. A wrong configuration is reported by `/cadnode/health` alone."""
        settings: Settings | None = None
        wrong = ""
        try:
            configuration = json.loads(orthanc.GetConfiguration())
            settings = Settings.read(configuration.get("Cadnode", {}))
            if not settings.enabled:
                log('disabled by "Enabled": false')
                return
            self.worker = self._make(configuration, settings)
        except SettingsError as error:
            wrong = str(error)
        except (OSError, sqlite3.Error) as error:
            wrong = f'the queue cannot be opened: {error}; see "QueueFolder"'
        if wrong:
            orthanc.LogError(f"cadnode: {wrong}. Mammograms are NOT sent to the node")
        Routes(settings, self.worker, wrong).register()
        if self.worker is None or settings is None:
            return
        self._register()
        log(f"plugin {VERSION}, mode {settings.mode}, node {settings.url or settings.modality}")
        parts = urlsplit(settings.url)
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            log("studies and token go to the node without encryption: use an https Url")

    @staticmethod
    def _make(configuration: dict[str, Any], settings: Settings) -> Worker:
        path = queue_file(configuration, settings, orthanc.GetConfigurationPath())
        stable_age = float(configuration.get("StableAge", 60))
        return Worker(settings, Queue(path), Archive(settings), Node(settings), stable_age)

    def _register(self) -> None:
        try:
            orthanc.RegisterOnChangeCallback(self.on_change)
        except Exception as error:  # one script has only one: this one shares it
            log(f"{error}: your script must pass its events on, by cadnode_plugin.PLUGIN.on_change")
        if hasattr(orthanc, "ExtendOrthancExplorer"):
            orthanc.ExtendOrthancExplorer(EXPLORER)

    def on_change(self, change: int, _level: int, resource: str) -> None:
        """Orthanc's change callback: never waits, never raises."""
        worker, types = self.worker, orthanc.ChangeType
        if worker is None:
            return
        try:
            if change == types.ORTHANC_STARTED:
                worker.start()
            elif change == types.ORTHANC_STOPPED:
                worker.stop()
                worker.queue.close()
            elif change == types.STABLE_STUDY:
                worker.notify("stable", resource)
            elif change == types.NEW_SERIES:
                worker.notify("new series", resource)
            elif change == types.DELETED and _level == orthanc.ResourceType.STUDY:
                worker.notify("deleted", resource)
            elif change == types.JOB_SUCCESS:
                worker.notify("sent", resource)
            elif change == types.JOB_FAILURE:
                worker.notify("not sent", resource)
        except Exception as error:
            log(f"an event was not handled: {type(error).__name__}: {error}")


PLUGIN = Plugin()
PLUGIN.load()
