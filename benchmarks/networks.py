"""What a network's pass costs on a processor: OpenVINO beside PyTorch, in one interleaved run.

    python -m benchmarks.networks [--rounds 9] [--threads 2] [--out benchmarks/networks.md]
    python -m benchmarks.networks --exams 40 [--out benchmarks/engines.md]

The first: every packaged network and the six CNNs of the papers (random weights where none are
packaged), one input at a time; the median of the rounds, each of which measures every way once. The
peer is PyTorch in float32, eager, in inference mode, channels last, on as many threads. Grad-CAM is
beside one pass of the whole network in the same engine.

The second: so many phantom exams, half of them without a lesion, read as the
node reads by default and by PyTorch in float32: how far scores move, and which calls change.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import numpy as np
import torch

from cadnode.models import engine as engines
from cadnode.models import gradcam
from cadnode.models.detector import Detector
from cadnode.models.engine import CompiledPass, _conversion, references
from cadnode.models.loading import load
from cadnode.models.mass_finder import MassFinder
from cadnode.models.roi import RoiModel
from cadnode.models.view import ViewModel
from cadnode.networks.cnn import Architecture, CnnConfig, network

WEIGHTS = Path(engines.__file__).parents[1] / "weights"
_CNN_SIDE = 512


def passes() -> dict[str, tuple[Any, Callable[..., torch.Tensor], list[tuple[int, ...]]]]:
    """Name → network, its pass, shapes of its inputs."""
    found: dict[str, tuple[Any, Callable[..., torch.Tensor], list[tuple[int, ...]]]] = {}
    packaged = set()
    for folder in sorted(WEIGHTS.glob("*/*/card.json")):
        model = load(folder.parent)
        if isinstance(model, ViewModel):
            side = model.card.preprocess
            found[model.card.name] = (
                model.network, model.network.logit_map, [(1, side.height, side.width)]
            )  # fmt: skip
        elif isinstance(model, RoiModel):
            packaged.add(model.card.architecture.name)
            size = model.card.roi.size
            found[model.card.name] = model.network, model.network.trunk, [(1, size, size)]
        elif isinstance(model, MassFinder):
            side = model.card.preprocess
            found[model.card.name] = (
                model.network, model.network.forward, [(1, side.height, side.width)]
            )  # fmt: skip
        elif isinstance(model, Detector):
            patch, numbers = model.config.patch, model.config.statistics
            found[f"{model.card.name}, 24 candidates"] = (
                model.network, model.network.forward, [(1, patch, patch), (numbers,)]
            )  # fmt: skip
    for name in get_args(Architecture):
        if name not in packaged:
            cnn = network(CnnConfig(name=name)).eval()
            found[f"{name}, random weights"] = cnn, cnn.trunk, [(1, _CNN_SIDE, _CNN_SIDE)]
    return found


def ways(
    module: Any, which: Callable[..., torch.Tensor], shapes: list[tuple[int, ...]], batch: int
) -> dict[str, Callable[[], Any]]:
    """What is timed of a network, by its column."""
    inputs = tuple(torch.cat([one] * 6)[:batch] for one in references(shapes))
    module.to(memory_format=torch.channels_last)
    placed = tuple(
        one.to(memory_format=torch.channels_last) if one.ndim == 4 else one for one in inputs
    )
    model = _conversion(module, which, shapes)
    compiled = {name: CompiledPass(model, name) for name in ("f32", "bf16")}

    def eager() -> Any:
        with torch.inference_mode():
            return which(*placed)

    timed: dict[str, Callable[[], Any]] = {"torch": eager}
    timed |= {name: (lambda one=one: one(*inputs)) for name, one in compiled.items()}
    if hasattr(module, "trunk") and hasattr(module, "head"):

        def whole() -> Any:
            with torch.inference_mode():
                return module.head(compiled["f32"](*inputs))

        timed["forward"] = whole
        timed["gradcam"] = lambda: gradcam.grad_cam(module, compiled["f32"](*inputs))
    return timed


def table(rounds: int, threads: int) -> str:
    """The Markdown table of every network."""
    torch.set_num_threads(threads)
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {_machine()}, {threads} threads, PyTorch "
        f"{torch.__version__}, {engines.Engine('openvino').describe()}; median of {rounds} "
        "interleaved rounds; `python -m benchmarks.networks`. Goals: float32 ≤ 0.65, bfloat16 ≤ "
        "0.35, Grad-CAM ≤ 1.10.",
        "",
        "| network | PyTorch ms | OpenVINO float32 ms | × PyTorch | bfloat16 ms | × PyTorch | "
        "Grad-CAM × one forward pass |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (module, which, shapes) in passes().items():
        batch = 24 if "candidates" in name else 1
        timed = ways(module, which, shapes, batch)
        seconds: dict[str, list[float]] = {column: [] for column in timed}
        for number in range(rounds + 1):
            for column, run in timed.items():
                began = time.perf_counter()
                run()
                if number:  # the first warms up
                    seconds[column].append(time.perf_counter() - began)
        ms = {column: 1000 * statistics.median(found) for column, found in seconds.items()}
        cam = f"{ms['gradcam'] / ms['forward']:.2f}" if "gradcam" in ms else "–"
        lines.append(
            f"| {name} | {ms['torch']:.1f} | {ms['f32']:.1f} | {ms['f32'] / ms['torch']:.2f} | "
            f"{ms['bf16']:.1f} | {ms['bf16'] / ms['torch']:.2f} | {cam} |"
        )
    return "\n".join(lines) + "\n"


def exams(count: int, threads: int) -> str:
    """Scores of phantom exams by both engines: a Markdown table."""
    from sklearn.metrics import roc_auc_score

    from cadnode.exam.read import exam_of
    from cadnode.node.readers import load_readers
    from cadnode.reading import read_exam
    from cadnode.settings import ReadingSection, Settings
    from cadnode_training.phantom import NO_LESIONS, PhantomSpec, exam
    from cadnode_training.phantom.dicom import write_dicom

    torch.set_num_threads(threads)
    by = {
        name: load_readers(Settings(reading=ReadingSection(engine=name, threads=threads)), "cpu")
        for name in ("torch", "auto")
    }
    in_bf16 = ", ".join(m.card.name for m in by["auto"] if getattr(m, "bf16", False))
    moved: dict[str, list[float]] = {}
    calls: dict[str, list[bool]] = {}
    scores: dict[str, list[float]] = {"torch": [], "auto": []}
    truth, seconds = [], {"torch": 0.0, "auto": 0.0}
    with TemporaryDirectory() as scratch:
        for seed in range(count):
            spec = PhantomSpec(0.14, rows=1640, columns=1368)
            drawn = exam(9000 + seed, spec, **({"lesions": NO_LESIONS} if seed % 2 else {}))
            folder = Path(scratch) / str(seed)
            write_dicom(drawn, folder)
            results = {}
            for name, readers in by.items():
                began = time.perf_counter()
                results[name] = read_exam(exam_of([folder]), readers)
                seconds[name] += time.perf_counter() - began
            _compare(results["torch"], results["auto"], moved, calls)
            truth += [drawn.malignant[b.laterality] for b in results["torch"].breasts]
            for name, result in results.items():
                scores[name] += [b.score for b in result.breasts]
    auc = {n: roc_auc_score(truth, s) for n, s in scores.items()} if len(set(truth)) > 1 else {}
    ours = engines.Engine("auto", "auto").on("cpu").describe()
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {_machine()}, {threads} threads: {count} "
        f"phantom exams (seeds 9000 to {8999 + count}), {ours} beside PyTorch in "
        f"float32; in bfloat16: {in_bf16 or 'none'}; "
        f"`python -m benchmarks.networks --exams {count}`.",
        "",
        "| what | n | log-odds moved at most | calls changed |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {what} | {len(found)} | {max(found):.4f} | {sum(calls[what])} |"
        for what, found in moved.items()
    ]
    if auc:
        lines += ["", f"AUC of {sum(truth)} breasts with a malignant lesion among {len(truth)}: "
                  f"PyTorch {auc['torch']:.4f}, the node's engine {auc['auto']:.4f}."]  # fmt: skip
    lines += ["", f"Reading an exam took {seconds['torch'] / count:.2f} s by PyTorch, "
              f"{seconds['auto'] / count:.2f} s by the node's engine "
              f"({seconds['auto'] / seconds['torch']:.2f} ×)."]  # fmt: skip
    return "\n".join(lines) + "\n"


def _compare(
    one: Any, other: Any, moved: dict[str, list[float]], calls: dict[str, list[bool]]
) -> None:
    """Add how far two results of one exam lie apart."""

    def add(what: str, a: float, b: float, *, changed: bool) -> None:
        moved.setdefault(what, []).append(abs(_logit(a) - _logit(b)))
        calls.setdefault(what, []).append(changed)

    point = one.operating_point or 0.5
    for a, b in zip(one.views, other.views, strict=True):
        add("views (kim2018)", a.score, b.score, changed=False)
    for a, b in zip(one.breasts, other.breasts, strict=True):
        add("breasts (kim2018)", a.score, b.score, changed=(a.score >= point) != (b.score >= point))
    for a, b in zip(one.findings, other.findings, strict=False):
        if a.box != b.box:
            continue
        for x, y in zip(a.assessments, b.assessments, strict=False):
            if x.system == y.system:
                add(f"regions ({x.system})", x.probability, y.probability,
                    changed=x.suspicious != y.suspicious)  # fmt: skip
    moved.setdefault("findings in one result only", []).append(
        abs(len(one.findings) - len(other.findings))
    )
    calls.setdefault("findings in one result only", []).append(
        len(one.findings) != len(other.findings)
    )


def _logit(probability: float) -> float:
    p = float(np.clip(probability, 1e-9, 1 - 1e-9))
    return float(np.log(p / (1 - p)))


def _machine() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--exams", type=int, default=0)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    made = (
        exams(chosen.exams, chosen.threads)
        if chosen.exams
        else table(chosen.rounds, chosen.threads)
    )
    title = "# One exam, two engines" if chosen.exams else "# What a network's pass costs"
    print(made)
    if chosen.out:
        chosen.out.write_text(f"{title}\n\n{made}", encoding="utf-8")


if __name__ == "__main__":
    main()
