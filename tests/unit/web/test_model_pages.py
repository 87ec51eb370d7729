"""The pages of models: what they say, what an admin changes, and what the trail has of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cadnode.web.model_figures import bins_of
from cadnode.web.models import (
    AgreementShown,
    CalibrationShown,
    CardShown,
    ChangeShown,
    CurveShown,
    EvidenceShown,
    MetricShown,
    ModelDone,
    ModelRefused,
    ModelShown,
    ModelsShown,
    PointShown,
    ShadowShown,
    SystemShown,
)
from cadnode.web.node import Unavailable
from tests.web_cases import Client, Told, Trail, known, served

CURVE = CurveShown(
    points=((1.0, 0.0, 1.0), (0.8, 0.4, 0.9), (0.5, 0.8, 0.6), (0.1, 1.0, 0.0)),
    measured_on="validation part", n_pos=10, n_neg=20,
)  # fmt: skip
METRIC = MetricShown(
    name="AUC, test part", data="films", contrast="cancers against others", unit="breasts",
    n_pos=113, n_neg=114, auc=0.8237, auc_ci=(0.7466, 0.8926), ci_method="DeLong",
)  # fmt: skip
USED = PointShown(choice="youden", threshold=0.5, sensitivity=0.8, specificity=0.6, is_used=True)
CARD = CardShown(
    kind="dib_mg", system="kim2018", paper="Kim", algorithm="a network",
    intended_use="Research <b>only</b>", licence="Apache-2.0", reads=("film",),
    training_data="films", training_sets=("films: 2 women",), trained_on=("film",),
    split="by woman",
    metrics=(METRIC,), curve=CURVE,
    calibration=CalibrationShown(slope=1, intercept=0, fitted_on="validation", prevalence=0.2),
    points=(USED,),
    limits=("Calcifications cannot be resolved.",), command="train", made_on="2026-01-02",
    sha256="f" * 64,
)  # fmt: skip
WHEN = datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC)


def model(version: str = "1.0.0", **changes: Any) -> ModelShown:
    values: dict[str, Any] = {
        "name": "dib-mg-film", "version": version, "origin": "own", "is_active": version == "1.0.0",
        "is_shadow": False, "is_fixed": False, "problem": "", "whose": "signed by Site (0123)",
        "is_signed": True, "signer": "a lab", "n_bytes": 2_100_000, "card": CARD,
    }  # fmt: skip
    return ModelShown(**{**values, **changes})


PROOF = EvidenceShown(
    sha256="a" * 64, data="films", against="dib-mg-film@0.9.0", n_pos=60, n_neg=90, auc_before=0.8,
    auc_now=0.79, difference=-0.01, difference_ci=(-0.03, 0.01), rule="least_n = 20", allowed=False,
)  # fmt: skip
CHANGE = ChangeShown(
    name="dib-mg-film", action="promote", from_version="0.9.0", to_version="1.0.0",
    by="anna, HTTP from 10.0.0.1", at=WHEN, reason="the vendor asked for it", evidence=PROOF,
)  # fmt: skip


def shown(**changes: Any) -> ModelsShown:
    values: dict[str, Any] = {
        "models": (model(since=WHEN, by="anna"), model("1.1.0")),
        "systems": (
            SystemShown(system="kim2018", is_active=True, models=("dib-mg-film",), reason=""),
            SystemShown(system="wang2016", is_active=False, models=(), reason="none installed"),
        ),
        "history": (CHANGE,), "operating_point": "youden", "needs_signature": False,
        "rule": "least_auc = 0.5",
    }  # fmt: skip
    return ModelsShown(**{**values, **changes})


def admins(client: Client) -> str:
    client.log_in("anna")
    return client.csrf("/models/kim2018")


def test_the_page_says_what_is_active_since_when_and_whose_it_is() -> None:
    with served(Told(models=shown(running=("dib-mg-film@1.0.0",)))) as client:
        page = client.get("/models").text
    for said in ("dib-mg-film", "0.824", "(0.747–0.893)", "113 + 114 breasts", "2026-03-04",
                 "signed by Site (0123)", "none installed", "anna", "the vendor asked for it",
                 "promoted past the rule", "reads with dib-mg-film@1.0.0"):  # fmt: skip
        assert said in page


def test_a_network_that_was_brought_has_a_row_and_a_page_of_its_own() -> None:
    card = CARD.model_copy(update={"system": "maker", "kind": "onnx_view"})
    brought = model("2.0.0", name="theirs", card=card)
    with served(Told(models=shown(models=(model(), brought)))) as client:
        overview, page = client.get("/models").text, client.get("/models/maker")
        gone = client.get("/models/nobody")

    assert 'href="/models/maker"' in overview
    assert page.status_code == 200
    assert "theirs" in page.text
    assert gone.status_code == 404


def test_a_systems_page_has_the_card_in_words_and_pictures_with_numbers() -> None:
    with served(Told(models=shown())) as client:
        page = client.get("/models/kim2018").text
    for said in ("Research &lt;b&gt;only", "Calcifications cannot be resolved.", "In the signer",
                 "a lab", "10 positive, 20 negative", "1 − specificity", "share positive",
                 "not measured",                 "AUC (95 % interval)"):  # fmt: skip
        assert said in page
    assert page.count("<svg") == 6  # three for each of two versions
    assert "style=" not in page  # the pages' policy allows no inline style
    assert "onclick" not in page


def test_shadows_are_compared_with_numbers_and_what_is_not_measured_is_said() -> None:
    row = AgreementShown(
        system="kim2018", active=("dib-mg-film@1.0.0",), shadow=("dib-mg-film@1.1.0",),
        counts={"both": 3, "active": 1, "shadow": 2, "neither": 4, "incomplete": 0}, n=1,
        correlation=None, correlation_ci=None, mean_difference=0.1, mean_difference_ci=None,
        limits=None, pairs=((0.2, 0.3),),
    )  # fmt: skip
    shadow = ShadowShown(now=("dib-mg-film@1.1.0",), n_read=10, rows=(row,))
    with served(Told(models=shown(shadow=shadow))) as client:
        page = client.get("/models").text
    for said in (
        "Now: dib-mg-film@1.1.0",
        "10 exams were read",
        "not measured: two exams",
        "unknown",
    ):
        assert said in page


@pytest.mark.parametrize("path", ["/models", "/models/kim2018", "/api/models"])
def test_models_that_cannot_be_looked_at_are_said_to_be(path: str) -> None:
    with served(Told(models=shown(), error=Unavailable("the models are away", "look"))) as client:
        answer = client.get(path)
        assert (answer.status_code, "models are away" in answer.text) == (503, True)
    with served(Told(models=shown(), error=ModelRefused("active.json is not valid"))) as client:
        answer = client.get(path)
        assert (answer.status_code, "active.json is not valid" in answer.text.lower()) == (
            409,
            True,
        )


def test_there_is_no_page_of_what_is_no_system() -> None:
    with served(Told(models=shown())) as client:
        assert client.get("/models/nonsense").status_code == 404
        assert client.get("/models/wang2016").status_code == 200


def test_an_admin_changes_after_a_confirmation_and_the_trail_has_it() -> None:
    told, trail = Told(models=shown()), Trail()
    with served(told, known(), trail) as client:
        csrf = admins(client)
        asked = client.get("/models/kim2018?act=activate&name=dib-mg-film&version=1.1.0").text
        assert "Read with dib-mg-film@1.1.0 from the next study on?" in asked
        assert told.model_orders == []
        fields = {"csrf": csrf, "act": "activate", "name": "dib-mg-film", "version": "1.1.0",
                  "reason": "better"}  # fmt: skip
        done = client.send("/models/kim2018/change", fields)
        assert (done.status_code, done.headers["Location"]) == (303, "/models/kim2018?changed=1")
        assert "It is changed." in client.get(done.headers["Location"]).text
    (order,) = told.model_orders
    assert (order.act, order.spec, order.reason) == ("activate", "dib-mg-film@1.1.0", "better")
    assert order.by.startswith("anna, HTTP from")
    (event,) = [e for e in trail.events if e.action == "models changed"]
    assert (event.outcome, event.detail) == ("success", "activate dib-mg-film@1.1.0")


def test_what_is_refused_changes_nothing_and_is_told_as_a_failure() -> None:
    told, trail = (
        Told(models=shown(), model_done=ModelRefused("its <weights> are damaged")),
        Trail(),
    )
    with served(told, known(), trail) as client:
        fields = {"csrf": admins(client), "act": "rollback", "name": "dib-mg-film"}
        done = client.send("/models/kim2018/change", fields)
        assert done.status_code == 409
        assert "its &lt;weights&gt; are damaged" in done.text
    assert [e.outcome for e in trail.events if e.action == "models changed"] == ["failure"]


@pytest.mark.parametrize(
    "fields",
    [
        {"act": "activate", "name": "other", "version": "1.0.0"},
        {"act": "activate", "name": "dib-mg-film", "version": "9.9.9"},
        {"act": "promote", "name": "dib-mg-film", "version": "1.1.0"},  # has its own form
        {"act": "erase", "name": "dib-mg-film"},
        {"act": "shadow_start", "name": "dib-mg-film"},
        {"act": "activate", "name": "../x"},
        {},
    ],
)
def test_what_is_no_change_of_a_model_that_is_here_is_not_ordered(fields: dict[str, str]) -> None:
    told, trail = Told(models=shown()), Trail()
    with served(told, known(), trail) as client:
        done = client.send("/models/kim2018/change", {"csrf": admins(client), **fields})
        assert done.status_code == 409
    assert told.model_orders == []
    assert not [e.detail for e in trail.events if e.action == "models changed" and e.detail]


def test_a_promotion_shows_the_verdict_first_and_keeps_the_comparisons_bytes() -> None:
    no = ModelDone(
        is_done=False, version="1.1.0", is_allowed=False, sentences=("Against it: <x>.",)
    )
    told, trail = Told(models=shown(), model_done=no), Trail()
    evidence = '\n{"a": "ü",\n "b": 1}\n'
    with served(told, known(), trail) as client:
        fields = {"csrf": admins(client), "name": "dib-mg-film", "version": "1.1.0",
                  "evidence": evidence.replace("\n", "\r\n")}  # fmt: skip
        page = client.send("/models/kim2018/judge", fields).text
        assert "Against it: &lt;x&gt;." in page
        assert "Promote past the rule" in page
        told.model_done = ModelDone(is_done=True, version="1.1.0")
        fields |= {"forced": "the vendor asked for it"}
        assert client.send("/models/kim2018/promote", fields).status_code == 303
    judged, promoted = told.model_orders
    assert (judged.act, judged.evidence, judged.forced) == ("judge", evidence, "")
    assert (promoted.act, promoted.evidence) == ("promote", evidence)
    assert promoted.forced == "the vendor asked for it"
    assert [e.detail for e in trail.events if e.action == "models changed"] == [
        "asked the rule, changed nothing dib-mg-film@1.1.0",
        "promote dib-mg-film@1.1.0 against the rule",
    ]


def test_a_comparison_may_be_longer_than_other_bodies_and_not_without_end() -> None:
    told = Told(models=shown())
    with served(told, known()) as client:
        fields = {"csrf": admins(client), "name": "dib-mg-film", "version": "1.1.0"}
        assert client.send("/models/kim2018/judge", {**fields, "evidence": "x" * 200_000}).ok
        big = {**fields, "evidence": "x" * 600_000}
        assert client.send("/models/kim2018/judge", big).status_code == 413
        long = {**fields, "act": "activate", "reason": "x" * 20_000}
        assert client.send("/models/kim2018/change", long).status_code == 413


@pytest.mark.parametrize("who", ["vera", "otto"])
def test_others_see_and_change_nothing(who: str) -> None:
    told = Told(models=shown())
    with served(told, known()) as client:
        client.log_in(who)
        page = client.get("/models/kim2018?act=activate&name=dib-mg-film&version=1.1.0").text
        assert "0.824" in page
        for offered in ("Activate", "Promote", "Roll back", "Yes, do it"):
            assert offered not in page
        fields = {"csrf": client.csrf("/models/kim2018"), "act": "rollback", "name": "dib-mg-film"}
        for word in ("change", "judge", "promote"):
            assert client.send(f"/models/kim2018/{word}", fields).status_code == 403
    assert told.model_orders == []


def test_scores_are_counted_in_bins_from_the_curve() -> None:
    bins = bins_of(CURVE, most=5)
    assert [(b.n_pos, b.n) for b in bins] == [(2, 14), (4, 10), (4, 6)]
    assert [(b.low, b.high) for b in bins] == [(0.1, 0.5), (0.5, 0.8), (0.8, 1.0)]


def test_a_page_of_models_that_are_still_looked_at_is_shown_at_once_and_asks_again() -> None:
    with served(Told(models=shown(), are_models_known=False)) as client:
        for path in ("/models", "/models/kim2018"):
            page = client.get(path)
            assert page.status_code == 200
            assert "being looked at" in page.text
            assert 'data-refresh-s="1"' in page.text
        assert client.get("/api/models").status_code == 200  # a program waits
