import json
import subprocess
import sys
import warnings

import pytest

from cadnode import log


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_fields_that_are_not_allowed_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure()
    log.get_logger("test").info("stored", count=4, patient_name="DOE^JANE", path="/data/DOE.dcm")
    (line,) = lines(capsys)
    assert (line["event"], line["count"], line["room"]) == ("stored", 4, "test")
    assert "DOE" not in json.dumps(line)


def test_a_peers_name_gives_no_command_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(human=True)
    log.get_logger("test").info("association_rejected", calling_ae="\x1b[2Jowned\r")
    said = capsys.readouterr().err
    assert "\x1b[2J" not in said
    assert "\r" not in said
    assert "owned" in said


def test_an_exception_is_named_by_its_class_alone(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure()
    log.get_logger("test").error("failed", error=ValueError("patient DOE^JANE"))
    assert lines(capsys)[0]["error"] == "ValueError"


def test_what_libraries_warn_of_is_not_printed_as_it_quotes_values() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        log.configure()
        for module in ("pydicom.charset", "pynetdicom.dsutils", "highdicom", "pydicomx"):
            warnings.warn_explicit(f"DOE^JANE in {module}", UserWarning, "file", 1, module=module)
    assert [str(one.message) for one in shown] == ["DOE^JANE in pydicomx"]


def test_hashed_uids_are_equal_for_equal_uids_only() -> None:
    assert log.hashed("1.2.3") == log.hashed("1.2.3") != log.hashed("1.2.4")
    assert len(log.hashed("1.2.3")) == 16


MARK = "MARK^JANE"
ESCAPES = {
    "the main thread": "raise ValueError(mark)",
    "another thread": "t = threading.Thread(target=fail); t.start(); t.join()",
    "a chained exception": (
        "try:\n    fail()\nexcept ValueError as error:\n    raise KeyError(mark) from error"
    ),
    "a finalizer": "class A:\n    def __del__(self): fail()\nA()",
    "a warning": "warnings.warn(mark)",
    "a library's log": "logging.getLogger('lib').error('%s', mark)",
    "a library's log of an exception": (
        "try:\n    fail()\nexcept ValueError:\n    logging.getLogger('lib').exception(mark)"
    ),
    "a forgotten task": (
        "async def main():\n"
        "    task = asyncio.ensure_future(asyncio.to_thread(fail)); await asyncio.sleep(0.2)\n"
        "    del task; gc.collect()\n"
        "asyncio.run(main())"
    ),
}


@pytest.mark.parametrize("code", ESCAPES.values(), ids=ESCAPES)
def test_what_nobody_caught_is_a_line_that_names_kind_and_place_alone(code: str) -> None:
    begin = (
        "import asyncio, gc, logging, threading, warnings\n"
        "from cadnode import log\n"
        "log.configure()\n"
        "log.nothing_escapes()\n"
        f"mark = '{MARK}'\n"
        "def fail(): raise ValueError(mark)\n"
    )
    ended = subprocess.run([sys.executable, "-c", begin + code], capture_output=True, text=True)
    assert MARK not in ended.stderr + ended.stdout
    written = [json.loads(line) for line in ended.stderr.splitlines()]  # no traceback among them
    assert written, "it disappeared without a word"
    assert all(line["where"] for line in written)


def test_a_line_that_cannot_be_written_costs_nothing_but_itself() -> None:
    code = (
        "import os\n"
        "from cadnode import log\n"
        "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)\n"
        "log.configure()\n"
        "log.get_logger('test').error('first')\n"
        "log.get_logger('test').error('second')\n"
        "print('went on')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.stdout, ended.returncode) == ("went on\n", 0)
