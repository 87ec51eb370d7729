"""What is taken away of a patient's studies, step by step; each step may be repeated."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cadnode.files import is_locked
from cadnode.node import results
from cadnode.node.erasure import traces
from cadnode.node.erasure.outlook import PatientView
from cadnode.node.erasure.patient import IdentifierKind
from cadnode.node.erasure.places import files_below
from cadnode.node.erasure.plan import Plan
from cadnode.node.erasure.search import PatientSearch
from cadnode.node.erasure.selection import StudyShare
from cadnode.node.results import Results
from cadnode.node.study_gate import StudyGate
from cadnode.receive.prior_store import PriorStore
from cadnode.receive.spool import Spool

Step = tuple[str, Callable[[], None]]
_LEFT_BEHIND_S: Final = 60.0


class PatientRemoval:
    """Removes from one storage folder what a plan names. One thread uses it."""

    def __init__(
        self, storage: Path, spool: Spool, view: PatientView, plan: Plan, wait_s: float
    ) -> None:
        self._storage = storage
        self._spool = spool
        self._results = Results.in_storage(storage)
        self._view = view
        self._plan = plan
        self._wait_s = wait_s
        self._gate = StudyGate(storage)

    def of_study(self, share: StudyShare) -> Iterator[Step]:
        """The steps for one study, while each of which none of its workflow's is at work."""
        if share.study in self._plan.shared or not self._is_hers(share):
            yield self._alone("share", share, self._remove_share)
            return
        # Results first: where they do not say whose they are, the images do, after a crash as well.
        yield self._alone("results", share, self._remove_results)
        yield self._alone("images", share, self._remove_images)
        yield self._alone("notes", share, self._remove_notes)

    def strip_commitments(self) -> None:
        """Rid open storage commitments of her instances. Raises `OSError`."""
        uids = self._plan.identifiers.of(IdentifierKind.UID)
        self._plan.count("commitments", traces.strip_commitments(self._storage, uids))

    def tidy(self) -> None:
        """Delete half-written files and trash, which are nobody's any more. Raises `OSError`."""
        self._spool.clear_incoming(older_than_s=_LEFT_BEHIND_S)
        search = PatientSearch(self._plan.identifiers)
        for path in list(files_below(self._storage / "spool" / "incoming")):
            if not is_locked(path, when_missing=True) and search.holds(path):
                path.unlink(missing_ok=True)
        n_left = traces.remove_leftovers(self._storage, search.holds)
        self._plan.count("half-written files", n_left)
        self._spool.empty_trash()
        self._results.empty_trash()

    def _alone(self, name: str, share: StudyShare, do: Callable[[StudyShare], None]) -> Step:
        def step() -> None:
            with self._gate.closed(share.study, self._wait_s):
                do(share)

        return name, step

    def _is_hers(self, share: StudyShare) -> bool:
        """Whether nothing of others is here: after a crash the study may be somebody's again."""
        images = {path.name for path in self._spool.instances(share.study)}
        contents = self._results.of_study(share.study).glob("*")
        parts = {part for content in contents for part in results.exam_folders(content)}
        return share.is_whole and images <= {*share.images} and parts <= {*share.parts}

    def _remove_images(self, share: StudyShare) -> None:
        self._plan.count("prior images", PriorStore(self._storage).remove(share.study))
        self._plan.count("images", self._spool.take_out(share.study, share.images))

    def _remove_results(self, share: StudyShare) -> None:
        self._plan.count("results", len(share.parts))
        self._results.remove(share.study)

    def _remove_notes(self, share: StudyShare) -> None:
        self._plan.count("notes", traces.remove_of_study(self._storage, share.study))

    def _remove_share(self, share: StudyShare) -> None:
        """Take her part out of a study that others share; theirs stays what it was, and read.

        What it counts as is noted first: a crash between two of these steps changes no content.
        """
        study = share.study
        left = [p for p in self._spool.instances(study) if p.name not in share.images]
        content = self._view.content(study)
        folder = self._results.of_content(study, content)
        if left and content and folder.is_dir() and results.has_result(folder):
            self._spool.hold(study, content, left)
        for gone in self._contents_of_hers(share):
            self._gate.mark_erased(study, gone.name)
            traces.remove_of_content(self._storage, study, gone.name)
        self._plan.count("images", self._spool.take_out(study, share.images))
        self._plan.count("prior images", PriorStore(self._storage).remove(study))
        traces.strip_journal(self._storage, study, share.parts)
        self._plan.count("results", len(share.parts))
        self._results.take_out(study, share.parts)
        uids = self._plan.identifiers.of(IdentifierKind.UID)
        traces.strip_shared_study(self._storage, study, share.images, uids)

    def _contents_of_hers(self, share: StudyShare) -> list[Path]:
        """Folders of contents of which every exam is hers."""
        of_study = self._results.of_study(share.study)
        contents = {p if p.parent == of_study else p.parent for p in share.parts}
        return sorted(c for c in contents if set(results.exam_folders(c)) <= {*share.parts})
