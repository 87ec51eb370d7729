"""Regions that are asked about by HTTP: what is taken, what is refused, and what is shown."""

from dataclasses import replace
from typing import Any

import pytest

from cadnode.audit.event import Action
from cadnode.web.regions import MOST_POINTS, RegionList, RegionRefused
from tests.web_cases import (
    ASKED,
    ASSESSED,
    KEY,
    SQUARE,
    UID,
    VIEW,
    VIEWERS_TOKEN,
    Told,
    Trail,
    known,
    served,
)

BOX = {"view": VIEW, "box": [100, 200, 180, 260]}
API = f"/api/studies/{UID}/regions"
PAGE = f"/studies/{UID}/regions"


def test_a_box_is_taken_once_and_named_so_that_its_answer_can_be_found() -> None:
    told = Told()
    with served(told) as client:
        first = client.post(API, BOX)
        again = client.post(API, BOX)
        listed = client.get(API).json()
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == ASKED.identifier
    assert (first.json()["state"], first.json()["worker"]) == ("waiting", "running")
    assert told.asked[0][1].points == SQUARE
    assert listed["regions"][0]["box"] == BOX["box"]
    assert listed["views"] == [{"view": VIEW, "name": "L CC"}]


def test_a_box_drawn_from_its_lower_right_corner_is_the_same_box() -> None:
    told = Told()
    with served(told) as client:
        assert client.post(API, {"view": VIEW, "box": [180, 260, 100, 200]}).status_code == 202
    assert told.asked[0][1].points == SQUARE


def test_an_outline_is_taken_as_it_is_drawn() -> None:
    told, outline = Told(), [[10.5, 20], [40, 22.25], [31, 60]]
    with served(told) as client:
        answer = client.post(API, {"view": VIEW, "outline": outline}).json()
    assert not told.asked[0][1].is_box
    assert answer["outline"] == outline
    assert answer["box"] == [10, 20, 40, 60]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"view": VIEW},
        {"view": "../../etc/passwd", "box": [0, 0, 9, 9]},
        {"view": VIEW, "box": [0, 0, 9]},
        {"view": VIEW, "box": [0, 0, 9, "wide"]},
        {"view": VIEW, "box": [0, 0, 1e300, 9]},
        {"view": VIEW, "outline": [[0, 0], [9, 9]]},
        {"view": VIEW, "outline": [[0, n] for n in range(MOST_POINTS + 1)]},
        {**BOX, "outline": [[0, 0], [9, 9], [0, 9]]},
        {**BOX, "patient": "Roe"},
    ],
)
def test_what_is_no_region_is_refused_with_the_field_that_is_wrong(body: dict[str, Any]) -> None:
    told = Told()
    with served(told) as client:
        answer = client.post(API, body)
    assert answer.status_code == 422
    assert answer.json()["error"]
    assert not told.asked


def test_numbers_that_json_does_not_know_are_refused() -> None:
    told = Told()
    with served(told) as client:
        answer = client.session.post(
            client.url + API, data=f'{{"view": "{VIEW}", "box": [NaN, 0, 9, 9]}}',
            headers={"Content-Type": "application/json"}, timeout=10,
        )  # fmt: skip
    assert answer.status_code == 422
    assert not told.asked


@pytest.mark.parametrize("status", [404, 409, 422, 429])
def test_a_refusal_says_what_to_do_to_programs_and_on_a_page(status: int) -> None:
    told = Told(refusal=RegionRefused(status, "the study is not read yet", "wait until it is"))
    with served(told) as client:
        answer = client.post(API, BOX)
        assert answer.status_code == status
        assert answer.json() == {"error": "the study is not read yet", "hint": "wait until it is"}
        fields = {"view": VIEW, "x0": "1", "y0": "2", "x1": "30", "y1": "40"}
        page = client.send(PAGE, {**fields, "csrf": client.csrf(f"/studies/{UID}")})
        assert page.status_code == status
        assert "The study is not read yet." in page.text
        assert f'href="/studies/{UID}#regions"' in page.text


def test_four_numbers_in_a_form_ask_without_any_script() -> None:
    told = Told()
    with served(told) as client:
        page = client.get(f"/studies/{UID}").text
        fields = {"view": VIEW, "x0": "100", "y0": "200", "x1": "180", "y1": "260"}
        answer = client.send(PAGE, {**fields, "csrf": client.fields(page, "csrf")[0]})
        assert answer.status_code == 303
        assert answer.headers["Location"] == f"/studies/{UID}#regions"
        assert "being assessed" in client.get(f"/studies/{UID}").text
    assert told.asked[0][1].points == SQUARE
    for label in ("View", "Left", "Top", "Right", "Bottom"):
        assert f"<label>{label}" in page


@pytest.mark.parametrize(
    "wrong", [{"x0": ""}, {"x1": "wide"}, {"y1": "9" * 400}, {"view": "L CC"}, {"y0": "1.5"}]
)
def test_a_form_without_four_numbers_says_what_is_missing(wrong: dict[str, str]) -> None:
    told = Told()
    fields = {"view": VIEW, "x0": "1", "y0": "2", "x1": "30", "y1": "40", **wrong}
    with served(told) as client:
        page = client.send(PAGE, {**fields, "csrf": client.csrf(f"/studies/{UID}")})
    assert page.status_code == 422
    assert "The region is not assessed" in page.text
    assert not told.asked


def test_the_page_shows_each_systems_score_its_limit_and_why_another_has_none() -> None:
    failed = replace(
        ASKED, identifier="9" * 16, state="failed", code="roi_unusable",
        meaning="The region cannot be assessed: it lies mostly outside the breast",
    )  # fmt: skip
    told = Told(regions=RegionList((failed, ASSESSED), ((VIEW, "L CC"),)))
    with served(told) as client:
        page = client.get(PAGE).text
        rows = client.get(API).json()["regions"]
    for words in (
        "0.34", "below 0.51", "0.81", "suspicious from 0.47 on", "trained on phantoms",
        "no score: it found nothing in the region that it reads", "answered in 1.9 s",
        "it lies mostly outside the breast", "100, 200 to 180, 260", "Region 2", "Region 1",
    ):  # fmt: skip
        assert words in page
    assert [row["state"] for row in rows] == ["failed", "assessed"]
    assert rows[1]["scores"][1] == {
        "system": "kang2021", "algorithm": "kang2021", "score": 0.81, "threshold": 0.47,
        "suspicious": True, "phantoms_only": True,
    }  # fmt: skip
    assert rows[1]["deliveries"] == {"archive": "delivered"}
    assert rows[1]["seconds"] == 1.9


def test_the_script_finds_its_words_and_the_points_on_the_page() -> None:
    told = Told(regions=RegionList((ASSESSED,), ((VIEW, "L CC"),)))
    with served(told, known()) as client:
        client.log_in("vera")
        page = client.get(PAGE).text
        script = client.get("/static/regions.js")
        csrf = client.fields(page, "csrf")[0]
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert f'data-csrf="{csrf}"' in page
    assert "[[100.0, 200.0]" in page.replace("&#34;", '"')
    assert "<script>" not in page
    assert " onclick" not in page


def test_a_study_without_a_reading_offers_nothing_to_ask() -> None:
    with served(Told(regions=RegionList())) as client:
        page = client.get(f"/studies/{UID}").text
    assert "Regions asked about" not in page


def test_whoever_may_see_may_ask_with_the_pages_secret_and_it_is_recorded() -> None:
    told, trail = Told(), Trail()
    with served(told, known(), trail) as client:
        assert client.post(API, BOX).status_code == 401
        by_program = {"Authorization": f"Bearer {VIEWERS_TOKEN}"}
        assert client.post(API, BOX, **by_program).status_code == 202
        client.log_in("vera")
        refused = client.post(API, BOX, Origin=client.url, Sec_Fetch_Site="same-origin")
        assert refused.status_code == 403
        proof = {"X-CSRF-Token": client.csrf(PAGE), "Origin": client.url}
        assert client.post(API, BOX, **proof).status_code == 200
    asked = [line for line in trail.lines if line[0] == Action.REGION_ASKED]
    assert [who for _, _, who, _ in asked] == ["looker", "vera"]
    assert {study for *_, study in asked} != {None}
    assert not any(VIEW in str(event) for event in trail.events)


def test_an_answer_is_of_a_study_by_its_key_as_well() -> None:
    told = Told(regions=RegionList((ASSESSED,), ()))
    with served(told) as client:
        assert client.get(f"/api/studies/{KEY}/regions").json()["regions"][0]["id"]
