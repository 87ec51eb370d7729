"""Orthanc's configuration folder and the plugin's file, as they are found."""

import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cadnode
from cadnode.errors import SettingsError
from cadnode.orthanc_setup import jsonc

PLUGIN_NAME: Final = "cadnode_plugin.py"
PYTHON_PLUGIN: Final = "libOrthancPython.so"
PLUGIN_FOLDERS: Final = (
    Path("/usr/share/orthanc/plugins"),  # Debian, Ubuntu, Orthanc's Docker images
    Path("/usr/local/share/orthanc/plugins"),
    Path("/usr/lib/orthanc"),
)


def plugin_source() -> Path:
    """The plugin's file that is part of cadnode: in the source tree, or installed by the wheel.

    Raises `SettingsError` when it is in neither place.
    """
    shared = Path("share/cadnode/orthanc") / PLUGIN_NAME
    places = [
        Path(cadnode.__file__).parents[1] / "orthanc" / PLUGIN_NAME,
        Path(sysconfig.get_path("data")) / shared,
        Path(sys.prefix) / shared,
        Path(sysconfig.get_path("data", sysconfig.get_preferred_scheme("user"))) / shared,
    ]
    for place in places:
        if place.is_file():
            return place
    raise SettingsError(f"{PLUGIN_NAME} is not installed with cadnode: install its wheel again")


@dataclass(frozen=True)
class Configuration:
    """The JSON files that make up an Orthanc's configuration, by their path."""

    folder: Path
    texts: dict[Path, str]

    @classmethod
    def read(cls, place: Path) -> "Configuration":
        """Of a folder (every `*.json` in it) or of one file, as Orthanc reads them.

        Raises `SettingsError` when there is none, or one cannot be read.
        """
        files = sorted(place.glob("*.json")) if place.is_dir() else [place]
        if not place.exists():
            raise SettingsError(f"there is no {place}: name Orthanc's configuration with --folder")
        texts = {}
        for file in files:
            try:
                texts[file] = file.read_text(encoding="utf-8")
                jsonc.parse(texts[file])
            except OSError as error:
                raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
            except (ValueError, IndexError) as error:
                raise SettingsError(f"{file} is not JSON with comments: {error}") from error
        return cls(place if place.is_dir() else place.parent, texts)

    def where(self, key: str) -> Path | None:
        """The file that has a section; Orthanc refuses a section in two files."""
        for file, text in self.texts.items():
            if key in jsonc.parse(text):
                return file
        return None

    def get(self, key: str, default: Any = None) -> Any:
        """A section's value."""
        file = self.where(key)
        return default if file is None else jsonc.parse(self.texts[file])[key]


def python_plugin(configuration: Configuration) -> tuple[bool, Path | None]:
    """Whether Orthanc's Python plugin is loaded by its "Plugins", and where its file is."""
    installed = next(
        (f / PYTHON_PLUGIN for f in PLUGIN_FOLDERS if (f / PYTHON_PLUGIN).exists()), None
    )
    for entry in configuration.get("Plugins", []):
        path = configuration.folder / entry
        if path.name == PYTHON_PLUGIN or (path / PYTHON_PLUGIN).exists():
            return True, installed
    return False, installed
