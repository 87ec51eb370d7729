"""`cadnode check` of the audit trail: is it whole, can it be written, does a copy get away."""

import os
from collections.abc import Iterator

from cadnode.audit import files
from cadnode.audit.syslog import Repository, RepositoryAway
from cadnode.audit.verify import verify
from cadnode.errors import SettingsError
from cadnode.node.check import Check, CheckVerdict
from cadnode.settings import Settings
from cadnode.terminal import counted


def audit_checks(settings: Settings) -> Iterator[Check]:
    """Checks of the trail on the disk, and of the repository that gets a copy."""
    yield _trail(settings)
    yield _repository(settings)


def _trail(settings: Settings) -> Check:
    folder = settings.storage.folder / files.FOLDER
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        return Check(
            "audit trail", CheckVerdict.WARNING, f"{folder} cannot be written by this user",
            "fine if you are not the node's user; else give it to that user",
        )  # fmt: skip
    try:
        found = verify(folder)
    except OSError as error:
        return Check(
            "audit trail", CheckVerdict.FAILED, f"{folder}: {os.strerror(error.errno or 0)}",
            "give the node's user the right to read and write there",
        )  # fmt: skip
    if found.broken is not None:
        where = f"{found.broken.file} line {found.broken.line}"
        return Check(
            "audit trail", CheckVerdict.FAILED, f"{where}: {found.broken.meaning}",
            "keep a copy of the folder, and compare it with the repository's: docs/audit.md",
        )  # fmt: skip
    lost = files.lost_of(folder).waiting
    if lost:
        return Check(
            "audit trail", CheckVerdict.WARNING, f"events that it lacks: {lost}",
            "is the disk of storage.folder full, or failing?",
        )  # fmt: skip
    return Check("audit trail", CheckVerdict.OK, f"{counted(found.n_lines, 'line')}, whole")


def _repository(settings: Settings) -> Check:
    name, audit = "audit repository", settings.audit
    if audit.syslog_host is None:
        return Check(
            name, CheckVerdict.WARNING, "none: the only trail is on this machine",
            "whoever may write STORAGE/audit can write it anew: set audit.syslog_host",
        )  # fmt: skip
    where = f"{audit.syslog_host}:{audit.syslog_port}"
    try:
        Repository(audit).send([])
    except SettingsError as error:
        return Check(name, CheckVerdict.FAILED, str(error), "nothing is sent on like this")
    except RepositoryAway as error:
        return Check(
            name, CheckVerdict.FAILED, f"{where}: {error}",
            "is it running, does it trust our certificate, and we its (audit.syslog_ca_file)?",
        )  # fmt: skip
    return Check(name, CheckVerdict.OK, f"{where} takes syslog by TLS")
