"""`cadnode models recalibrate`: how operating points are refitted to unchanged weights.

A network, its preprocessing or the data it meets may change while its weights stay. Then what was
fitted on the validation part (calibration, contralateral weight, ROC curves, the map's threshold)
no longer holds. It is fitted again here, by the functions that training calls, and comes as a new
version of the card. The packaged cards' operating points are written by this command.

Calibrations of single scanners, and a prior by age, were fitted on top of the card's own
calibration: they go with it, and `cadnode calibrate` and `cadnode models age-prior` fit others.

The women whose cases are used are added to the card's validation part, so that `cadnode evaluate`
leaves them out.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from cadnode.errors import DataError, SettingsError
from cadnode.files import write_whole
from cadnode.models import ensemble, store
from cadnode.models.card import (
    CnnCard,
    DibMgCard,
    FeatureCard,
    ModelCard,
    Recalibration,
)
from cadnode.models.operating_point import OperatingPoint, Roc
from cadnode.models.scanners import LocalCard
from cadnode_training.engine.command_line import named
from cadnode_training.papers.kim2018 import recalibrate as views
from cadnode_training.papers.roi_cnn import recalibrate as rois
from cadnode_training.papers.wang2016 import recalibrate as features

CHOICES: Final = ("youden", "sensitivity=0.9", "specificity=0.9")
Fields = dict[str, Any]


@dataclass(frozen=True, eq=False, slots=True)
class Refitted:
    """A model with refitted operating points.

    Parameters
    ----------
    base, old
        The folder it was made from, and that folder's card.
    card
        The new one, of the same weights.
    split
        Women of the training and validation parts, as `split.json` has them.
    data
        What it was fitted on, as `--data` gave it.
    """

    base: Path
    old: ModelCard
    card: ModelCard
    split: dict[str, list[str]]
    data: str

    def write(self, root: Path) -> Path:
        """Write `root/NAME/VERSION`; its weights are shared in `root/blobs`.

        Raises
        ------
        SettingsError
            That version exists already.
        """
        folder = root / self.card.name / self.card.version
        if folder.exists():
            raise SettingsError(f"{folder} already exists")
        blob = store.blob(root, self.card.weights_sha256)
        if not blob.is_file():
            blob.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(store.weights_file(self.base, self.card.weights_sha256), blob)
        folder.mkdir(parents=True)
        write_whole(folder / store.SPLIT, (json.dumps(self.split, indent=0) + "\n").encode())
        write_whole(folder / store.CARD, (self.card.model_dump_json(indent=2) + "\n").encode())
        return folder


def refit(folder: Path, data: Sequence[str], versions: Sequence[str], on: date) -> Refitted | None:
    """The model of a folder, refitted on the first of `data` that it reads; None without one.

    Data of a kind that it reads, but without cases for it, are skipped too, unless no other data
    are given.

    Parameters
    ----------
    folder
        Of the model.
    data
        `KIND:PATH` or `phantom:…`, as `cadnode evaluate` of that kind of model takes them.
    versions
        Existing ones of its name: the new one is above all of them.
    on
        The day.

    Raises
    ------
    DataError, ModelError
        The data or the model are not what they should be, or the validation part lacks a class.
    """
    card, unfit = store.read_card(folder), None
    for text in data:
        try:
            fitted = _fitted(card, folder, text)
        except DataError as error:
            unfit = unfit or error
            continue
        if fitted is None:
            continue
        fields, used = fitted
        recalibration = Recalibration(
            base=card.version,
            command=f"cadnode models recalibrate {card.name} --data {named(text)}",
            on=on,
        )
        fields |= {
            "version": next_version([card.version, *versions]),
            "recalibrated": recalibration,
            **({"scanners": ()} if isinstance(card, LocalCard) else {}),
            **({"age_prior": None} if isinstance(card, DibMgCard) else {}),
        }
        new = card.model_copy(update=fields)
        return Refitted(folder, card, new, with_women(folder, used), text)
    if unfit is not None:
        raise unfit
    return None


def _fitted(card: ModelCard, folder: Path, text: str) -> tuple[Fields, Sequence[str]] | None:
    """What changes on the card, and the keys of the women used; None for other data than its."""
    if isinstance(card, DibMgCard):
        return views.refit(card, folder, text)
    if isinstance(card, CnnCard):
        return rois.refit(card, folder, text)
    if isinstance(card, FeatureCard):
        return features.refit(card, folder, text)
    return None


def next_version(versions: Sequence[str]) -> str:
    """One patch above the newest version."""
    major, minor, patch = max(store.version_key(version) for version in versions)
    return f"{major}.{minor}.{patch + 1}"


def with_women(folder: Path, used: Sequence[str]) -> dict[str, list[str]]:
    """The model's split, with those of the `used` keys that training has not seen as validation."""
    parts = store.read_split(folder)
    trained = set(parts["train"])
    added = dict.fromkeys([*parts["validation"], *(key for key in used if key not in trained)])
    return parts | {"validation": list(added)}


def curves(card: ModelCard) -> dict[str, Roc]:
    """The card's curves by what they are of: `exam` and `breast`, or `region`."""
    if isinstance(card, DibMgCard):
        return ({"exam": card.exam} if card.exam else {}) | {"breast": card.roc}
    return {"region": card.roc}


def as_dict(done: Refitted, folder: Path | None) -> dict[str, Any]:
    """As `--json` prints it."""
    fitted: dict[str, Any] = {}
    for name, of in (("old", done.old), ("new", done.card)):
        fitted[name] = {
            "calibration": of.calibration.model_dump(),
            "operating_points": {
                what: {choice: _point(curve.at(choice), curve) for choice in CHOICES}
                for what, curve in curves(of).items()
            },
        }
        if isinstance(of, DibMgCard):
            fitted[name] |= {
                "breast": of.breast.model_dump(),
                "hot_region": of.hot_region.model_dump(),
            }
    return {
        "name": done.card.name,
        "from_version": done.old.version,
        "to_version": done.card.version,
        "sha256": done.card.weights_sha256,
        "data": named(done.data),
        **fitted,
        "folder": None if folder is None else str(folder),
    }


def _point(point: OperatingPoint, curve: Roc) -> dict[str, Any]:
    return point.model_dump() | {"n_pos": curve.n_pos, "n_neg": curve.n_neg}


def ensembles(cards: Sequence[ModelCard], done: Sequence[Refitted]) -> list[dict[str, Any]]:
    """Operating points of the systems whose active CNNs are averaged, before and after.

    `cards` are those of the active models; a system of one CNN has that one's.
    """
    new = {one.card.name: one.card for one in done}
    systems = {c.system for c in new.values() if isinstance(c, CnnCard)}
    found = []
    for system in sorted(s.value for s in systems if s):
        members = [c for c in cards if isinstance(c, CnnCard) and c.system == system]
        if len(members) < 2:
            continue
        after = [c for m in members if isinstance(c := new.get(m.name, m), CnnCard)]
        found.append(
            {
                "system": system,
                "members": [card.name for card in members],
                "old": {c: ensemble.operating_point(members, c).model_dump() for c in CHOICES},
                "new": {c: ensemble.operating_point(after, c).model_dump() for c in CHOICES},
            }
        )
    return found


def run(
    chosen: Sequence[tuple[Path, Sequence[str]]],
    data: Sequence[str],
    on: date,
    *,
    named_ones: bool,
    notify: Callable[[str], None] = lambda text: None,
) -> list[Refitted]:
    """The models of these folders (with the versions of their names) that any of `data` fits.

    Without `named_ones` the models are all models, and one that the data do not fit is left
    unchanged, and `notify` gets the reason.

    Raises
    ------
    DataError, ModelError
        As `refit`, or none of the data is read by any of them.
    """
    done = []
    for folder, versions in chosen:
        card = store.read_card(folder)
        notify(f"{card.name} {card.version}: reading the validation part …")
        try:
            one = refit(folder, data, versions, on)
        except DataError as error:
            if named_ones:
                raise
            notify(f"{card.name} is left as it is: {error}")
            continue
        if one is not None:
            done.append(one)
        elif named_ones:
            raise DataError(f"{card.name} reads none of the data: {', '.join(map(named, data))}")
        else:
            notify(f"{card.name} is left as it is: none of the data is of its kind")
    if not done:
        raise DataError("none of the models reads any of the data; `cadnode data kinds` lists them")
    return done
