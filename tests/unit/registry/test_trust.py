"""Whose models a node takes, and that what it took is still what was signed."""

import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from cadnode.errors import ModelError, SettingsError, SignatureError, SignatureProblem
from cadnode.models import store
from cadnode.models.card import ModelCard
from cadnode.registry import history, installation, parcel, shadow_set, signature, trust
from cadnode.registry.installation import Added, Stores
from cadnode.registry.numbering import COUNT_UP
from cadnode.registry.trust import SIGNED_CARD, Trust
from tests.unit import store_cases
from tests.unit.signing_cases import (
    MAKER,
    MAKER_ID,
    OTHER,
    OTHER_ID,
    document,
    edited,
    signed,
    trusting,
    zipped,
)
from tests.unit.store_cases import ANNA

Problem = SignatureProblem


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    found = Stores(tmp_path / "own", tmp_path / "packaged")
    trusting(found)
    return found


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A signed model's folder."""
    return signed(store_cases.made(tmp_path / "new", "1.0.0"))


def add(path: Path, stores: Stores) -> Added:
    (added,) = installation.add(path, stores, ANNA, store.read_card, numbering=COUNT_UP)
    return added


def refused(path: Path, stores: Stores) -> Problem:
    """Why a model is not taken; nothing of it is in the store."""

    def examine(folder: Path) -> ModelCard:
        card = store.read_card(folder)
        assert store.read_weights(folder)
        return card

    before = sorted(stores.own.rglob("*"))
    with pytest.raises(SignatureError) as error:
        installation.add(path, stores, ANNA, examine)
    assert sorted(p for p in stores.own.rglob("*") if p.name != ".lock") == [
        p for p in before if p.name != ".lock"
    ]
    return error.value.reason


def installed(stores: Stores) -> Path:
    return stores.own / "toy" / "1.0.0"


def whose(stores: Stores, version: str = "1.0.0") -> str | None:
    catalogue = stores.catalogue()
    found = catalogue.approve(catalogue.find("toy", version))
    return found.key.name if found else None


@pytest.mark.parametrize("is_zip", [False, True])
def test_what_a_trusted_key_signed_is_taken_and_whose_it_is_is_kept(
    stores: Stores, model: Path, tmp_path: Path, is_zip: bool
) -> None:
    added = add(zipped(model, tmp_path / "toy.zip") if is_zip else model, stores)

    assert added.signed is not None
    assert added.signed.words == f"signed by Maker ({MAKER_ID}), trusted since 2026-03-04"
    assert added.signed.manifest.signer == "the maker"
    names = {p.name for p in installed(stores).iterdir()}
    assert names == {store.CARD, store.SPLIT, signature.FILE}
    assert whose(stores) == "Maker"
    assert store.read_weights(installed(stores))


def test_several_models_in_one_zip_file_with_shared_weights_have_one_signature(
    stores: Stores, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        folder = store_cases.made(tmp_path / "out", name=name)
        weights = folder / store.WEIGHTS
        shared = store.blob(tmp_path / "out", store.read_card(folder).weights_sha256)
        shared.parent.mkdir(exist_ok=True)
        weights.rename(shared)
    file = signed(zipped(tmp_path / "out", tmp_path / "both.zip"))

    added = installation.add(file, stores, ANNA, store.read_card)

    assert [a.signed.key.name for a in added if a.signed] == ["Maker", "Maker"]
    assert len(stores.catalogue().active()) == 2


def test_what_is_not_signed_is_taken_and_is_nobody_s(stores: Stores, tmp_path: Path) -> None:
    assert add(store_cases.made(tmp_path / "new", "1.0.0"), stores).signed is None
    assert whose(stores) is None


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def other_card(file: Path) -> None:
    card = json.loads(file.read_text())
    card["calibration"]["slope"] = 2.0
    file.write_text(json.dumps(card))


def manifest_with(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: edited(folder, lambda m: m.update(changes))


def signature_of_another_model(folder: Path) -> None:
    other = signed(store_cases.made(folder.parent / "other", "1.0.0", seed=1))
    shutil.copy(other / signature.FILE, folder / signature.FILE)


def other_signature(folder: Path) -> None:
    content = document(folder)
    content["signature"] = OTHER.sign(b"anything").hex()
    (folder / signature.FILE).write_text(json.dumps(content))


def forged_twice(folder: Path) -> None:
    """Two manifests of one name in the file: whichever is read is the one that is checked."""
    content = document(folder)
    whole = json.dumps(content["manifest"])
    forged = whole.replace('"1.0.0"', '"2.0.0"')
    text = f'{{"manifest": {whole}, "signature": "{content["signature"]}", "manifest": {forged}}}'
    (folder / signature.FILE).write_text(text)


TAMPERINGS: dict[str, tuple[Callable[[Path], object], Problem]] = {
    "a bit of the weights": (lambda f: flip(f / store.WEIGHTS), Problem.FILES),
    "the card": (lambda f: other_card(f / store.CARD), Problem.FILES),
    "the list of women": (lambda f: flip(f / store.SPLIT), Problem.FILES),
    "a file more": (lambda f: shutil.copytree(f, f / "detector"), Problem.FILES),
    "a file less": (lambda f: (f / store.SPLIT).unlink(), Problem.FILES),
    "another size stated": (
        lambda f: edited(f, lambda m: m["files"][0].update(size=1)), Problem.WRONG,
    ),
    "another digest stated": (
        lambda f: edited(f, lambda m: m["files"][0].update(sha256="0" * 64)), Problem.WRONG,
    ),
    "another name": (
        lambda f: edited(f, lambda m: m["models"][0].update(name="tay")), Problem.WRONG,
    ),
    "another version": (
        lambda f: edited(f, lambda m: m["models"][0].update(version="1.0.1")), Problem.WRONG,
    ),
    "other words": (manifest_with(signer="somebody"), Problem.WRONG),
    "another time": (manifest_with(signed_at="2030-01-01T00:00:00Z"), Problem.WRONG),
    "the other key's id": (manifest_with(key_id=OTHER_ID), Problem.WRONG),
    "an unknown key's id": (manifest_with(key_id="0" * 16), Problem.UNKNOWN_KEY),
    "an id that is a path": (manifest_with(key_id="../active"), Problem.DAMAGED),
    "another signature": (other_signature, Problem.WRONG),
    "another model's signature": (signature_of_another_model, Problem.FILES),
    "two manifests": (forged_twice, Problem.WRONG),
    "a huge signature": (
        lambda f: (f / signature.FILE).write_bytes(
            (f / signature.FILE).read_bytes() + b" " * signature.MOST_SIGNATURE
        ),
        Problem.DAMAGED,
    ),
    "an empty signature": (lambda f: (f / signature.FILE).write_bytes(b""), Problem.DAMAGED),
    "a deep signature": (
        lambda f: (f / signature.FILE).write_bytes(b"[" * 100_000), Problem.DAMAGED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("is_zip", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_what_is_not_what_was_signed_is_refused(
    stores: Stores, model: Path, tmp_path: Path, tampering: str, is_zip: bool
) -> None:
    trusting(stores, OTHER, "Other")
    change, reason = TAMPERINGS[tampering]
    change(model)
    if tampering == "a file more":  # a second signature below would be another fault
        (model / "detector" / signature.FILE).unlink()

    if is_zip and tampering == "a huge signature":
        with pytest.raises(ModelError, match="more than 1024 KB"):
            installation.add(zipped(model, tmp_path / "t.zip"), stores, ANNA, store.read_card)
    else:
        given = zipped(model, tmp_path / "t.zip") if is_zip else model
        assert refused(given, stores) is reason


def test_a_model_signed_under_another_version_than_its_card_s_is_refused(
    stores: Stores, tmp_path: Path
) -> None:
    folder = store_cases.made(tmp_path / "new", "1.0.0")
    manifest = signature.SignedManifest(
        models=(signature.SignedModel(name="toy", version="2.0.0", folder="."),),
        files=signature.files_in(folder), key_id=MAKER_ID, signer="", signed_at=ANNA.at,
    )  # fmt: skip
    (folder / signature.FILE).write_bytes(signature.sign(manifest, MAKER))

    assert refused(folder, stores) is Problem.FILES


def test_weights_that_are_not_among_what_is_signed_are_refused(
    stores: Stores, tmp_path: Path
) -> None:
    folder = store_cases.made(tmp_path / "new", "1.0.0")
    weights = (folder / store.WEIGHTS).read_bytes()
    (folder / store.WEIGHTS).unlink()
    manifest = signature.SignedManifest(
        models=(signature.SignedModel(name="toy", version="1.0.0", folder="."),),
        files=signature.files_in(folder), key_id=MAKER_ID, signer="", signed_at=ANNA.at,
    )  # fmt: skip
    (folder / signature.FILE).write_bytes(signature.sign(manifest, MAKER))
    shared = store.blob(stores.own, store.read_card(folder).weights_sha256)
    shared.parent.mkdir(parents=True)
    shared.write_bytes(weights)

    with pytest.raises(SignatureError) as error:
        add(folder, stores)
    assert error.value.reason is Problem.FILES


def test_an_unknown_key_is_named_with_how_to_trust_it(stores: Stores, tmp_path: Path) -> None:
    folder = signed(store_cases.made(tmp_path / "new", "1.0.0"), OTHER)

    assert refused(folder, stores) is Problem.UNKNOWN_KEY
    with pytest.raises(SignatureError, match=f"{OTHER_ID}.*`cadnode models trust add FILE`"):
        add(folder, stores)
    trusting(stores, OTHER, "Other")
    assert add(folder, stores).signed is not None


def test_two_signatures_that_speak_for_one_model_are_refused(
    stores: Stores, model: Path, tmp_path: Path
) -> None:
    above = model.parent
    files = signature.files_in(above)
    models = (signature.SignedModel(name="toy", version="1.0.0", folder="1.0.0"),)
    manifest = signature.SignedManifest(
        models=models, files=files, key_id=MAKER_ID, signer="", signed_at=ANNA.at
    )
    (above / signature.FILE).write_bytes(signature.sign(manifest, MAKER))

    assert refused(above, stores) is Problem.FILES


def test_a_link_beside_a_signature_is_refused(stores: Stores, model: Path) -> None:
    (model / "link").symlink_to(model / store.CARD)
    assert refused(model, stores) is Problem.FILES


def test_a_signature_that_is_a_link_is_refused(stores: Stores, model: Path) -> None:
    (model / signature.FILE).rename(model.parent / "elsewhere.json")
    (model / signature.FILE).symlink_to(model.parent / "elsewhere.json")
    assert refused(model, stores) is Problem.FILES


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("signature.json", "occurs twice"),
        ("CARD.json", "is no part of a model"),
        ("TOY/card.json", "know no case"),
        ("./signature.json", "occurs twice"),
    ],
)
def test_names_in_a_zip_file_that_some_systems_take_for_one_are_refused(
    stores: Stores, model: Path, tmp_path: Path, name: str, why: str
) -> None:
    file = zipped(model, tmp_path / "toy.zip")
    warned = (
        pytest.warns(UserWarning, match="Duplicate") if name == signature.FILE else nullcontext()
    )
    with zipfile.ZipFile(file, "a") as archive, warned:
        archive.writestr("toy/card.json", "{}")
        archive.writestr(name, "{}")
    with pytest.raises(ModelError, match=why):
        add(file, stores)


def test_what_is_changed_after_the_check_is_not_what_is_installed(
    stores: Stores, model: Path
) -> None:
    def examine(folder: Path) -> ModelCard:
        other_card(model / store.CARD)
        flip(model / store.WEIGHTS)
        return store.read_card(folder)

    installation.add(model, stores, ANNA, examine)

    assert whose(stores) == "Maker"
    assert store.read_weights(installed(stores))[0].calibration.slope == 1.0


def test_a_signature_that_comes_while_a_folder_is_read_in_place_says_nothing(
    stores: Stores, model: Path
) -> None:
    content = (model / signature.FILE).read_bytes()
    (model / signature.FILE).unlink()
    with parcel.opened(model) as found:
        (model / signature.FILE).write_bytes(content)
        assert stores.trust.of_handed_over(found, model) == {model: None}


def test_the_same_model_signed_later_keeps_that_signature(stores: Stores, tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path / "new", "1.0.0")
    add(folder, stores)
    card = json.loads((installed(stores) / store.CARD).read_text())
    (installed(stores) / store.CARD).write_text(json.dumps(card))  # the same card, written anew

    add(signed(folder), stores)
    assert whose(stores) == "Maker"
    trusting(stores, OTHER, "Other")
    add(signed(folder, OTHER), stores)
    assert whose(stores) == "Other"
    (folder / signature.FILE).unlink()
    add(folder, stores)
    assert whose(stores) == "Other"


def test_a_signature_is_not_kept_beside_another_list_of_women(
    stores: Stores, tmp_path: Path
) -> None:
    folder = store_cases.made(tmp_path / "new", "1.0.0")
    add(folder, stores)
    (folder / store.SPLIT).write_text('{"train": [], "validation": []}')

    assert refused(signed(folder), stores) is Problem.FILES


@pytest.fixture
def counted_up(stores: Stores, model: Path, tmp_path: Path) -> Path:
    """The signed model under another version, as another one has its own."""
    store_cases.made(tmp_path / "packaged", "1.0.0", seed=1)
    assert add(model, stores).card.version == "1.0.1"
    return stores.own / "toy" / "1.0.1"


def test_a_model_that_got_another_version_is_still_its_signer_s(
    stores: Stores, counted_up: Path, model: Path
) -> None:
    assert store.read_card(counted_up).version == "1.0.1"
    assert (counted_up / SIGNED_CARD).read_bytes() == (model / store.CARD).read_bytes()
    assert whose(stores, "1.0.1") == "Maker"
    installation.activate(stores, "toy", "1.0.1", ANNA, store.read_card)
    assert [e.version for e in stores.catalogue().active()] == ["1.0.1"]


def version_only(file: Path) -> None:
    card = json.loads(file.read_text())
    file.write_text(json.dumps({**card, "version": "9.9.9"}))


DAMAGES: dict[str, tuple[Callable[[Path], object], Problem]] = {
    "the card": (lambda f: other_card(f / store.CARD), Problem.FILES),
    "the signed card": (lambda f: version_only(f / SIGNED_CARD), Problem.FILES),
    "no signed card": (lambda f: (f / SIGNED_CARD).unlink(), Problem.FILES),
    "both cards": (
        lambda f: [other_card(f / name) for name in (store.CARD, SIGNED_CARD)], Problem.FILES,
    ),
    "the list of women": (lambda f: flip(f / store.SPLIT), Problem.FILES),
    "no list of women": (lambda f: (f / store.SPLIT).unlink(), Problem.FILES),
    "the manifest": (manifest_with(signer="somebody"), Problem.WRONG),
    "the signature": (other_signature, Problem.WRONG),
    "half a signature": (lambda f: (f / signature.FILE).write_bytes(b"{"), Problem.DAMAGED),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_installed_model_that_does_not_fit_its_signature_is_not_read_with(
    stores: Stores, counted_up: Path, damage: str
) -> None:
    installation.activate(stores, "toy", "1.0.1", ANNA, store.read_card)
    change, reason = DAMAGES[damage]
    change(counted_up)

    with pytest.raises(SignatureError) as error:
        stores.catalogue().active()
    assert error.value.reason is reason
    for use in (
        lambda: installation.activate(stores, "toy", "1.0.1", ANNA, store.read_card),
        lambda: (
            installation.activate(stores, "toy", "1.0.0", ANNA, store.read_card)
            and installation.rollback(stores, "toy", ANNA, store.read_card)
        ),
        lambda: shadow_set.start(stores, "toy@1.0.1", (), ANNA, store.read_card),
    ):
        with pytest.raises(SignatureError):
            use()


def test_other_weights_under_the_signed_card_are_found_where_they_are_read(
    stores: Stores, counted_up: Path
) -> None:
    flip(store.blob(stores.own, store.read_card(counted_up).weights_sha256))

    with pytest.raises(ModelError, match="sha256 differs"):
        store.read_weights(counted_up)


def test_the_signature_of_another_model_in_the_store_proves_nothing(
    stores: Stores, model: Path, tmp_path: Path
) -> None:
    add(model, stores)
    other = signed(store_cases.made(tmp_path / "other", "1.0.0", seed=3, name="other"))
    installation.add(other, stores, ANNA, store.read_card)
    shutil.copy(stores.own / "other" / "1.0.0" / signature.FILE, installed(stores))

    with pytest.raises(SignatureError) as error:
        whose(stores)
    assert error.value.reason is Problem.FILES


def test_a_key_that_is_removed_takes_its_models_with_it_until_it_is_trusted_again(
    stores: Stores, model: Path
) -> None:
    add(model, stores)
    before = history.identity(stores.own)

    trust.remove(stores.own, MAKER_ID)

    assert history.identity(stores.own) != before  # what a running node looks at
    with pytest.raises(SignatureError) as error:
        stores.catalogue().active()
    assert error.value.reason is Problem.UNKNOWN_KEY
    assert refused(model, stores) is Problem.UNKNOWN_KEY
    trusting(stores)
    assert whose(stores) == "Maker"


def test_where_signatures_are_required_only_packaged_models_need_none(
    stores: Stores, tmp_path: Path
) -> None:
    made = store_cases.made(tmp_path / "new", "1.0.0")
    packaged = store_cases.made(tmp_path / "packaged", "0.9.0", seed=1)
    add(made, stores)
    strict = Stores(stores.own, stores.packaged, signed_only=True)

    with pytest.raises(SignatureError) as error:
        installation.activate(strict, "toy", "1.0.0", ANNA, store.read_card)
    assert error.value.reason is Problem.UNSIGNED
    assert refused(store_cases.made(tmp_path / "new", "1.1.0", seed=2), strict) is Problem.UNSIGNED
    installation.activate(strict, "toy", "0.9.0", ANNA, store.read_card)
    assert [e.folder for e in strict.catalogue().active()] == [packaged]
    shutil.copytree(packaged, stores.own / "toy" / "0.9.0")  # of both stores, and the same
    assert len(strict.catalogue().active()) == 1
    add(signed(made), strict)
    assert installation.activate(strict, "toy", "1.0.0", ANNA, store.read_card) == "1.0.0"


def test_a_signature_taken_off_an_installed_model_is_missed_where_one_is_required(
    stores: Stores, model: Path
) -> None:
    add(model, stores)
    (installed(stores) / signature.FILE).unlink()

    with pytest.raises(SignatureError) as error:
        Stores(stores.own, stores.packaged, signed_only=True).catalogue().active()
    assert error.value.reason is Problem.UNSIGNED


def test_a_model_cannot_have_the_name_of_the_keys_folder(stores: Stores, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be named trusted"):
        add(store_cases.made(tmp_path / "new", name="trusted"), stores)


def test_a_key_is_kept_for_the_node_s_group_and_named_once(stores: Stores) -> None:
    first = Trust(stores.own).all_keys()[0]
    file = stores.own / trust.FOLDER / f"{MAKER_ID}.json"

    assert (first.name, first.by, first.since) == ("Maker", "anna", ANNA.at)
    assert file.stat().st_mode & 0o777 == 0o640
    assert trusting(stores, MAKER, "another name") == first
    with pytest.raises(SettingsError, match=r"another key .* trusted as 'Maker'"):
        trusting(stores, OTHER, "Maker")
    for name in ("", " ", "a\nb", "x" * 81):
        with pytest.raises(SettingsError, match="one printable line"):
            trusting(stores, OTHER, name)
    trusting(stores, OTHER, "Other")
    assert [k.key_id for k in Trust(stores.own).all_keys()] == sorted([MAKER_ID, OTHER_ID])


@pytest.mark.parametrize("key_id", ["0" * 16, "../active", "", "*"])
def test_a_key_that_is_not_trusted_cannot_be_removed(stores: Stores, key_id: str) -> None:
    with pytest.raises(SettingsError, match=f"is not trusted; trusted: {MAKER_ID}"):
        trust.remove(stores.own, key_id)


def exchanged(stores: Stores) -> str:
    """Another key under the id of a trusted one."""
    file = stores.own / trust.FOLDER / f"{MAKER_ID}.json"
    content = json.loads(file.read_text())
    return json.dumps({**content, "public_key": signature.raw(OTHER.public_key()).hex()})


@pytest.mark.parametrize("content", [lambda _: "", lambda _: "[" * 9999, exchanged])
def test_a_damaged_key_trusts_nobody(
    stores: Stores, model: Path, content: Callable[[Stores], str]
) -> None:
    file = stores.own / trust.FOLDER / f"{MAKER_ID}.json"
    file.write_text(content(stores))

    assert refused(model, stores) is Problem.KEY


def test_a_key_is_not_trusted_under_another_one_s_file(stores: Stores, tmp_path: Path) -> None:
    folder = signed(store_cases.made(tmp_path / "new", "1.0.0"), OTHER)
    keys = stores.own / trust.FOLDER
    shutil.copy(keys / f"{MAKER_ID}.json", keys / f"{OTHER_ID}.json")

    assert refused(folder, stores) is Problem.KEY
