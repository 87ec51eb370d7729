"""The short form of the fuzzer: the corpus again, a few new inputs for each target, no finding."""

import pytest

from tests.fuzz import corpus
from tests.fuzz.engine import Plan, causes, fuzz
from tests.fuzz.minimise import reduced
from tests.fuzz.oracles import slope
from tests.fuzz.registry import all_targets

SECONDS = 2.0  # of one target, beside its start
INPUTS = 300


@pytest.mark.parametrize("name", all_targets())
def test_no_input_causes_what_is_not_documented(name: str) -> None:
    known = {one.signature for one in corpus.reproducers()}
    given = corpus.inputs_of(name)
    outcome = fuzz(all_targets()[name], Plan(len(given) + INPUTS, 20, given, SECONDS))
    new = {s: f.detail for s, f in outcome.findings.items() if s not in known}
    assert not new, "\n\n".join(f"{signature}\n{detail}" for signature, detail in new.items())
    assert outcome.inputs >= 1


def test_what_is_known_and_open_is_listed_with_whose_it_is_and_still_found() -> None:
    """Remove a reproducer from findings.json, and move its file to the corpus, once it passes."""
    known = corpus.reproducers()
    unexplained = [one.path.name for one in known if not one.note]
    assert not unexplained, "say in findings.json what is wrong, and where"
    targets = all_targets()
    passed = [
        one.path.name for one in known if causes(targets[one.target], one.path.read_bytes()) is None
    ]
    assert not passed, "mended: move them to the corpus"


def test_the_corpus_is_small_and_of_targets_that_there_are() -> None:
    files = [path for path in corpus.FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1 << 20
    folders = {path.name for path in corpus.FOLDER.iterdir() if path.is_dir()}
    assert folders <= {*all_targets(), "findings"}


def test_the_same_seed_makes_the_same_inputs() -> None:
    one, other = (fuzz(all_targets()["multipart"], Plan(400, seed=3)) for _ in range(2))
    assert (one.kept, one.curve) == (other.kept, other.curve)


def test_an_input_is_reduced_to_what_its_finding_needs() -> None:
    data = b"a" * 500 + b"BUG" + b"b" * 500
    assert reduced(data, lambda shorter: b"BUG" in shorter, 10, 5000) == b"BUG"


def test_growth_is_the_slope_by_least_squares() -> None:
    assert slope([(0, 10), (10, 30), (20, 50)]) == pytest.approx(2.0)
    assert slope([(0, 10), (10, 10)]) == 0.0
