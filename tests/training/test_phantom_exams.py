"""`phantom:…` as exams: drawn once, parts disjoint, labels of breasts."""

from itertools import islice
from pathlib import Path

import pytest

from cadnode.domain import Acquisition
from cadnode.errors import DataError
from cadnode.models.store import woman_key
from cadnode_training.data import sources
from cadnode_training.data.sets import phantom_exams
from cadnode_training.data.sets.phantom_exams import PhantomExams, parse
from cadnode_training.data.views import part_of


def test_sizes_are_a_name_a_number_or_three_and_may_have_a_seed() -> None:
    assert parse("phantom:small").sizes == (100, 40, 60)
    assert parse("phantom:50") == PhantomExams((50, 20, 20))
    assert parse("phantom:50", only_test=True).sizes == (50, 20, 50)
    assert parse("phantom:5/6/7@2") == PhantomExams((5, 6, 7), 2_000_000)


@pytest.mark.parametrize("text", ["phantom:", "phantom:0", "phantom:1/2", "phantom:tiny@x"])
def test_what_is_no_phantom_of_exams_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="phantom:NAME"):
        parse(text)


def test_a_part_has_the_women_that_any_training_puts_there() -> None:
    small, large = PhantomExams((5, 5, 5)), PhantomExams((50, 50, 50))

    for part in phantom_exams.PARTS:
        seeds = list(small.seeds(part))
        assert {part_of(woman_key("phantom", str(seed))) for seed in seeds} == {part}
        assert seeds == list(islice(large.seeds(part), 5))


def test_exams_are_drawn_once_and_every_breast_has_a_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    drawn = sources.open_source("phantom:1/1/1")
    monkeypatch.setattr(phantom_exams.phantom, "exam", lambda *_, **__: pytest.fail("drawn again"))

    again = sources.open_source("phantom:1/1/1")
    test = sources.open_source("phantom:1", only_test=True)

    assert drawn.records == again.records
    assert drawn.acquisition == Acquisition.FILM
    assert len(drawn.records) == 12
    assert {r.breast for r in test.records} <= {r.breast for r in drawn.records}
    image = sources.load(drawn.records[0])
    assert image is not None
    assert image.shape == (656, 547)
    assert 0.3 < image.max() <= 1
