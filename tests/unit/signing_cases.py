"""Keys, and models that are signed with them."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cadnode.registry import signature, signing, trust
from cadnode.registry.installation import Stores
from cadnode.registry.trust import TrustedKey
from tests.unit.store_cases import ANNA

MAKER = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes([2] * 32))
MAKER_ID, OTHER_ID = (signature.key_id(key.public_key()) for key in (MAKER, OTHER))


def signed(path: Path, key: Ed25519PrivateKey = MAKER) -> Path:
    """The folder or zip file, signed by the key."""
    signing.sign(path, key, "the maker", ANNA.at)
    return path


def trusting(stores: Stores, key: Ed25519PrivateKey = MAKER, name: str = "Maker") -> TrustedKey:
    return trust.add(stores.own, key.public_key(), name, ANNA)


def zipped(folder: Path, file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return file


def document(folder: Path) -> dict[str, Any]:
    """Content of a folder's `signature.json`."""
    found: dict[str, Any] = json.loads((folder / signature.FILE).read_bytes())
    return found


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """The folder's `signature.json` with its manifest changed, and the signature as it was."""
    content = document(folder)
    change(content["manifest"])
    (folder / signature.FILE).write_text(json.dumps(content))
