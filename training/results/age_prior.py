"""`cadnode models age-prior`: how a card gets a prior by age, beside all that it has."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from cadnode.errors import DataError, ModelError
from cadnode.models import store
from cadnode.models.card import DibMgCard
from cadnode_training.engine.command_line import named
from cadnode_training.papers.kim2018 import age_prior as priors
from cadnode_training.results.recalibrate import Refitted, next_version, with_women


def fitted(folder: Path, data: str, versions: Sequence[str], on: date) -> Refitted:
    """The model of a folder with a prior by age; all else of its card stays.

    Parameters
    ----------
    folder
        Of the model.
    data
        `KIND:PATH` of digital views with the women's ages.
    versions
        Existing ones of its name: the new one is above all of them.
    on
        The day.

    Raises
    ------
    DataError, ModelError
        The model reads no digital views, the data state no ages, or a class is missing.
    """
    card = store.read_card(folder)
    if not isinstance(card, DibMgCard):
        raise ModelError(f"{card.name} is no DIB-MG model: no other has a prior by age")
    if card.scanners:
        raise ModelError(
            f"{card.name} {card.version} has calibrations of scanners, which a prior is not fitted "
            f"with: start from a version without them"
        )
    command = f"cadnode models age-prior {card.name} --data {named(data)}"
    prior, used = priors.fit(card, folder, data, command=command, on=on)
    new = card.model_copy(
        update={"version": next_version([card.version, *versions]), "age_prior": prior}
    )
    return Refitted(folder, card, new, with_women(folder, used), data)


def as_dict(done: Refitted, folder: Path | None) -> dict[str, Any]:
    """As `--json` prints it."""
    prior = done.card.age_prior if isinstance(done.card, DibMgCard) else None
    if prior is None:
        raise DataError(f"{done.card.name} {done.card.version} has no prior by age")
    return {
        "name": done.card.name,
        "from_version": done.old.version,
        "to_version": done.card.version,
        "sha256": done.card.weights_sha256,
        "data": named(done.data),
        "age_prior": prior.model_dump(mode="json"),
        "folder": None if folder is None else str(folder),
    }
