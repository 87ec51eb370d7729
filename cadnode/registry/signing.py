"""Keys are made, and models signed with them.

Keys are Ed25519 (RFC 8032) in PEM: the private one as PKCS #8 (RFC 5958), encrypted where there is
a passphrase, the public one as SubjectPublicKeyInfo (RFC 8410).
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import ValidationError

from cadnode.errors import ModelError, SettingsError
from cadnode.files import sync_folder, write_whole
from cadnode.models import store
from cadnode.registry import parcel, signature
from cadnode.registry.signature import SignedManifest, SignedModel

PRIVATE, PUBLIC = ".key", ".pub"
_MOST_BYTES: Final = 1 << 16
_DAMAGED: Final = (ValueError, TypeError, UnsupportedAlgorithm)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The files of a new key, and its id."""

    private: Path
    public: Path
    key_id: str


def make_key(name: Path, passphrase: str = "") -> KeyPair:
    """A new key in `NAME.key`, which its owner alone can read, and `NAME.pub`.

    Raises
    ------
    SettingsError
        One of the files is there already, or cannot be written.
    """
    files = [name.with_name(name.name + end) for end in (PRIVATE, PUBLIC)]
    for file in files:
        if os.path.lexists(file):
            raise SettingsError(f"{file} is there already: a key is never written over")
    key = Ed25519PrivateKey.generate()
    how: KeySerializationEncryption = NoEncryption()
    if passphrase:
        how = BestAvailableEncryption(passphrase.encode(errors="surrogateescape"))
    public = key.public_key()
    contents = (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )
    made: list[Path] = []
    try:
        for file, content, mode in zip(files, contents, (0o600, 0o644), strict=True):
            _write_new(file, content, mode)
            made.append(file)
        sync_folder(name.parent)
    except OSError as error:
        for file in made:
            file.unlink(missing_ok=True)
        raise SettingsError(f"{name} cannot be written: {error.strerror}") from None
    return KeyPair(files[0], files[1], signature.key_id(public))


def is_encrypted(file: Path) -> bool:
    """Whether a private key wants a passphrase. Raises `SettingsError` when it cannot be read."""
    return b"ENCRYPTED PRIVATE KEY" in _content(file)


def private_key(file: Path, passphrase: str = "") -> Ed25519PrivateKey:
    """The private key in a file.

    Raises
    ------
    SettingsError
        The file is missing, open to others or no Ed25519 key, or the passphrase is wrong.
    """
    content = _content(file)
    if file.stat().st_mode & 0o077:
        raise SettingsError(
            f"{file} can be read by others, who could sign with it: `chmod 600 {file}`, and make "
            "another key if somebody may have done so"
        )
    wanted = b"ENCRYPTED PRIVATE KEY" in content
    try:
        key = load_pem_private_key(
            content, passphrase.encode(errors="surrogateescape") if wanted else None
        )
    except _DAMAGED:
        why = "its passphrase is another one, or it is damaged" if wanted else "it is damaged"
        raise SettingsError(f"{file} cannot be used as a private key: {why}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(
            f"{file} holds a key of another kind: `cadnode models keygen` makes one"
        )
    return key


def public_key(file: Path) -> Ed25519PublicKey:
    """The public key in a file.

    Raises
    ------
    SettingsError
        The file is missing or no Ed25519 key; a private key is told apart.
    """
    content = _content(file)
    if b"PRIVATE KEY" in content:
        raise SettingsError(
            f"{file} holds a private key, which never leaves whoever signs: give the public one, "
            f"NAME{PUBLIC}"
        )
    try:
        key = load_pem_public_key(content)
    except _DAMAGED:
        raise SettingsError(f"{file} is no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(
            f"{file} holds a key of another kind: `cadnode models keygen` makes one"
        )
    return key


def sign(path: Path, key: Ed25519PrivateKey, words: str, at: datetime) -> SignedManifest:
    """Sign the models in a folder or zip file: its `signature.json` is written, or replaced.

    `words` are the signer's, one line; `at` is aware of its time zone.

    Raises
    ------
    SettingsError
        There is no such path, or the words are not one line.
    ModelError
        It holds no model, more than one signature, weights that are not the card's, or what
        cannot be signed.
    """
    with parcel.opened(path) as found:
        manifest = _manifest(found, path, key.public_key(), words, at)
        content = signature.sign(manifest, key)
        try:
            if path.is_dir():
                write_whole(path / signature.FILE, content)
            else:
                (found.root / signature.FILE).write_bytes(content)
                parcel.write(found.root, path)
        except OSError as error:
            raise SettingsError(f"{path} cannot be written: {error.strerror}") from None
    return manifest


def _manifest(
    found: parcel.Parcel, path: Path, key: Ed25519PublicKey, words: str, at: datetime
) -> SignedManifest:
    files = signature.files_in(found.root)
    if nested := [f.path for f in files if f.path.endswith(f"/{signature.FILE}")]:
        raise ModelError(
            f"{nested[0]} in {path} is a signature already: remove it, or sign its folder instead"
        )
    cards = {signature.below(f, found.root): store.read_card(f) for f in found.folders}
    try:
        manifest = SignedManifest(
            models=tuple(
                SignedModel(name=cards[f].name, version=cards[f].version, folder=f)
                for f in sorted(cards)
            ),
            files=files, key_id=signature.key_id(key), signer=words.strip(), signed_at=at,
        )  # fmt: skip
    except ValidationError as error:
        if any(e["loc"] == ("signer",) for e in error.errors()):
            raise SettingsError(
                f"--signer is one printable line of at most {signature.LONGEST_WORDS} characters"
            ) from None
        raise ModelError(
            f"{path} cannot be signed: two names in it are one on file systems that know no case"
        ) from None
    for folder, card in cards.items():
        signature.check_model(manifest, folder, card)
    return manifest


def _write_new(file: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            file.unlink()
        raise


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES)
    except OSError as error:
        raise SettingsError(f"the key {file} cannot be read: {error.strerror}") from None
