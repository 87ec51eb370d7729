"""What is signed of models that are handed over, and whether a signature is right.

A `signature.json` speaks for its own folder and all below it: of every other file there it states
the size and the SHA-256, of every model the name and version, and who signs. Signed (Ed25519, RFC
8032) are `CONTEXT` and that manifest in its canonical form (RFC 8785, which for text and whole
numbers is sorted keys without blanks). Checked is what was parsed, written canonically again: no
other reading of the same bytes can count.
"""

import hashlib
import json
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from stat import S_ISDIR, S_ISREG
from typing import Annotated, Final, Literal, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from cadnode.errors import SignatureError, SignatureProblem
from cadnode.files import file_sha256
from cadnode.models.card import ModelCard
from cadnode.models.card_parts import Sha256
from cadnode.models.store import CARD

FILE: Final = "signature.json"
CONTEXT: Final = b"cadnode: files of models, signed, version 1\0"
MOST_SIGNATURE: Final = 1 << 20  # bytes of the file; a thousand files take some 300 KB
MOST_FILES: Final = 1000
MOST_BYTES: Final = 4 * 1024**3  # the five CNNs of Kang 2021 take 0.8 GB as float32
LONGEST_WORDS: Final = 200
_DEEPEST: Final = 8
_LONGEST_NAME: Final = 200  # bytes of a part of a path; file systems take 255


def _path(value: str) -> str:
    """A path that means the same file everywhere: relative, `/` between parts, Unicode NFC."""
    parts = value.split("/")
    if unicodedata.normalize("NFC", value) != value or not value.isprintable() or "\\" in value:
        raise ValueError("a path is printable and in Unicode's form NFC, without a backslash")
    if len(parts) > _DEEPEST or any(part in {"", ".", ".."} for part in parts):
        raise ValueError("a path is relative, and leads nowhere but down")
    if any(len(part.encode()) > _LONGEST_NAME for part in parts):
        raise ValueError("a name is too long")
    return value


def _folder(value: str) -> str:
    """The path of a folder; `.` is the one in which the signature lies."""
    return value if value == "." else _path(value)


def _words(value: str) -> str:
    if not value.isprintable():
        raise ValueError("the signer's words are one printable line")
    return value


KeyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Words = Annotated[str, StringConstraints(max_length=LONGEST_WORDS), AfterValidator(_words)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SignedFile(_Part):
    """A file, by its path from the signature's folder."""

    path: Annotated[str, AfterValidator(_path)]
    size: int = Field(ge=0, le=MOST_BYTES)
    sha256: Sha256


class SignedModel(_Part):
    """A model by name and version, and the folder of its card."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    folder: Annotated[str, AfterValidator(_folder)]


class SignedManifest(_Part):
    """What is signed.

    Parameters
    ----------
    models
        In the order of their folders.
    files
        All but the signature, in the order of their paths.
    key_id
        Of the key that signs (`key_id`).
    signer, signed_at
        The signer's own words, and the time by the signer's clock.
    """

    schema_version: Literal[1] = 1
    models: tuple[SignedModel, ...] = Field(min_length=1, max_length=MOST_FILES)
    files: tuple[SignedFile, ...] = Field(min_length=1, max_length=MOST_FILES)
    key_id: KeyId
    signer: Words
    signed_at: AwareDatetime

    @model_validator(mode="after")
    def _each_once_and_in_order(self) -> Self:
        paths, folders = [f.path for f in self.files], [m.folder for m in self.models]
        if paths != sorted(set(paths)) or folders != sorted(set(folders)):
            raise ValueError("files and models are in order, each once")
        if len({folded(path) for path in paths}) != len(paths) or FILE in paths:
            raise ValueError("two paths are one on some file systems, or one is the signature's")
        return self

    def sha256(self, folder: str, name: str) -> str | None:
        """Of a file in a folder; None where none is signed there."""
        wanted = name if folder == "." else f"{folder}/{name}"
        return next((f.sha256 for f in self.files if f.path == wanted), None)

    def model_with(self, card_sha256: str) -> SignedModel | None:
        """The model whose card has that SHA-256."""
        return next((m for m in self.models if self.sha256(m.folder, CARD) == card_sha256), None)

    def has_weights(self, sha256: str) -> bool:
        """Whether weights with that SHA-256 are among the files."""
        return any(f.sha256 == sha256 for f in self.files if f.path.endswith(".safetensors"))


class Signature(_Part):
    """Content of `signature.json`; the signature itself in hexadecimal digits."""

    manifest: SignedManifest
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]


def folded(path: str) -> str:
    """What file systems that know no case, or another Unicode form, take a path for."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


def key_id(key: Ed25519PublicKey) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the raw public key (RFC 8032, 5.1.5)."""
    return hashlib.sha256(raw(key)).hexdigest()[:16]


def raw(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def signed_bytes(manifest: SignedManifest) -> bytes:
    """What the signature is over."""
    tree = manifest.model_dump(mode="json")
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return CONTEXT + text.encode()


def sign(manifest: SignedManifest, key: Ed25519PrivateKey) -> bytes:
    """Content of `signature.json` for a manifest that names this key."""
    made = Signature(manifest=manifest, signature=key.sign(signed_bytes(manifest)).hex())
    return made.model_dump_json(indent=1).encode() + b"\n"


def content_in(folder: Path) -> bytes | None:
    """The bytes of a folder's `signature.json`; None where it has none.

    Raises
    ------
    SignatureError
        It is too large, no regular file, or cannot be read.
    """
    file = folder / FILE
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as opened:
            regular = S_ISREG(os.fstat(descriptor).st_mode)
            content = opened.read(MOST_SIGNATURE + 1) if regular else b""
    except FileNotFoundError:
        return None
    except OSError:
        regular, content = False, b""
    if not regular or len(content) > MOST_SIGNATURE:
        raise SignatureError(
            SignatureProblem.DAMAGED,
            f"{file} cannot be read, is no plain file or has more than {MOST_SIGNATURE >> 10} KB",
        )
    return content


def parse(content: bytes, file: Path) -> Signature:
    """A `signature.json`; what it states is not checked yet.

    Raises
    ------
    SignatureError
        It is damaged, or of a later version.
    """
    try:
        return Signature.model_validate_json(content)
    except (ValidationError, RecursionError):
        raise SignatureError(
            SignatureProblem.DAMAGED,
            f"{file} is no signature that this version of cadnode knows: it is damaged, or a "
            "later version made it",
        ) from None


def check(signature: Signature, key: Ed25519PublicKey, file: Path) -> None:
    """Return when the key has signed the manifest.

    Raises
    ------
    SignatureError
        It has not.
    """
    try:
        key.verify(bytes.fromhex(signature.signature), signed_bytes(signature.manifest))
    except InvalidSignature:
        raise SignatureError(
            SignatureProblem.WRONG,
            f"the signature in {file} is wrong: key {signature.manifest.key_id} did not sign what "
            "it states. Nothing of it was used; get the files again from whoever made them",
        ) from None


def files_in(root: Path) -> tuple[SignedFile, ...]:
    """Every file below a folder but its own `signature.json`, in the order of the paths.

    Raises
    ------
    SignatureError
        There is a link or a special file, a name that cannot be signed, or too much.
    """
    found: list[SignedFile] = []
    left = MOST_BYTES
    for path in plain_files(root):
        name = path.relative_to(root).as_posix()
        if name == FILE:
            continue
        left -= path.stat().st_size
        if left < 0 or len(found) >= MOST_FILES:
            raise SignatureError(
                SignatureProblem.FILES,
                f"{root} has more than {MOST_FILES} files or {MOST_BYTES >> 30} GB: a signature "
                "speaks for all files in its folder, so give the models a folder of their own",
            )
        try:
            found.append(SignedFile(path=name, size=path.stat().st_size, sha256=file_sha256(path)))
        except (ValidationError, UnicodeEncodeError):
            raise SignatureError(
                SignatureProblem.FILES,
                f"{name!r} is a name that cannot be signed: names are printable, in "
                "Unicode's form NFC, and not too long",
            ) from None
    return tuple(sorted(found, key=lambda f: f.path))


def check_files(manifest: SignedManifest, root: Path, named: Path) -> None:
    """Return when a folder holds exactly the files of the manifest; `named` is its own name.

    Raises
    ------
    SignatureError
        A file was changed, added or removed; names the first.
    """
    wanted, found = ({f.path: f for f in files} for files in (manifest.files, files_in(root)))
    for path in sorted(wanted.keys() | found.keys()):
        if wanted.get(path) == found.get(path):
            continue
        what = "was added" if path not in wanted else "was changed"
        what = what if path in found else "is missing"
        raise SignatureError(
            SignatureProblem.FILES,
            f"{named} is not what key {manifest.key_id} signed: {path!r} {what}. Get it again "
            "from whoever made it",
        )


def check_model(manifest: SignedManifest, folder: str, card: ModelCard) -> None:
    """Return when a model is signed under the name and version of its card, with its weights.

    Raises
    ------
    SignatureError
        It is not.
    """
    stated = next((m for m in manifest.models if m.folder == folder), None)
    if stated is None or (stated.name, stated.version) != (card.name, card.version):
        raise SignatureError(
            SignatureProblem.FILES,
            f"key {manifest.key_id} did not sign {card.name} {card.version} as what its card "
            "says it is",
        )
    if not manifest.has_weights(card.weights_sha256):
        raise SignatureError(
            SignatureProblem.FILES,
            f"the weights of {card.name} {card.version} are not among the files that are signed",
        )


def places(folder: Path, root: Path) -> list[Path]:
    """The folders from a model's up to the `root` that have a `signature.json`."""
    upwards = [p for p in (folder, *folder.parents) if p == root or p.is_relative_to(root)]
    return [place for place in upwards if os.path.lexists(place / FILE)]


def below(folder: Path, root: Path) -> str:
    """A folder as a manifest names it whose signature lies in `root`."""
    return PurePosixPath(folder.relative_to(root)).as_posix()


def plain_files(root: Path, folder: Path | None = None) -> Iterator[Path]:
    """Every file below the root; raises `SignatureError` for links and special files."""
    for entry in sorted((folder or root).iterdir()):
        mode = entry.lstat().st_mode
        if S_ISDIR(mode) and len(entry.relative_to(root).parts) <= _DEEPEST:
            yield from plain_files(root, entry)
        elif S_ISREG(mode):
            yield entry
        else:
            raise SignatureError(
                SignatureProblem.FILES,
                f"{entry.relative_to(root).as_posix()!r} is a link, no plain file, or "
                "too deep: what is signed are plain files",
            )
