"""What is fitted for one scenario: scaling, autoencoder, SVM, KNN, LDA, calibration."""

import io
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor

from cadnode.errors import DataError
from cadnode.files import write_whole
from cadnode.models.card import Scenario
from cadnode.models.feature import NETWORK
from cadnode.models.feature_classifiers import Knn, Lda, Scaler, Svm, sigmoid
from cadnode.networks.autoencoder import MalignancyNetwork, StackedAutoencoderConfig
from cadnode_training.engine.phase_loop import Kept
from cadnode_training.papers.wang2016 import autoencoder, rivals
from cadnode_training.papers.wang2016.autoencoder import AutoencoderRecipe
from cadnode_training.papers.wang2016.table import FeatureTable

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
# Results: the architectures that the paper's cross-validation chose.
HIDDEN: Final[Mapping[Scenario, tuple[int, int]]] = {
    "calcifications": (200, 200),
    "masses": (200, 200),
    "both": (400, 400),
}
CLASSIFIERS: Final = ("sae", "svm", "knn", "lda")
# Training cases that SVM and KNN keep: their rows are stored with the weights.
MOST_ROWS: Final = 2000
FOLDS: Final = 10


@dataclass(frozen=True, eq=False, slots=True)
class FittedClassifiers:
    """One scenario's classifiers; `platt` is (slope, intercept) of the autoencoder's log-odds."""

    scaler: Scaler
    network: MalignancyNetwork
    svm: Svm
    knn: Knn
    lda: Lda
    platt: tuple[float, float]

    @torch.inference_mode()
    def logits(self, values: Floats) -> Floats:
        """`(n,)` log-odds of the autoencoder for `(n, d)` measured features."""
        scaled = torch.from_numpy(self.scaler(values))
        return np.asarray(self.network.log_odds(scaled), np.float64)

    def probabilities(self, values: Floats) -> dict[str, Floats]:
        """`(n,)` probabilities of each classifier by its name, for `(n, d)` measured features."""
        scaled = self.scaler(values).astype(np.float64)
        return {
            "sae": sigmoid(self.platt[0] * self.logits(values) + self.platt[1]),
            "svm": self.svm.probability(scaled),
            "knn": self.knn.probability(scaled),
            "lda": self.lda.probability(scaled),
        }

    def state(self) -> dict[str, Tensor]:
        """As it is stored; scaled features are float32 already."""
        arrays = self.scaler.arrays("scaler") | self.svm.arrays("svm") | self.knn.arrays("knn")
        arrays |= self.lda.arrays("lda")
        stored = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
        for name in ("svm.rows", "knn.rows", "knn.labels"):
            stored[name] = stored[name].float()
        network = {NETWORK + name: value for name, value in self.network.state_dict().items()}
        return network | stored


def fit(
    scenario: Scenario,
    train: FeatureTable,
    validation: FeatureTable | None,
    *,
    recipe: AutoencoderRecipe,
    svm: tuple[float, float],
    seed: int = 0,
    kept: Kept | None = None,
) -> FittedClassifiers:
    """Fit everything on `train`; stop and calibrate on `validation` where there is one.

    The autoencoder's states are in `kept`; the others are fitted within a moment.
    """
    scaler = rivals.fit_scaler(train.values)
    scaled = scaler(train.values)
    held = None if validation is None else (scaler(validation.values), validation.malignant)
    config = StackedAutoencoderConfig(
        inputs=scaled.shape[1], hidden=HIDDEN[scenario], members=recipe.members
    )
    network = autoencoder.train(config, scaled, train.malignant, held, recipe, seed, kept)
    some = _kept(len(train), seed)
    fitted = FittedClassifiers(
        scaler,
        network,
        rivals.fit_svm(scaled[some], train.malignant[some], *svm),
        rivals.fit_knn(scaled[some], train.malignant[some], rivals.NEIGHBOURS[scenario]),
        rivals.fit_lda(scaled, train.malignant),
        (1.0, 0.0),
    )
    return fitted if validation is None else _calibrated(fitted, validation)


def calibrated_on(
    fitted: FittedClassifiers, out_of_fold: Mapping[str, Floats], malignant: NDArray[np.bool_]
) -> FittedClassifiers:
    """Calibrated by `cross_validated`'s probabilities of women whom the fold's networks never saw.

    These are uncalibrated: the sigmoids of log-odds and decisions.
    """
    raw = {name: _logit(out_of_fold[name]) for name in ("sae", "svm")}
    return replace(
        fitted,
        svm=replace(fitted.svm, platt=np.array(rivals.platt(raw["svm"], malignant))),
        platt=rivals.platt(raw["sae"], malignant),
    )


def recalibrated(out_of_fold: Floats, platt: tuple[float, float]) -> Floats:
    """`(n,)` calibrated probabilities of uncalibrated ones."""
    return sigmoid(platt[0] * _logit(out_of_fold) + platt[1])


def _logit(p: Floats) -> Floats:
    inside = np.clip(p, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(inside / (1 - inside)), np.float64)


def choose_svm(table: FeatureTable, *, folds: int = FOLDS, seed: int = 0) -> tuple[float, float]:
    """(cost, gamma) of the SVM, by cross-validation on the training group's kept rows."""
    kept = table.rows(_kept(len(table), seed))
    scaled = rivals.fit_scaler(table.values)(kept.values)
    return rivals.best_svm(scaled, kept.malignant, kept.women, folds=folds)


def cross_validated(
    scenario: Scenario,
    table: FeatureTable,
    *,
    recipe: AutoencoderRecipe,
    svm: tuple[float, float] | None = None,
    also: FeatureTable | None = None,
    seed: int = 0,
    folds: int = FOLDS,
    kept: Kept | None = None,
    notify: Callable[[str], None] = lambda text: None,
) -> tuple[dict[str, Floats], NDArray[np.int64]]:
    """Out-of-fold probabilities `(n,)` of each classifier, and each row's fold `(n,)`.

    Folds by woman, ten in the paper (Results). Nothing is chosen on the held fold: the number of
    epochs is the recipe's, and the SVM's parameters are searched within the other folds unless
    given.

    Parameters
    ----------
    scenario, table, recipe
        What is trained on which rows, and how.
    svm
        (cost, gamma), where they are known.
    also
        Further cases to train on in every fold, of no woman in the table.
    seed
        Of folds and networks.
    folds
        How many.
    kept
        Folds that it holds are not trained again, and an interrupted one is resumed.
    notify
        Gets a line for each fold.
    """
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = np.zeros(len(table), np.int64)
    found = {name: np.zeros(len(table)) for name in CLASSIFIERS}
    for number, (rest, held) in enumerate(
        splitter.split(table.values, table.malignant, table.women)
    ):
        notify(f"fold {number + 1} of {folds}")

        def trained(part: Kept | None, rest: Rows = rest, held: Rows = held) -> dict[str, Floats]:
            train = table.rows(rest) if also is None else table.rows(rest) + also
            chosen = svm or choose_svm(train, folds=5)
            fitted = fit(scenario, train, None, recipe=recipe, svm=chosen, seed=seed, kept=part)
            return fitted.probabilities(table.values[held])

        fold[held] = number
        for name, p in once(kept, f"fold-{number + 1}", trained).items():
            found[name][held] = p
    return found, fold


def once(
    kept: Kept | None, name: str, make: Callable[[Kept | None], dict[str, Floats]]
) -> dict[str, Floats]:
    """The arrays of a file in `kept`, or what `make` gives, which is then kept instead of states.

    Raises
    ------
    DataError
        The file is damaged.
    """
    if kept is None:
        return make(None)
    file, states = kept.folder / f"{name}.npz", kept.inside(name)
    if not file.exists():
        arrays, stored = make(states), io.BytesIO()
        np.savez(stored, **arrays)  # type: ignore[arg-type]
        kept.folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, stored.getvalue())
        shutil.rmtree(states.folder, ignore_errors=True)
    try:
        with np.load(file, allow_pickle=False) as read:
            return {key: read[key] for key in read}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        raise DataError(f"{file.name} is damaged; start from scratch") from None


def _kept(n: int, seed: int) -> NDArray[np.int64]:
    """Rows that SVM and KNN keep: drawn, as the rows of a scenario are sorted by content."""
    return np.random.default_rng(seed).permutation(n)[:MOST_ROWS]


def _calibrated(fitted: FittedClassifiers, validation: FeatureTable) -> FittedClassifiers:
    scaled = fitted.scaler(validation.values).astype(np.float64)
    decisions = rivals.platt(fitted.svm.decision(scaled), validation.malignant)
    return replace(
        fitted,
        svm=replace(fitted.svm, platt=np.array(decisions)),
        platt=rivals.platt(fitted.logits(validation.values), validation.malignant),
    )
