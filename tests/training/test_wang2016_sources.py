"""What wang2016 learns from real masses beside phantoms, and whether the source tells the class."""

from pathlib import Path

import numpy as np
import pytest

from cadnode.detect.features import FEATURE_NAMES
from cadnode.domain import Acquisition, Box
from cadnode.models import store
from cadnode.models.card import FeatureCard
from cadnode_training.data.sets.phantom_rois import PhantomSource
from cadnode_training.papers.wang2016 import by_source, data, evaluate, phantom_regions, train
from cadnode_training.papers.wang2016.autoencoder import AutoencoderRecipe
from cadnode_training.papers.wang2016.phantom_regions import PhantomRegion
from cadnode_training.papers.wang2016.table import FeatureTable
from tests.training import film_layouts

QUICK = AutoencoderRecipe(pretrain_updates=2, updates=5, members=2)
SIZE = 160


def toy_phantom(source: PhantomSource, content: str, part: str, number: int) -> PhantomRegion:
    """In the place of a phantom's region: bright dots on noise, three of four malignant."""
    rng = np.random.default_rng([len(content), len(part), number])
    image = rng.normal(0.4, 0.01, (SIZE, SIZE)).astype(np.float32)
    malignant = number % 4 > 0
    for row, col in rng.integers(50, 110, (4 + 4 * malignant, 2)):
        image[row : row + 4, col : col + 4] += 0.3
    box, film = Box(20, 20, 140, 140), Acquisition.FILM
    return PhantomRegion(image.clip(0, 1), box, film, malignant, 0.9 if malignant else 0.1)


def table(malignant: list[bool], keys: list[str]) -> FeatureTable:
    """A region a row with the number of calcifications; phantoms by keys with three colons."""
    labels = np.array(malignant)
    p = np.array([0.5 if key.count(":") == 3 else np.nan for key in keys])
    numbers = np.array([[0.0], [3.0]] * (len(keys) // 2))
    return FeatureTable("toy", ("calc_number",), numbers, labels, p, np.array(keys))


CLUSTERS = [f"0:test:cluster:{n}" for n in range(4)]
WOMEN = ["a", "b", "c", "d"]


def test_the_source_alone_tells_nothing_where_the_shares_are_equal() -> None:
    equal = table([True, True, False, False] * 2, WOMEN + CLUSTERS)
    # Of the real ones a quarter is malignant, of the phantoms three: (3·3 + ½·6) / 16.
    unequal = table([True, False, False, False, True, True, True, False], WOMEN + CLUSTERS)

    assert by_source.alone(equal) == 0.5
    assert by_source.alone(unequal) == 0.75
    assert by_source.alone(equal.rows([0, 1])) is None


def test_each_source_has_an_auc_of_its_own() -> None:
    # Given scores that are right of the real regions and wrong of the phantoms
    both = table([True, True, False, False] * 2, WOMEN + CLUSTERS)
    scores = np.array([0.9, 0.8, 0.3, 0.2, 0.2, 0.3, 0.8, 0.9])

    real, clusters = by_source.within(both, {"sae": scores})

    assert (real["source"], clusters["source"]) == ("real regions", "phantom clusters")
    assert [part["rows"][0]["auc"] for part in (real, clusters)] == [1, 0]
    assert real["share"] == real["rows"][0]["n_pos"] / 4 == 0.5
    assert real["rows"][0]["mean"] == 0.55
    assert by_source.within(both.rows([0, 1, 2, 3]), {"sae": scores[:4]}) == []


def test_regions_with_calcifications_found_are_measured_apart() -> None:
    found = by_source.by_what_is_found(
        table([True, True, False, False], WOMEN), np.array([0.1, 0.9, 0.6, 0.4])
    )

    assert {row["stratum"]: row["auc"] for row in found} == {
        "calcifications segmented": 1, "no calcifications segmented": 0,
    }  # fmt: skip


def test_rows_of_the_commoner_class_are_dropped_until_the_share_is_met() -> None:
    drawn = table([True, True, True, False] * 5, [f"0:train:cluster:{n}" for n in range(20)])

    even = drawn.with_share(0.5)

    assert (len(even), int(even.malignant.sum())) == (10, 5)
    assert even.women.tolist()[:2] == ["0:train:cluster:0", "0:train:cluster:1"]
    assert len(drawn.with_share(0)) == len(drawn)


def test_beside_real_masses_a_phantom_has_calcifications_as_often_as_in_the_paper() -> None:
    beside = phantom_regions.counts("both", 779, beside_real=True)

    assert beside == {"cluster": 623, "pair": 156}
    assert phantom_regions.counts("masses", 7, beside_real=True) == {"mass": 7}


def test_both_is_trained_on_real_masses_and_phantoms_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phantom_regions, "draw", toy_phantom)
    monkeypatch.setattr("cadnode_training.papers.wang2016.rivals.COSTS", (1.0,))
    monkeypatch.setattr("cadnode_training.papers.wang2016.rivals.GAMMAS", (0.3,))
    real = f"cbis-mass-rois:{film_layouts.cbis_masses(tmp_path, women=14)}"
    out = tmp_path / "out"

    previewed = train.preview(f"{real},phantom:30/15/15", out, scenario="both", folds=0)
    result = train.run(
        f"{real},phantom:30/15/15", out, scenario="both", recipe=QUICK, folds=0, quiet=True
    )

    # Then phantoms have no mass alone, and are malignant as often as the real masses
    drawn = next(count for count in previewed.counts if count.data.startswith("phantom"))
    assert {name.split(",")[0] for name in drawn.classes} == {"clusters", "pairs"}
    masses, phantoms = data.part_tables(
        f"{real},phantom:30/15/15", "both", "train", out / "features"
    )
    assert set(by_source.sources(phantoms)) == {"phantom clusters", "phantom masses with clusters"}
    assert phantoms.malignant.mean() == pytest.approx(masses.malignant.mean(), abs=0.12)
    (model,) = result["models"]
    assert model["source_alone"] == pytest.approx(0.5, abs=0.06)

    # And the card says what the calcifications are, and measures each source by itself; the toy's
    # real test part is benign
    card = store.read_card(Path(model["folder"]))
    assert isinstance(card, FeatureCard)
    assert card.features == FEATURE_NAMES["both"]
    assert card.limits[0].startswith("The calcification half is phantom")
    assert {m.name for m in card.metrics if "SVM" in m.name} == {
        "AUC, SVM, test part, phantom clusters",
        "AUC, SVM, test part, phantom masses with clusters",
    }

    # And it is measured on women it never saw, the others beside
    measured = evaluate.run(real, model=Path(model["folder"]), scenario="both")
    assert [row["classifier"] for row in measured["rows"]] == ["sae", "svm", "knn", "lda"]
    assert measured["women_left_out_as_seen_in_training"] > 0
