"""Model parcels that somebody hands over: zip files, signatures, cards, lists of women, weights."""

import io
import json
import zipfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cadnode.errors import ModelError, SettingsError
from cadnode.models import store
from cadnode.models.weights import unpack
from cadnode.registry import parcel, signature, signing, trust
from cadnode.registry.history import ChangeAuthor
from cadnode.registry.trust import Signed, Trust
from tests.fuzz.mutate import raw, text
from tests.fuzz.oracles import Violation
from tests.fuzz.target import Target

_NAMES = (
    "../card.json", "/card.json", "a/../card.json", "card.json/", "toy/0.0.1/card.json", "card.pkl",
    "a/b/c/d/e/f/card.json", "blobs/x.safetensors", "card.json\0.pkl", "\\card.json", "", ".",
    "C:card.json", "é/card.json", "toy/0.0.1/split.json/x", "model.safetensors",
    "a" * 300 + "/card.json", "signature.json", "toy/signature.json", "SIGNATURE.JSON",
    "toy/0.0.1/signature.json",
)  # fmt: skip
_KEY = Ed25519PrivateKey.from_private_bytes(bytes([7] * 32))
_AT = datetime(2026, 1, 1, tzinfo=UTC)


class Parcels(Target):
    """A zip file: what its members are called, what they say of themselves, what is in them.

    One that counts as signed holds what was signed, to the byte.
    """

    name = "parcel"
    allowed = (ModelError, SettingsError)
    marks = ()

    def open(self, folder: Path) -> None:
        super().open(folder)
        self._file = folder / "model.zip"
        self._trust = _trusting(folder / "store")
        self._before = {*folder.rglob("*")}

    def seeds(self) -> list[bytes]:
        plain = [_parcel(prefix) for prefix in ("", "toy/0.0.1/")]
        return [*plain, *map(_signed, plain)]

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        if rng.random() < 0.3:
            return raw.mutated(data, rng, other)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as file:
                members = {
                    m.filename: file.read(m) for m in file.infolist() if m.file_size < 1 << 18
                }
        except Exception:  # already damaged: go on with its bytes
            return raw.mutated(data, rng, other)
        return _zipped(_changed(members, rng), rng)

    def run(self, data: bytes) -> None:
        self._file.write_bytes(data)
        try:
            with parcel.opened(self._file) as found:
                signed = self._trust.of_handed_over(found, self._file)
                for folder in found:
                    _compare(folder, signed[folder])
                    store.read_weights(folder)
                    store.read_split(folder)
        finally:
            outside = {*self.folder.rglob("*")} - self._before - {self._file}
            if outside:
                raise Violation(f"unpacked outside: {len(outside)} files")


class Signatures(Target):
    """`signature.json` of a parcel, and of an installed model that got another version.

    Whatever is done to it, it counts only where it states what was signed.
    """

    name = "signature"
    allowed = (ModelError,)
    marks = ()

    def open(self, folder: Path) -> None:
        super().open(folder)
        self._trust = _trusting(folder / "store")
        handed, installed = folder / "handed" / "toy", folder / "store" / "toy" / "0.0.2"
        for place in (handed, installed):
            place.mkdir(parents=True)
            for name, content in _members().items():
                (place / name).write_bytes(content)
        card = store.read_card(installed)
        (installed / store.CARD).rename(installed / trust.SIGNED_CARD)
        newer = card.model_copy(update={"version": "0.0.2"})
        (installed / store.CARD).write_bytes(store.card_bytes(newer))
        self._parcel = parcel.Parcel(handed, (handed,), is_own=True)
        self._installed = installed

    def seeds(self) -> list[bytes]:
        return [_signature()]

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        roll = rng.random()
        if roll < 0.2:
            return raw.mutated(data, rng, other)
        if roll < 0.5:
            return _restated(data, rng)
        return text.mutated_json(data, rng, ("manifest", "signature", "files", "key_id", "path"))

    def run(self, data: bytes) -> None:
        (self._installed / signature.FILE).write_bytes(data)
        (self._parcel.root / signature.FILE).write_bytes(data)
        (found,) = self._trust.of_handed_over(self._parcel, self._parcel.root).values()
        for signed in (found, self._trust.of_installed(self._installed)):
            if signed is None or signed.manifest != signature.parse(_signature(), Path()).manifest:
                raise Violation("a signature counts that is none")


class Cards(Target):
    """A model's folder: its card and list of women (JSON), its weights (safetensors)."""

    name = "card"
    allowed = (ModelError,)
    marks = ()

    def open(self, folder: Path) -> None:
        super().open(folder)
        self._model = folder / "toy" / "0.0.1"
        self._model.mkdir(parents=True)
        for name, content in _members().items():
            (self._model / name).write_bytes(content)

    def seeds(self) -> list[bytes]:
        return [name.encode() + b"\n" + content for name, content in _members().items()]

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        name, _, content = data.partition(b"\n")
        if name.endswith(b".json") and rng.random() < 0.8:
            return name + b"\n" + text.mutated_json(content, rng)
        if name.endswith(b".safetensors") and rng.random() < 0.7:
            return name + b"\n" + _tensors_changed(content, rng)
        return name + b"\n" + raw.mutated(content, rng, other)

    def run(self, data: bytes) -> None:
        name, _, content = data.partition(b"\n")
        if name == store.WEIGHTS.encode():
            unpack(content)
        elif name in (store.CARD.encode(), store.SPLIT.encode()):
            file = self._model / name.decode()
            whole = file.read_bytes()
            try:
                file.write_bytes(content)
                store.read_card(self._model)
                store.seen_women(self._model)
            finally:
                file.write_bytes(whole)


@cache
def _members() -> dict[str, bytes]:
    """A toy model's files; its weights are two small tensors, which the card knows by their sum."""
    import hashlib

    import torch

    from cadnode.models.weights import pack
    from tests.unit import model_cases

    weights = pack({"a.weight": torch.ones(2, 2), "b": torch.zeros(2)}, "int8")
    card = model_cases.card().model_copy(
        update={"weights_sha256": hashlib.sha256(weights).hexdigest(), "stored_as": "int8"}
    )
    with TemporaryDirectory() as name:
        file = Path(name) / store.CARD
        file.write_bytes(store.card_bytes(card))
        card_content = file.read_bytes()
    split = json.dumps({"train": ["a"], "validation": ["b"]}).encode()
    return {store.CARD: card_content, store.WEIGHTS: weights, store.SPLIT: split}


@cache
def _signature() -> bytes:
    """The `signature.json` of the toy model."""
    with TemporaryDirectory() as name:
        for file, content in _members().items():
            (Path(name) / file).write_bytes(content)
        signing.sign(Path(name), _KEY, "the fuzzer", _AT)
        return (Path(name) / signature.FILE).read_bytes()


def _restated(content: bytes, rng: Random) -> bytes:
    """A `signature.json` that states something else in the right form."""
    try:
        tree: Any = json.loads(content)
        manifest = tree["manifest"]
        file, model = rng.choice(manifest["files"]), rng.choice(manifest["models"])
        where, key, value = rng.choice(
            (
                (manifest, "signer", "another"), (manifest, "signed_at", "2030-01-01T00:00:00Z"),
                (manifest, "key_id", "0" * 16), (file, "sha256", "0" * 64), (file, "size", 1),
                (file, "path", "other"), (model, "name", "other"), (model, "version", "9.9.9"),
                (model, "folder", "other"), (tree, "signature", "0" * 128),
            )
        )  # fmt: skip
        where[key] = value
        return json.dumps(tree).encode("utf-8", "surrogatepass")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return content


def _signed(content: bytes) -> bytes:
    """A zip file of a model, signed."""
    with TemporaryDirectory() as name:
        file = Path(name) / "toy.zip"
        file.write_bytes(content)
        signing.sign(file, _KEY, "the fuzzer", _AT)
        return file.read_bytes()


def _trusting(own: Path) -> Trust:
    trust.add(own, _KEY.public_key(), "fuzzer", ChangeAuthor("fuzzer", _AT))
    return Trust(own)


def _compare(folder: Path, signed: Signed | None) -> None:
    if signed is not None:
        for name, content in _members().items():
            if (folder / name).read_bytes() != content:
                raise Violation(f"{name} counts as signed and is not what was")


@cache
def _parcel(prefix: str) -> bytes:
    return _zipped(
        {prefix + name: content for name, content in _members().items()}, Random(0), lie=False
    )


def _changed(members: dict[str, bytes], rng: Random) -> dict[str, bytes]:
    name = rng.choice([*members]) if members else store.CARD
    roll = rng.random()
    if roll < 0.35:
        members[rng.choice(_NAMES)] = members.get(name, b"{}")
    elif roll < 0.5:
        members.pop(name, None)
    elif roll < 0.75:
        members[name] = text.mutated_json(members.get(name, b"{}"), rng)
    elif roll < 0.9:
        members[name] = raw.mutated(members.get(name, b""), rng)
    else:
        members[rng.choice(_NAMES)] = b"\0" * rng.choice((1, 1 << 16, 40 << 20))
    return members


def _zipped(members: dict[str, bytes], rng: Random, *, lie: bool = True) -> bytes:
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED
    if lie and rng.random() < 0.2:
        kind = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(buffer, "w", kind) as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name or "x", (2026, 1, 1, 0, 0, 0))
            info.compress_type = kind
            if lie and rng.random() < 0.1:
                info.external_attr = rng.choice((0o120777, 0o040755, 0o010644)) << 16
            file.writestr(info, content)
    data = bytearray(buffer.getvalue())
    if lie and rng.random() < 0.3:  # in the central directory: sizes, checksums, flags
        at = data.rfind(b"PK\1\2")
        if at >= 0:
            field = at + rng.choice((6, 8, 10, 16, 20, 24, 28, 30, 32, 42))
            data[field : field + 2] = rng.choice((b"\0\0", b"\xff\xff", b"\1\0", rng.randbytes(2)))
    return bytes(data)


def _tensors_changed(content: bytes, rng: Random) -> bytes:
    """The JSON header of safetensors changed, its length true or not."""
    length = int.from_bytes(content[:8], "little")
    header, rest = content[8 : 8 + length], content[8 + length :]
    header = text.mutated_json(header, rng, ("a.int8_scale", "b.int8_scale", "__metadata__"))
    try:
        tree: Any = json.loads(header)
        for one in tree.values() if isinstance(tree, dict) else ():
            if isinstance(one, dict) and rng.random() < 0.3:
                one["dtype"] = rng.choice(("F32", "I8", "F64", "BF16", "BOOL", "U64", "F8_E4M3"))
            if isinstance(one, dict) and rng.random() < 0.3:
                one["shape"] = rng.choice(([], [0], [1], [2], [4], [1, 2], [2, 1], [2**40], [-1]))
        header = json.dumps(tree).encode("utf-8", "surrogatepass")
    except (ValueError, AttributeError, RecursionError):
        pass
    stated = len(header) + rng.choice((0, 0, 0, 0, 1, -1, 2**40))
    return (stated % 2**64).to_bytes(8, "little") + header + rest
