"""The fuzzer finds: small defects are put into the code, each is found within so many inputs."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from cadnode import multipart
from cadnode.errors import NotProcessable
from cadnode.exam import dicom_file, mammogram
from cadnode.exam.exam import Exam
from cadnode.imaging import decode
from cadnode.models import store
from cadnode.registry import signature
from cadnode.web.access import Access, cookie_of
from tests.fuzz import oracles
from tests.fuzz.engine import Outcome, Plan, fuzz
from tests.fuzz.registry import all_targets
from tests.fuzz.targets import files
from tests.fuzz.targets.files import COLUMNS, ROWS

Patch = Callable[[pytest.MonkeyPatch], None]


def _unguarded_text(patch: pytest.MonkeyPatch) -> None:
    whole = files._texts_of_exam  # after `read_study`, which makes a reason of any error

    def texts(exam: Exam) -> Iterator[str]:
        for header in exam.headers.values():
            for element in header:
                str(element.value).encode("ascii")
        yield from whole(exam)

    patch.setattr(files, "_texts_of_exam", texts)


def _escaped_exception(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(multipart, "boundary_of", lambda stated: stated.split("boundary=")[1].encode())


def _unescaped_status(patch: pytest.MonkeyPatch) -> None:
    def session_id(self: Access, headers: Headers) -> str:
        cookie = cookie_of(headers, self.cookie)
        return str(int(cookie.split(".")[0])) if cookie else ""

    patch.setattr(Access, "session_id", session_id)


def _leaked_value(patch: pytest.MonkeyPatch) -> None:
    whole = mammogram.describe

    def describe(file: Any, **how: Any) -> Any:
        try:
            return whole(file, **how)
        except NotProcessable as error:
            patient = file.header.get("PatientID")
            raise NotProcessable(error.reason, f"{error.detail} ({patient})") from None

    patch.setattr(mammogram, "describe", describe)


def _printed_value(patch: pytest.MonkeyPatch) -> None:
    whole = dicom_file.settled

    def settled(raw: Any, **how: Any) -> Any:
        if "PatientID" in raw and "Rows" not in raw:
            os.write(2, f'{{"event": "odd", "id": "{raw.PatientID}"}}\n'.encode())
        return whole(raw, **how)

    patch.setattr(dicom_file, "settled", settled)


def _open_file(patch: pytest.MonkeyPatch) -> None:
    whole, forgotten = mammogram.open_file, []

    def open_file(path: Path) -> Any:
        forgotten.append(path.open("rb"))
        return whole(path)

    patch.setattr(mammogram, "open_file", open_file)


def _endless_loop(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(oracles, "CPU_S", 0.5)

    def skip_header(self: Any) -> None:
        while b"\r\n\r\n" not in self._data:
            self._data += next(self._blocks, b"")

    patch.setattr(multipart._Rest, "skip_header", skip_header)


def _crash(patch: pytest.MonkeyPatch) -> None:
    whole = decode._stream_size

    def stream_size(frame: bytes) -> Any:
        size = whole(frame)
        if size != (ROWS, COLUMNS):
            os.kill(os.getpid(), signal.SIGSEGV)
        return size

    patch.setattr(decode, "_stream_size", stream_size)


def _growing_table(patch: pytest.MonkeyPatch) -> None:
    whole, table = multipart.boundary_of, []

    def boundary_of(stated: str) -> bytes:
        table.append(bytearray(80_000))
        return whole(stated)

    patch.setattr(multipart, "boundary_of", boundary_of)


def _trusted_card(patch: pytest.MonkeyPatch) -> None:
    def read_split(folder: Path) -> Any:
        import json

        parts = json.loads((folder / store.SPLIT).read_text())
        return {part: [*map(str, parts[part])] for part in ("train", "validation")}

    patch.setattr(store, "read_split", read_split)


def _unchecked_signature(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(signature, "check", lambda *_: None)


@pytest.mark.parametrize(
    ("target", "defect", "shown_as", "inputs"),
    [
        ("headers", _unguarded_text, "UnicodeEncodeError|ValueError|TypeError", 300),
        ("multipart", _escaped_exception, "IndexError", 300),
        ("web", _unescaped_status, "violation", 600),
        ("headers", _leaked_value, "identifier", 300),
        ("headers", _printed_value, "identifier", 300),
        ("headers", _open_file, "descriptor", 5),
        ("multipart", _endless_loop, "hang", 400),
        ("jpeg", _crash, "crash", 300),
        ("multipart", _growing_table, "growth", 4000),
        ("signature", _unchecked_signature, "violation", 300),
        ("card", _trusted_card, "TypeError|KeyError|JSONDecodeError|UnicodeDecodeError", 300),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)).lstrip("_"),
)
def test_a_seeded_defect_is_found(
    monkeypatch: pytest.MonkeyPatch, target: str, defect: Patch, shown_as: str, inputs: int
) -> None:
    defect(monkeypatch)
    outcome = _until_found(target, shown_as, inputs)
    found = {finding.kind for finding in outcome.findings.values()}
    assert found & set(shown_as.split("|")), outcome.figures()


def _until_found(name: str, shown_as: str, inputs: int) -> Outcome:
    """The outcome of a few inputs, or of all where a few do not show it."""
    target = all_targets()[name]
    wanted = set(shown_as.split("|"))
    for n_inputs in (min(inputs, 40), inputs):
        outcome = fuzz(target, Plan(n_inputs, seed=1, until=frozenset(wanted)))
        if wanted & {finding.kind for finding in outcome.findings.values()}:
            break
    return outcome
