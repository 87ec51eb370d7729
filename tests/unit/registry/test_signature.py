"""What is signed, byte for byte, and what a signature cannot state."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from cadnode.errors import ModelError, SettingsError, SignatureError, SignatureProblem
from cadnode.models import store
from cadnode.registry import signature, signing
from cadnode.registry.signature import SignedFile, SignedManifest, SignedModel
from tests.unit import store_cases
from tests.unit.signing_cases import MAKER, MAKER_ID, OTHER, document, signed, zipped
from tests.unit.store_cases import ANNA


def a_file(path: str) -> SignedFile:
    return SignedFile(path=path, size=1, sha256="ab" * 32)


def manifest(*paths: str, **changes: Any) -> SignedManifest:
    values = {
        "models": (SignedModel(name="toy", version="0.0.1", folder="."),),
        "files": tuple(a_file(path) for path in paths),
        "key_id": MAKER_ID,
        "signer": 'Zoë "Z"',
        "signed_at": ANNA.at,
    }
    return SignedManifest(**{**values, **changes})


def test_the_signed_bytes_are_the_context_and_the_canonical_manifest() -> None:
    expected = (
        b"cadnode: files of models, signed, version 1\0"
        b'{"files":[{"path":"card.json","sha256":"' + b"ab" * 32 + b'","size":1}],'
        b'"key_id":"34750f98bd59fcfc","models":[{"folder":".","name":"toy","version":"0.0.1"}],'
        b'"schema_version":1,"signed_at":"2026-03-04T15:06:07Z",'
        b'"signer":"Zo\xc3\xab \\"Z\\""}'
    )
    assert signature.signed_bytes(manifest("card.json")) == expected
    made = json.loads(signature.sign(manifest("card.json"), MAKER))
    assert made["signature"] == MAKER.sign(expected).hex()


def test_a_key_is_named_by_the_sha256_of_its_32_bytes() -> None:
    public = MAKER.public_key()
    assert signature.key_id(public) == hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


def test_a_signature_of_the_manifest_without_the_context_does_not_count() -> None:
    made = json.loads(signature.sign(manifest("card.json"), MAKER))
    bare = signature.signed_bytes(manifest("card.json")).removeprefix(signature.CONTEXT)
    made["signature"] = MAKER.sign(bare).hex()
    found = signature.parse(json.dumps(made).encode(), Path("x"))

    with pytest.raises(SignatureError) as refused:
        signature.check(found, MAKER.public_key(), Path("x"))
    assert refused.value.reason is SignatureProblem.WRONG


@pytest.mark.parametrize(
    "path",
    [
        "../card.json", "/card.json", "a/../card.json", "a//card.json", "./card.json", "card.json/",
        "a\\card.json", "card\0.json", "card\n.json", "e\u0301.json", "", ".", "a/.", "x" * 201,
        "a/b/c/d/e/f/g/h/card.json", "\u202egpj.json", "signature.json",
    ],
)  # fmt: skip
def test_a_path_that_could_mean_another_file_is_not_signed(path: str) -> None:
    with pytest.raises(ValidationError):
        manifest(path)


@pytest.mark.parametrize(
    "paths",
    [
        ("b.json", "a.json"),
        ("a.json", "a.json"),
        ("A.json", "a.json"),
        ("STRASSE.json", "stra\u00dfe.json"),
        ("\u00c9.json", "\u00e9.json"),
    ],
)
def test_files_are_in_order_and_differ_by_more_than_case(paths: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        manifest(*paths)


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2}, {"more": 1}, {"key_id": "0" * 15}, {"key_id": "../../etc/passwd0"},
        {"signer": "a\nb"}, {"signer": "x" * 201}, {"signed_at": "2026-01-01T00:00:00"},
        {"models": ()}, {"files": ()},
    ],
)  # fmt: skip
def test_what_else_a_manifest_states_is_bounded(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        manifest("card.json", **change)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[" * 100_000, b"\xff", b"null", b'{"manifest": {}, "signature": ""}',
        b'{"manifest":' * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_signature_is_damaged(content: bytes) -> None:
    with pytest.raises(SignatureError) as refused:
        signature.parse(content, Path("x"))
    assert refused.value.reason is SignatureProblem.DAMAGED


def test_every_file_of_a_folder_is_signed_hidden_ones_and_a_readme_too(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path)
    (folder / "README.md").write_text("read me")
    (folder / "docs").mkdir()
    (folder / "docs" / ".hidden").write_text("")

    signed(folder)

    stated = document(folder)["manifest"]
    assert [f["path"] for f in stated["files"]] == [
        "README.md", "card.json", "docs/.hidden", "model.safetensors", "split.json",
    ]  # fmt: skip
    readme = stated["files"][0]
    assert (readme["size"], readme["sha256"]) == (7, hashlib.sha256(b"read me").hexdigest())
    assert stated["models"] == [{"name": "toy", "version": "0.0.1", "folder": "."}]
    assert (stated["key_id"], stated["signer"]) == (MAKER_ID, "the maker")


def test_a_zip_file_signed_again_has_one_signature_the_last(tmp_path: Path) -> None:
    file = zipped(store_cases.made(tmp_path / "new"), tmp_path / "toy.zip")
    signed(file, OTHER)
    other = file.read_bytes()
    signed(file)
    first = file.read_bytes()
    signed(file)

    assert file.read_bytes() == first != other


def test_weights_that_are_not_the_card_s_are_not_signed(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path)
    (folder / store.WEIGHTS).write_bytes(b"others")

    with pytest.raises(SignatureError, match="weights of toy"):
        signed(folder)
    assert not (folder / signature.FILE).exists()


def test_a_link_and_a_signature_below_are_not_signed(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path)
    signed(folder)
    with pytest.raises(ModelError, match=r"toy/0\.0\.1/signature\.json.*is a signature already"):
        signed(tmp_path)
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(SignatureError, match="is a link"):
        signed(folder)


def test_two_names_that_differ_by_case_alone_are_not_signed(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path)
    for name in ("README", "readme"):
        (folder / name).write_text("")

    with pytest.raises(ModelError, match="know no case"):
        signed(folder)


def test_words_that_are_not_one_line_are_not_signed(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--signer is one printable line"):
        signing.sign(store_cases.made(tmp_path), MAKER, "a\nb", ANNA.at)


@pytest.mark.parametrize("passphrase", ["", "correct horse", "ü" * 400])
def test_a_key_is_read_again_and_its_private_file_is_its_owner_s(
    tmp_path: Path, passphrase: str
) -> None:
    made = signing.make_key(tmp_path / "maker", passphrase)

    private = signing.private_key(made.private, passphrase)
    public = signing.public_key(made.public)
    assert signature.key_id(private.public_key()) == signature.key_id(public) == made.key_id
    assert made.private.stat().st_mode & 0o777 == 0o600
    assert signing.is_encrypted(made.private) == bool(passphrase)
    with pytest.raises(SettingsError, match="never written over"):
        signing.make_key(tmp_path / "maker")


def test_keys_that_cannot_be_used_are_told_apart(tmp_path: Path) -> None:
    made = signing.make_key(tmp_path / "maker", "secret")
    with pytest.raises(SettingsError, match="its passphrase is another one"):
        signing.private_key(made.private, "wrong")
    with pytest.raises(SettingsError, match="holds a private key, which never leaves"):
        signing.public_key(made.private)
    with pytest.raises(SettingsError, match="no public key"):
        signing.public_key(store_cases.made(tmp_path) / store.CARD)
    with pytest.raises(SettingsError, match="cannot be read"):
        signing.private_key(tmp_path / "none.key")
    made.private.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        signing.private_key(made.private, "secret")


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = X25519PrivateKey.generate()
    file = tmp_path / "x.key"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    file.chmod(0o600)
    with pytest.raises(SettingsError, match="another kind"):
        signing.private_key(file)
    file.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(SettingsError, match="another kind"):
        signing.public_key(file)


def test_a_half_written_key_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(signing.os, "fsync", no_room)
    with pytest.raises(SettingsError, match="No space left"):
        signing.make_key(tmp_path / "maker")
    assert not list(tmp_path.iterdir())


def test_the_test_s_own_key_is_what_rfc_8032_makes_of_its_seed() -> None:
    # RFC 8032, 7.1, TEST 1: the library is asked once what the standard says.
    seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    assert signature.raw(key.public_key()).hex() == (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )
