"""Which files of a running node a backup has, and in which order they are copied.

Nothing is locked. What refers is copied before what it refers to, so that whatever happens
meanwhile, nothing in the backup points at something that is missing from it:

1. the job database, first of all: an older one is brought up to date from the results
   (`node.rebuild`), a newer one would know of results that are not there;
2. notes about deliveries and studies (a delivery that has ended since is in its result's record);
3. results, then what is remembered of removed ones;
4. images, then what is remembered of removed ones: a study whose images go meanwhile has at least
   the note that keeps it from being read twice;
5. the audit trail, last, its head before its lines: a head that is behind is no cut end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from cadnode.node.erasure.places import files_below, place_of
from cadnode.settings import Settings

_ORDER: Final = (
    "undelivered", "commitments", "spool/requests", "priorities", "pins", "",
    "results", "removed", "spool/studies", "spool/removed",
)  # fmt: skip
"""Folders; "" stands for all that is in none of the others."""
_AUDIT: Final = "audit"
ENVIRONMENT: Final = "environment"
"""Of `cadnode service install`: the unit's EnvironmentFile."""
_IMAGES: Final = frozenset({"received images", "prior exams", "prior exams that a C-MOVE brings"})


@dataclass(frozen=True, slots=True)
class ChosenFile:
    """A file to copy. `has_lines`: lines are added to it, and a whole number of them is copied."""

    path: Path
    relative: Path

    @property
    def has_lines(self) -> bool:
        """Whether the file may be growing."""
        return self.path.suffix == ".jsonl"


def chosen(storage: Path, *, with_images: bool) -> Iterator[ChosenFile]:
    """The files of a storage folder in the order of the copy, found as they are reached."""
    for name in _ORDER:
        for path in files_below(storage / name) if name else _others(storage):
            relative = path.relative_to(storage)
            if _is_kept(relative, with_images=with_images):
                yield ChosenFile(path, relative)
    trail = [ChosenFile(p, p.relative_to(storage)) for p in files_below(storage / _AUDIT)]
    yield from sorted(trail, key=lambda one: (one.has_lines, one.relative))


def _others(folder: Path, below: str = "") -> Iterator[Path]:
    """What is in none of the folders that have a turn of their own."""
    own = {_AUDIT, *_ORDER}
    for path in sorted(folder.iterdir()):
        name = f"{below}{path.name}"
        if name in own or name == "lost+found":
            continue
        if not path.is_dir() or path.is_symlink():
            yield path
        elif any(one.startswith(f"{name}/") for one in own):
            yield from _others(path, f"{name}/")
        else:
            yield from files_below(path)


def settings_files(values: Settings, config: Path | None) -> tuple[Path, ...]:
    """The configuration file, and the files that settings name: identities, keys, secrets.

    The service's environment beside it, too, which overrides it. Absolute, each once; those that
    are not there are left out.
    """
    named = [] if config is None else [config, config.parent / ENVIRONMENT]
    named += [path for key, path in _paths(values) if key.endswith("_file")]
    found = dict.fromkeys(path.absolute() for path in named)
    return tuple(path for path in found if path.is_file())


def _is_kept(relative: Path, *, with_images: bool) -> bool:
    place = place_of(relative)
    if fnmatch(relative.name, ".*.part") or (place is not None and place.remade):
        return False
    return with_images or place is None or place.name not in _IMAGES


def _paths(value: object, key: str = "") -> Iterator[tuple[str, Path]]:
    """Every path below a value, with the name of the setting that states it."""
    if isinstance(value, Path):
        yield key, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _paths(getattr(value, name), name)
    elif isinstance(value, tuple):
        for one in value:
            yield from _paths(one, key)
