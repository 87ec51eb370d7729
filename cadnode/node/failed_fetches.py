"""Studies whose fetch failed for good: asked for once more, or forgotten, on request."""

from pathlib import Path
from typing import Any

from dbos import DBOSClient

from cadnode.node.workflow import FETCHES
from cadnode.receive.fetch import requests


class FailedFetches:
    """The failed fetches of one storage folder. Threads and processes may share them."""

    def __init__(self, storage: Path) -> None:
        self._spool = storage / "spool"

    def has_failed(self, study: str) -> bool:
        """Whether the last fetch of the study failed for good."""
        how = requests.ended(self._spool, study)
        return how is not None and how.is_final and how.code not in requests.GOOD

    def is_unknown(self, study: str) -> bool:
        """Whether it failed on an older version, which did not keep what was asked for."""
        return self.has_failed(study) and requests.load(self._spool, study) is None

    def ask_again(self, study: str, client: DBOSClient) -> bool:
        """Whether the study is fetched once more, because its last fetch failed for good.

        Raises
        ------
        SQLAlchemyError
            The job database does not answer; the request waits for the worker's sweep.
        """
        request = requests.failed(self._spool, study)
        if request is None or requests.load(self._spool, study) is not None:
            return False
        requests.save(self._spool, request)
        options: Any = {"workflow_name": "fetch", "queue_name": FETCHES}
        client.enqueue(options, study)
        return True

    def forget(self, study: str) -> bool:
        """Whether its fetch had failed; now nothing is known of it."""
        if requests.load(self._spool, study) is not None or not self.has_failed(study):
            return False
        requests.remove(self._spool, study)
        return True
