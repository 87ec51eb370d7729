"""The viewer's library, OpenSeadragon: which version, and where `deploy/page-viewer.sh` put it."""

import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

_FOLDER: Final = "library"
_FILE: Final = "openseadragon.min.js"
ADVICE: Final = "run deploy/page-viewer.sh (it needs npm); until then pages show plain images"


def pinned() -> tuple[str, str]:
    """Package and version that the pages are written for."""
    document = json.loads(files("cadnode.web").joinpath("library.json").read_bytes())
    return document["package"], document["version"]


def library_file() -> str:
    """The library's name below `/static/`, with its version in it; "" when it is missing."""
    package, version = pinned()
    return f"{package}-{version}.min.js" if _installed().is_file() else ""


def library_bytes(file: str) -> bytes | None:
    """The library, if `file` is its name and it is installed."""
    if not file.startswith(pinned()[0]) or file != library_file():
        return None
    return _installed().read_bytes()


def _installed() -> Traversable:
    """Named by its version: one of another version is not taken for it."""
    return files("cadnode.web").joinpath(_FOLDER, pinned()[1], _FILE)
