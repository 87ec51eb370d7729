"""Modalities: they send a study's acts in order, each file until it is answered Success.

Bytes go out as the file has them. A file that was not answered, or not with Success, is sent
again: what a sender knows to be taken it never sends again, unless the act says so.
"""

import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, Queue
from typing import Any

from pynetdicom import AE, _config
from pynetdicom.sop_class import DigitalMammographyXRayImageStorageForPresentation

from tests.faults.harness.ledger import Answer, Answers, now
from tests.faults.harness.studies import SentFile, SentStudy

SYNTAX = "1.2.840.10008.1.2.1"
PATIENCE_S = 8.0


def send_once(files: Sequence[SentFile], port: int, answers: Answers, aet: str) -> list[SentFile]:
    """Send the files over one association and note each answer; returns what was not taken."""
    _config.LOG_HANDLER_LEVEL = "none"
    _config.STORE_SEND_CHUNKED_DATASET = True
    ae = AE(aet)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = PATIENCE_S
    ae.add_requested_context(DigitalMammographyXRayImageStorageForPresentation, SYNTAX)
    transport = _Transport()
    assoc = ae.associate("127.0.0.1", port, ae_title="CADNODE", tls_args=(transport, ""))
    left = list(files)
    if not assoc.is_established:
        assoc.abort()
        transport.close()
        return left
    try:
        for file in files:
            status = None
            if assoc.is_established:
                status = assoc.send_c_store(file.path).get("Status")
            answers.note(Answer(file.sop_instance_uid, file.digest, status, now()))
            if status == 0:
                left.remove(file)
            if status is None:
                break
    except (OSError, RuntimeError):
        pass
    finally:
        if assoc.is_established:
            assoc.release()
        else:
            assoc.abort()
        assoc.join(PATIENCE_S)
        transport.close()
    return left


class _Transport:
    """Stands where pynetdicom wants an `SSLContext`, to close the sockets that it forgets."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def wrap_socket(self, plain: socket.socket, **_tls: Any) -> socket.socket:
        self._sockets.append(plain)
        return plain

    def close(self) -> None:
        for one in self._sockets:
            one.close()


class Senders:
    """Several senders at work on one list of studies."""

    def __init__(
        self, studies: Sequence[SentStudy], port: int, answers: Answers, *, n: int, seed: int,
        pause_s: float = 0.0,
        due_s: Callable[[SentStudy], float] = lambda _: 0.0,
    ) -> None:  # fmt: skip
        self._port, self._answers, self._seed = port, answers, seed
        self._pause_s, self._due_s = pause_s, due_s
        self._began = time.monotonic()
        self._waiting: Queue[SentStudy] = Queue()
        for study in studies:
            self._waiting.put(study)
        self.n_done = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.threads = [
            threading.Thread(target=self._work, args=(k,), name=f"sender-{k}", daemon=True)
            for k in range(n)
        ]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    @property
    def is_done(self) -> bool:
        return not any(thread.is_alive() for thread in self.threads)

    def stop(self) -> None:
        self._stop.set()
        for thread in self.threads:
            thread.join(60)

    def _work(self, number: int) -> None:
        rng = random.Random(self._seed * 1000 + number)
        while not self._stop.is_set():
            try:
                study = self._waiting.get_nowait()
            except Empty:
                return
            self._stop.wait(max(0.0, self._began + self._due_s(study) - time.monotonic()))
            for act in study.acts:
                self._act(act, study, number)
                self._stop.wait(rng.uniform(0.0, 4.0) if len(study.acts) > 1 else 0.0)
            self._stop.wait(rng.expovariate(1 / self._pause_s) if self._pause_s else 0.0)
            with self._lock:
                self.n_done += 1

    def _act(self, act: Sequence[SentFile], study: SentStudy, number: int) -> None:
        left = list(act)  # also what is taken already: then the act is to send it once more
        if not all(self._answers.is_taken(file.digest) for file in act):
            left = [file for file in act if not self._answers.is_taken(file.digest)]
        while left and not self._stop.is_set():
            left = send_once(left, self._port, self._answers, f"MODALITY{number}")
            if left:
                self._stop.wait(0.5)
