"""The demo: archive and node are started, a real exam is sent, and what comes back is shown."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pydicom

from cadnode.deliver import dicom
from cadnode.demo import archive as archives
from cadnode.demo import exam as exams
from cadnode.demo.archive import find_orthanc, free_port
from cadnode.demo.exam import DemoExam
from cadnode.domain import ExamResult, Laterality
from cadnode.errors import DeliveryError, SettingsError
from cadnode.exam.patient import patient_of
from cadnode.exam.read import exam_of
from cadnode.models import store
from cadnode.node import supervise
from cadnode.node.outputs import cards_of, image_loader
from cadnode.node.results import RESULT, Results, load_reading
from cadnode.page.content import Aside, PageContent
from cadnode.page.exam_page import exam_page
from cadnode.settings import ReportSection

READ_WITHIN_S = 180.0
N_OBJECTS = 5  # one SR and a heat map for each of the four views
CONFIG = """\
[listener]
ae_title = "CADNODE"
host = "127.0.0.1"
port = {port}

[storage]
folder = "{folder}"
min_free_gb = 0.2

[study]
quiet_s = 10.0
settle_s = 0.5

[web]
enabled = false

[[destinations]]
name = "archive"
host = "127.0.0.1"
port = {archive_port}
ae_title = "{archive_ae}"
"""
KINDS = {"SR": "Structured Report (TID 1500)", "OT": "Heat map (Secondary Capture)"}


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one part of the way took."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that the archive holds: what it is and the name of its copy."""

    kind: str
    name: str


@dataclass(frozen=True, eq=False, slots=True)
class DemoReport:
    """What the demo ends with."""

    result: ExamResult
    archive: str
    objects: int
    folder: Path
    page: Path
    timings: tuple[Timing, ...]

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "archive": self.archive,
            "objects": self.objects,
            "page": str(self.page),
            "result": json.loads((self.folder / "result.json").read_bytes()),
            "timings_s": {t.name: round(t.seconds, 2) for t in self.timings},
        }


@dataclass(slots=True)
class _Stopwatch:
    """Names a stage for people, and keeps how long each took."""

    on_stage: Callable[[str], None]
    timings: list[Timing] = field(default_factory=list)

    @contextmanager
    def stage(self, text: str) -> Iterator[None]:
        self.on_stage(text)
        started = time.monotonic()
        yield
        self.timings.append(Timing(text, time.monotonic() - started))


def run(
    folder: Path, exam: str, archive: str, *, on_stage: Callable[[str], None] = lambda text: None
) -> DemoReport:
    """Run the demo and write its results into `folder`, which is emptied first.

    Raises
    ------
    SettingsError
        An unknown exam or archive is asked for, or Orthanc is wanted and not installed.
    DeliveryError
        Something did not start or did not answer in time; the message names its log file.
    """
    if exam not in exams.KINDS:
        raise SettingsError(f"--exam is one of {', '.join(exams.KINDS)}, not {exam!r}")
    executable = _orthanc(archive)
    if folder.exists():
        _empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    watch = _Stopwatch(on_stage)
    node_port = free_port()
    with watch.stage("prepare the exam as one MG study"):
        sent = exams.write_exam(folder / "exam", exam)
    with ExitStack() as running:
        with watch.stage("start the archive and the node's listener"):
            held = running.enter_context(archives.start(executable, folder / "archive"))
            running.enter_context(_node(folder, node_port, held))
        with watch.stage("send the four views by C-STORE"):
            _send(sent.files, node_port)
        with watch.stage("read, report, deliver (until the archive holds all)"):
            _wait_until(lambda: held.count() >= N_OBJECTS, folder / "node.log")
        stored = _copy(held.instances(), folder)
    return _show(folder, exam, held.name, sent, stored, watch)


def _orthanc(archive: str) -> str | None:
    """Executable of Orthanc, or None for the embedded archive."""
    executable = find_orthanc()
    if archive == "embedded" or (archive == "auto" and executable is None):
        return None
    if archive not in {"auto", "orthanc"}:
        raise SettingsError(f"--archive is 'auto', 'orthanc' or 'embedded', not {archive!r}")
    if executable is None:
        raise SettingsError("Orthanc is not installed; run `deploy/system-packages.sh demo`")
    return executable


def _empty(folder: Path) -> None:
    """Remove what an earlier demo left, and nothing else."""
    for name in ("exam", "archive", "node"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for pattern in ("*.dcm", "result.json", "index.html", "node.toml", "node.log"):
        for path in folder.glob(pattern):
            path.unlink()


@contextmanager
def _node(folder: Path, port: int, archive: archives.DemoArchive) -> Iterator[None]:
    """A node in processes of its own, as an admin would start it; waits until it listens."""
    config = folder / "node.toml"
    config.write_text(
        CONFIG.format(
            port=port,
            folder=(folder / "node").resolve(),
            archive_port=archive.port,
            archive_ae=archive.ae_title,
        )
    )
    with (folder / "node.log").open("wb") as output:
        process = subprocess.Popen(
            supervise.command("all", config), stdout=output, stderr=output, env=os.environ.copy()
        )
    try:
        _wait_until(lambda: _answers(port), folder / "node.log", process)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=3 * supervise.STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _node_peer(port: int) -> dicom.DicomPeer:
    return dicom.DicomPeer(
        name="node", host="127.0.0.1", port=port, ae_title="CADNODE", calling_ae_title="MODALITY"
    )


def _answers(port: int) -> bool:
    """Whether the node answers C-ECHO."""
    try:
        dicom.echo(_node_peer(port))
    except DeliveryError:
        return False
    return True


def _wait_until(
    reached: Callable[[], bool], log: Path, process: subprocess.Popen[bytes] | None = None
) -> None:
    deadline = time.monotonic() + READ_WITHIN_S
    while not reached():
        if time.monotonic() > deadline or (process is not None and process.poll() is not None):
            raise DeliveryError(f"the demo's node did not get there; its log is {log}")
        time.sleep(0.1)


def _send(files: tuple[Path, ...], port: int) -> None:
    dicom.send(files, _node_peer(port))


def _copy(instances: Iterator[bytes], folder: Path) -> tuple[StoredObject, ...]:
    """Copies of the archive's objects as `.dcm` files in `folder`, the SR first."""
    stored = []
    for data in instances:
        header = pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
        if header.Modality == "SR":
            name = "sr.dcm"
        else:
            view = header.ViewCodeSequence[0]
            side = header.get("ImageLaterality", "")
            short = {"399162004": "cc", "399368009": "mlo"}.get(view.CodeValue, "view")
            name = f"heat-map-{side.lower()}{short}.dcm"
        (folder / name).write_bytes(data)
        stored.append(StoredObject(KINDS.get(header.Modality, header.Modality), name))
    return tuple(sorted(stored, key=lambda o: (o.kind != KINDS["SR"], o.name)))


def _show(
    folder: Path,
    kind: str,
    archive: str,
    sent: DemoExam,
    stored: tuple[StoredObject, ...],
    watch: _Stopwatch,
) -> DemoReport:
    """Write the page and `result.json` from what the node made."""
    reading = next(Results.in_storage(folder / "node").readings())
    shutil.copyfile(reading / RESULT, folder / RESULT)
    result = load_reading(reading)
    exam = exam_of(sent.files)
    page = folder / "index.html"
    with watch.stage("draw the page"):
        content = PageContent(
            title=f"demo exam ({kind})",
            subtitle=f"{sent.description}, sent by C-STORE, read, and returned to {archive}",
            disclaimer=ReportSection().disclaimer,
            exam=exam,
            result=result,
            image=image_loader(exam),
            cards=cards_of(store.available(), result),
            patient=patient_of(exam.reference),
            asides=_asides(sent, result, watch.timings, stored),
        )
        page.write_text(exam_page(content), encoding="utf-8")
    return DemoReport(result, archive, len(stored), folder, page, tuple(watch.timings))


def _asides(
    sent: DemoExam,
    result: ExamResult,
    timings: Sequence[Timing],
    stored: Sequence[StoredObject],
) -> tuple[Aside, ...]:
    """What a demonstration adds to the page: the truth, how long it took, what was stored."""
    truth = f"{sent.truth} {_verdict(result, sent.malignant_side)}".strip()
    return (
        Aside("What is known of this exam", truth, first=True),
        Aside("Path and timings", rows=tuple((t.name, f"{t.seconds:.1f} s") for t in timings)),
        Aside("DICOM objects in the archive", rows=tuple((o.kind, o.name) for o in stored)),
    )


def _verdict(result: ExamResult, malignant: Laterality | None) -> str:
    """Whether the model scored the malignant breast higher; a demonstration hides no miss."""
    scores = {b.laterality: b.score for b in result.breasts}
    if malignant is None or len(scores) < 2:
        return ""
    if scores[malignant] > scores[malignant.other]:
        return "The model scores the malignant breast higher."
    return "The model scores the wrong breast higher: on this exam it misses the cancer."
