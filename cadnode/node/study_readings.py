"""A study's scores for the page: those of its newest result, one reading a patient."""

from cadnode.node import results
from cadnode.node.results import Results
from cadnode.node.study_index import Studies
from cadnode.settings import Settings
from cadnode.web.node import StudyReading
from cadnode.web.study import key_of


class StudyReadings:
    """The readings of one node's studies. Threads may share it; it only reads."""

    def __init__(self, settings: Settings, studies: Studies) -> None:
        self._results = Results.in_storage(settings.storage.folder)
        self._studies = studies

    def of(self, name: str) -> tuple[StudyReading, ...]:
        """The readings of the present content, else of the newest that is reported; () of none.

        A report that only says what was not read in time has none.
        """
        key = key_of(name)
        present = self._studies.present_content(name)
        found = self._in(key, present) if present else ()
        if found:
            return found
        newest = self._results.predecessor(key, "")
        return self._in(key, newest, is_current=False) if newest else ()

    def _in(self, key: str, content: str, *, is_current: bool = True) -> tuple[StudyReading, ...]:
        folder = self._results.of_content(key, content)
        if not results.has_result(folder) or results.is_answer(folder):
            return ()
        try:
            scores = [results.load_scores(part) for part in results.exam_folders(folder)]
        except (OSError, ValueError, LookupError, TypeError):  # removed meanwhile, or damaged
            return ()
        return tuple(
            StudyReading(content, patient, result, is_current)
            for patient, result in enumerate(scores, start=1)
        )
