"""How a prior by age is fitted to a digital model's scores, and what it adds to them.

The network has seen the women of the training part: what it says of them is too good, and a slope
fitted on them would trust the image too much. How cancer depends on age needs no network, and is
fitted on women of the training and validation parts; the image's log-odds, which are calibrated on
the validation part, are added as they are, and the intercept is fitted there.
"""

from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import Acquisition
from cadnode.errors import DataError
from cadnode.models import store
from cadnode.models.age_prior import AgePrior
from cadnode.models.card import DibMgCard
from cadnode.models.loading import load_view_model
from cadnode.statistics import logistic
from cadnode_training.data.sets import rsna_views
from cadnode_training.data.sources import open_source
from cadnode_training.data.views import parts
from cadnode_training.papers.kim2018.aged_breasts import AgedBreasts, aged, contrasts_of, measured
from cadnode_training.papers.kim2018.breasts import compared
from cadnode_training.papers.kim2018.served import read_views

LIMITS: Final = {
    rsna_views.NAME: (
        "Ages are those of women chosen for a challenge, more than half of them with cancer: those "
        "with and without cancer were not invited alike, and how they were chosen may follow age.",
        "What age adds in a screening programme was not measured.",
        "On the test part the age alone orders breasts as well as image and age do, and exams "
        "better: what this score adds to the image is the age.",
        "The age is no sign in the image: a younger woman's cancer has a lower score by it.",
    ),
}
_CENTRE: Final = 60.0


def fit(
    card: DibMgCard, folder: Path, text: str, *, command: str, on: date
) -> tuple[AgePrior, list[str]]:
    """The prior by age of a model's card, and the keys of the women that it was fitted on.

    Raises
    ------
    DataError, ModelError
        The data are not digital views with ages, the model does not read such, or a class is
        missing in a part.
    """
    data = open_source(text)
    if data.acquisition is not Acquisition.DIGITAL or data.acquisition not in card.applies_to:
        raise DataError(f"{card.name} and {data.name}: a prior by age is of digital views alone")
    split = store.read_split(folder)
    excluded = set(split.get("excluded", ()))
    # Of no use to a part: whom the network was trained on, or, on the test part, fitted on.
    known = {"validation": {*split["train"]}, "test": {*split["train"], *split["validation"]}}
    records = [data.records[i] for i in compared(data.records, data.acquisition)]
    keys = [store.woman_key(r.dataset, r.woman) for r in records]
    rows = [
        (record, key, part)
        for record, key, part in zip(records, keys, parts(records, keys), strict=True)
        if key not in excluded
    ]
    model = load_view_model(folder)
    unseen = {
        part: read_views(model, [r for r, key, own in rows if own == part and key not in of])[0]
        for part, of in known.items()
    }
    scored = {
        part: aged([r for r, _, _ in views], [v for _, v, _ in views], card.breast)[0]
        for part, views in unseen.items()
    }
    fitted_on = [(record, key) for record, key, part in rows if part != "test"]
    whose, _ = aged([record for record, _ in fitted_on], [0.0] * len(fitted_on), card.breast)
    prior = of_breasts(whose, scored["validation"], data=data.name, command=command, on=on)
    contrasts = contrasts_of(prior, [record for record, _, _ in unseen["test"]])
    metrics = measured(prior, scored["test"], data=f"{data.name}, test part", contrasts=contrasts)
    used = sorted({key for _, key in fitted_on})
    return prior.model_copy(update={"metrics": metrics}), used


def of_breasts(
    whose: AgedBreasts, unseen: AgedBreasts, *, data: str, command: str, on: date
) -> AgePrior:
    """The prior of breasts of known age (`whose`), at the level of those that were scored.

    Choice: the log-odds of age are linear; splines with two and three parameters had a higher
    cross-validated loss. The slope of the image is 1: the breasts' calibration was fitted on women
    of the validation part already, and its cancers are too few to tell another slope beside age.
    The ages are those of the middle 98 % of women.

    Raises
    ------
    DataError
        A class is missing, or `whose` have one age.
    """
    for breasts in (whose, unseen):
        if not len(breasts) or breasts.cancer.all() or not breasts.cancer.any():
            raise DataError(f"{data}: no women of known age with, or none without cancer")
    women = whose.exams()
    youngest, oldest = (int(v) for v in np.percentile(women.age, (1, 99)).round())
    if youngest >= oldest:
        raise DataError(f"{data}: all women have one age")
    by_age = logistic.fit(_decades(whose), whose.cancer, women=whose.women)
    beside = unseen.image + by_age.slope * _decades(unseen)
    level = logistic.fit(beside, unseen.cancer, holding_slope=True, women=unseen.women)
    low, high = by_age.slope_ci or (by_age.slope, by_age.slope)
    scored = unseen.exams()
    return AgePrior(
        intercept=level.intercept, slope=1.0, per_decade=by_age.slope, per_decade_ci=(low, high),
        centre=_CENTRE, youngest=youngest, oldest=oldest,
        fitted_on=f"{data}, women of the training and validation parts with a stated age",
        n_women=len(women), n_cancer=int(women.cancer.sum()),
        intercept_from=f"{data}, women of the validation part that training has not seen",
        n_intercept_women=len(scored), n_intercept_cancer=int(scored.cancer.sum()),
        prevalence=float(unseen.cancer.mean()), limits=LIMITS.get(data, ()),
        command=command, on=on,
    )  # fmt: skip


def _decades(breasts: AgedBreasts) -> NDArray[np.float64]:
    return (breasts.age - _CENTRE) / 10
