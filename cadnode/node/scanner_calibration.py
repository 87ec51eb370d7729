"""`cadnode calibrate`: a card's calibrations of single scanners, from what was read by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from cadnode.errors import ModelError
from cadnode.exam.scanner import Scanner
from cadnode.models import store
from cadnode.models.card import DibMgCard, OnnxViewCard, Recalibration, ViewCard
from cadnode.models.scanners import ScannerCalibration
from cadnode.models.view import view_system
from cadnode.quality import local_readings
from cadnode.quality.calibrating import CalibrationTarget, GeneralReading
from cadnode.quality.journal import Journal
from cadnode.quality.local_readings import PARTS, CalibrationsOf, ScannerFit, ScannerPart
from cadnode.quality.outcomes import OutcomeBook
from cadnode.quality.vendors import vendors_named
from cadnode.registry.catalogue import Catalogue, Entry
from cadnode.report.wording import material_words
from cadnode.settings import Settings


@dataclass(frozen=True, slots=True)
class CallRateMode:
    """How scores are matched where there are no outcomes.

    `changed_in`: the month (`YYYY-MM`) from which on a scanner differs from itself; "" compares it
    with all others.
    """

    changed_in: str = ""


@dataclass(frozen=True, slots=True)
class CalibratedModel:
    """A model with what its scanners came to. `n_read` are readings that could be used."""

    entry: Entry
    card: ViewCard
    n_read: int
    scanners: tuple[ScannerFit, ...]

    @property
    def calibrations(self) -> tuple[ScannerCalibration, ...]:
        """Those that were fitted."""
        return tuple(one.fit.calibration for one in self.scanners if one.fit is not None)

    def card_of(self, version: str, command: str, on: date) -> ViewCard:
        """The next version's card: the same weights, with these calibrations."""
        return self.card.model_copy(
            update={
                "version": version,
                "scanners": local_readings.merged(self.card.scanners, self.calibrations),
                "recalibrated": Recalibration(base=self.card.version, command=command, on=on),
            }
        )


def calibrated(
    values: Settings,
    catalogue: Catalogue,
    entry: Entry,
    *,
    mode: CallRateMode | None,
    parts: Sequence[ScannerPart] = PARTS,
    only: Sequence[str] = (),
    since: date | None = None,
    readings: Sequence[tuple[Scanner, GeneralReading]] | None = None,
) -> CalibratedModel | None:
    """What readings make of a model's scanners; None: it reads no whole views.

    Without a `mode` it is fitted on outcomes. `only` these scanners, by parts of their names.
    `readings` are those of a data set, else this node's `since` a day.
    """
    card = store.read_card(entry.folder)
    if not isinstance(card, DibMgCard | OnnxViewCard):
        return None
    served = card.served()
    target = CalibrationTarget(
        spec=entry.spec,
        point=served.curve.at(values.reading.operating_point),
        choice=values.reading.operating_point,
        curve=served.curve,
        prevalence=card.calibration.prevalence,
        materials=material_words(card.materials),
        vendors=vendors_named(card.model_dump_json(exclude={"scanners"})),
    )
    if readings is None:
        readings = _of_this_node(values, catalogue, card, since, with_outcomes=mode is None)
    if mode is None:
        fits = local_readings.fits_by_outcomes(readings, target, parts, only=only)
    else:
        fits = local_readings.fits_by_call_rate(
            readings, target, parts, changed_in=mode.changed_in, only=only
        )
    fits += (one for one in local_readings.not_named(readings, parts) if not only)
    return CalibratedModel(entry, card, len(readings), tuple(fits))


def _of_this_node(
    values: Settings, catalogue: Catalogue, card: ViewCard, since: date | None, *,
    with_outcomes: bool,
) -> list[tuple[Scanner, GeneralReading]]:  # fmt: skip
    storage = values.storage.folder
    outcomes = OutcomeBook(storage).all() if with_outcomes else {}
    return local_readings.general_readings(
        Journal(storage).entries(since), outcomes, view_system(card).value,
        _calibrations_of(catalogue, card),
    )  # fmt: skip


def _calibrations_of(catalogue: Catalogue, card: ViewCard) -> CalibrationsOf:
    """Of the installed versions of a model that score alike but for their local calibrations."""
    wanted = _general(card)
    known: dict[str, Sequence[ScannerCalibration] | None] = {}

    def of(spec: str) -> Sequence[ScannerCalibration] | None:
        if spec not in known:
            known[spec] = None
            name, _, version = spec.partition("@")
            if name == card.name and version in catalogue.versions(name):
                known[spec] = _same(catalogue.find(name, version), wanted)
        return known[spec]

    return of


def _same(entry: Entry, wanted: object) -> Sequence[ScannerCalibration] | None:
    try:
        card = store.read_card(entry.folder)
    except ModelError:
        return None
    if not isinstance(card, DibMgCard | OnnxViewCard) or _general(card) != wanted:
        return None
    return card.scanners


def _general(card: ViewCard) -> tuple[object, ...]:
    """What makes two versions give breasts one score."""
    served = card.served()
    return card.weights_sha256, served.breast, served.preprocess
