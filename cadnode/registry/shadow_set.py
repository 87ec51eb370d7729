"""Which versions read in shadow mode: those that settings name, and those that were started.

Both count together. Of one name the settings' version counts, as a command cannot change a file
that the administrator keeps elsewhere. A version that has become the active one, or is not
installed, casts no shadow, and gives the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cadnode.errors import ModelError, SettingsError
from cadnode.registry import history
from cadnode.registry.catalogue import Catalogue, Entry, parse
from cadnode.registry.history import NO_GROUNDS, ChangeAuthor, Grounds
from cadnode.registry.installation import Examine, Stores


@dataclass(frozen=True, slots=True)
class ShadowSet:
    """What reads in shadow mode, by name; `problems` are sentences on what cannot.

    `missing` are the specs of those that should read and cannot: an active version is none.
    """

    entries: tuple[Entry, ...]
    problems: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def specs(self) -> tuple[str, ...]:
        """`NAME@VERSION` of each."""
        return tuple(entry.spec for entry in self.entries)

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """(name, version) of each."""
        return tuple((entry.name, entry.version) for entry in self.entries)


def resolve(catalogue: Catalogue, configured: Sequence[str]) -> ShadowSet:
    """The shadows of a node; `configured` is `reading.shadow`."""
    wanted, problems = dict(catalogue.activation.shadow), []
    missing: list[str] = []
    named: dict[str, str] = {}
    for spec in configured:
        name, version = parse(spec)
        if name in named or version is None:
            problems.append(f"reading.shadow: {spec!r} has no version or names a model again")
            missing.append(spec)
        else:
            named[name] = version
    entries = []
    for name, version in sorted({**wanted, **named}.items()):
        try:
            entries.append(_entry(catalogue, name, version))
        except (SettingsError, ModelError) as error:
            problems.append(str(error))
            if catalogue.active_version(name) != version:
                missing.append(f"{name}@{version}")
    return ShadowSet(tuple(entries), tuple(problems), tuple(missing))


def start(
    stores: Stores,
    spec: str,
    configured: Sequence[str],
    by: ChangeAuthor,
    examine: Examine,
    why: Grounds = NO_GROUNDS,
) -> Entry:
    """Let a version read in shadow mode, in place of another shadow of its name.

    Raises
    ------
    SettingsError
        It has no version, is not installed, is the active one, or settings name another version.
    ModelError
        It does not work.
    """
    name, version = parse(spec)
    if version is None:
        raise SettingsError(f"a shadow is NAME@VERSION, not {spec!r}")
    if name in {parse(c)[0] for c in configured} and spec not in configured:
        raise SettingsError(
            f"reading.shadow in the configuration names another version of {name}: change it there"
        )
    with history.changing(stores.own):
        entry = _entry(stores.catalogue(), name, version)
        examine(entry.folder)
        content = history.read(stores.own)
        if content.shadow.get(name) != version:
            history.write(stores.own, content.shadowed(name, version, by, why))
    return entry


def stop(
    stores: Stores,
    name: str | None,
    configured: Sequence[str],
    by: ChangeAuthor,
    why: Grounds = NO_GROUNDS,
) -> tuple[str, ...]:
    """End shadow mode of a name (`NAME` or `NAME@VERSION`), or of all; returns the names.

    Raises
    ------
    SettingsError
        There is no such shadow, or settings name it.
    """
    wanted = None if name is None else parse(name)[0]
    fixed = [c for c in configured if wanted in {None, parse(c)[0]}]
    with history.changing(stores.own):
        content = history.read(stores.own)
        ended = tuple(n for n in content.shadow if wanted in {None, n})
        if fixed and (wanted or not ended):
            raise SettingsError(
                f"{', '.join(fixed)} reads in shadow mode because reading.shadow in the "
                "configuration names it: remove it there and start the node again"
            )
        if wanted is not None and not ended:
            raise SettingsError(f"{wanted} does not read in shadow mode")
        for each in ended:
            content = content.shadowed(each, None, by, why)
        if ended:
            history.write(stores.own, content)
    return ended


def _entry(catalogue: Catalogue, name: str, version: str) -> Entry:
    entry = catalogue.find(name, version)
    if catalogue.is_active(entry):
        raise SettingsError(f"{entry.spec} is the active version: it casts no shadow")
    catalogue.approve(entry)
    return entry
