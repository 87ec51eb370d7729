"""`cadnode models recalibrate`: operating points refitted; weights and packaged cards untouched."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cadnode.domain import System
from cadnode.models import store
from cadnode.models.card import CnnCard, DibMgCard, FeatureCard
from cadnode.models.ensemble import curve
from cadnode.models.loading import load_view_model
from cadnode_training.data.sources import open_source
from cadnode_training.data.views import part_of
from cadnode_training.papers.kim2018 import train
from tests.training import toy
from tests.training.models_command import as_json, config_in, run
from tests.unit import store_cases

DIGITAL, FILM = "dib-mg-digital", "dib-mg-film"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A trained digital and film model, and their data."""
    root = tmp_path_factory.mktemp("toys")
    rsna, ddsm = toy.rsna_views(root / "rsna", 40), toy.ddsm_exams(root / "ddsm", 40)
    data = {DIGITAL: f"rsna-views:{rsna}", FILM: f"ddsm-exams:{ddsm}"}
    train.run(list(data.values()), root / "trained", config=toy.recipe(root), quiet=True)
    return {"data": data, "trained": root / "trained"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return config_in(tmp_path)


def own(config: Path) -> Path:
    return config.parent / "data" / "models"


def tampered(trained: Path, root: Path, name: str) -> Path:
    """The trained model with an operating point and a calibration that no data gave it."""
    source, folder = trained / name / "1.0.0", root / name / "1.0.0"
    card = store.read_card(source)
    wrong = card.calibration.model_copy(update={"slope": 9.0, "intercept": -3.0})
    folder.mkdir(parents=True)
    for file in (store.WEIGHTS, store.SPLIT):
        (folder / file).write_bytes((source / file).read_bytes())
    (folder / store.CARD).write_text(
        card.model_copy(update={"calibration": wrong}).model_dump_json()
    )
    return folder


def above(name: str, by: int = 1) -> str:
    """The next version of a trained toy: packaged models of its name count as well."""
    packaged = [f.name for f in store.folders(store.PACKAGED) if f.parent.name == name]
    major, minor, patch = max(map(store.version_key, ["1.0.0", *packaged]))
    return f"{major}.{minor}.{patch + by}"


def tree(folder: Path) -> dict[str, str]:
    return {
        str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in sorted(folder.rglob("*"))
        if f.is_file()
    }


@pytest.mark.parametrize("name", [DIGITAL, FILM])
def test_it_fits_what_training_fitted(
    toys: dict[str, Any], config: Path, tmp_path: Path, name: str
) -> None:
    """Training kept its views as bytes: thresholds agree within what a grey level moves."""
    run(config, "add", tampered(toys["trained"], tmp_path / "new", name), "--activate")

    (row,) = as_json(config, "recalibrate", name, "--data", toys["data"][name])["models"]

    trained = store.read_card(toys["trained"] / name / "1.0.0")
    new = store.read_card(Path(row["folder"]))
    assert isinstance(trained, DibMgCard)
    assert isinstance(new, DibMgCard)
    assert row["old"]["calibration"]["slope"] == 9.0
    assert new.calibration.slope == pytest.approx(trained.calibration.slope, rel=0.05)
    assert new.breast.slope == pytest.approx(trained.breast.slope, rel=0.05)
    assert new.roc.at().threshold == pytest.approx(trained.roc.at().threshold, abs=0.02)
    assert (new.exam is None) == (trained.exam is None)
    assert row["new"]["operating_points"]["breast"]["youden"]["threshold"] == (
        new.roc.at().threshold
    )


def test_the_new_version_has_the_old_weights_and_is_not_active(
    toys: dict[str, Any], config: Path
) -> None:
    run(config, "add", toys["trained"], "--activate")
    before = tree(own(config))

    text = run(config, "recalibrate", DIGITAL, "--data", toys["data"][DIGITAL]).stdout

    after = tree(own(config))
    new = {file for file in after if file not in before}
    version = above(DIGITAL)
    assert new == {f"{DIGITAL}/{version}/card.json", f"{DIGITAL}/{version}/split.json"}
    assert {f: s for f, s in after.items() if f in before and f != "active.json"} == {
        f: s for f, s in before.items() if f != "active.json"
    }
    listed = {m["name"]: m["version"] for m in as_json(config, "list")["models"] if m["active"]}
    assert listed[DIGITAL] == "1.0.0"
    assert f"cadnode models activate {DIGITAL}@{version}" in " ".join(text.split())

    run(config, "activate", f"{DIGITAL}@{version}")
    run(config, "verify", DIGITAL)
    loaded = load_view_model(own(config) / DIGITAL / version)
    assert loaded.card.recalibrated is not None
    assert loaded.card.recalibrated.base == "1.0.0"
    assert loaded.card.recalibrated.command == (
        f"cadnode models recalibrate {DIGITAL} --data rsna-views:rsna"
    )


def test_versions_count_up(toys: dict[str, Any], config: Path) -> None:
    run(config, "add", toys["trained"], "--activate")
    command = ("recalibrate", DIGITAL, "--data", toys["data"][DIGITAL])

    made = [as_json(config, *command)["models"][0]["to_version"] for _ in range(2)]

    assert made == [above(DIGITAL), above(DIGITAL, 2)]


def test_a_dry_run_changes_nothing(toys: dict[str, Any], config: Path, tmp_path: Path) -> None:
    run(config, "add", toys["trained"], "--activate")
    before = tree(tmp_path)

    printed = as_json(config, "recalibrate", DIGITAL, "--data", toys["data"][DIGITAL], "--dry-run")
    run(
        config, "recalibrate", DIGITAL, "--data", toys["data"][DIGITAL], "--dry-run",
        "--out", tmp_path / "elsewhere",
    )  # fmt: skip

    assert printed["dry_run"] is True
    assert printed["models"][0]["folder"] is None
    assert tree(tmp_path) == before


def test_every_active_model_takes_the_data_that_it_reads(
    toys: dict[str, Any], config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, "add", toys["trained"], "--activate")
    for name in ("kang2021-inception-v3", "helsinki-resnext50"):
        run(config, "deactivate", name)
    out = tmp_path / "out"

    result = run(
        config, "recalibrate", "--data", toys["data"][FILM], "--data", toys["data"][DIGITAL],
        "--out", out,
    )  # fmt: skip

    written = {f"{f.parent.name}@{f.name}" for f in store.folders(out)}
    assert {f"{DIGITAL}@{above(DIGITAL)}", f"{FILM}@{above(FILM)}"} == written
    assert "left as it is" in result.output
    assert {store.read_card(f).recalibrated.base for f in store.folders(out)} == {"1.0.0"}


def test_women_of_the_training_are_not_used_and_those_used_count_as_seen(
    toys: dict[str, Any], config: Path
) -> None:
    run(config, "add", toys["trained"], "--activate")
    base = own(config) / DIGITAL / "1.0.0"
    split = store.read_split(base)
    moved = split["validation"].pop()  # a woman whom the card no longer lists
    trained = split["train"].pop()
    trained_woman = split["validation"].pop(0)
    split["train"].append(trained_woman)
    (base / store.SPLIT).write_text(json.dumps(split))

    as_json(config, "recalibrate", DIGITAL, "--data", toys["data"][DIGITAL])

    new = store.read_split(own(config) / DIGITAL / above(DIGITAL))
    records = open_source(toys["data"][DIGITAL]).records
    keys = {store.woman_key(r.dataset, r.woman) for r in records}
    assert new["train"] == split["train"]
    assert moved in new["validation"]
    assert trained_woman not in new["validation"]
    assert trained not in new["validation"]
    assert set(new["validation"]) <= {k for k in keys if part_of(k) == "validation"}


@pytest.mark.parametrize("where", ["own store", "--out"])
def test_packaged_cards_are_never_touched(
    toys: dict[str, Any], config: Path, tmp_path: Path, where: str
) -> None:
    """The packaged film model on the toy films; its new version goes elsewhere."""
    before, newest = tree(store.PACKAGED), store.folders(store.PACKAGED)
    packaged = next(f for f in store.available() if f.parent.name == FILM)
    out = ("--out", tmp_path / "out") if where == "--out" else ()
    root = tmp_path / "out" if where == "--out" else own(config)

    (row,) = as_json(config, "recalibrate", FILM, "--data", toys["data"][FILM], *out)["models"]

    assert tree(store.PACKAGED) == before
    assert store.folders(store.PACKAGED) == newest
    assert row["from_version"] == packaged.name
    assert Path(row["folder"]).parent.parent == root
    assert store.version_key(row["to_version"]) > store.version_key(packaged.name)
    card = store.read_card(Path(row["folder"]))
    assert store.blob(root, card.weights_sha256).is_file()
    assert card.weights_sha256 == store.read_card(packaged).weights_sha256
    assert any("fitted on ddsm-exams" in x or "Exams are told apart" in x for x in card.limits)


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        ((), 2, "--data KIND:PATH is needed"),
        (("nothing-like-it", "--data", "phantom:4"), 2, "there is no model"),
        (("toy-features", "--data", "nonsense:x"), 2, "there is no model"),
        ((DIGITAL, "--data", "pisa-masses:nowhere"), 2, "reads none of the data"),
        ((DIGITAL, "--data", "rsna-views:nowhere"), 2, ""),
    ],
)
def test_what_cannot_be_done_is_one_line(
    config: Path, arguments: tuple[str, ...], code: int, why: str
) -> None:
    result = run(config, "recalibrate", *arguments, code=code)

    assert why in " ".join(result.output.split())
    assert "Traceback" not in result.output


def cnns(root: Path) -> list[Path]:
    """Two members of kang2021, small and different."""
    folders = []
    for name, seed in (("toy-a", 0), ("toy-b", 1)):
        folder = store_cases.made_cnn(root / name)
        card = store.read_card(folder)
        _, state = store.read_weights(folder)
        torch.manual_seed(seed)
        state = {
            k: torch.rand_like(t) * 0.1 if t.dtype == torch.float32 and t.ndim > 1 else t
            for k, t in state.items()
        }
        renamed = card.model_copy(update={"name": name, "stored_as": "float32"})
        target = root / name / name / card.version
        store.save(target, renamed, state, store_cases.SPLIT)
        folders.append(target)
    return folders


def test_members_of_an_ensemble_get_what_its_own_curve_is_made_of(
    config: Path, tmp_path: Path
) -> None:
    for name in ("kang2021-inception-v3", "helsinki-resnext50"):
        run(config, "deactivate", name)
    for folder in cnns(tmp_path / "cnns"):
        run(config, "add", folder)

    printed = as_json(config, "recalibrate", "toy-a", "toy-b", "--data", "phantom:1/12/1")

    cards = [store.read_card(Path(row["folder"])) for row in printed["models"]]
    assert all(isinstance(c, CnnCard) and c.validation for c in cards)
    assert all(isinstance(c, CnnCard) and len(c.validation.scores) == 12 for c in cards)
    together = curve([c for c in cards if isinstance(c, CnnCard)])
    assert together is not None
    (row,) = printed["ensembles"]
    assert row["system"] == System.KANG2021.value
    assert row["members"] == ["toy-a", "toy-b"]
    assert "mean of the members' own" in row["old"]["youden"]["chosen"]
    assert row["new"]["youden"]["threshold"] == together.at().threshold


def test_a_feature_models_calibration_is_fitted_on_the_validation_part(
    config: Path, tmp_path: Path
) -> None:
    folder = store_cases.made_features(tmp_path / "features")
    run(config, "add", folder)

    (row,) = as_json(config, "recalibrate", "toy-features", "--data", "phantom:48")["models"]

    card = store.read_card(Path(row["folder"]))
    assert isinstance(card, FeatureCard)
    assert card.calibration.fitted_on.endswith("validation part: malignant against benign lesions")
    assert card.roc.n_pos + card.roc.n_neg == 12
    assert card.version == "0.0.2"
