"""What the HTTP side asks about priors, bound to one node's folders and sources."""

from collections import Counter

from cadnode.audit.event import Recorder
from cadnode.exam.identification import Identification
from cadnode.node.priors.bringing import ANOTHER_PATIENT, PriorBringer
from cadnode.node.priors.finding import Found, Prior, PriorFinder
from cadnode.node.priors.viewing import PriorViews
from cadnode.node.study_views import view_of
from cadnode.node.view_pixels import PixelCache
from cadnode.phrases import N_
from cadnode.receive.fetch.requests import FetchCode
from cadnode.receive.prior_store import PriorStore
from cadnode.receive.spool import Spool
from cadnode.settings import Settings
from cadnode.web.prior_exams import (
    NoPriors,
    PriorDesk,
    PriorExam,
    PriorList,
    PriorPictures,
    PriorState,
    interval_words,
)


class Priors:
    """The priors of one node's studies; `role` is whose process it is. Threads may share it."""

    def __init__(
        self, settings: Settings, spool: Spool, recorder: Recorder, role: str,
        cache: PixelCache | None = None,
    ) -> None:  # fmt: skip
        self._store = PriorStore(settings.storage.folder)
        self._finder = PriorFinder(settings, spool, self._store)
        self.views = PriorViews(spool, self._store, self._finder, cache)
        self.bringer = PriorBringer(settings, spool, self._store, self._finder, recorder, role)

    def desk(self) -> PriorDesk:
        """For the HTTP side."""
        return PriorDesk(self.listed, self.bring, self.pictures, self.views.pixels)

    def listed(self, study: str) -> PriorList:
        """The priors of a study, and where each is."""
        found = self._finder.find(study)
        left_out = Counter(found.left_out.values())
        if found.facts is None:
            return PriorList(study, problem=NoPriors.NO_IMAGES)
        if found.facts.stated is None:
            return PriorList(study, problem=NoPriors.PATIENT_UNCLEAR)
        return PriorList(
            study,
            tuple(self._exam(study, prior, found) for prior in found.priors),
            n_another=left_out[Identification.ANOTHER],
            n_unproven=left_out[Identification.UNPROVEN],
            away=tuple((one.source, one.problem) for one in found.listings if one.problem),
            n_sources=len(found.listings),
        )

    def bring(self, study: str, prior: str) -> bool | None:
        """Have a prior fetched that a source lists; see `PriorDesk`."""
        found = self._finder.find(study).prior(prior)
        if found is None or not (found.at or found.is_here):
            return None
        is_whole = found.is_here and (not found.at or not self._reason(study, prior))
        return True if is_whole else self.bringer.begin(study, found)

    def pictures(self, study: str, prior: str) -> PriorPictures:
        """The views of a prior that is here."""
        shown = self.views.shown(study, prior)
        views = [view_of(mammogram) for mammogram in shown.views.values()]
        return PriorPictures(tuple(views), shown.n_not_shown)

    def _exam(self, study: str, prior: Prior, found: Found) -> PriorExam:
        state, reason = PriorState.AT_SOURCE, self._reason(study, prior.key)
        if self.bringer.is_waiting(study, prior.key):
            state, reason = PriorState.FETCHING, ""
        elif prior.is_here:
            state = PriorState.HERE
        elif reason:
            state = PriorState.FAILED
        present = found.facts.study_date if found.facts else None
        return PriorExam(
            prior.key,
            state,
            prior.study_date,
            interval_words(prior.study_date, present) if prior.study_date and present else "",
            prior.description,
            "MG" if prior.modality_is_known else "",
            prior.n_images,
            tuple(name for name, _ in prior.at),
            reason,
        )

    def _reason(self, study: str, prior: str) -> str:
        """Why the last fetch of a prior did not bring all of it; "" where it did, or was none."""
        note = self._store.note_of(study, prior)
        return "" if note is None or note.code == FetchCode.FETCHED else _meaning(note.code)


def _meaning(code: str) -> str:
    """Why a fetch failed, in words."""
    if code == ANOTHER_PATIENT:
        return N_("what the source gave names another patient, and was removed")
    try:
        return FetchCode(code).meaning
    except ValueError:
        return code.replace("_", " ")
