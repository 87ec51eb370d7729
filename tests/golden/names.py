"""Names that outlive a version: in job databases, state folders, exported bundles, logs, scripts.

An older node's database or folder, a bundle that somebody exported, a log search and a monitoring
script hold these names. All are read from the running code, or from its source where nothing else
knows them.
"""

import ast
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from tests.golden import code

Json = dict[str, Any]
ROOT: Final = Path(__file__).parents[2]
_METHODS: Final = {"debug", "info", "warning", "error", "critical"}
_VERBS: Final = {"get", "post", "put", "delete", "head"}
_VARIABLE: Final = re.compile(
    r"""(?:environ(?:\.get\(|\.setdefault\(|\[)|first_line\()\s*["']([A-Z][A-Z0-9_]*)"""
)


def all_names() -> Json:
    """Every list of names, sorted where their order says nothing."""
    return {
        "uids": uids(),
        "series_numbers": {kind.value: n for n, kind in sorted(code.SERIES.items())},
        "profiles": {p.value: sorted(code.kinds_of([p])) for p in code.Profile},
        "words": words(),
        "jobs": job_names(),
        "files": dict(code.FILE_NAMES),
        "schemas": dict(code.SCHEMAS),
        "bundles": bundle_targets(),
        "log_fields": sorted(code.ALLOWED_FIELDS),
        "log_events": sorted(set(_log_events())),
        "routes": sorted(set(_routes())),
        "environment": sorted(set(_variables())),
    }


def uids() -> dict[str, str]:
    """UIDs from which others are derived, and those that name this software."""
    return {
        "namespace": str(code.NAMESPACE),
        "implementation_class_uid": code.IMPLEMENTATION_CLASS_UID,
        "offline_observer_uid": code.OFFLINE_OBSERVER_UID,
    }


def words() -> dict[str, list[str]]:
    """Values of the enumerations that are written into files, by enumeration."""
    found: dict[str, list[str]] = {}
    for kind in code.WORDS:
        assert issubclass(kind, StrEnum)
        found[kind.__name__] = [member.value for member in kind]
    return found


_REGISTERED = """\
import json, sys
from tests.golden.names import registered
json.dump(registered(sys.argv[1]), sys.stdout)
"""


def job_names() -> Json:
    """Names in the job database; from a process of its own, because a process has one DBOS."""
    with tempfile.TemporaryDirectory() as name:
        registered = subprocess.run(
            [sys.executable, "-c", _REGISTERED, f"sqlite:///{name}/jobs.sqlite"],
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=100,
        )  # fmt: skip
    return dict(json.loads(registered.stdout.splitlines()[-1]))


def registered(database_url: str) -> Json:
    """What a worker with one destination, `pacs`, registers with DBOS."""
    from dbos._dbos import _get_or_create_dbos_registry
    from sqlalchemy import create_engine, text

    code.prepare(database_url)
    code.launch(code.idle_steps("pacs"), database_url)
    names = _get_or_create_dbos_registry().workflow_info_map
    engine = create_engine(database_url)
    with engine.connect() as connection:
        queues = connection.execute(text("select name from queues")).scalars().all()
    engine.dispose()
    code.stop(5.0)
    config = code.config(database_url)
    return {
        "workflows": sorted(name for name in names if not name.startswith("<")),
        "steps": sorted(n.removeprefix("<temp>.") for n in names if n.startswith("<temp>.")),
        "queues": sorted(queues),
        "identifiers": [code.process_id("S", "C", 0), code.deliver_id("S", "C", "D")],
        "jobs_version": config["application_version"],
        "application": config["name"],
        "executor_id": config["executor_id"],
        "serializer": config["serializer"].name(),
    }


def bundle_targets() -> dict[str, list[str]]:
    """The names of this software's components in a bundle's configs, by model."""
    return {
        folder.parent.name: sorted({t for config in configs for t in targets(config)})
        for folder, configs in code.bundle_configs()
    }


def targets(config: object) -> Iterator[str]:
    """Each `_target_` of a MONAI config that is a component of ours."""
    if isinstance(config, Mapping):
        found = config.get("_target_", "")
        if found.startswith(("cadnode.", "cadnode_training.", "training.")):
            yield found
        for value in config.values():
            yield from targets(value)
    elif isinstance(config, list):
        for value in config:
            yield from targets(value)


def _sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _calls(*folders: str) -> Iterator[tuple[str, str, str]]:
    """Name, method and first argument of calls such as `log.info("started")`."""
    for path in _sources(*folders):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=name), attr=method),
                    args=[ast.Constant(value=str(first)), *_],
                ):
                    yield name, method, first


def _log_events() -> Iterator[str]:
    return (e for name, method, e in _calls("cadnode") if name == "log" and method in _METHODS)


def _routes() -> Iterator[str]:
    for name, method, path in _calls("cadnode"):
        if name == "router" and method in _VERBS:
            yield f"{method.upper()} {path}"


def _variables() -> Iterator[str]:
    for path in _sources("cadnode", "training", "orthanc", "deploy"):
        yield from _VARIABLE.findall(path.read_text())
