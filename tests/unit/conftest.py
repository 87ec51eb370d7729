"""Settings of the unit tests."""

import pytest

from cadnode.exam import eligibility


@pytest.fixture(autouse=True)
def _small_mammograms(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of some dozen pixels stand for whole views, but where their size is what is tested."""
    if request.module.__name__.rpartition(".")[2] not in ("test_kind", "test_eligibility"):
        monkeypatch.setattr(eligibility, "SMALLEST_PX", (1, 1))
        monkeypatch.setattr(eligibility, "SMALLEST_MM", 0.0)
