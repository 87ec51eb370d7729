"""`cadnode models age-prior`: a prior by age as an admin fits it, on a toy set with ages."""

import csv
from pathlib import Path

import pytest
import torch

from cadnode.models import store
from cadnode_training.data.sources import open_source
from cadnode_training.data.views import part_of
from tests.training import toy
from tests.training.models_command import as_json, config_in, run

DIGITAL = "dib-mg-digital"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Women with a cancer are five years older than the others; one's age is not stated."""
    torch.set_num_threads(1)
    folder = toy.rsna_views(tmp_path_factory.mktemp("age") / "rsna", 48)
    file = folder / "views.csv"
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        woman = int(row["woman"])
        row["age"] = str(50.0 + woman * 7 % 20 + 5 * int(row["cancer"])) if woman else ""
    with file.open("w", newline="") as lines:
        table = csv.DictWriter(lines, toy.RSNA_COLUMNS)
        table.writeheader()
        table.writerows(rows)
    return f"rsna-views:{folder}"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return config_in(tmp_path)


def active(config: Path) -> str:
    listed = as_json(config, "list")["models"]
    (version,) = [m["version"] for m in listed if m["name"] == DIGITAL and m["active"]]
    return str(version)


def fitted_on(data: str) -> tuple[int, int]:
    """Women of known age outside of the test part, and how many of them have a cancer."""
    records = [r for r in open_source(data).records if dict(r.facts)["age"]]
    used = [r for r in records if part_of(store.woman_key(r.dataset, r.woman)) != "test"]
    return len({r.woman for r in used}), len({r.woman for r in used if r.cancer})


def test_a_new_version_has_the_prior_and_the_old_weights(data: str, config: Path) -> None:
    packaged = next(folder for folder in store.available() if folder.parent.name == DIGITAL)

    row = as_json(config, "age-prior", DIGITAL, "--data", data)

    old, new = store.read_card(packaged), store.read_card(Path(row["folder"]))
    assert store.version_key(new.version) > store.version_key(old.version)
    assert new.weights_sha256 == old.weights_sha256 == row["sha256"]
    prior = new.model_dump(mode="json")["age_prior"]
    assert prior == row["age_prior"]
    assert prior["per_decade"] > 0
    assert (prior["n_women"], prior["n_cancer"]) == fitted_on(data)
    assert {m["unit"] for m in prior["metrics"]} == {"breasts", "exams"}
    assert active(config) == old.version, "nothing is put to use"


def test_a_dry_run_shows_it_and_writes_nothing(data: str, config: Path) -> None:
    shown = run(config, "age-prior", DIGITAL, "--data", data, "--dry-run").output

    assert "log-odds = " in shown
    assert "nothing was changed" in shown
    assert not list((config.parent / "data" / "models").rglob("card.json"))


@pytest.mark.parametrize(
    ("name", "data_of", "code", "why"),
    [
        (DIGITAL, "rsna-views:nowhere", 2, "nowhere"),
        ("dib-mg-film", "rsna", 2, "digital views alone"),
        ("wang2016-masses", "rsna", 4, "no DIB-MG model"),
        ("nothing-like-it", "rsna", 2, "there is no model"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    data: str, config: Path, name: str, data_of: str, code: int, why: str
) -> None:
    given = data if data_of == "rsna" else data_of
    output = run(config, "age-prior", name, "--data", given, code=code).output

    assert why in " ".join(output.split())
    assert "Traceback" not in output
