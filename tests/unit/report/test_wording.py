"""What a score is called, and what is said of systems that learnt from phantoms."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest
from pydicom import Dataset

from cadnode import __version__
from cadnode.domain import (
    ExamResult,
    Finding,
    FindingKind,
    ModelUse,
    RoiReference,
    System,
    SystemStatus,
    TrainingMaterial,
)
from cadnode.models import store
from cadnode.page.content import PageContent
from cadnode.page.exam_page import exam_page
from cadnode.report import codes, scores, wording
from cadnode.report.cad_sr import tid4006_findings as cad_findings
from cadnode.report.edition import OFFLINE_OBSERVER_UID, Edition, observer_uid
from cadnode.report.fhir.bundle import bundle
from cadnode.report.images import heat_map
from cadnode.report.images.outlines import label
from cadnode.report.objects import make_objects
from cadnode.report.profiles import STRUCTURED, ObjectKind
from cadnode.report.sr.documents import remarks
from tests.report_cases import (
    CNNS,
    MADE_AT,
    MARKER,
    MODEL,
    assessments,
    digital_exam,
    finding,
    image_of,
    result_of,
    with_marker,
)

PHANTOMS, FILM, DIGITAL = TrainingMaterial
OF_WOMEN, OF_PHANTOMS = (DIGITAL,), (PHANTOMS,)
EXAM = with_marker(digital_exam())
OUTCOMES = ("findings", "systems", "marked")


def trained(result: ExamResult) -> ExamResult:
    """The result of a node whose systems but kim2018 learnt from phantoms."""
    models = tuple(
        replace(m, trained_on=OF_WOMEN if m.name == MODEL.name else OF_PHANTOMS)
        for m in result.models
    )
    return replace(result, models=models)


@cache
def objects(outcome: str) -> dict[ObjectKind, list[Dataset]]:
    """Every object of that reading by its kind."""
    result = trained(result_of(EXAM, outcome))
    return {
        kind: make_objects(
            EXAM, result, partial(image_of, EXAM), MADE_AT, longest_side=64, small_side=64,
            kinds=[kind], pdf=lambda: b"%PDF-1.4\n%%EOF",
        )
        for kind in ObjectKind
    }  # fmt: skip


def page_of(result: ExamResult) -> str:
    return exam_page(
        PageContent(
            title="", subtitle="", disclaimer="", exam=EXAM, result=result,
            image=partial(image_of, EXAM),
        )
    )  # fmt: skip


def walk(item: Dataset) -> Iterable[Dataset]:
    yield item
    for child in item.get("ContentSequence") or []:
        yield from walk(child)


def said(ds: Dataset) -> str:
    """All text and code meanings of an object."""
    wanted = ("TextValue", "CodeMeaning", "UnformattedTextValue", "CodeValue")
    return "\n".join(str(e.value) for e in ds.iterall() if e.keyword in wanted)


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("kind", ObjectKind)
def test_no_object_says_probability_of_cancer(outcome: str, kind: ObjectKind) -> None:
    for ds in objects(outcome)[kind]:
        assert "111047" not in said(ds)
        assert "probability of cancer" not in said(ds).lower()


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_neither_fhir_nor_the_page_says_probability_of_cancer(outcome: str) -> None:
    result = trained(result_of(EXAM, outcome))
    made = str(bundle(Edition(EXAM, result, MADE_AT)))

    assert "111047" not in made
    assert "robability" not in made
    assert "robability" not in page_of(result).replace("no probability", "")


@pytest.mark.parametrize("kind", [*sorted(STRUCTURED), ObjectKind.OUTLINES])
def test_a_report_says_what_learnt_from_phantoms(kind: ObjectKind) -> None:
    text = "".join(said(ds) for ds in objects("systems")[kind])

    assert "phantom" in text
    assert "phantom" not in "".join(said(ds) for ds in objects("findings")[kind])


def test_fhir_and_the_page_say_what_learnt_from_phantoms() -> None:
    for outcome, there in (("systems", True), ("findings", False)):
        result = trained(result_of(EXAM, outcome))
        (report,) = (
            e["resource"]
            for e in bundle(Edition(EXAM, result, MADE_AT))["entry"]
            if e["resource"]["resourceType"] == "DiagnosticReport"
        )

        assert ("trained on phantoms" in report["conclusion"]) is there
        assert ("trained on phantoms" in page_of(result).split("<main>")[0]) is there


@pytest.mark.parametrize(
    ("materials", "expected"),
    [
        ((), "training data not stated"),
        (OF_PHANTOMS, "trained on phantoms"),
        ((FILM,), "trained on film mammograms"),
        ((DIGITAL,), "trained on digital mammograms"),
        ((FILM, DIGITAL), "trained on film and digital mammograms"),
        ((PHANTOMS, DIGITAL), "trained on phantoms and digital mammograms"),
    ],
)
@pytest.mark.parametrize("system", System)
@pytest.mark.parametrize("version", ["0.1.0", "10.20.30"])
def test_the_meaning_of_a_score_names_the_system_and_fits_into_its_attribute(
    materials: tuple[TrainingMaterial, ...], expected: str, system: System, version: str
) -> None:
    scorer = scores.ScoringSystem(system.value, version, materials)
    meaning = scorer.code.meaning

    assert scorer.training == expected
    assert scorer.code.value == codes.CAD_SCORE.value
    assert len(meaning) <= 64
    assert meaning.startswith(f"CAD score of {system}")
    if PHANTOMS in materials:
        assert "trained on phantoms" in meaning
    if len(f"CAD score of {system}, {version}; {expected}") <= 64:
        assert meaning == f"CAD score of {system}, {version}; {expected}"


def test_an_ensemble_learnt_from_what_its_members_did() -> None:
    result = trained(result_of(EXAM, "systems"))
    (kang,) = assessments(System.KANG2021)
    mixed = replace(
        result,
        models=tuple(
            replace(m, trained_on=(FILM,)) if m.name == CNNS[1] else m for m in result.models
        ),
    )

    assert scores.assessment_scorer(result, kang).phantoms_only
    assert scores.assessment_scorer(result, kang).version == __version__
    assert scores.assessment_scorer(mixed, kang).materials == (PHANTOMS, FILM)


def one(told: Iterable[System], counts: str, *suspicious: System) -> Finding:
    """A mass that these systems assessed, and to which of them it is suspicious."""
    said_of = tuple(replace(a, suspicious=a.system in suspicious) for a in assessments(*told))
    return replace(
        finding(EXAM.mammograms[0]), kind=FindingKind.MASS, algorithm=counts, assessments=said_of
    )


KIM, KANG = System.KIM2018, System.KANG2021
REQUIRED, OPTIONAL, HIDDEN = "111150", "111151", "111152"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (one([KANG], "kang2021", KANG), HIDDEN),
        (one([KANG], "kang2021"), HIDDEN),
        (one([KIM, KANG], "kang2021", KANG), HIDDEN),
        (one([KIM, KANG], "kang2021", KIM), REQUIRED),
        (one([KIM, KANG], MODEL.name, KIM), REQUIRED),
        (one([KIM, KANG], MODEL.name, KANG), OPTIONAL),
        (one([], MODEL.name), REQUIRED),
        (replace(one([KANG], "kang2021"), marked_by=MARKER), REQUIRED),
        (replace(one([KANG], "kang2021"), marked_by=RoiReference("1.2", "1.3", False)), HIDDEN),
    ],
)
def test_a_mark_of_phantom_trained_systems_alone_is_not_for_presentation(
    told: Finding, expected: str
) -> None:
    result = trained(replace(result_of(EXAM, "systems"), findings=(told,)))

    assert cad_findings.rendering_intent(result, told).value == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (
            "no model of it is active: `cadnode models activate a` switches a on",
            "no model of it is active",
        ),
        (
            "2 of 5 active: a, b; the others: `cadnode models activate c` switches c on; "
            "`cadnode train kang2021 --out DIR`, then `cadnode models add DIR`",
            "2 of 5 active: a, b",
        ),
        (
            "no active model of it reads film images; `cadnode models activate f` switches f on",
            "no active model of it reads film images",
        ),
        ("a model failed on this exam", "a model failed on this exam"),
        ("run cadnode models activate x; a model failed", "a model failed"),
        ("`cadnode train wang2016`", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_no_shell_command_is_left_in_a_reason(reason: str, expected: str) -> None:
    assert wording.plain(reason) == expected

    status = SystemStatus(System.WANG2016, False, (), reason)
    result = replace(result_of(EXAM, "findings"), systems=(status,))
    for text in (*remarks(result), page_of(result)):
        assert "cadnode train" not in text
        assert "cadnode models" not in text


def test_only_systems_that_read_something_took_part() -> None:
    whole = trained(result_of(EXAM, "systems"))
    idle = replace(whole, findings=())

    def parts(result: ExamResult) -> dict[str, str]:
        (sr,) = make_objects(
            EXAM, result, partial(image_of, EXAM), MADE_AT, kinds=[ObjectKind.MEASUREMENT_SR]
        )
        named = {codes.system(s).value: s.value for s in System}
        return {
            named[name]: str(i.ConceptCodeSequence[0].CodeValue)
            for i in walk(sr)
            if "ConceptNameCodeSequence" in i
            and (name := i.ConceptNameCodeSequence[0].CodeValue) in named
        }  # fmt: skip

    assert set(parts(whole).values()) == {"TOOK_PART"}
    assert [s for s, part in parts(idle).items() if part == "TOOK_PART"] == ["kim2018"]
    assert "nothing to read in this exam" in page_of(idle)


@pytest.mark.parametrize(("score", "explained"), [(0.3, True), (0.78, False), (0.5, False)])
def test_a_suspicious_finding_in_an_exam_below_its_operating_point_explains_itself(
    score: float, explained: bool
) -> None:
    result = replace(trained(result_of(EXAM, "systems")), exam_score=score)
    told = "below its operating point; findings 1, 2 and 3 reach"

    assert any(told in remark for remark in remarks(result)) is explained
    assert ("below its operating point" in page_of(result)) is explained


@pytest.mark.parametrize(("by_person", "code"), [(True, "DRAWN"), (False, "MARKED")])
def test_the_origin_of_a_region_is_no_person_unless_one_is_named(
    by_person: bool, code: str
) -> None:
    result = result_of(EXAM, "marked")
    first = replace(result.findings[0], marked_by=replace(MARKER, by_person=by_person))
    result = replace(result, findings=(first,))

    (sr,) = make_objects(
        EXAM, result, partial(image_of, EXAM), MADE_AT, kinds=[ObjectKind.MEASUREMENT_SR]
    )

    origins = [
        i.ConceptCodeSequence[0].CodeValue
        for i in walk(sr)
        if "ConceptNameCodeSequence" in i
        and i.ConceptNameCodeSequence[0].CodeValue == codes.REGION_ORIGIN.value
    ]
    assert origins == [code]
    assert ("drawn by a person" in page_of(result)) is by_person


@pytest.mark.parametrize(
    "kind", [*sorted(STRUCTURED - {ObjectKind.CAD_SR}), ObjectKind.KEY_OBJECTS]
)
def test_the_observer_is_the_installation(kind: ObjectKind) -> None:
    def made(**options: str) -> list[str]:
        (ds,) = make_objects(
            EXAM, result_of(EXAM, "findings"), partial(image_of, EXAM), MADE_AT, kinds=[kind],
            **options,
        )  # type: ignore[arg-type]  # fmt: skip
        observers = [
            str(i.UID)
            for i in walk(ds)
            if i.get("ValueType") == "UIDREF" and i.ConceptNameCodeSequence[0].CodeValue == "121012"
        ]
        return [*observers, str(ds.SOPInstanceUID)]

    one_, other = observer_uid("one"), observer_uid("other")
    assert made()[0] == OFFLINE_OBSERVER_UID
    assert made(observer_uid=one_) == made(observer_uid=one_)
    assert made(observer_uid=one_)[0] == one_ != other
    assert made(observer_uid=one_)[1] != made(observer_uid=other)[1]  # other words, another object


def test_captures_say_what_learnt_from_phantoms() -> None:
    result = trained(result_of(EXAM, "systems"))
    edition = Edition(EXAM, result, MADE_AT)
    view = result.views[0]
    numbered = [(1, result.findings[0])]
    ensemble = next(m for m in result.heat_maps if m.algorithm == "ensemble")

    caption = heat_map._caption(edition, view, ensemble, numbered)

    assert caption[:3] == [
        "cadnode · ensemble map, in part trained on phantoms",
        "R CC · score 0.81 (kim2018)",
        "1: 0.75  kang2021, trained on phantoms, suspicious to 1 of 1 system,"
        " 2 of 3 trained on phantoms",
    ]
    assert label(result, 1, result.findings[0]) == "1: 0.75 phantom"
    assert label(result_of(EXAM, "systems"), 1, result.findings[0]) == "1: 0.75"


CARDS = sorted((Path(store.__file__).parent.parent / "weights").glob("*/*/card.json"))


@pytest.mark.parametrize("path", CARDS, ids=lambda p: p.parent.parent.name)
def test_every_packaged_card_tells_what_its_model_learnt_from(path: Path) -> None:
    card = store.read_card(path.parent)

    expected = {
        "dib-mg-digital": (DIGITAL,),
        "dib-mg-film": (FILM,),
        "mass-detector": (PHANTOMS, FILM),
        "microcalcification-detector": (PHANTOMS, FILM),
        "wang2016-both": (PHANTOMS, FILM),
        "wang2016-masses": (FILM,),
    }
    assert card.materials == expected.get(card.name, OF_PHANTOMS)


@pytest.mark.parametrize(
    ("name", "views", "expected"),
    [
        ("phantom-train-8000x400-0.1-0", 9, OF_PHANTOMS),
        ("cbis-ddsm", 9, (FILM,)),
        ("vindr", 9, (DIGITAL,)),
        ("our-hospital", 9, (DIGITAL,)),  # the card reads digital images alone
        ("none", 0, ()),
    ],
)
def test_a_cards_material_follows_from_the_names_of_its_data(
    name: str, views: int, expected: tuple[TrainingMaterial, ...]
) -> None:
    from tests.unit.model_cases import card

    made = card()
    sets = made.training_sets[0].model_copy(update={"name": name, "n_views": views})
    plain = made.model_copy(update={"training_sets": (sets,)})

    assert plain.materials == expected
    stated = plain.model_copy(update={"training_material": (FILM,)})
    assert stated.materials == (FILM,)


def test_a_use_without_a_card_is_of_unknown_training() -> None:
    assert ModelUse("a", "1.0.0", "0" * 64).trained_on == ()
