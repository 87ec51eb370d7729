"""Archives that misbehave, each in its own way, as pynetdicom peers of this process."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification


@dataclass
class Archive:
    """A Storage SCP. `answers` is a status, or "hang" or "abort", for studies of a Patient ID.

    `got` counts the objects that it took, by Patient ID; `asked` those that it was sent.
    """

    port: int = 0
    answers: dict[str, int | str] = field(default_factory=dict)
    otherwise: int | str = 0
    got: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    ae: AE = field(default_factory=lambda: AE("ARCHIVE"))
    closing: threading.Event = field(default_factory=threading.Event)

    def store(self, event: evt.Event) -> int:
        """C-STORE, answered as this archive does."""
        patient = str(event.dataset.get("PatientID", ""))
        self.asked[patient] += 1
        answer: Any = self.answers.get(patient, self.otherwise)
        if answer == "hang":
            self.closing.wait(60)
            return 0xC000
        if answer == "abort":
            event.assoc.abort()
            time.sleep(0.1)
            return 0xC000
        self.got[patient] += answer == 0
        return int(answer)


@contextmanager
def archive(**values: Any) -> Iterator[Archive]:
    """An archive on a port of its own; `knows` are the AE titles that it lets in, all without."""
    knows, contexts = values.pop("knows", []), values.pop("contexts", True)
    one = Archive(**values)
    one.ae.require_calling_aet = knows
    one.ae.maximum_associations = 50
    one.ae.add_supported_context(Verification)
    if contexts:
        for context in AllStoragePresentationContexts:
            one.ae.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
    server = one.ae.start_server(
        ("127.0.0.1", one.port), block=False, evt_handlers=[(evt.EVT_C_STORE, one.store)]
    )
    one.port = server.server_address[1]
    try:
        yield one
    finally:
        one.closing.set()
        server.shutdown()
