"""The page of other machines: what it says, who may ask them, what is recorded."""

from dataclasses import replace

from cadnode.web.destinations import Echo, LastAnswer, Peer, PeerGroup, Protection
from tests.web_cases import ARCHIVE, OPERATORS_TOKEN, VIEWERS_TOKEN, Told, Trail, known, served

SENDER = Peer(PeerGroup.SENDERS, "GANTRY", "dicom", "10.1.2.0/24", Protection.NONE,
              notes=("It has to show a user and a passcode.",), can_be_asked=False)  # fmt: skip
BEARER = {"Authorization": f"Bearer {OPERATORS_TOKEN}"}


def test_the_page_says_how_each_is_reached_and_what_it_lacks() -> None:
    last = LastAnswer(0.0, "refused", "archive refused <SR>")
    with served(Told(peers=(replace(ARCHIVE, last=last), SENDER))) as client:
        page = client.get("/destinations").text
    for said in (
        "ORTHANC at 10.0.0.5:4242",
        "archive refused &lt;SR&gt;",
        "10.1.2.0/24",
        "GANTRY",
        "It has to show a user and a passcode.",
        'aria-current="page">Destinations',
    ):
        assert said in page
    assert page.count(">Echo</button>") == 1  # a whole network cannot be asked


def test_a_destination_whose_numbers_are_not_known_is_said_to_be_so() -> None:
    with served(Told(peers=(replace(ARCHIVE, owed=None),))) as client:
        assert "The job database does not answer" in client.get("/destinations").text
        answer = client.get("/api/destinations").json()
    assert answer["destinations"][0]["undelivered"] is None
    assert answer["sources"] == []


def test_an_operator_asks_a_peer_and_the_trail_has_it() -> None:
    told, trail = Told(), Trail()
    with served(told, known(), trail) as client:
        client.log_in("otto")
        fields = {"csrf": client.csrf("/destinations")}
        done = client.send("/destinations/destinations/archive/echo", fields)
        assert (done.status_code, done.headers["Location"]) == (303, "/destinations")
        assert client.send("/destinations/destinations/archive/echo", {}).status_code == 403
    assert told.echoed == [("destinations", "archive")]
    (event,) = [e for e in trail.events if e.action == "peer asked" and e.outcome == "success"]
    assert (event.actor.name, event.detail) == ("otto", "destinations archive")
    assert event.study is None


def test_a_viewer_is_offered_no_question_and_may_ask_none() -> None:
    told = Told()
    with served(told, known()) as client:
        client.log_in("vera")
        assert "Echo" not in client.get("/destinations").text
        headers = {"Authorization": f"Bearer {VIEWERS_TOKEN}"}
        path = "/api/destinations/destinations/archive/echo"
        assert client.post(path, None, **headers).status_code == 403
    assert told.echoed == []


def test_what_is_not_configured_is_not_asked_and_not_recorded_by_name() -> None:
    told, trail = Told(), Trail()
    with served(told, known(), trail) as client:
        for path in ("destinations/other", "sources/archive", "nonsense/archive"):
            assert client.post(f"/api/destinations/{path}/echo", None, **BEARER).status_code == 404
    assert told.echoed == []
    assert not any(e.detail and "other" in e.detail for e in trail.events)


def test_a_peer_that_has_not_answered_yet_keeps_nobody_waiting() -> None:
    running = Echo(1.0)
    told = Told(echo=running, peers=(replace(ARCHIVE, echo=running),))
    with served(told, known()) as client:
        answer = client.post("/api/destinations/destinations/archive/echo", None, **BEARER)
        page = client.get("/destinations", **BEARER).text
    assert (answer.status_code, answer.json()["verdict"]) == (202, "running")
    assert "It is being asked" in page
    assert 'data-refresh-s="2"' in page
