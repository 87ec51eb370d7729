"""A small model with a valid card."""

from datetime import date
from pathlib import Path

import torch

from cadnode.domain import Acquisition, System
from cadnode.imaging.view_chain import PreprocessSpec
from cadnode.models import store
from cadnode.models.breast import BreastScoring
from cadnode.models.card import Calibration, DibMgCard, HotRegionRule, Metric, TrainingData
from cadnode.models.operating_point import Roc
from cadnode.networks.dib_mg import DibMg, DibMgConfig


def card() -> DibMgCard:
    return DibMgCard(
        name="toy",
        version="0.0.1",
        system=System.KIM2018,
        paper="none",
        algorithm="toy",
        intended_use="tests",
        licence="Apache-2.0",
        architecture=DibMgConfig(widths=(4, 4, 8, 8, 8, 8), top_cells=3),
        preprocess=PreprocessSpec(height=64, width=48, stretch_to=96),
        applies_to=(Acquisition.DIGITAL,),
        training_data="nothing",
        training_sets=(
            TrainingData(name="none", terms="none", n_women=0, n_views=0, n_cancer_breasts=0),
        ),
        split="none",
        metrics=(
            Metric(
                name="AUC", data="toy", contrast="a against b", unit="breasts", n_pos=1, n_neg=1,
                auc=0.5, auc_ci=(0.0, 1.0), ci_method="none",
            ),
        ),
        roc=Roc(
            points=((1.0, 0.0, 1.0), (0.5, 0.8, 0.8), (0.0, 1.0, 0.0)),
            measured_on="nothing", n_pos=5, n_neg=5,
        ),
        hot_region=HotRegionRule(threshold=0.5, most=3, chosen="by hand"),
        calibration=Calibration(slope=1.0, intercept=0.0, fitted_on="nothing", prevalence=0.5),
        breast=BreastScoring(
            contralateral_weight=0.0, contralateral_mean=0.0, slope=1.0, intercept=0.0,
            fitted_on="nothing",
        ),
        limits=(),
        weights_sha256="0" * 64,
        seed=0,
        command="none",
        trained_on=date(2026, 1, 1),
    )  # fmt: skip


def saved(folder: Path) -> DibMgCard:
    """The card of a model that was written into `folder`."""
    torch.manual_seed(0)
    network = DibMg(card().architecture)
    split = {"train": [store.woman_key("set", "1")], "validation": [store.woman_key("set", "2")]}
    written = store.save(folder, card(), network.state_dict(), split)
    assert isinstance(written, DibMgCard)
    return written
