"""A long run of a node under faults: `python -m tests.faults.soak --studies 1000 --seed 7`.

Sends studies with several senders at once while faults happen at random moments, then heals
everything, waits for what is under way, and checks every property of `harness.properties`. A run
that was interrupted goes on when it is called with the same seed and folder. `--simulate-week`
runs a week of operation in an hour instead: by day studies come, by night the node is restarted
and the archive maintained, and growth is measured.

Exit status 0: no defect; 1: defects, which the report names, or interrupted; 2: wrong arguments.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.faults.harness.faults import FAR, KINDS, NEAR, Fault, kill_archive
from tests.faults.harness.senders import Senders
from tests.faults.harness.site import Site
from tests.faults.harness.storm import Storm, happen
from tests.faults.harness.studies import SentStudy, make_studies
from tests.faults.harness.wait import NotReached, comes_true

DISK_MB: Final = 600
PER_STUDY_MB: Final = 0.8
DAYS: Final = 7
RESTART: Final = Fault("week", "restart", lambda site: site.node.restart())
WATCH_EVERY_S: Final = 15.0
HEALTH_WITHIN_S: Final = 180.0


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.soak", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--studies", type=int, default=1000, help="how many are sent (1000)")
    parser.add_argument("--seed", type=int, default=1, help="of studies and faults (1)")
    parser.add_argument(
        "--faults", default=",".join(KINDS),
        help=f"kinds, with commas between them, or none (all: {','.join(KINDS)})",
    )  # fmt: skip
    parser.add_argument("--senders", type=int, default=4, help="at the same time (4)")
    parser.add_argument(
        "--minutes", type=float, default=0.0,
        help="send and disturb for at most this long (0: until all results are there)",
    )  # fmt: skip
    parser.add_argument(
        "--pause", type=float, default=4.0, help="mean seconds of a sender between studies (4)"
    )
    parser.add_argument("--calm", type=float, default=8.0, help="mean seconds between faults (8)")
    parser.add_argument(
        "--drain",
        type=float,
        default=15.0,
        help="minutes without any new result that are waited at the end (15)",
    )
    parser.add_argument("--work", type=Path, help="scratch folder (out/soak-SEED)")
    parser.add_argument("--keep", action="store_true", help="keep the scratch folder")
    parser.add_argument("--json", type=Path, help="file for the report")
    parser.add_argument(
        "--simulate-week", action="store_true",
        help="seven days in --minutes (60), with --per-day studies each, instead of faults",
    )  # fmt: skip
    parser.add_argument("--per-day", type=int, default=150, help="studies of a day (150)")
    found = parser.parse_args(given)
    found.kinds = [k for k in found.faults.split(",") if k not in ("", "none")]
    if unknown := set(found.kinds) - set(KINDS):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    if found.simulate_week:
        found.studies, found.minutes = DAYS * found.per_day, found.minutes or 60.0
    found.work = (found.work or Path("out") / f"soak-{found.seed}").resolve()
    return found


def main(given: Sequence[str] | None = None) -> int:
    """Run; returns the exit status."""
    wanted = arguments(given)
    console = Console(stderr=True)
    studies = make_studies(wanted.work / "in", wanted.studies, wanted.seed)
    site = Site(
        wanted.work, studies, seed=wanted.seed,
        disk_mb=int(DISK_MB + PER_STUDY_MB * wanted.studies), say=console.print,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    goes_on = False
    try:
        report = (week if wanted.simulate_week else soak)(site, wanted, console)
    except KeyboardInterrupt:
        goes_on = True
        console.print(f"interrupted: the same command goes on in {wanted.work}")
        report = {"interrupted": True, **site.report(), **site.check()}
        report["undelivered"] = len(site.missing_results())
    finally:
        site.close(unmount=not goes_on)
    text = json.dumps(report, indent=1)
    print(text)
    if wanted.json:
        wanted.json.parent.mkdir(parents=True, exist_ok=True)
        wanted.json.write_text(text + "\n")
    if not (site.defects or goes_on or wanted.keep):
        shutil.rmtree(wanted.work)
    return 1 if site.defects or goes_on else 0


def soak(site: Site, wanted: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Studies under faults; returns the report."""
    storms = []
    for number, kinds in enumerate((NEAR, FAR)):
        chosen = {name: draw for name, draw in kinds.items() if name in wanted.kinds}
        had = sum(f["kind"] in chosen for f in site.faults)
        seed = wanted.seed * 2 + number
        storms.append(Storm(site, chosen, seed, calm_s=wanted.calm, skip=had))
    site.node.start()
    site.sampler.start()
    for storm in storms:
        storm.start()
    senders = site.senders(wanted.senders, pause_s=wanted.pause)
    # What an archive said it has, and has not, no sender sends again by itself.
    _send(
        site, senders, wanted.minutes, console,
        lambda: len(site.missing_results()) == len(site.lied_about()),
    )  # fmt: skip
    for storm in storms:
        storm.stop()
    return _ended(site, wanted, console)


def week(site: Site, wanted: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Seven days, compressed; returns the report."""
    day_s = wanted.minutes * 60 / DAYS
    due = _week_of(site.studies, day_s, wanted.seed)
    site.node.start()
    site.sampler.start()
    stop = threading.Event()
    nights = threading.Thread(target=_nights, args=(site, day_s, stop), daemon=True)
    nights.start()
    senders = site.senders(2, due_s=lambda study: due[study.number])
    _send(site, senders, 0.0, console)
    stop.set()
    nights.join()
    report = _ended(site, wanted, console)
    growth = report["growth"]
    per_day = {
        name: {
            word: round(slope[key] * day_s / 3600, 3)
            for word, key in (("by", "per_hour"), ("low", "low"), ("high", "high"))
        }
        for name, slope in growth.items()
    }
    return report | {"days": DAYS, "day_s": round(day_s, 1), "growth_per_day": per_day}


def _week_of(studies: Sequence[SentStudy], day_s: float, seed: int) -> list[float]:
    """When each study comes, in seconds: by day between 7 and 18 h, seldom in the night."""
    rng = random.Random(seed)
    moments = []
    for n in range(len(studies)):
        hour = min(
            23.9, max(0.0, rng.gauss(12.5, 2.5)) if rng.random() < 0.95 else rng.uniform(0, 24)
        )
        moments.append((n * DAYS // len(studies) + hour / 24) * day_s)
    return sorted(moments)


def _nights(site: Site, day_s: float, stop: threading.Event) -> None:
    """Each night the node is restarted at 2 h, and the archive is away from 3 to 4 h."""
    begin = time.monotonic()
    for day in range(1, DAYS):
        for hour in (2, 3):
            if stop.wait(max(0.0, begin + (day + hour / 24) * day_s - time.monotonic())):
                return
            happen(site, RESTART if hour == 2 else kill_archive(day_s / 24), stop)


def _send(
    site: Site,
    senders: Senders,
    minutes: float,
    console: Console,
    is_enough: Callable[[], bool] = lambda: True,
) -> None:
    """Send; return once all is sent and it `is_enough`, or the time is over."""
    began, watched = time.monotonic(), 0.0
    senders.start()
    with _bar(site, console) as update:
        while not (senders.is_done and is_enough()):
            time.sleep(0.5)
            update()
            if time.monotonic() - watched > WATCH_EVERY_S:
                watched = time.monotonic()
                site.watch()
            if minutes and time.monotonic() - began > minutes * 60:
                break
    senders.stop()


def _ended(site: Site, wanted: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Heal, wait, check, stop, check; returns the report."""
    figures: dict[str, Any] = {}
    senders = site.senders(wanted.senders)  # what the time was too short for
    try:
        site.heal()
    except NotReached as error:
        site.defect("not_back", str(error))
    figures["not_sent"] = len(site.studies) - _n_sent(site)
    if wanted.minutes and not wanted.simulate_week:
        site.studies = [s for s in site.studies if site.is_begun(s)]
        senders = site.senders(wanted.senders)
    _send(site, senders, 10.0, console)
    figures |= _results(site, wanted.drain * 60, console)
    figures |= site.check() | site.check_processes()
    figures["growth"] = site.sampler.growth(settle_s=60.0)
    figures["health_seen"] = site.sampler.healths()
    site.sampler.stop()
    if not site.node.stop():
        site.defect("leftovers", "the node did not stop within a minute of SIGTERM")
    site.check_leftovers()
    return {"command": " ".join(sys.argv[1:]), **site.report(), **figures}


def _n_sent(site: Site) -> int:
    return sum(all(site.answers.is_taken(f.digest) for f in s.files) for s in site.studies)


def _results(site: Site, within_s: float, console: Console) -> dict[str, Any]:
    """Wait for the results; send what is missing again, once, as an admin would."""
    figures: dict[str, Any] = {}
    with _bar(site, console) as update:
        waiter = _waiting(lambda: site.drain(within_s))
        while waiter.is_alive():
            update()
            waiter.join(1.0)
    lied = {s.number for s in site.lied_about()}
    figures["lost_by_a_lying_archive"] = len(lied)
    missing = [s for s in site.missing_results() if s.number not in lied]
    health = site.node.health() or {}
    figures["undelivered"] = len(missing)
    figures["undelivered_states"] = site.states(missing)
    is_late = bool(missing and site.under_way(missing))
    if missing and health.get("status") == "ok" and not is_late:
        site.defect("silent", f"{len(missing)} results are missing, and /health says ok")
    if missing:
        site.note(f"{len(missing)} results are missing: their images are sent again")
        site.send_again(missing)
        site.drain(within_s / 2)
        missing = [s for s in site.missing_results() if s.number not in lied]
    figures["undelivered_after_resend"] = len(missing)
    if missing:
        names = [f"{s.number} ({s.shape})" for s in missing[:10]]
        site.defect("undelivered", f"{len(missing)}: {names}; {site.states(missing)}")
    if not comes_true(lambda: (site.node.health() or {}).get("status") == "ok", HEALTH_WITHIN_S, 2):
        problems = [p.get("code") for p in (site.node.health() or {}).get("problems", [])]
        site.defect("health", f"not ok at the end: {problems}")
    return figures


def _waiting(what: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=what, daemon=True)
    thread.start()
    return thread


@contextmanager
def _bar(site: Site, console: Console) -> Iterator[Callable[[], None]]:
    """A bar of results that arrived; call what it gives to move it."""
    columns = (TextColumn("results"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
               TextColumn("{task.description}"), TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(site.studies))

        def update() -> None:
            n_defects = len(site.defects)
            what = f"{len(site.faults)} faults" + (f", {n_defects} defects" if n_defects else "")
            n_here = len(site.studies) - len(site.missing_results())
            progress.update(task, completed=n_here, description=what)

        yield update


if __name__ == "__main__":
    sys.exit(main())
