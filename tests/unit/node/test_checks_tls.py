"""`cadnode check` says whether TLS can be spoken, for how long, and who is let in by it."""

from pathlib import Path
from typing import Any

import pytest

from cadnode.node.certificate_checks import certificate_checks
from cadnode.node.checks import Check, CheckVerdict
from cadnode.node.senders import Senders, senders_of
from cadnode.settings import Settings
from tests.certificates import Authority


def found(tmp_path: Path, listener: dict[str, Any], **others: Any) -> list[Check]:
    settings = Settings(listener=listener, storage={"folder": tmp_path}, **others)
    return list(certificate_checks(settings))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def files(authority: Authority, days: int = 60) -> dict[str, Any]:
    signed = authority.sign("node", days=days)
    signed.key.chmod(0o640)
    return {"certificate_file": signed.certificate, "key_file": signed.key}


def test_without_tls_there_is_nothing_to_check(tmp_path: Path) -> None:
    assert found(tmp_path, {}) == []


def test_a_valid_certificate_is_told_with_its_days(tmp_path: Path, authority: Authority) -> None:
    (check,) = found(tmp_path, files(authority) | {"ca_file": authority.path})

    assert check.verdict is CheckVerdict.OK
    assert "mutual TLS on port 2762" in check.found
    assert "days" in check.found


@pytest.mark.parametrize(
    ("days", "verdict", "words"),
    [(-1, CheckVerdict.FAILED, "has expired"), (7, CheckVerdict.WARNING, "expires in 7 days")],
)
def test_a_certificate_that_ends_is_told_before(
    tmp_path: Path, authority: Authority, days: int, verdict: CheckVerdict, words: str
) -> None:
    (check,) = found(tmp_path, files(authority, days))

    assert check.verdict is verdict
    assert words in check.found


def test_a_list_of_revoked_certificates_that_ended_is_told(
    tmp_path: Path, authority: Authority
) -> None:
    named = files(authority) | {"ca_file": authority.path}

    (ended,) = found(tmp_path, named | {"crl_file": authority.revoke(days=-1)})
    (empty,) = found(tmp_path, named | {"crl_file": authority.path})

    assert (ended.verdict, empty.verdict) == (CheckVerdict.FAILED, CheckVerdict.FAILED)
    assert "every peer is refused" in ended.found
    assert "no list" in empty.found


def test_a_key_that_everybody_can_read_is_told(tmp_path: Path, authority: Authority) -> None:
    named = files(authority)
    named["key_file"].chmod(0o644)

    (check,) = found(tmp_path, named)

    assert check.verdict is CheckVerdict.WARNING
    assert "everybody" in check.found


def test_files_that_do_not_fit_fail_for_listener_and_destination(
    tmp_path: Path, authority: Authority
) -> None:
    named = files(authority) | {"key_file": authority.sign("other").key}
    destination = {
        "name": "archive", "port": 104, "ae_title": "A", "tls": True, "ca_file": tmp_path / "none",
    }  # fmt: skip

    verdicts = found(tmp_path, named, destinations=[destination])

    assert [check.verdict for check in verdicts] == [CheckVerdict.FAILED] * 2
    assert [check.name for check in verdicts] == [
        "certificate of listener", "certificate of destination archive",
    ]  # fmt: skip


def test_mutual_tls_alone_lets_nobody_in_without_a_certificate(authority: Authority) -> None:
    named = files(authority) | {"ca_file": authority.path}

    assert senders_of(Settings(listener=named).listener) is Senders.ANYBODY  # the plain port
    only = Settings(listener=named | {"in_clear": False})
    assert senders_of(only.listener) is Senders.CERTIFIED


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        ({"certificate_file": "a"}, "come together"),
        ({"in_clear": False}, "needs certificate_file"),
        ({"peers": [{"address": "10.0.0.1", "certificate_sha256": "0" * 64}]}, "needs listener"),
        ({"peers": [{"address": "10.0.0.1", "certificate_sha256": "0"}]}, "64 hexadecimal"),
    ],
)
def test_half_a_setting_is_refused(listener: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Settings(listener=listener)
