"""Two models on the same cases, against worked examples and the whole way to the page."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cadnode.domain import Box
from cadnode.errors import DataError, SettingsError
from cadnode.models import store
from cadnode.registry.comparison import read_evidence
from cadnode.statistics.auc import delong_test
from cadnode.statistics.binary import Measure
from cadnode_training.data.rois import RoiRecord
from cadnode_training.papers.roi_cnn import evaluate as rois_evaluate
from cadnode_training.papers.wang2016.table import FeatureTable
from cadnode_training.results import comparison_page, reading, report
from cadnode_training.results.compare import as_dict, compare, reclassified
from cadnode_training.results.gallery import CasePicture, Group
from cadnode_training.results.scored import Scored
from cadnode_training.statistics import resample
from cadnode_training.statistics.froc import ImageMarks, froc
from tests.training import score_cases, toy
from tests.unit import store_cases


def sides(cases: Scored) -> tuple[Scored, Scored]:
    one, other = cases.scorers
    return cases.only(one.spec), cases.only(other.spec)


def test_pencinas_example_of_reclassification() -> None:
    # Pencina 2008, section 5: HDL in the Framingham study. Of 183 events 29 move up and 7 down; of
    # 3081 others 173 up and 174 down: NRI 0.121, z = 3.616, p < 0.001.
    a = [False] * 29 + [True] * 7 + [True] * 147 + [False] * 173 + [True] * 174 + [False] * 2734
    b = [True] * 29 + [False] * 7 + [True] * 147 + [True] * 173 + [False] * 174 + [False] * 2734
    labels = np.array([True] * 183 + [False] * 3081)

    found = reclassified(labels, np.array(a), np.array(b))

    assert round(found.nri, 3) == 0.121
    assert round(found.z, 3) == 3.616
    assert found.p < 0.001
    assert (found.positives.up, found.positives.down) == (29, 7)
    assert (found.negatives.up, found.negatives.down) == (173, 174)


def test_the_net_reclassification_is_what_sensitivity_and_specificity_gain() -> None:
    found = compare(*sides(score_cases.drawn()), replicates=50)

    for measure, net in (
        (Measure.SENSITIVITY, found.moves.nri_positives),
        (Measure.SPECIFICITY, found.moves.nri_negatives),
    ):
        a, b, _ = found.shares[measure]
        assert net == pytest.approx((b.value or 0) - (a.value or 0))


def test_the_difference_is_b_less_a_and_delongs() -> None:
    cases = score_cases.drawn()
    found = compare(*sides(cases), replicates=200)

    expected = delong_test(cases.labels, cases.scores("b"), cases.scores("a"))
    assert found.whole.delong == expected
    assert found.whole.value == pytest.approx(expected.value)
    assert found.whole.ci is not None
    assert found.whole.ci[0] < expected.value < found.whole.ci[1]
    assert found.whole.value is not None
    assert found.whole.value < 0  # b has more noise


def test_a_model_does_not_differ_from_its_twin() -> None:
    labels, values = [True, False] * 10, [0.8, 0.2] * 8 + [0.3, 0.7] * 2
    found = compare(*sides(score_cases.made(labels, {"a": values, "b": values})), replicates=20)

    assert (found.whole.value, found.whole.ci) == (0.0, (0.0, 0.0))
    assert found.whole.delong is not None
    assert found.whole.delong.p == 1.0
    assert (found.moves.nri, found.moves.z, found.moves.p) == (0.0, 0.0, 1.0)


def test_strata_are_separate_and_one_without_a_class_has_no_difference() -> None:
    # In X b turns the order round, in Y both are right, in Z there is no negative.
    labels = [True, True, False, False] * 2 + [True]
    a = [0.9, 0.8, 0.2, 0.1] * 2 + [0.9]
    b = [0.1, 0.2, 0.8, 0.9, 0.9, 0.8, 0.2, 0.1, 0.9]
    facts = [{"vendor": v} for v in "XXXXYYYYZ"]
    found = compare(*sides(score_cases.made(labels, {"a": a, "b": b}, facts=facts)), replicates=50)

    assert {d.stratum: d.value for d in found.strata} == {"X": -1.0, "Y": 0.0, "Z": None}
    assert [(d.n_pos, d.n_neg) for d in found.strata] == [(2, 2), (2, 2), (1, 0)]


def test_a_womans_many_cases_widen_the_interval() -> None:
    cases = score_cases.drawn(60)
    labels, women = cases.labels.tolist(), [str(i) for i in range(60)]
    columns = {n: cases.scores(n).tolist() for n in "ab"}
    once = score_cases.made(labels, columns, women=women)
    four = score_cases.made(labels * 4, {n: v * 4 for n, v in columns.items()}, women=women * 4)

    widths = []
    for one in (once, four):
        ci = compare(*sides(one), replicates=300).whole.ci
        assert ci is not None
        widths.append(ci[1] - ci[0])

    assert widths[1] == pytest.approx(widths[0], rel=0.05)


def test_other_cases_or_another_truth_are_refused() -> None:
    a = score_cases.made([True, False], {"a": [0.1, 0.2]})
    with pytest.raises(DataError, match="same cases"):
        compare(a, score_cases.made([True, False, False], {"b": [0.1, 0.2, 0.3]}))
    all_positive = [score_cases.made([True, True], {n: [0.1, 0.2]}) for n in "ab"]
    with pytest.raises(DataError, match="positive and negative"):
        compare(*all_positive)
    with pytest.raises(DataError, match="no cut-off"):
        compare(a, score_cases.made([True, False], {"b": [0.1, 0.2]}), choice="sensitivity=0.8")


def test_the_json_is_evidence_for_a_promotion(tmp_path: Path) -> None:
    found = compare(*sides(score_cases.drawn()), replicates=50)
    file = tmp_path / "compare.json"
    written = as_dict(found)
    for letter in "ab":
        written[letter]["sha256"] = letter * 64
    file.write_text(json.dumps(written))

    evidence, _ = read_evidence(file)

    assert (evidence.a.spec, evidence.b.spec) == ("a@1.0.0", "b@1.0.0")
    assert evidence.whole.difference == round(found.whole.value or 0, 4)
    assert len(evidence.strata) == len(found.strata) == 2 + 4


def test_pages_stand_alone(tmp_path: Path) -> None:
    cases = score_cases.drawn(40)
    comparison_page.write(tmp_path / "c.html", compare(*sides(cases), replicates=50))
    picture = CasePicture(np.zeros((32, 24), np.float32), lesion=Box(1, 1, 9, 9))
    extras = report.Extras(
        frocs={"clusters": froc([ImageMarks("w", (0.9, 0.3), (0.5,), True)])},
        features={"size": cases.scores("a"), "noise": cases.scores("b")},
        gallery=[Group("true positives: 1 of 1", ((picture, "surest: 0.90"),))],
        beside={"Retrained": cases},
    )
    report.write(tmp_path / "r.html", cases, report.System.KANG2021, extras=extras)

    for name, wanted in (("c.html", 3), ("r.html", 6)):
        text = (tmp_path / name).read_text()
        assert text.count("<svg") >= wanted
        assert not re.findall(r'(?:src|href)="(?!data:)', text)
        assert "&lt;svg" not in text
        assert "nan" not in re.findall(r'points="([^"]*)"', text)
    assert "true positives: 1 of 1" in text
    assert "Retrained" in text
    assert "paper: Xception" in text


def test_the_sentence_states_when_no_difference_is_proven() -> None:
    labels, values = [True, False] * 10, [0.8, 0.2] * 8 + [0.3, 0.7] * 2
    twins = compare(*sides(score_cases.made(labels, {"a": values, "b": values})), replicates=20)

    assert "is compatible with none" in comparison_page.sentence(twins)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], str]:
    """Two versions of a toy that reads views, and a toy data folder."""
    root = tmp_path_factory.mktemp("models")
    made = [store_cases.made(root, f"0.0.{n}", seed=n) for n in (1, 2)]
    return made, f"rsna-views:{toy.rsna_views(root / 'rsna', 16)}"


def test_view_models_are_read_on_the_same_breasts(folders: tuple[list[Path], str]) -> None:
    models, data = folders

    found = reading.score(models, data)

    # Of 16 women every second has cancer and one breast, the others have two.
    assert len(found) == 8 + 16
    assert found.labels.sum() == 8
    assert [s.spec for s in found.scorers] == ["toy@0.0.1", "toy@0.0.2"]
    assert found.values("machine") == ("21", "29")
    assert (found.scores("toy@0.0.1") != found.scores("toy@0.0.2")).any()
    assert found.scorers[0].sha256 == store.read_card(models[0]).weights_sha256
    assert compare(*sides(found), replicates=20).whole.n_women == 16


def test_a_woman_whom_one_model_has_seen_is_left_out_for_both(
    folders: tuple[list[Path], str], tmp_path: Path
) -> None:
    models, data = folders
    seen = store.woman_key("rsna-views", "0")
    other = store_cases.made(tmp_path, "0.0.3", seed=3)
    (other / store.SPLIT).write_text(json.dumps({"train": [seen], "validation": []}))

    found = reading.score([models[0], other], data)

    assert len(found) == 7 + 16
    assert seen not in set(found.women)


def test_models_of_different_kinds_cannot_be_compared(
    folders: tuple[list[Path], str], tmp_path: Path
) -> None:
    models, data = folders
    with pytest.raises(SettingsError, match="one kind"):
        reading.score([models[0], store_cases.made_features(tmp_path)], data)
    with pytest.raises(SettingsError, match="evaluate detection"):
        reading.score([store_cases.made_detector(tmp_path)], data)


def test_no_replicate_without_a_class_counts() -> None:
    # Two women: in one draw of two there is no negative.
    labels, values = np.array([True, False]), np.array([0.9, 0.1])
    area = resample.weighted_auc(labels, values)

    found = [area(w) for w in resample.drawn(["a", "b"], replicates=100)]

    assert {None, 1.0} == set(found)


def test_feature_models_and_their_rivals_score_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, labels = np.random.default_rng(0), np.array([True, False] * 4)
    folder = store_cases.made_features(tmp_path)
    names = store.read_card(folder).features
    table = FeatureTable(
        "phantom:8", names, rng.random((8, 2)), labels, labels * 1.0, np.arange(8).astype(str)
    )
    monkeypatch.setattr(reading.feature_data, "part_table", lambda *_: table)

    found = reading.with_rivals([folder], "phantom:8")

    # The toy has no classifiers beside its autoencoder.
    assert [s.spec for s in found.scorers] == ["toy-features@0.0.1"]
    assert found.labels.tolist() == labels.tolist()
    assert len(set(found.women)) == 8
    assert ((found.scores("toy-features") > 0) & (found.scores("toy-features") < 1)).all()


def test_several_networks_are_scored_with_their_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [store_cases.made_cnn(tmp_path / "a"), store_cases.made_cnn(tmp_path / "b")]
    card = store.read_card(folders[1])
    text = card.model_copy(update={"version": "0.0.9"}).model_dump_json()
    (folders[1] / store.CARD).write_text(text)
    reads = [
        rois_evaluate.RoiRead(RoiRecord(str(n), n % 2 == 0, "digital"), np.array([0.2, 0.1 * n]))
        for n in range(4)
    ]
    monkeypatch.setattr(rois_evaluate, "read_rois", lambda *_: reads)

    found = reading.with_rivals(folders, "phantom:4")

    assert [s.name for s in found.scorers] == [card.name, card.name, "ensemble"]
    assert found.scores("ensemble").tolist() == pytest.approx([0.1, 0.15, 0.2, 0.25])
    member, mean = found.scorers[0].cutoff(), found.scorers[2].cutoff()
    assert member is not None
    assert mean is not None
    assert mean.threshold == member.threshold
    assert found.values("acquisition") == ("digital",)
