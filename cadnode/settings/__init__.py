"""The node's settings: one frozen tree from a TOML file and `CADNODE_…` environment variables."""

from cadnode.settings.example import example
from cadnode.settings.load import Settings, load
from cadnode.settings.peers import Destination, HttpPeer, Source
from cadnode.settings.quality import QualitySection
from cadnode.settings.remote import RemoteSection
from cadnode.settings.sections import (
    STANDARD_VIEWS,
    AuditSection,
    JobsSection,
    ListenerSection,
    LogSection,
    ModelsSection,
    ReadingSection,
    ReportSection,
    RetentionSection,
    StorageSection,
    StudySection,
    WebSection,
)

__all__ = [
    "STANDARD_VIEWS", "AuditSection", "Destination", "HttpPeer", "JobsSection", "ListenerSection",
    "LogSection", "ModelsSection", "QualitySection", "ReadingSection", "RemoteSection",
    "ReportSection", "RetentionSection",
    "Settings", "Source", "StorageSection", "StudySection", "WebSection", "example", "load",
]  # fmt: skip
