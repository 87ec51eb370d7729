"""Every state in which a power cut may leave a folder that some code writes to.

`RecordedDisk` wraps the functions of `os` (and `open`) while the code runs on a real folder, and
keeps beside it what is certain to be on the disk: a file's data is once the file was synced, a name
once its folder was. `crash_states` then builds each folder that may be found after a cut at any
moment. POSIX promises nothing but that, so anything not synced may have happened or not, in any
combination and order:

- data of a file: as it was when last synced; as written; written in part; with zeros for the rest;
- a name: there or not; of a rename, the new name without the old one gone, or neither of the two.

After Pillai et al., "All File Systems Are Not Created Equal" (OSDI 2014, ALICE) and Mohan et al.
(OSDI 2018, CrashMonkey), without their assumptions on particular file systems.
"""

import builtins
import io
import itertools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

Entries = dict[str, int]  # name in a folder → object
MOST_STATES: Final = 400  # of one moment; beyond, that many are drawn


@dataclass(slots=True)
class _File:
    """`synced` is None until the file was synced."""

    current: bytes = b""
    synced: bytes | None = None

    def states(self) -> list[bytes]:
        """What may be found of its data."""
        base = self.synced or b""
        if self.current == base:
            return [base]
        begin = len(base) if self.current.startswith(base) else 0
        middle = (begin + len(self.current)) // 2
        zeros = bytes(len(self.current) - middle)
        half = self.current[:middle]
        found = [self.current, base, half, half + zeros, base[:begin] + bytes(
            len(self.current) - begin
        )]  # fmt: skip
        return list(dict.fromkeys(found))


@dataclass(slots=True)
class _Folder:
    """`pending` are the changes of names since the folder was synced: (name, object or None)."""

    current: Entries = field(default_factory=dict)
    synced: Entries = field(default_factory=dict)
    pending: list[tuple[str, int | None]] = field(default_factory=list)

    def change(self, name: str, thing: int | None) -> None:
        self.pending.append((name, thing))
        _apply(self.current, name, thing)

    def sync(self) -> None:
        self.synced, self.pending = dict(self.current), []

    def states(self) -> list[Entries]:
        """What may be found of its names: with any of the changes that are not synced."""
        found = []
        for chosen in itertools.product((False, True), repeat=len(self.pending)):
            entries = dict(self.synced)
            for is_done, (name, thing) in zip(chosen, self.pending, strict=True):
                if is_done:
                    _apply(entries, name, thing)
            if entries not in found:
                found.append(entries)
        return found


def _apply(entries: Entries, name: str, thing: int | None) -> None:
    if thing is None:
        entries.pop(name, None)
    else:
        entries[name] = thing


@dataclass(frozen=True, slots=True)
class Moment:
    """The disk after one operation, and what the code had promised until then."""

    after: str
    things: dict[int, _File | _Folder]
    promised: tuple[Any, ...]


class RecordedDisk:
    """Context manager: within it what happens below `root` is recorded, moment by moment."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.moments: list[Moment] = []
        self._things: dict[int, _File | _Folder] = {0: _Folder()}
        self._descriptors: dict[int, int] = {}
        self._promised: list[Any] = []
        self._undo: list[tuple[Any, str, Any]] = []
        self._is_busy = False

    def promise(self, what: Any) -> None:
        """The code has answered that `what` is safe."""
        self._promised.append(what)
        self._moment("promise")

    def withdraw(self, what: Any) -> None:
        """What is removed on purpose may be found or not."""
        self._promised.remove(what)

    def __enter__(self) -> "RecordedDisk":
        for place in self.root.rglob("*"):
            raise AssertionError(f"the folder is not empty: {place.name}")
        wrapped: dict[str, Callable[..., Any]] = {
            "open": self._open, "close": self._close, "write": self._write, "fsync": self._fsync,
            "rename": self._rename, "replace": self._rename, "link": self._link,
            "unlink": self._unlink, "remove": self._unlink, "mkdir": self._mkdir,
            "rmdir": self._rmdir,
        }  # fmt: skip
        self._real = {name: getattr(os, name) for name in wrapped}
        for name, function in wrapped.items():
            self._wrap(os, name, function)
        self._real_open = io.open
        self._wrap(io, "open", self._io_open)
        self._wrap(builtins, "open", self._io_open)
        return self

    def __exit__(self, *_exc: object) -> None:
        for owner, name, before in reversed(self._undo):
            setattr(owner, name, before)
        self._moment("end")
        assert self._tree(0) == _real_tree(self.root), "the record differs from what happened"

    def _wrap(self, owner: Any, name: str, function: Callable[..., Any]) -> None:
        self._undo.append((owner, name, getattr(owner, name)))
        setattr(owner, name, function)

    # What is wrapped

    def _io_open(self, file: Any, mode: str = "r", *args: Any, **kw: Any) -> Any:
        if isinstance(file, int) or not self._is_ours(file) or "opener" in kw:
            return self._real_open(file, mode, *args, **kw)
        return self._real_open(file, mode, *args, opener=os.open, **kw)

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if not self._is_ours(path, dir_fd):
            return int(self._real["open"](path, flags, mode, dir_fd=dir_fd))
        place = self._place(path, dir_fd)
        is_new = bool(flags & os.O_CREAT) and not place.exists()
        descriptor = int(self._real["open"](path, flags, mode, dir_fd=dir_fd))
        if is_new:
            self._add(place, _File())
        thing = self._find(place)
        self._descriptors[descriptor] = thing
        if flags & os.O_TRUNC and not is_new:
            self._moment(f"truncate {place.name}")
        elif is_new:
            self._moment(f"create {place.name}")
        return descriptor

    def _close(self, descriptor: int) -> None:
        self._descriptors.pop(descriptor, None)
        self._real["close"](descriptor)

    def _write(self, descriptor: int, data: Any) -> int:
        n = int(self._real["write"](descriptor, data))
        if descriptor in self._descriptors:
            self._refresh()
            self._moment("write")
        return n

    def _fsync(self, descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        thing = self._thing_at(number)
        if thing is not None:
            self._refresh()
            self._moment("before fsync")
        self._real["fsync"](descriptor)
        if isinstance(thing, _File):
            thing.synced = thing.current
        elif thing is not None:
            thing.sync()
        if thing is not None:
            self._moment("fsync")

    def _rename(self, old: Any, new: Any, **kw: Any) -> None:
        source, target = Path(os.fspath(old)), Path(os.fspath(new))
        self._real["rename"](old, new, **kw)
        if self._is_ours(source):
            thing = self._find(source)
            self._folder(target.parent).change(target.name, thing)
            self._folder(source.parent).change(source.name, None)
            self._moment(f"rename {target.name}")

    def _link(self, old: Any, new: Any, **kw: Any) -> None:
        self._real["link"](old, new, **kw)
        source, target = Path(os.fspath(old)), Path(os.fspath(new))
        if self._is_ours(target):
            self._folder(target.parent).change(target.name, self._find(source))
            self._moment(f"link {target.name}")

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        is_ours, place = self._is_ours(path, dir_fd), self._place(path, dir_fd)
        self._real["unlink"](path, dir_fd=dir_fd)
        if is_ours:
            self._folder(place.parent).change(place.name, None)
            self._moment(f"unlink {place.name}")

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self._real["mkdir"](path, mode, dir_fd=dir_fd)
        if self._is_ours(path, dir_fd):
            self._add(self._place(path, dir_fd), _Folder())
            self._moment("mkdir")

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        is_ours, place = self._is_ours(path, dir_fd), self._place(path, dir_fd)
        self._real["rmdir"](path, dir_fd=dir_fd)
        if is_ours:
            self._folder(place.parent).change(place.name, None)
            self._moment("rmdir")

    # The record

    def _is_ours(self, path: Any, dir_fd: int | None = None) -> bool:
        if isinstance(path, int) or self._is_busy:
            return False
        return self._place(path, dir_fd).is_relative_to(self.root)

    def _place(self, path: Any, dir_fd: int | None) -> Path:
        place = Path(os.fsdecode(os.fspath(path)))
        if dir_fd is not None:
            place = Path(os.readlink(f"/proc/self/fd/{dir_fd}")) / place
        return place.absolute()

    def _find(self, place: Path) -> int:
        thing = 0
        for name in place.relative_to(self.root).parts:
            folder = self._things[thing]
            assert isinstance(folder, _Folder)
            thing = folder.current[name]
        return thing

    def _folder(self, place: Path) -> _Folder:
        folder = self._things[self._find(place)]
        assert isinstance(folder, _Folder)
        return folder

    def _add(self, place: Path, thing: _File | _Folder) -> None:
        number = len(self._things)
        self._things[number] = thing
        self._folder(place.parent).change(place.name, number)

    def _thing_at(self, descriptor: int) -> _File | _Folder | None:
        number = self._descriptors.get(descriptor)
        return None if number is None else self._things[number]

    def _refresh(self) -> None:
        """What is written now: also by buffers, which are not wrapped."""
        self._is_busy = True
        try:
            for place in self._files(0, self.root):
                thing = self._things[self._find(place)]
                assert isinstance(thing, _File)
                with self._real_open(place, "rb") as file:
                    thing.current = file.read()
        finally:
            self._is_busy = False

    def _files(self, number: int, place: Path) -> Iterator[Path]:
        thing = self._things[number]
        if isinstance(thing, _Folder):
            for name, child in thing.current.items():
                yield from self._files(child, place / name)
        else:
            yield place

    def _moment(self, after: str) -> None:
        self._refresh()
        moment = Moment(after, deepcopy(self._things), tuple(self._promised))
        self.moments.append(moment)

    def _tree(self, number: int) -> Any:
        thing = self._things[number]
        if isinstance(thing, _Folder):
            return {name: self._tree(child) for name, child in thing.current.items()}
        return thing.current


@dataclass(frozen=True, slots=True)
class CrashState:
    """What may be found: a tree of names and bytes; `promised` is what must be in it."""

    after: str
    tree: Any
    promised: tuple[Any, ...]

    def build(self, folder: Path) -> Path:
        """The folder, made of it."""
        folder.mkdir(parents=True)
        for name, content in self.tree.items():
            if isinstance(content, dict):
                CrashState(self.after, content, ()).build(folder / name)
            else:
                (folder / name).write_bytes(content)
        return folder


def crash_states(disk: RecordedDisk, *, most: int = MOST_STATES) -> list[CrashState]:
    """Each state once: of equal ones that of which the most was promised."""
    found: dict[str, CrashState] = {}
    rng = random.Random(0)
    for moment in disk.moments:
        for tree in _trees(moment, most, rng):
            state = CrashState(moment.after, tree, moment.promised)
            found[f"{_key(tree)} {moment.promised!r}"] = state
    return list(found.values())


def _trees(moment: Moment, most: int, rng: random.Random) -> Iterator[Any]:
    """What may be found after a cut at this moment."""
    choices: dict[int, list[Any]] = {n: t.states() for n, t in moment.things.items()}
    open_ones = [n for n, states in choices.items() if len(states) > 1]
    n_states = 1
    for number in open_ones:
        n_states *= len(choices[number])
    combinations: Iterator[tuple[Any, ...]] = itertools.product(*(choices[n] for n in open_ones))
    if n_states > most:
        combinations = (tuple(rng.choice(choices[n]) for n in open_ones) for _ in range(most))
    for combination in combinations:
        chosen = {n: states[0] for n, states in choices.items()}
        chosen |= dict(zip(open_ones, combination, strict=True))
        yield _assembled(0, chosen)


def _assembled(number: int, chosen: dict[int, Any]) -> Any:
    thing = chosen[number]
    if isinstance(thing, dict):
        return {name: _assembled(child, chosen) for name, child in thing.items()}
    return thing


def _key(tree: Any) -> str:
    return repr(tree) if not isinstance(tree, dict) else repr(
        sorted((name, _key(child)) for name, child in tree.items())
    )  # fmt: skip


def _real_tree(folder: Path) -> Any:
    found: dict[str, Any] = {}
    for place in folder.iterdir():
        with suppress(FileNotFoundError):
            found[place.name] = _real_tree(place) if place.is_dir() else place.read_bytes()
    return found
