"""The node's settings: one frozen tree from a TOML file and `CADNODE_…` environment variables."""

from cadnode.settings.example import example
from cadnode.settings.load import Settings, load
from cadnode.settings.peers import Destination, HttpPeer, Source
from cadnode.settings.sections import (
    STANDARD_VIEWS,
    Jobs,
    Listener,
    Log,
    Reading,
    Report,
    Storage,
    Study,
    Web,
)

__all__ = [
    "STANDARD_VIEWS", "Destination", "HttpPeer", "Jobs", "Listener", "Log", "Reading", "Report",
    "Settings", "Source", "Storage", "Study", "Web", "example", "load",
]  # fmt: skip
