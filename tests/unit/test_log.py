import json
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
