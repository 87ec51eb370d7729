"""Scores of phantom exams as the worker reads them, as they are and after a change of the scanner.

    python -m benchmarks.drift_scores [--exams 12] [--out benchmarks/drift_scores.json]

Each exam is drawn, stored as files, taken into a spool and read by the worker's own step with the
packaged model of whole views (kim2018); the scores are those of its journal. A change is made to
the pixels alone: `gamma` is the exponent of a changed LUT, `gain` a factor, `edges` a processing
that enhances edges. `python -m benchmarks.drift_year` draws its years from them.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import generate_uid
from scipy.ndimage import gaussian_filter

from cadnode.files import write_whole
from cadnode.node.active_models import ActiveModels
from cadnode.node.readers import load_readers
from cadnode.node.worker_steps import WorkerSteps
from cadnode.quality.journal import Journal
from cadnode.receive.spool import Spool
from cadnode.settings import Settings
from cadnode_training import phantom
from tests.spool_cases import add_file

Pixels = NDArray[np.float64]


def sharpened(pixels: Pixels) -> Pixels:
    """Edge enhancement: the difference from a blurred image, added three times more."""
    return pixels + 3.0 * (pixels - gaussian_filter(pixels, 3))


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "none": lambda pixels: pixels,
    "gamma 0.8": lambda pixels: pixels**0.8,
    "gamma 1.25": lambda pixels: pixels**1.25,
    "gain 0.85": lambda pixels: 0.85 * pixels,
    "edges": sharpened,
}
_MOST = 4095  # the phantom's largest stored value: 12 bits


def changed(path: Path, out: Path, change: str) -> None:
    """The file with its pixels, UIDs and scanner changed."""
    ds = dcmread(path)
    pixels = CHANGES[change](ds.pixel_array.astype(np.float64) / _MOST)
    ds.PixelData = np.clip(pixels * _MOST, 0, _MOST).round().astype(np.uint16).tobytes()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(ds, keyword, generate_uid(entropy_srcs=[change, str(ds[keyword].value)]))
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.StationName = change.upper().replace(" ", "-")
    ds.save_as(out, enforce_file_format=True)


def measure(n_exams: int, changes: list[str], folder: Path) -> list[dict[str, object]]:
    """A row a reading, from the journal that the worker wrote."""
    settings = Settings(storage={"folder": folder / "data", "min_free_gb": 0.0})
    spool = Spool(settings.storage.folder / "spool")
    # The systems that assess regions take ten times as long, and are not drawn from.
    models = ActiveModels(
        settings, lambda old: replace(load_readers(settings, "cpu"), rois=(), features=())
    )
    models.start()
    worker = WorkerSteps(settings, spool, models)
    of_study: dict[str, tuple[int, str]] = {}
    for seed in range(n_exams):
        drawn = phantom.write_dicom(phantom.exam(seed), folder / "drawn" / str(seed))
        for change in changes:
            study, began = "", time.monotonic()
            for path in drawn:
                out = folder / f"{seed}-{change}-{path.name}"
                changed(path, out, change)
                study = add_file(spool, out).study_key
            of_study[study] = (seed, change)
            assert worker.read(study, worker.fingerprint(study))
            print(f"exam {seed}, {change}: {time.monotonic() - began:.0f} s", flush=True)
    rows = []
    for entry in Journal(settings.storage.folder).entries():
        seed, change = of_study[entry.study]
        for one in entry.systems:
            views = [[v.laterality, v.view, v.score, v.is_called] for v in one.views]
            rows.append(
                {
                    "exam": seed, "change": change, "system": one.system, "models": one.models,
                    "score": one.score, "is_called": one.is_called, "threshold": one.threshold,
                    "specificity": one.specificity, "views": views,
                }
            )  # fmt: skip
    return rows


def main() -> None:
    """Read and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exams", type=int, default=12)
    parser.add_argument("--changes", nargs="*", default=list(CHANGES), choices=list(CHANGES))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/drift_scores.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(arguments.exams, arguments.changes, Path(folder))
    if arguments.out.exists():  # what was measured of other changes stays
        kept = json.loads(arguments.out.read_text())
        rows = [row for row in kept if row["change"] not in arguments.changes] + rows
    lines = ",\n".join(json.dumps(row) for row in rows)
    write_whole(arguments.out, f"[\n{lines}\n]\n".encode())


if __name__ == "__main__":
    main()
