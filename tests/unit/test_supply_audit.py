"""The audit of dependencies: finds what an export knows, and fails on what it cannot decide."""

import importlib.util
import json
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "deploy/supply/audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["audit"] = module
    spec.loader.exec_module(module)
    return module


audit = _module()


def _advisory(name: str = "lib", **affected: Any) -> dict[str, Any]:
    package = {"package": {"ecosystem": "PyPI", "name": name}, **affected}
    return {"id": "OSV-1", "modified": "2026-10-30T00:00:00Z", "affected": [package]}


def _range(*events: dict[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    return {"ranges": [{"type": kind, "events": list(events)}]}


def _found(version: str, document: dict[str, Any], **options: Any) -> list[Any]:
    wanted, _ = audit.dependencies(f"lib=={version} --hash=sha256:aa")
    found: list[Any] = audit.audit(wanted, [document], now=NOW, **options)
    return found


FIXED = _range({"introduced": "1.0"}, {"fixed": "1.5"})
TWICE = _range(
    {"introduced": "0"}, {"fixed": "1.2"}, {"introduced": "2.0rc1"}, {"last_affected": "2.3"}
)


@pytest.mark.parametrize(
    ("version", "affected", "is_hit"),
    [
        ("0.9", FIXED, False),
        ("1.0", FIXED, True),
        ("1.4.9", FIXED, True),
        ("1.5", FIXED, False),
        ("1.10", FIXED, False),
        ("1.4+cu128", FIXED, True),
        ("0.0.1", TWICE, True),
        ("1.2", TWICE, False),
        ("2.0rc1", TWICE, True),
        ("2.3", TWICE, True),
        ("2.3.1", TWICE, False),
        ("3.1", {"versions": ["3.1", "3.1.dev-x"]}, True),
        ("3.2", {"versions": ["3.1"]}, False),
    ],
)
def test_a_version_is_hit_where_the_export_states_so(
    version: str, affected: dict[str, Any], is_hit: bool
) -> None:
    found = _found(version, _advisory(**affected))
    assert [one.advisory for one in found] == (["OSV-1"] if is_hit else [])


def test_names_are_compared_as_the_index_does() -> None:
    wanted, _ = audit.dependencies("Some_Lib==1.1 --hash=sha256:aa")
    assert audit.audit(wanted, [_advisory("some.lib", **FIXED)], now=NOW)


def test_another_ecosystem_and_a_withdrawn_advisory_do_not_count() -> None:
    other = _advisory(**FIXED)
    other["affected"][0]["package"]["ecosystem"] = "npm"
    assert not _found("1.1", other)
    assert not _found("1.1", {**_advisory(**FIXED), "withdrawn": "2026-10-01T00:00:00Z"})


@pytest.mark.parametrize(
    "affected",
    [{}, _range({"introduced": "0"}, kind="GIT"), _range({"introduced": "zero"})],
)
def test_an_advisory_that_cannot_be_compared_is_an_open_question(affected: dict[str, Any]) -> None:
    (found,) = _found("1.1", _advisory(**affected))
    assert found.is_undecided


@pytest.mark.parametrize(
    "line", ["lib>=1.0", "lib @ https://host/lib.whl", "-e .", "./lib.whl", "lib==1.0", "lib==x!"]
)
def test_a_line_that_pins_nothing_known_is_an_open_question(line: str) -> None:
    wanted, problems = audit.dependencies(f"# made by a tool\n{line}\n")
    assert not wanted
    assert len(problems) == 1
    assert problems[0].is_undecided


def test_an_old_or_empty_export_decides_nothing() -> None:
    (found,) = audit.audit([], [], now=NOW)
    assert found.is_undecided
    old = {**_advisory(**FIXED), "modified": "2026-08-01T00:00:00Z"}
    assert any(one.is_undecided for one in _found("9.0", old))


def test_a_judged_advisory_is_accepted_until_its_day(tmp_path: Path) -> None:
    judged = tmp_path / "accepted.txt"
    judged.write_text("CVE-7 2026-12-31 we never parse untrusted input with it\n")
    document = {**_advisory(**FIXED), "aliases": ["CVE-7"]}
    assert not _found("1.1", document, accepted=audit.accepted_in(judged))
    judged.write_text("CVE-7 2026-10-31 we never parse untrusted input with it\n")
    assert _found("1.1", document, accepted=audit.accepted_in(judged))


def test_the_command_reads_a_zip_and_a_folder_and_says_how_it_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {**_advisory(**FIXED), "modified": datetime.now(UTC).isoformat()}
    folder, bundle = tmp_path / "osv", tmp_path / "all.zip"
    folder.mkdir()
    (folder / "OSV-1.json").write_text(json.dumps(document))
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("OSV-1.json", json.dumps(document))
    for version, code in (("1.1", 1), ("1.5", 0)):
        pinned = tmp_path / "requirements.txt"
        pinned.write_text(f"lib=={version} \\\n    --hash=sha256:aa\n")
        for export in (folder, bundle):
            assert audit.main([str(pinned), "--osv", str(export), "--json"]) == code
    printed = capsys.readouterr().out
    assert '"advisory": "OSV-1"' in printed


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 torn", b"[]"])
def test_a_damaged_export_is_an_error_not_a_clean_bill(tmp_path: Path, data: bytes) -> None:
    pinned, export = tmp_path / "r.txt", tmp_path / "all.zip"
    pinned.write_text("lib==1.0 --hash=sha256:aa\n")
    export.write_bytes(data)
    assert audit.main([str(pinned), "--osv", str(export)]) == 2


def test_every_list_that_is_committed_pins_each_package_by_hash() -> None:
    lists = sorted((ROOT / "deploy/supply/requirements").glob("py3.*.txt"))
    assert [one.name for one in lists] == ["py3.11.txt", "py3.12.txt", "py3.13.txt"]
    for one in lists:
        pinned, problems = audit.dependencies(one.read_text())
        assert not problems
        assert {"torch", "pydicom", "highdicom", "dbos"} <= {each.name for each in pinned}


def test_notice_names_each_packaged_weights_file_and_the_terms_of_its_data() -> None:
    notice = (ROOT / "NOTICE").read_text()
    cards = sorted((ROOT / "cadnode/weights").glob("*/*/card.json"))
    assert cards
    for path in cards:
        card = json.loads(path.read_text())
        assert f"{card['name']} {card['version']}\n  weights  {card['weights_sha256']}" in notice
        for one in card["training_sets"]:
            assert f"{one['name']}: {one['terms']}" in notice


def test_notice_states_a_licence_for_every_package_that_is_pinned() -> None:
    notice = (ROOT / "NOTICE").read_text().lower().replace("_", "-")
    assert "states none" not in notice
    pinned, _ = audit.dependencies((ROOT / "deploy/supply/requirements/py3.11.txt").read_text())
    for one in pinned:
        assert f"\n{one.name} {one.version} " in notice
