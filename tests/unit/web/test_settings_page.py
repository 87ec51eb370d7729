"""The page of settings: for admins alone, read-only, every value with its origin."""

import re
from pathlib import Path

from cadnode import settings
from cadnode.settings.provenance import KnownSettings, SettingsShown
from tests.web_cases import PASSWORDS, Told, known, served


def shown(tmp_path: Path, text: str = "[listener]\nport = 104\n") -> SettingsShown:
    path = tmp_path / "node.toml"
    path.write_text(text)
    return KnownSettings(settings.load(path), path)()


def test_the_page_names_each_value_and_where_it_stands(tmp_path: Path) -> None:
    with served(Told(settings=shown(tmp_path)), known()) as client:
        client.log_in("anna")
        page = client.get("/settings").text
        narrowed = client.get("/settings?stated=1").text
        answer = client.get("/api/settings").json()
    assert "listener.port" in page
    assert "node.toml</code>" in page
    assert re.search(r"the file,\s+line 2", page)
    assert "Default: 11112" in page
    assert "study.quiet_s" in page
    assert "study.quiet_s" not in narrowed
    assert "listener.port" in narrowed
    (port,) = [row for row in answer["settings"] if row["key"] == "listener.port"]
    assert (port["value"], port["origin"]) == ("104", "file")


def test_what_has_changed_or_is_wrong_in_the_file_is_said_first(tmp_path: Path) -> None:
    rows = shown(tmp_path).rows
    for values, said in (
        (SettingsShown(rows, "f", ("listener.port",)), "Taken up by a reload"),
        (SettingsShown(rows, "f", ("storage.folder",)), "Taken up when the node is restarted"),
        (SettingsShown(rows, "f", (), "x: <no> such setting"), "x: &lt;no&gt; such setting"),
    ):
        with served(Told(settings=values), known()) as client:
            client.log_in("anna")
            assert said in client.get("/settings").text


def test_settings_that_ask_for_a_restart_are_marked(tmp_path: Path) -> None:
    rows = shown(tmp_path).rows
    marked = {row.key for row in rows if row.asks_for_restart}
    assert {"storage.folder", "jobs.database_url", "web.enabled", "log.keep_mb"} <= marked
    assert not {"listener.port", "retention.images_days", "log.level"} & marked


def test_nobody_but_an_admin_sees_settings(tmp_path: Path) -> None:
    with served(Told(settings=shown(tmp_path)), known()) as client:
        for name in PASSWORDS:
            client.log_in(name)
            wanted = 200 if name == "anna" else 403
            for path in ("/settings", "/api/settings"):
                assert client.get(path).status_code == wanted
            assert (">Settings" in client.get("/").text) == (name == "anna")
