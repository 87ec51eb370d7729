"""`python -m tests.fuzz`: mutate inputs, watch what they cause, keep what reaches something new.

    python -m tests.fuzz --inputs 100000 --targets all --json out/fuzz.json
    python -m tests.fuzz --targets headers,sr --minutes 5 --seed 7
    python -m tests.fuzz --replay tests/fuzz/corpus/findings/headers-0123456789ab
    python -m tests.fuzz --list

Exit codes: 0 nothing found that is not known, 1 something found, 2 wrong arguments.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from tests.fuzz import corpus
from tests.fuzz.engine import Outcome, Plan, causes, fuzz
from tests.fuzz.minimise import distilled, smallest
from tests.fuzz.oracles import Finding
from tests.fuzz.registry import all_targets
from tests.fuzz.target import Target


def main() -> int:
    """The exit code."""
    options = _options()
    known = all_targets()
    if options.list:
        for name, target in known.items():
            print(f"{name:14} {(type(target).__doc__ or '').splitlines()[0]}")
        return 0
    names = list(known) if options.targets == "all" else options.targets.split(",")
    if unknown := sorted(set(names) - set(known)):
        print(f"there is no target {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    if options.replay:
        return _replay(known, options.replay, names)
    targets = [known[name] for name in names]
    open_ones = {one.signature for one in corpus.reproducers(options.corpus)}
    outcomes = [
        _run(target, options, _share(target, targets, options.inputs)) for target in targets
    ]
    new = [f for o in outcomes for f in o.findings.values() if f.signature not in open_ones]
    _report(outcomes, new, options)
    return 1 if new else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--inputs", type=int, default=10_000, help="over all targets, by weight")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--targets", default="all", help="names, with commas between; or all")
    parser.add_argument("--minutes", type=float, default=0.0, help="for each target at most")
    parser.add_argument("--json", type=Path, help="figures and findings, for machines")
    parser.add_argument("--corpus", type=Path, default=corpus.FOLDER)
    parser.add_argument("--update", action="store_true", help="write what is new into the corpus")
    parser.add_argument("--replay", type=Path, help="run one file, and say what it causes")
    parser.add_argument("--list", action="store_true", help="the targets")
    return parser.parse_args()


def _share(target: Target, targets: list[Target], inputs: int) -> int:
    return max(1, round(inputs * target.weight / sum(one.weight for one in targets)))


def _run(target: Target, options: argparse.Namespace, n_inputs: int) -> Outcome:
    given = corpus.inputs_of(target.name, options.corpus)
    within_s = options.minutes * 60 or float("inf")
    console = Console(stderr=True)
    with Progress(
        *Progress.get_default_columns(), TimeElapsedColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task(target.name, total=n_inputs)
        outcome = fuzz(
            target,
            Plan(n_inputs, options.seed, given, within_s),
            lambda number: bar.update(task, completed=number),
        )
    for signature, finding in outcome.findings.items():
        outcome.findings[signature] = _shortened(target, finding)
    if options.update:
        corpus.keep(
            target.name,
            distilled(target, [*given, *outcome.kept], corpus.MOST_BYTES),
            options.corpus,
        )
        corpus.keep_findings(list(outcome.findings.values()), options.corpus)
    figures = outcome.figures()
    console.print(
        f"{target.name:14} {outcome.inputs:7} inputs {figures['inputs_per_s'] or 0:7} /s "
        f"{outcome.reached:6} arcs, last new after {outcome.newest_at:4.0%}, "
        f"{len(outcome.findings)} findings", highlight=False,
    )  # fmt: skip
    return outcome


def _shortened(target: Target, finding: Finding) -> Finding:
    data = smallest(target, finding)
    return Finding(finding.target, finding.kind, finding.where, finding.detail, data)


def _replay(known: dict[str, Target], path: Path, names: list[str]) -> int:
    """Run a file against the target of its name or folder, else against those asked for."""
    listed = {one.path.name: one.target for one in corpus.reproducers(path.parent.parent)}
    own = listed.get(path.name) or path.parent.name
    found = 0
    for name in [own] if own in known else names:
        finding = causes(known[name], path.read_bytes())
        found += finding is not None
        print(f"{name}: {finding.signature if finding else 'nothing'}")
        if finding:
            print(finding.detail)
    return 1 if found else 0


def _report(outcomes: list[Outcome], new: list[Finding], options: argparse.Namespace) -> None:
    figures = {
        "command": "python -m tests.fuzz " + " ".join(sys.argv[1:]),
        "seed": options.seed,
        "on": time.strftime("%Y-%m-%d"),
        "inputs": sum(outcome.inputs for outcome in outcomes),
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 1),
        "targets": [outcome.figures() for outcome in outcomes],
        "new": sorted(finding.signature for finding in new),
    }
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"{figures['inputs']} inputs, {len(new)} findings that are not known")
    for finding in new:
        print(f"  {finding.signature}")


if __name__ == "__main__":
    sys.exit(main())
