"""The prior exams of a study's woman: in the spool, beside the study, and at the sources.

What is here counts first. Of whatever names another woman, or of which nothing but the number says
that it is hers, no more is told than how many there are.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from cadnode.exam.identification import Identification, identify
from cadnode.exam.partition import Stated, stated_by
from cadnode.exam.patient import patient_of
from cadnode.log import hashed
from cadnode.node.priors.asking import Listing, PriorSources
from cadnode.node.priors.whose import PriorFacts, SpooledStudies, facts_of
from cadnode.node.study_table import StudyTable
from cadnode.receive.identity import is_valid_uid
from cadnode.receive.prior_store import PriorStore
from cadnode.receive.spool import Spool
from cadnode.settings import Settings
from cadnode.web.queue import StudyFilter

MOST_PRIORS: Final = 50
_MOST_HERE: Final = 500


@dataclass(slots=True)
class Prior:
    """A prior exam. `at` names the sources that list it, with their own name of it ("" of none)."""

    key: str
    study_instance_uid: str = field(repr=False)
    study_date: date | None
    description: str = field(repr=False)
    n_images: int | None
    is_here: bool = False
    modality_is_known: bool = True
    at: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Found:
    """The priors of a study, the newest first; `facts` None where there is nothing to go by.

    `left_out` are the exams under her Patient ID that are not offered, by key, and why.
    """

    facts: PriorFacts | None
    priors: list[Prior] = field(default_factory=list)
    left_out: dict[str, Identification] = field(default_factory=dict)
    listings: list[Listing] = field(default_factory=list)

    def prior(self, key: str) -> Prior | None:
        """The one of that key."""
        return next((one for one in self.priors if one.key == key), None)


class PriorFinder:
    """Finds priors in one node's folders and sources. Threads may share it."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        store: PriorStore,
        sources: PriorSources | None = None,
    ) -> None:
        self._storage = settings.storage.folder
        self._spool = spool
        self._store = store
        self._sources = sources or PriorSources(settings)
        self.studies = SpooledStudies(spool)

    def find(self, study: str) -> Found:
        """The priors of the study with that key; never raises for what a source answers."""
        facts = self.studies.facts(study)
        found = Found(facts)
        if facts is None or facts.stated is None:
            return found
        here = {prior.key: prior for prior in self._here(study, facts, found)}
        found.listings = self._sources.listings(facts.stated.patient_id)
        for listing in found.listings:
            self._enter(listing, facts, here, found)
        # A later exam is no prior; of one without a date nobody knows.
        ours = [p for p in here.values() if p.key != study and _is_before(p, facts)]
        ours.sort(key=lambda p: (p.study_date or date.min, p.key), reverse=True)
        found.priors = ours[:MOST_PRIORS]
        return found

    def forget(self, study: str) -> None:
        """Ask the sources again the next time."""
        facts = self.studies.facts(study)
        if facts is not None and facts.stated is not None:
            self._sources.forget(facts.stated.patient_id)

    def _here(self, study: str, facts: PriorFacts, found: Found) -> Iterator[Prior]:
        """What is in the spool, and what was fetched beside the study."""
        stated = facts.stated or Stated()
        for key in self._store.priors(study):
            fetched = facts_of(self._store.images(study, key))
            if fetched is not None and _is_hers(stated, fetched) is Identification.SAME:
                yield _of_files(key, fetched)
        for key in self._listed_here(stated.patient_id):
            other = self.studies.facts(key) if key != study else None
            if other is None or not other.n_images:
                continue
            verdict = _is_hers(stated, other)
            if verdict is Identification.SAME:
                yield _of_files(key, other)
            else:
                found.left_out[key] = verdict

    def _listed_here(self, patient_id: str) -> Sequence[str]:
        """Keys of studies whose line in the list of studies has that number."""
        try:
            page = StudyTable(self._storage).page(StudyFilter(text=patient_id, limit=_MOST_HERE))
        except sqlite3.Error:
            return []
        wanted = " ".join(patient_id.split())
        return [row.study.key for row in page.rows if row.patient.patient_id == wanted]

    def _enter(
        self, listing: Listing, facts: PriorFacts, here: dict[str, Prior], found: Found
    ) -> None:
        ours = facts.stated or Stated()
        for one in listing.studies:
            uid = one.study_instance_uid
            if not is_valid_uid(uid) or not one.may_be_mammography or one.n_images == 0:
                continue
            key = hashed(uid)
            if uid == facts.study_instance_uid:
                continue
            stated = stated_by(one.header)
            verdict = identify(ours, stated)
            if verdict is not Identification.SAME:
                # A source that searches by a part of the number lists others': they are nobody's.
                if stated.patient_id == ours.patient_id and key not in here:
                    found.left_out[key] = verdict
                continue
            if key not in here:
                patient = patient_of(one.header)
                here[key] = Prior(
                    key, uid, patient.study_date, patient.study_description, one.n_images,
                    modality_is_known=bool(one.modalities),
                )  # fmt: skip
            here[key].at.append((listing.source, one.source_id))


def _is_hers(stated: Stated, other: PriorFacts) -> Identification:
    return Identification.UNPROVEN if other.stated is None else identify(stated, other.stated)


def _of_files(key: str, facts: PriorFacts) -> Prior:
    return Prior(
        key, facts.study_instance_uid, facts.study_date, facts.description, facts.n_images,
        is_here=True,
    )  # fmt: skip


def _is_before(prior: Prior, facts: PriorFacts) -> bool:
    if prior.study_date is None or facts.study_date is None:
        return True
    return prior.study_date <= facts.study_date
