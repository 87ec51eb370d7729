"""How `--data` becomes tables of features, with the node's own segmentation."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from rich.progress import track

from cadnode import terminal
from cadnode.detect.features import FEATURE_NAMES
from cadnode.errors import DataError, SettingsError
from cadnode.models.card import Scenario
from cadnode.models.feature import Features
from cadnode_training.data.regions import Question, RegionSet, is_source, open_regions
from cadnode_training.data.rois import Part
from cadnode_training.data.sets import cbis_masses, phantom_rois, pisa_masses
from cadnode_training.data.sets.phantom_rois import PhantomSource
from cadnode_training.papers.wang2016 import phantom_regions, regions
from cadnode_training.papers.wang2016.phantom_regions import PhantomContent
from cadnode_training.papers.wang2016.regions import RegionTable, measured
from cadnode_training.papers.wang2016.table import FeatureTable, joined

SCENARIOS: Final[tuple[Scenario, ...]] = ("calcifications", "masses", "both")


def scenario_of(name: str) -> Scenario:
    """The scenario of that name.

    Raises
    ------
    SettingsError
        There is none.
    """
    for known in SCENARIOS:
        if name == known:
            return known
    raise SettingsError(f"--scenario must be {', '.join(SCENARIOS)}, not {name!r}")


def part_tables(
    text: str, scenario: Scenario, part: Part, folder: Path | None = None, *, quiet: bool = True
) -> list[FeatureTable]:
    """Features of a part of each data set of `KIND:…[,KIND:…]`; see `part_table`.

    Where a set of real masses is among the data of *both*, phantoms have calcifications, alone
    or with a mass, and outside of the test part as large a share of each is malignant as of the
    real masses: the source of a region does not tell its class.
    """
    texts = text.split(",")
    real = {
        one: part_table(one, scenario, part, folder, quiet=quiet) for one in texts if is_real(one)
    }
    beside = scenario == "both" and any(map(is_masses, texts))
    labels = [label for table in real.values() for label in table.malignant.tolist()]
    share = sum(labels) / len(labels) if labels and part != "test" else None
    return [
        real[one]
        if one in real
        else _beside(one, part, share, folder, quiet=quiet)
        if beside
        else part_table(one, scenario, part, folder, quiet=quiet)
        for one in texts
    ]


def part_table(
    text: str, scenario: Scenario, part: Part, folder: Path | None = None, *, quiet: bool = True
) -> FeatureTable:
    """Features of a part of `phantom:…`, or of the regions of `KIND:PATH`.

    Tables are kept in `folder`; None computes them again.

    Raises
    ------
    DataError
        The text names no data, or not of that scenario.
    """
    if is_real(text):
        return region_table(text, scenario, folder, quiet=quiet).part(part).table
    source = phantom_source(text)
    contents = phantom_regions.counts(scenario, source.count(part))
    tables = _drawn(source, contents, part, folder, quiet=quiet)
    return replace(joined(tables), name=source.name).columns(FEATURE_NAMES[scenario])


def _beside(
    text: str, part: Part, share: float | None, folder: Path | None, *, quiet: bool
) -> FeatureTable:
    """Phantoms with calcifications, that share of each content malignant; None: as drawn."""
    source = phantom_source(text)
    contents = phantom_regions.counts("both", source.count(part), beside_real=True)
    tables = _drawn(source, contents, part, folder, quiet=quiet)
    if share is not None:
        tables = [table.with_share(share) for table in tables]
    return replace(joined(tables), name=source.name)


def _drawn(
    source: PhantomSource, contents: Mapping[PhantomContent, int], part: Part,
    folder: Path | None, *, quiet: bool,
) -> list[FeatureTable]:  # fmt: skip
    return [
        content_table(source, content, part, n, folder, quiet=quiet)
        for content, n in contents.items()
    ]


def region_table(
    text: str, scenario: Scenario, folder: Path | None = None, *, quiet: bool = True
) -> RegionTable:
    """Features of the real regions of `KIND:PATH`, whose malignancy is known.

    Raises
    ------
    DataError
        As `learnable`, or no image of a region can be read.
    """
    learnable(text, scenario)
    found = regions.measure(text, folder, quiet=quiet).of(scenario)
    if not len(found.table):
        raise _nothing(found.regions.name, scenario, found.left_out)
    return found


def learnable(text: str, scenario: Scenario) -> RegionSet:
    """The real regions of `KIND:PATH` that a scenario can learn from; no image is opened.

    Raises
    ------
    DataError
        What is there is not of that kind, has nothing of the scenario, or no known
        malignancy.
    """
    found = open_regions(text, scenario)
    if found.question != Question.MALIGNANCY:
        raise DataError(
            f"{found.name} states where calcifications are, not whether they are malignant"
        )
    if not found.items:
        raise _nothing(found.name, scenario, dict(found.left_out))
    return found


def _nothing(name: str, scenario: Scenario, left_out: Mapping[str, int]) -> DataError:
    reasons = "; ".join(f"{n} × {reason}" for reason, n in left_out.items())
    return DataError(f"{name} has no region to learn from, --scenario {scenario}: {reasons}")


def content_table(
    source: PhantomSource,
    content: PhantomContent,
    part: Part,
    n: int,
    folder: Path | None = None,
    *,
    quiet: bool = True,
) -> FeatureTable:
    """All 41 features of the first `n` phantom regions of a content.

    A table that `folder` holds is continued where it stopped; `PhantomSource.name` does not
    name the segmentation, so a folder is of one version of it.
    """
    file = None if folder is None else folder / f"{content}-{part}-{source.seed}.npz"
    table = FeatureTable.read(file) if file is not None and file.exists() else None
    first = 0 if table is None else len(table)
    if first < n:
        new = _measured(source, content, part, range(first, n), quiet=quiet)
        table = new if table is None else table + new
        if file is not None:
            table.write(file)
    assert table is not None
    return table.rows(range(n))


def is_real(text: str) -> bool:
    """Whether the data are `KIND:PATH` of real images."""
    return is_source(text)


def is_pisa(text: str) -> bool:
    """Whether the data are `pisa-masses`."""
    return text.startswith(f"{pisa_masses.NAME}:")


def is_masses(text: str) -> bool:
    """Whether the data are a set of real masses only, on which classifiers are cross-validated."""
    return text.partition(":")[0] in (cbis_masses.NAME, pisa_masses.NAME)


def names_elsewhere(text: str) -> dict[str, tuple[str, ...]]:
    """Keys of a set's women in other sets, by their own; {} where no other set knows them."""
    kind, _, path = text.partition(":")
    return cbis_masses.names_elsewhere(Path(path).expanduser()) if kind == cbis_masses.NAME else {}


def phantom_source(text: str) -> PhantomSource:
    """The source of `phantom:small` and the like, or of `phantom:N`.

    `phantom:N` has N regions to train on, as many to test, and a quarter to validate.

    Raises
    ------
    DataError
        The text is none of these.
    """
    kind, _, rest = text.partition(":")
    if kind != phantom_rois.KIND:
        kinds = f"{phantom_rois.KIND}:small, {phantom_rois.KIND}:N or KIND:PATH"
        raise DataError(f"--data must be {kinds}, not {text!r}")
    number, at, seed = rest.partition("@")
    if number.isdecimal() and int(number) > 0:
        n = int(number)
        text = f"{kind}:{n}/{max(n // 4, 1)}/{n}{at}{seed}"
    return phantom_rois.parse(text)


def pisa_table(
    folder: Path, scenario: Scenario = "masses", kept: Path | None = None
) -> FeatureTable:
    """Features of all masses of the folder; `women` are keys (`store.woman_key`).

    Tables are in `kept`; None computes them again.

    Raises
    ------
    DataError
        The folder is not of that kind, or the scenario has no masses.
    """
    return region_table(f"{pisa_masses.NAME}:{folder}", scenario, kept).table


def _measured(
    source: PhantomSource, content: PhantomContent, part: Part, numbers: range, *, quiet: bool
) -> FeatureTable:
    rows = []
    what = f"{content}, {part} part"
    for number in track(numbers, what, console=terminal.console(stderr=True, quiet=quiet)):
        region = phantom_regions.draw(source, content, part, number)
        features = measured(
            region.image, region.box, phantom_regions.SPACING_MM, region.acquisition, "both"
        )
        key = f"{source.seed}:{part}:{content}:{number}"
        rows.append((features, region.malignant, region.p_malignant, key))
    return _table("phantom", "both", rows)


def _table(
    name: str, scenario: Scenario, rows: Iterable[tuple[Features, bool, float, str]]
) -> FeatureTable:
    features, malignant, p_malignant, women = zip(*rows, strict=True)
    return FeatureTable(
        name=name,
        features=FEATURE_NAMES[scenario],
        values=np.stack([f.values for f in features]),
        malignant=np.array(malignant, bool),
        p_malignant=np.array(p_malignant, np.float64),
        women=np.array(women, np.str_),
    )
