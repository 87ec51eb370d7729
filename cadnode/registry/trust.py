"""Whose models a node takes: the keys that it trusts, and the decision on what is handed over.

A key is a file in `trusted` of the node's own store, with the name that the administrator gave it.
One decision for what comes and for what is installed: unsigned models are taken and called so,
unless signatures are required; what is signed must be signed by a trusted key, and be what was
signed. Models that are packaged with cadnode are as trusted as its package.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from cadnode.errors import ModelError, SettingsError, SignatureError, SignatureProblem
from cadnode.files import sync_folder, written_whole
from cadnode.models import store
from cadnode.models.card import CARDS, ModelCard
from cadnode.models.card_parts import Sha256
from cadnode.registry import history, signature
from cadnode.registry.history import ChangeAuthor
from cadnode.registry.parcel import Parcel
from cadnode.registry.signature import KeyId, SignedManifest

FOLDER: Final = "trusted"
SIGNED_CARD: Final = "card.signed.json"
"""The card as it was signed, beside one that got another version here."""
_LONGEST_NAME: Final = 80
_MOST_BYTES: Final = 1 << 16  # of a key's file


def _name(value: str) -> str:
    if not value.isprintable() or not value.strip():
        raise ValueError("a name is one printable line")
    return value.strip()


class TrustedKey(BaseModel):
    """A key, the name that the administrator gave it, and who trusts it since when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    key_id: KeyId
    name: Annotated[str, Field(max_length=_LONGEST_NAME), AfterValidator(_name)]
    public_key: Sha256  # not a checksum, but as long: 32 bytes in hexadecimal digits
    since: AwareDatetime
    by: str

    @model_validator(mode="after")
    def _id_is_the_key_s(self) -> Self:
        if signature.key_id(self.key) != self.key_id:
            raise ValueError("the id is not the key's")
        return self

    @property
    def key(self) -> Ed25519PublicKey:
        """The key, ready to check with."""
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that was checked: by whose key, what it is over, and its file's bytes."""

    key: TrustedKey
    manifest: SignedManifest
    content: bytes

    @property
    def words(self) -> str:
        """Whose it is, for people."""
        words = f"signed by {self.key.name} ({self.key.key_id})"
        return f"{words}, trusted since {self.key.since.date().isoformat()}"

    def check_model(self, root: Path, folder: Path, card: ModelCard) -> None:
        """Return when a model's folder, in or below the signature's, is signed as its card says.

        Raises
        ------
        SignatureError
            It is signed under another name or version, or without its weights.
        """
        (place,) = signature.places(folder, root)
        signature.check_model(self.manifest, signature.below(folder, place), card)


NOT_SIGNED: Final = "not signed: nothing proves who made it"


@dataclass(frozen=True, slots=True)
class Trust:
    """The keys of a node's own store; `required`: nothing is taken that is not signed."""

    own: Path | None = None
    required: bool = False

    def all_keys(self) -> tuple[TrustedKey, ...]:
        """Every trusted key, by id.

        Raises
        ------
        SignatureError
            A key's file is damaged.
        """
        if self.own is None:
            return ()
        ids = sorted(f.stem for f in (self.own / FOLDER).glob("*.json") if f.name[0] != ".")
        return tuple(key for key in map(self.key, ids) if key)

    def key(self, key_id: str) -> TrustedKey | None:
        """The trusted key of that id; None where it is not trusted.

        Raises
        ------
        SignatureError
            Its file is damaged.
        """
        if self.own is None:
            return None
        file = _file(self.own, key_id)
        try:
            with file.open("rb") as opened:
                found = TrustedKey.model_validate_json(opened.read(_MOST_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            found = None
        if found is None or found.key_id != key_id:
            raise SignatureError(
                SignatureProblem.KEY,
                f"{file} is no trusted key: remove it, and trust the key again with `cadnode "
                "models trust add FILE`",
            )
        return found

    def checked(self, content: bytes, file: Path) -> Signed:
        """A `signature.json` by a trusted key; its files are still to be compared.

        Raises
        ------
        SignatureError
            It is damaged, by a key that is not trusted, or wrong.
        """
        found = signature.parse(content, file)
        key = self.key(found.manifest.key_id)
        if key is None:
            raise SignatureError(
                SignatureProblem.UNKNOWN_KEY,
                f"{file} is by key {found.manifest.key_id}, which this node does not trust. Ask "
                "whoever made it for the public key, compare this id by telephone, then `cadnode "
                "models trust add FILE`",
            )
        signature.check(found, key.key, file)
        return Signed(key, found.manifest, content)

    def of_handed_over(self, parcel: Parcel, named: Path) -> dict[Path, Signed | None]:
        """Who signed each of the models of a parcel, by their folders; None: nobody.

        `named` is what the administrator calls it. Signatures count in a copy of our own alone:
        elsewhere files could be changed after they were compared.

        Raises
        ------
        SignatureError
            A signature does not hold, two speak for one model, or a signature is missing and
            required.
        """
        by_place: dict[Path, Signed] = {}
        found: dict[Path, Signed | None] = {}
        for folder in parcel:
            places = signature.places(folder, parcel.root) if parcel.is_own else []
            if not places:
                if self.required:
                    raise _missing(named)
                found[folder] = None
                continue
            if len(places) > 1:
                raise SignatureError(
                    SignatureProblem.FILES, f"in {named} two signatures speak for one model"
                )
            (place,) = places
            if place not in by_place:
                shown = named / place.relative_to(parcel.root) / signature.FILE
                by_place[place] = self.checked(signature.content_in(place) or b"", shown)
                signature.check_files(by_place[place].manifest, place, named)
            found[folder] = by_place[place]
        return found

    def of_installed(self, folder: Path, *, may_be_unsigned: bool = False) -> Signed | None:
        """Who signed the model in a folder; None: nobody.

        The weights' own bytes are compared with the card wherever they are read.

        Raises
        ------
        SignatureError
            The signature does not hold any more, its key is no longer trusted, or it is missing
            and required (unless it `may_be_unsigned`).
        ModelError
            The card cannot be read.
        """
        content = signature.content_in(folder)
        if content is None:
            if self.required and not may_be_unsigned:
                raise _missing(folder)
            return None
        signed = self.checked(content, folder / signature.FILE)
        _check_installed(signed.manifest, folder)
        return signed


def add(own: Path, key: Ed25519PublicKey, name: str, by: ChangeAuthor) -> TrustedKey:
    """Trust a key under a name; the key, with its old name and date, where it is trusted already.

    Raises
    ------
    SettingsError
        The name is empty, too long or taken, or the store cannot be written.
    SignatureError
        The file of a key is damaged, or another key has the same id.
    """
    try:
        trusted = TrustedKey(
            key_id=signature.key_id(key), name=name, public_key=signature.raw(key).hex(),
            since=by.at, by=by.name,
        )  # fmt: skip
    except ValidationError:
        raise SettingsError(
            f"the name of a key is one printable line of at most {_LONGEST_NAME} characters"
        ) from None
    with history.changing(own):
        there = Trust(own).all_keys()
        for one in there:
            if one.public_key == trusted.public_key:
                return one
            if one.name == trusted.name or one.key_id == trusted.key_id:
                raise SettingsError(
                    f"another key ({one.key_id}) is trusted as {one.name!r}: give this one another "
                    "--name"
                )
        with written_whole(_file(own, trusted.key_id)) as file:
            os.fchmod(file.fileno(), 0o640)
            file.write(trusted.model_dump_json(indent=2).encode() + b"\n")
    return trusted


def remove(own: Path, key_id: str) -> None:
    """Trust a key no longer; a running node looks at its models again before its next study.

    Raises
    ------
    SettingsError
        It is not trusted, or the store cannot be written.
    ModelError
        The store's `active.json` is damaged.
    """
    with history.changing(own):
        file = _file(own, key_id)
        if not file.is_file():
            known = ", ".join(sorted(f.stem for f in (own / FOLDER).glob("*.json"))) or "none"
            raise SettingsError(f"key {key_id!r} is not trusted; trusted: {known}")
        content = history.read(own)
        file.unlink()
        sync_folder(file.parent)
        history.write(own, content)  # another file: a running node looks again


def _file(own: Path, key_id: str) -> Path:
    # An id that leads elsewhere names no key: ids are hexadecimal digits.
    return own / FOLDER / f"{key_id if key_id.isalnum() else '-'}.json"


def _missing(what: Path) -> SignatureError:
    return SignatureError(
        SignatureProblem.UNSIGNED,
        f"{what} is not signed, and models.require_signature wants a signature: whoever vouches "
        "for it signs it with `cadnode models sign`",
    )


def _check_installed(manifest: SignedManifest, folder: Path) -> None:
    """Compare card and list of women with what was signed; the version may be another."""
    card = store.read_card(folder)
    content = _bytes(folder / SIGNED_CARD) or _bytes(folder / store.CARD)
    model = manifest.model_with(hashlib.sha256(content).hexdigest())
    if model is None:
        raise _changed(manifest, folder, store.CARD)
    try:
        original = CARDS.validate_json(content)
    except ValidationError:
        raise _changed(manifest, folder, store.CARD) from None
    signature.check_model(manifest, model.folder, original)
    if card != original.model_copy(update={"version": card.version}):
        raise _changed(manifest, folder, store.CARD)
    split = hashlib.sha256(_bytes(folder / store.SPLIT)).hexdigest()
    if split != manifest.sha256(model.folder, store.SPLIT):
        raise _changed(manifest, folder, store.SPLIT)


def _bytes(file: Path) -> bytes:
    """Content of a file; b"" where there is none, which nothing signed equals."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _changed(manifest: SignedManifest, folder: Path, name: str) -> ModelError:
    return SignatureError(
        SignatureProblem.FILES,
        f"{name} in {folder} is not what key {manifest.key_id} signed: remove the version and add "
        "it again from whoever made it",
    )
