"""What is wrong with the disk: near its mark, receiving stopped, and why nothing goes."""

import time
from collections.abc import Iterator
from typing import Final

from cadnode.node import storage_overview
from cadnode.node.storage_account import DiskUse
from cadnode.node.storage_overview import StorageOverview
from cadnode.phrases import N_, phrase
from cadnode.settings import Settings
from cadnode.web.node import HealthProblem

_LATE_ROUNDS: Final = 4
_LATE_S: Final = 3600.0  # a round over many studies takes a while


def disk_problems(settings: Settings) -> Iterator[HealthProblem]:
    """What is wrong with the node's disk now."""
    try:
        disk, overview = storage_overview.disk_now(settings)
    except OSError:
        yield HealthProblem(
            "disk_away", N_("The storage folder cannot be looked at"),
            N_("is its disk mounted? nothing is received or read without it"),
        )  # fmt: skip
        return
    if not disk.has_room:
        yield HealthProblem(
            "disk_low",
            phrase(
                "Less than %(min_free_gb)s GB of disk are free",
                min_free_gb=settings.storage.min_free_gb,
            ),
            phrase(
                "images are refused (A700, Out of Resources): make room in "
                "storage.folder%(why_not)s",
                why_not=_why_not(settings, overview),
            ),
        )
    elif disk.percent >= settings.retention.high_mark_percent:
        yield near_mark(settings, disk, overview)
    elif _is_late(settings, overview):
        yield HealthProblem(
            "retention_late", N_("The storage folder was not looked through for a long time"),
            N_("the log says why (retention_failed)"), failing=False,
        )  # fmt: skip


def near_mark(settings: Settings, disk: DiskUse, overview: StorageOverview) -> HealthProblem:
    """The disk is above its high mark."""
    percent, free_gb = f"{min(disk.percent, 100.0):.0f}", f"{disk.free / 1e9:.1f}"
    return HealthProblem(
        "disk_near_full",
        phrase(
            "The disk is at %(percent)s %% of what the node may fill (%(free_gb)s GB free); at 100 "
            "%% no image is received",
            percent=percent,
            free_gb=free_gb,
        ),
        phrase(
            "the oldest delivered studies are removed; `cadnode storage` shows which%(why_not)s",
            why_not=_why_not(settings, overview),
        ),
    )


def _why_not(settings: Settings, overview: StorageOverview) -> str:
    if not settings.retention.enabled:
        return phrase("; nothing is removed: retention.enabled is false")
    return phrase("; %(blocked)s", blocked=overview.blocked) if overview.blocked else ""


def _is_late(settings: Settings, overview: StorageOverview) -> bool:
    if not overview.at:
        return False  # no worker has looked yet: its own state says whether it is up
    return time.time() - overview.at > max(_LATE_S, _LATE_ROUNDS * settings.retention.every_s)
