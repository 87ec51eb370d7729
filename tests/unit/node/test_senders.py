"""From whom images are taken: what `cadnode check` says before anybody finds an open port."""

from pathlib import Path
from typing import Any

import pytest

from cadnode.errors import SettingsError
from cadnode.node import checks
from cadnode.node.scp_config import scp_config
from cadnode.node.senders import Senders, senders_of
from cadnode.settings import Settings, load
from cadnode.settings.sections import ListenerSection

PACS = {"address": "10.1.2.3", "ae_title": "PACS"}


@pytest.mark.parametrize(
    ("values", "who"),
    [
        ({}, Senders.ANYBODY),
        ({"host": "10.0.0.1"}, Senders.ANYBODY),
        ({"host": "127.0.0.1"}, Senders.THIS_MACHINE),
        ({"host": "localhost"}, Senders.THIS_MACHINE),
        ({"peers": [PACS]}, Senders.NAMED),
        ({"peers": [PACS, {"address": "fd00::/8"}]}, Senders.NAMED),
        ({"peers": [PACS, {"address": "0.0.0.0/0"}]}, Senders.ANY_ADDRESS),
        ({"calling_ae_titles": ["PACS"]}, Senders.ANY_ADDRESS),
    ],
)
def test_who_can_send_follows_from_address_and_peers(values: dict[str, Any], who: Senders) -> None:
    assert senders_of(ListenerSection.model_validate(values)) is who


@pytest.mark.parametrize(
    ("values", "verdict", "words"),
    [
        ({}, "failed", "anybody who reaches 0.0.0.0 port 11112"),
        ({"calling_ae_titles": ["PACS"]}, "warning", "any address"),
        ({"peers": [PACS]}, "ok", "peers that are named"),
        ({"host": "127.0.0.1"}, "ok", "this machine alone"),
    ],
)
def test_the_check_is_red_where_anybody_can_send(
    values: dict[str, Any], verdict: str, words: str
) -> None:
    settings = Settings(listener=ListenerSection.model_validate(values))

    check = checks._senders(settings)

    assert check.verdict == verdict
    assert words in check.found
    assert ("[[listener.peers]]" in check.advice) == (verdict != "ok")


def test_peers_are_blocks_of_the_settings_and_reach_the_listener(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(
        '[listener]\nport = 104\n[[listener.peers]]\naddress = "10.1.2.9/24"\nae_title = "PACS"\n'
        '[[listener.peers]]\naddress = "fd00::1"\n'
    )

    config = scp_config(load(file))

    assert [(p.ae_title, str(p.network)) for p in config.peers] == [
        ("PACS", "10.1.2.0/24"),
        ("", "fd00::1/128"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[listener.peers]]\naddress = "pacs.hospital"\n', "10.1.2.0/24"),
        ('[[listener.peers]]\nae_title = "PACS"\n', "is missing"),
        (
            '[listener]\ncalling_ae_titles = ["MG"]\n'
            '[[listener.peers]]\naddress = "10.1.2.3"\nae_title = "PACS"\n',
            "could never send",
        ),
    ],
)
def test_peers_that_say_nothing_are_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "node.toml"
    file.write_text(text)

    with pytest.raises(SettingsError, match=words):
        load(file)
