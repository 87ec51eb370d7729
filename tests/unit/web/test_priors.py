"""The routes and the page of prior exams: what people and programs see, and what is recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from cadnode.web.node import Node
from cadnode.web.prior_exams import (
    NoPriors,
    PriorDesk,
    PriorExam,
    PriorList,
    PriorPictures,
    PriorState,
)
from cadnode.web.study import State
from cadnode.web.templating import Templates
from cadnode.web.viewing import PixelsOf, ShownView
from tests.web_cases import DONE, KEY, UID, Client, Told, Trail, known, served

HERE, THERE, VIEW = "1" * 16, "2" * 16, "3" * 16
JPEG = b"\xff\xd8"


class _Pixels(PixelsOf):
    """Pixels of two bytes."""

    def preview(self) -> bytes:
        return JPEG

    def tile(self, level: int, column: int, row: int) -> bytes | None:
        return b"12" if (level, column, row) == (0, 0, 0) else None

    def grey(self) -> bytes:
        return b"34"


NEAR = PriorExam(
    HERE, PriorState.HERE, date(2023, 5, 10), "1 year 1 month before", "Screening <b>", "MG", 4
)
FAR = PriorExam(
    THERE, PriorState.FAILED, date(2021, 6, 15), "3 years before", "", "MG", 1, ("pacs",),
    "the source cannot be reached; it is asked again",
)  # fmt: skip
FOUND = PriorList(
    KEY, (NEAR, FAR), n_another=1, n_unproven=2, away=(("west", "west did not answer in time"),),
    n_sources=2,
)  # fmt: skip


@dataclass
class Desk(Told):
    """A node that answers about priors what a test says."""

    found: PriorList = FOUND
    brought: list[tuple[str, str]] = field(default_factory=list)
    may_bring: bool | None = True

    def node(self) -> Node:
        def bring(study: str, prior: str) -> bool | None:
            self.brought.append((study, prior))
            return self.may_bring

        views = (ShownView(VIEW, "RCC", "R", "CC", rows=3000, columns=2400),)

        def pictures(study: str, prior: str) -> PriorPictures:
            return PriorPictures(views, 1) if prior == HERE else PriorPictures()

        def pixels(study: str, prior: str, view: str) -> PixelsOf | None:
            return _Pixels() if (prior, view) == (HERE, VIEW) else None

        return replace(
            super().node(), priors=PriorDesk(lambda study: self.found, bring, pictures, pixels)
        )


@contextmanager
def asked(told: Desk, name: str = "vera") -> Iterator[tuple[Client, Trail]]:
    trail = Trail()
    with served(told, known(), trail) as client:
        client.log_in(name)
        trail.events.clear()
        yield client, trail


def test_the_list_names_dates_intervals_and_places_and_what_is_not_offered() -> None:
    with asked(Desk()) as (client, _):
        text = client.get(f"/studies/{KEY}/priors", Accept="text/html").text
        for said in (
            "2023-05-10", "1 year 1 month before", "MG · 4 images · on this node",
            "Screening &lt;b&gt;", "MG · 1 image · at pacs", "Fetch again",
            "One exam under this Patient ID is not offered: it names another woman",
            "2 exams under this Patient ID are not offered", "west did not answer in time",
        ):  # fmt: skip
            assert said in text, said
        assert "<img" not in text
        document = client.get(f"/studies/{UID}/priors", Accept="application/json").json()
    assert [p["state"] for p in document["priors"]] == ["here", "failed"]
    assert document["not_offered"] == {"another_patient": 1, "unproven": 2}


def test_why_nothing_is_listed_is_said_in_words() -> None:
    for found, said in (
        (PriorList(KEY, problem=NoPriors.NO_IMAGES), "No images of this study are here"),
        (PriorList(KEY, problem=NoPriors.PATIENT_UNCLEAR), "might be another woman"),
        (PriorList(KEY), "[[sources]]"),
        (PriorList(KEY, n_sources=1), "or at its sources"),
    ):
        with asked(Desk(found=found)) as (client, _):
            assert said in client.get(f"/studies/{KEY}/priors").text


def test_a_prior_is_shown_by_its_views_and_the_trail_names_both_studies() -> None:
    with asked(Desk()) as (client, trail):
        page = client.get(f"/studies/{KEY}/priors?show={HERE}").text
        views = client.get(f"/studies/{KEY}/priors/{HERE}/views").json()
        url = views["views"][0]["url"]
        assert client.get(f"{url}/preview").content == JPEG
        assert client.get(f"{url}/tiles/0/0_0").content == b"12"
        assert client.get(f"{url}/tiles/0/0_1").status_code == 404
        assert client.get(f"{url}/grey").content == b"34"
        assert url == f"/studies/{KEY}/priors/{HERE}/views/{VIEW}"
        assert f"{url}/preview" in page
        assert views["label"] == "Prior 2023-05-10, 1 year 1 month before"
        assert "One further image of this prior cannot be shown" in page
        assert (views["views"][0]["rows"], views["views"][0]["name"]) == (3000, "RCC")
        for path in (f"{THERE}/views", "x/views", f"{THERE}/views/{VIEW}/preview",
                     f"{HERE}/views/{THERE}/grey", f"..%2f..%2f{HERE}/views"):  # fmt: skip
            assert client.get(f"/studies/{KEY}/priors/{path}").status_code == 404
        seen = {(line[0], line[2], line[3]) for line in trail.lines}
    assert {("study viewed", "vera", KEY), ("study viewed", "vera", HERE)} <= seen


def test_a_viewer_has_a_prior_fetched_and_the_list_says_so() -> None:
    told = Desk()
    with asked(told) as (client, trail):
        csrf = client.csrf(f"/studies/{KEY}/priors")
        path = f"/studies/{KEY}/priors/{THERE}/fetch"
        answer = client.send(path, {"csrf": csrf}, Accept="text/html")
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/studies/{KEY}/priors")
        assert client.send(path, {"csrf": csrf}, Accept="application/json").status_code == 202
        assert client.send(path, {"csrf": "wrong"}).status_code == 403
        assert told.brought == [(KEY, THERE)] * 2
        assert trail.lines[1][:3] == ("study ordered", "success", "vera")
        told.may_bring = None
        assert client.send(path, {"csrf": csrf}).status_code == 404
        told.may_bring = False
        assert client.send(path, {"csrf": csrf}).status_code == 503
        bad = f"/studies/{KEY}/priors/nonsense/fetch"
        assert client.send(bad, {"csrf": csrf}).status_code == 404
        assert len(told.brought) == 4


def test_a_list_that_moves_says_so_to_the_page_and_to_browsers_without_scripts() -> None:
    moving = replace(FOUND, priors=(replace(FAR, state=PriorState.FETCHING, reason=""),))
    with asked(Desk(found=moving)) as (client, _):
        page: Any = client.get(f"/studies/{KEY}/priors").text
    assert " data-moving" in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "Fetch again" not in page


def test_a_node_that_looks_for_no_priors_says_that() -> None:
    with served(Told(), known()) as client:
        client.log_in("vera")
        assert client.get(f"/studies/{KEY}/priors").status_code == 503


def test_the_study_page_has_a_place_for_priors_where_they_are_looked_for_alone() -> None:
    templates = Templates()

    def part(**values: object) -> str:
        return templates.text("study_priors.html.jinja", study=DONE, **values)

    assert f'data-priors="/studies/{KEY}/priors"' in part(has_priors=True)
    assert part(has_priors=False).strip() == ""
    unknown = replace(DONE, state=State.UNKNOWN)
    text = templates.text("study_priors.html.jinja", study=unknown, has_priors=True)
    assert text.strip() == ""
