"""The page of outcomes: figures with intervals, what is too little to show, what is not known."""

from dataclasses import replace

from cadnode.quality.performance import performances
from tests import quality_cases
from tests.quality_cases import drawn
from tests.unit import model_cases
from tests.web_cases import VIEWERS_TOKEN, Told, known, served

BEARER = {"Authorization": f"Bearer {VIEWERS_TOKEN}"}


def told(*, known_outcomes: bool = True) -> Told:
    exams = [*drawn("MG1", 800, cancers=0.2), *drawn("MG2", 9)]
    entries = quality_cases.read(model_cases.card(), exams)
    outcomes = quality_cases.outcomes(exams) if known_outcomes else {}
    return Told(outcomes=performances(entries, outcomes))


def test_the_page_shows_figures_with_intervals_and_warns_of_verification_bias() -> None:
    with served(told()) as client:
        page = client.get("/quality/outcomes").text
    assert "verification bias" in page
    assert "MG1, 1.9" in page
    assert "By month of reading" in page
    assert page.count("<svg") == 2
    row = page.split("MG2, 1.9")[1].split("</tr>")[0]
    assert row.count("–") == 5  # of nine exams nothing is shown but their number
    assert "None" not in page


def test_without_outcomes_the_page_states_how_they_are_imported() -> None:
    with served(replace(told(known_outcomes=False), n_waiting=2)) as client:
        page = client.get("/quality/outcomes").text
    assert "cadnode outcomes import FILE.csv" in page
    assert "the outcomes of 2 exams that have not come" in page
    with served(Told(outcomes=())) as client:
        assert "No exam has been read yet" in client.get("/quality/outcomes").text


def test_a_program_gets_the_figures_and_what_is_suppressed() -> None:
    with served(replace(told(), n_waiting=3), known()) as client:
        assert client.get("/api/quality/outcomes").status_code == 401
        answer = client.get("/api/quality/outcomes", **BEARER).json()
    (system,) = answer["systems"]
    assert answer["waiting"] == 3
    assert system["system"] == "kim2018"
    assert system["all"]["n_read"] == 809
    assert system["all"]["auc"]["auc_ci"][0] < system["all"]["auc"]["auc"]
    few = system["by_scanner"][1]
    assert few["suppressed"] == ["recall", "auc", "sensitivity", "specificity", "ppv"]


def test_a_node_that_keeps_none_says_so() -> None:
    with served(Told()) as client:
        assert client.get("/quality/outcomes").status_code == 503
