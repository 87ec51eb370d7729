"""Which systems the active models make up."""

from collections.abc import Sequence
from typing import get_args

import pytest

from cadnode.domain import Acquisition, System, SystemStatus
from cadnode.models.card import CnnCard, FeatureCard, ModelCard, Scenario
from cadnode.models.systems import KANG_MEMBERS, system_statuses
from cadnode.networks.autoencoder import StackedAutoencoderConfig
from cadnode.networks.cnn import Architecture, CnnConfig
from tests.unit import model_cases, roi_cases, store_cases

BOTH = tuple(Acquisition)


def views(*acquisitions: Acquisition, name: str = "dib") -> ModelCard:
    return model_cases.card().model_copy(update={"applies_to": acquisitions, "name": name})


def cnn(name: Architecture, system: System = System.KANG2021) -> CnnCard:
    config = CnnConfig(name=name)
    return roi_cases.card().model_copy(
        update={"architecture": config, "name": name, "system": system, "applies_to": BOTH}
    )


def features(scenario: Scenario) -> FeatureCard:
    return FeatureCard.model_validate(
        {
            **store_cases.common(),
            "name": f"sae-{scenario}",
            "system": System.WANG2016,
            "applies_to": BOTH,
            "scenario": scenario,
            "features": ("x",),
            "architecture": StackedAutoencoderConfig(inputs=1, hidden=(2,)),
        }
    )


def status(
    system: System, active: Sequence[ModelCard], inactive: Sequence[ModelCard] = ()
) -> SystemStatus:
    return next(s for s in system_statuses(active, inactive) if s.system == system)


def test_every_system_has_a_status_also_without_any_model() -> None:
    statuses = system_statuses([])

    assert [s.system for s in statuses] == list(System)
    assert not any(s.active for s in statuses)
    for s in statuses:
        assert f"`cadnode train {s.system.value}" in s.reason
        assert "`cadnode models add" in s.reason


def test_a_whole_system_is_active_without_a_reason() -> None:
    cards = [
        views(*BOTH),
        *(cnn(name) for name in KANG_MEMBERS),
        cnn("resnext50_32x4d", System.HELSINKI_DTL),
        *(features(scenario) for scenario in get_args(Scenario)),
    ]

    statuses = system_statuses(cards)

    assert all(s.active and not s.reason for s in statuses)
    assert statuses[1].models == KANG_MEMBERS


def test_a_system_in_part_says_how_many_and_how_the_others_are_made() -> None:
    kang = status(System.KANG2021, [cnn("inception_v3")])

    assert kang.active
    assert kang.reason.startswith(
        "1 of 5 active: inception_v3; the others: `cadnode train kang2021"
    )
    assert kang.reason.count("--members") == 4
    assert "--members inception_v3" not in kang.reason


def test_a_model_that_is_switched_off_is_to_be_switched_on_not_trained() -> None:
    helsinki = status(System.HELSINKI_DTL, [], [cnn("resnext50_32x4d", System.HELSINKI_DTL)])

    assert not helsinki.active
    assert "`cadnode models activate resnext50_32x4d`" in helsinki.reason
    assert "train" not in helsinki.reason


def test_images_that_no_model_of_a_system_reads_are_a_reason() -> None:
    digital, film = views(Acquisition.DIGITAL), views(Acquisition.FILM, name="dib-film")

    assert status(System.KIM2018, [digital, film]).reason == ""
    alone = status(System.KIM2018, [digital])
    assert alone.active
    assert alone.reason == "no active model of it reads film images"
    assert "activate dib-film" in status(System.KIM2018, [digital], [film]).reason


@pytest.mark.parametrize(
    ("card", "system"),
    [
        (cnn("resnext50_32x4d"), System.KANG2021),  # not one of the five
        (cnn("resnet101", System.HELSINKI_DTL), System.HELSINKI_DTL),
        (cnn("resnet101", System.KIM2018), System.KIM2018),
    ],
)
def test_a_network_that_the_paper_does_not_have_makes_no_system(
    card: ModelCard, system: System
) -> None:
    assert not status(system, [card]).active
