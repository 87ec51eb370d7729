"""Write the golden files again: `python -m tests.golden.update [PART …]`, from the root.

Do so only

- when what the node sends, accepts or says is *meant* to change: the commit that has the new
  golden files also has an entry in CHANGELOG.md, for objects and documents under "Objects";
- when the version is raised, or a library in constraints.txt: then in a commit of its own in
  which no line of `cadnode/` changes beyond `__version__`. UIDs are derived from the version.

Never to make a red test green. Parts are `objects`, `documents`, `cli`, `settings`, `names`;
without one, all are written. The state folder of an older node is not written again: see
`make_state`.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tests.golden import cli, documents, names, objects, settings
from tests.golden.code import __version__

FILES: Final = Path(__file__).parent / "files"
LIBRARIES: Final = ("pydicom", "highdicom", "numpy", "opencv-python-headless", "pillow", "scipy")
"""Whose versions may show in the bytes of an object."""


def kept_json(name: str) -> Any:
    """Content of a golden file."""
    return json.loads((FILES / name).read_text())


def kept_text(name: str) -> str:
    """Text of a golden file, its line ends as they are."""
    return (FILES / name).read_bytes().decode()


def made_with() -> dict[str, str]:
    """The versions that objects are made with, cadnode's among them."""
    return {"cadnode": __version__, **{name: version(name) for name in LIBRARIES}}


def _write(name: str, content: Any) -> None:
    FILES.mkdir(exist_ok=True)
    if not isinstance(content, bytes):
        content = (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
    (FILES / name).write_bytes(content)


def write_objects(folder: Path) -> None:
    """`objects.json`."""
    made = objects.packed(objects.objects_of_all(folder))
    _write("objects.json", {"made_with": made_with(), **made})


def write_documents(folder: Path) -> None:
    """`documents.json`, and the text of some documents."""
    made = documents.documents_of_all(folder)
    hashes = {"result": documents.hashes(made.results), "fhir": documents.hashes(made.bundles)}
    _write("documents.json", hashes)
    for name, outcome in documents.WHOLE:
        _write(documents.text_file("result", name, outcome), made.results[name][outcome])
        _write(documents.text_file("fhir", name, outcome), made.bundles[name][outcome])


def write_cli(folder: Path) -> None:
    """`help.txt` and `exit_codes.json`."""
    _write("help.txt", cli.as_file(cli.help_texts()).encode())
    _write("exit_codes.json", cli.exit_codes(folder))


def write_settings(_: Path) -> None:
    """`settings.json` and `example.toml`."""
    _write("settings.json", settings.keys())
    _write("example.toml", settings.example_file().encode())


def write_names(_: Path) -> None:
    """`names.json`."""
    _write("names.json", names.all_names())


PARTS: Final[dict[str, Callable[[Path], None]]] = {
    "objects": write_objects,
    "documents": write_documents,
    "cli": write_cli,
    "settings": write_settings,
    "names": write_names,
}


def main(parts: list[str]) -> None:
    """Write these parts, or all."""
    for part in parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
