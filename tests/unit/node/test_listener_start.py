"""A role that starts while the disk is full or fails waits for it, and dies of nothing else."""

import errno
from pathlib import Path
from typing import Any

import pytest

from cadnode.node import listener
from cadnode.node.heartbeat import Pulse
from cadnode.settings import Settings


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_role_waits_for_a_disk_that_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    settings, tries, waited = Settings(storage={"folder": tmp_path}), [0], []
    whole = listener.Spool

    def spool(*given: Any, **named: Any) -> Any:
        tries[0] += 1
        if tries[0] < 3:
            raise OSError(number, "the disk")
        return whole(*given, **named)

    monkeypatch.setattr(listener, "Spool", spool)
    monkeypatch.setattr(listener.time, "sleep", waited.append)

    assert listener.open_spool(settings, Pulse()).studies() == []
    assert waited == [5.0, 10.0]


def test_a_folder_that_is_not_ours_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spool(*_given: Any, **_named: Any) -> Any:
        raise PermissionError(errno.EACCES, "not ours")

    monkeypatch.setattr(listener, "Spool", spool)

    with pytest.raises(PermissionError):
        listener.open_spool(Settings(storage={"folder": tmp_path}), Pulse())
