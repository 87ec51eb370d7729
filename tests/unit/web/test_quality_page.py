"""The page of quality: what it says of scanners, and that nothing is said before the first look."""

from datetime import timedelta

from cadnode.quality.overview import overview_of
from cadnode.quality.series import rows_of
from tests.drift_cases import BEGUN, MG2, RULE, exams
from tests.web_cases import Told, served


def told() -> Told:
    entries = [*exams(400), *exams(300, 400, shift=1.5), *exams(30, 700, scanner=MG2)]
    return Told(quality=overview_of(rows_of(entries), RULE, BEGUN + timedelta(days=35)))


def test_a_scanner_that_drifts_is_shown_with_what_to_do() -> None:
    with served(told()) as client:
        page = client.get("/quality").text
        german = client.get("/quality", **{"Accept_Language": "de"}).text
        found = client.get("/api/quality").json()
    assert "HOLOGIC SELENIA DIMENSIONS MG1" in page
    assert "Ask who maintains the scanner what changed" in page
    assert "rose from" in page
    assert page.count("<svg") == 2
    assert "95 % interval" in page
    assert "verschiebt sich" in german
    first, second = found["scanners"]
    assert (first["state"], second["state"]) == ("drifts", "too_few")
    (system,) = first["systems"]
    assert system["positions"][0]["psi"] > 0.25
    assert system["drifts_since"] > "2026-01-20"
    assert second["systems"][0]["exams_wanted"] == 250


def test_before_the_first_look_nothing_is_claimed() -> None:
    with served(Told()) as client:
        page = client.get("/quality")
        found = client.get("/api/quality").json()
    assert page.status_code == 200
    assert "No exam has been read yet" in page.text
    assert (found["scanners"], found["made_at"]) == ([], None)
