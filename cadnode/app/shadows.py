"""Shadow mode as `cadnode models shadow` shows it: what reads, and what came of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cadnode.app.shadow_process import chosen
from cadnode.registry import shadow_log, shadow_summary
from cadnode.registry.shadow_set import ShadowSet
from cadnode.registry.shadow_summary import Summary, Told
from cadnode.settings import Settings


@dataclass(frozen=True, slots=True)
class Shown:
    """The shadows now, what all readings say together, and how many files could not be read."""

    now: ShadowSet
    summary: Summary
    n_damaged: int


def show(values: Settings, wanted: str | None = None) -> Shown:
    """The state of shadow mode; `wanted` leaves the readings of one version, `NAME@VERSION`.

    Raises
    ------
    ModelError
        The own store's `active.json` is damaged.
    """
    read = list(_told(values.storage.folder / "results"))
    whole = [t for t in read if t is not None]
    if wanted is not None:
        whole = [t for t in whole if wanted in (*t.wanted, *t.missing)]
    return Shown(chosen(values), shadow_summary.summarize(whole), sum(t is None for t in read))


def _told(results: Path) -> Iterator[Told | None]:
    """Each study's last reading: a study that grew was read again, and counts once."""
    newest: dict[Path, Path] = {}
    for file in results.glob(f"*/*/{shadow_log.FILE}"):
        study = file.parent.parent
        if study not in newest or _changed(newest[study]) < _changed(file):
            newest[study] = file
    for file in newest.values():
        try:
            yield shadow_summary.parse(file.read_bytes())
        except OSError:
            yield None


def _changed(file: Path) -> float:
    return file.stat().st_mtime
