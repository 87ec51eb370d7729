"""`cadnode orthanc install`: what would change in Orthanc's and the node's configuration.

A plan is made first and shown; only `apply` writes. An existing file keeps its other content
and its comments, and is kept beside as `NAME.before-cadnode`.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cadnode.errors import SettingsError
from cadnode.orthanc_setup.configuration import (
    PLUGIN_NAME,
    PYTHON_PLUGIN,
    Configuration,
    plugin_source,
    python_plugin,
)
from cadnode.orthanc_setup.jsonc import with_value
from cadnode.orthanc_setup.node_settings import TOKEN, node_half, tokens
from cadnode.orthanc_setup.plan import PlannedChange, Reached, SetupPlan, Wanted, url_of
from cadnode.settings import Settings, WebSection
from cadnode.settings.sections import reached_at

Put = Callable[[tuple[str, ...], Any], None]
METADATA: Final = 5114
FRAGMENT: Final = "cadnode.json"


def plan(wanted: Wanted, node: Settings | None) -> SetupPlan:
    """What must change so that Orthanc notifies the node of mammograms; writes nothing.

    Raises
    ------
    SettingsError
        Something of the admin's own is in the way: which file, and what to do.
    """
    configuration = Configuration.read(wanted.place)
    web = (node or Settings()).web
    notes = [] if wanted.node_url else _web_notes(web)
    wanted = replace(wanted, node_url=wanted.node_url or url_of(web))
    texts = dict(configuration.texts)
    home = wanted.place if wanted.place.is_file() else configuration.folder / FRAGMENT
    texts.setdefault(home, "{}\n")

    def put(path: tuple[str, ...], value: Any) -> None:
        file = configuration.where(path[0]) or home
        texts[file] = with_value(texts[file], path, value)

    script = configuration.folder / PLUGIN_NAME
    _check_script(configuration, script)
    if configuration.get("PythonScript") != str(script):
        put(("PythonScript",), str(script))
    is_loaded, installed = python_plugin(configuration)
    if not is_loaded and installed is not None:
        put(("Plugins",), [*configuration.get("Plugins", []), str(installed)])
    elif not is_loaded:
        notes.append(f"{PYTHON_PLUGIN} is not here: apt-get install orthanc-python")
    token_file = configuration.folder / TOKEN
    _put_section(configuration, put, _section(wanted, token_file), wanted.force)
    if "cadnode" not in configuration.get("UserMetadata", {}):
        put(("UserMetadata", "cadnode"), METADATA)
    if wanted.mode == "store" and "cadnode" not in configuration.get("DicomModalities", {}):
        put(("DicomModalities", "cadnode"), _modality(wanted, node))
    if configuration.get("AuthenticationEnabled") and not wanted.username:
        notes.append(
            'Orthanc asks for a user ("RegisteredUsers"): name one for the node with '
            "--username and --password-file"
        )
    token, token_changes = tokens(token_file, wanted, node)
    edited = [
        PlannedChange(file, configuration.texts.get(file), text)
        for file, text in texts.items()
        if text != configuration.texts.get(file)
    ]
    half = node_half(wanted, node, _reached(wanted, configuration), token_file, token)
    changes = [*_plugin(script, wanted.force), *edited, *token_changes, *half.changes]
    return SetupPlan(tuple(changes), half.node_lines, (*notes, *half.notes))


def _web_notes(web: WebSection) -> list[str]:
    """Why Orthanc cannot reach the node by its settings."""
    if not web.enabled:
        return ["the node's HTTP side is switched off, and the plugin asks it: set web.enabled"]
    if web.certificate_file is not None:
        return [
            "the node serves https: set --node-url to the name in its certificate, and "
            '"CaFile" in Orthanc\'s "Cadnode" when Orthanc does not trust it already'
        ]
    return []


def _reached(wanted: Wanted, configuration: Configuration) -> Reached:
    """The Orthanc in question, as its configuration identifies it."""
    unset = Reached(wanted.orthanc_url)
    return Reached(
        wanted.orthanc_url,
        str(configuration.get("DicomAet", unset.ae_title)),
        int(configuration.get("DicomPort", unset.port)),
    )


def _check_script(configuration: Configuration, script: Path) -> None:
    """Another script of the admin's is not thrown out."""
    file = configuration.where("PythonScript")
    present = configuration.folder / str(configuration.get("PythonScript") or script)
    if present == script or not present.exists() or present == Path("/etc/orthanc/sample.py"):
        return
    text = present.read_text(encoding="utf-8", errors="replace")
    if len([line for line in text.splitlines() if line.strip()]) <= 2 and "Hello" in text:
        return  # the sample that the Debian package brings
    raise SettingsError(
        f"{file} already runs {present}, and Orthanc runs one script only: copy {plugin_source()} "
        f"beside it, add `import cadnode_plugin` to it and, if it registers a change callback, "
        f"pass its arguments on to cadnode_plugin.PLUGIN.on_change"
    )


def _plugin(script: Path, force: bool) -> list[PlannedChange]:
    after = plugin_source().read_text(encoding="utf-8")
    before = script.read_text(encoding="utf-8") if script.exists() else None
    if before == after:
        return []
    if before is not None and not force:
        raise SettingsError(
            f"{script} is another version, or somebody changed it: --force replaces it "
            "(the old one is kept beside)"
        )
    return [PlannedChange(script, before, after)]


def _section(wanted: Wanted, token_file: Path) -> dict[str, Any]:
    return {"Mode": wanted.mode, "Url": wanted.node_url, "TokenFile": str(token_file)}


def _put_section(
    configuration: Configuration, put: Put, section: dict[str, Any], force: bool
) -> None:
    if configuration.where("Cadnode") is None:
        put(("Cadnode",), section)
        return
    present = configuration.get("Cadnode", {})
    for key, value in section.items():
        if key in present and present[key] != value and not force:
            raise SettingsError(
                f'{configuration.where("Cadnode")} has "{key}": {present[key]!r}, which would '
                f"become {value!r}: --force changes it"
            )
        if present.get(key) != value:
            put(("Cadnode", key), value)


def _modality(wanted: Wanted, node: Settings | None) -> list[Any]:
    """AE title, host and port of the node's listener."""
    listener = (node or Settings()).listener
    host = urlsplit(wanted.node_url).hostname or "127.0.0.1"
    if reached_at(listener.host) == listener.host:  # it listens there only
        host = listener.host
    return [listener.ae_title, host, listener.port]


def apply(changes: tuple[PlannedChange, ...]) -> None:
    """Write the files; previous versions are kept beside them. Raises `SettingsError`."""
    for change in changes:
        try:
            if change.before is not None:
                shutil.copy2(
                    change.path, change.path.with_name(change.path.name + ".before-cadnode")
                )
            _write(change)
        except OSError as error:
            raise SettingsError(
                f"{change.path} cannot be written: {error.strerror}; nothing after it was. "
                "Run it as root (sudo)?"
            ) from error


def _write(change: PlannedChange) -> None:
    change.path.parent.mkdir(parents=True, exist_ok=True)
    mode = change.path.stat().st_mode & 0o777 if change.before is not None else 0o644
    mode = change.mode if change.secret and change.before is None else mode
    part = change.path.with_name(f".{change.path.name}.part")
    with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "w") as file:
        file.write(change.after)
    os.chmod(part, mode)
    owner = change.path.stat() if change.path.exists() else None
    if os.geteuid() == 0:
        _give(part, change, owner)
    part.replace(change.path)


def _give(part: Path, change: PlannedChange, owner: os.stat_result | None) -> None:
    """As root: a changed file keeps its owner; a new secret is Orthanc's, or its folder's."""
    if owner is not None:
        os.chown(part, owner.st_uid, owner.st_gid)
    elif change.secret and change.path.parent.name == "orthanc":
        try:
            shutil.chown(part, "orthanc", "orthanc")
        except LookupError:
            return
    elif change.secret:
        folder = change.path.parent.stat()
        os.chown(part, folder.st_uid, folder.st_gid)


def summary(made: SetupPlan) -> dict[str, Any]:
    """For `--json`: what was or would be written, without secrets."""
    return {
        "files": [
            {"path": str(c.path), "new": c.before is None, "secret": c.secret} for c in made.changes
        ],
        "node_lines": made.node_lines,
        "notes": list(made.notes),
    }
