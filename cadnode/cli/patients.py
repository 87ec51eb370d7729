"""`cadnode patients`: what a node holds of one patient, and taking all of it away."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cadnode import settings
from cadnode.cli.command import AsJson, ConfigFile, command, err
from cadnode.cli.output import counting_progress
from cadnode.cli.patients_output import owed_words, report, show, sum_of
from cadnode.errors import CadnodeError, SettingsError

if TYPE_CHECKING:
    from cadnode.node.erasure.erasure import Erased, Erasure
    from cadnode.node.erasure.outlook import Outlook

patients_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="What this node holds of one patient, and erasing it.\n\n"
    "First [bold]cadnode patients find --patient-id -[/] (the ID is then typed, and in no "
    "history), then [bold]cadnode patients erase --patient-id -[/].",
)
PatientId = Annotated[
    str,
    typer.Option(
        "--patient-id", metavar="ID",
        help="Patient ID (0010,0020) as the images have it; [bold]-[/]: from standard input",
    ),
]  # fmt: skip
Issuer = Annotated[
    str, typer.Option(metavar="TEXT", help="who gave the ID out (0010,0021), where several do")
]
InStudies = Annotated[
    list[str] | None,
    typer.Option(
        "--study", metavar="UID",
        help="only in this study, and what is remembered of it after its removal; may be repeated",
    ),
]  # fmt: skip
Manifests = Annotated[
    list[Path] | None,
    typer.Option(
        "--manifest", metavar="FILE",
        help="a training set's manifest or table (CSV, Parquet), with the images it names",
    ),
]  # fmt: skip
Caches = Annotated[
    list[Path] | None,
    typer.Option("--cache", metavar="DIR", help="a folder of caches made in training"),
]


@patients_app.callback()
def patients() -> None:
    """Shown by `cadnode patients --help`; see `patients_app`."""


@patients_app.command()
@command
def find(
    patient_id: PatientId = "",
    issuer: Issuer = "",
    study: InStudies = None,
    manifest: Manifests = None,
    cache: Caches = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what there is of a patient; nothing is removed.

    Headers of all images and results are read. Studies are named by their keys, as in the log.
    Example: [bold]cadnode patients find --patient-id 4711 --issuer HOSPITAL-A[/]
    """
    with _opened(config, patient_id, issuer, study or [], manifest or [], cache or []) as place:
        outlook = place.look(quiet=as_json)
        beyond = place.found_beyond(outlook)
    show(outlook, beyond, as_json=as_json, dry_run=True)


@patients_app.command()
@command
def erase(
    patient_id: PatientId = "",
    issuer: Issuer = "",
    study: InStudies = None,
    manifest: Manifests = None,
    cache: Caches = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would be erased, and erase nothing")
    ] = False,
    pinned_too: Annotated[
        bool, typer.Option("--pinned-too", help="also of studies that somebody has pinned")
    ] = False,
    undelivered_too: Annotated[
        bool,
        typer.Option("--undelivered-too", help="also what is not read or not delivered yet"),
    ] = False,
    wait: Annotated[
        float,
        typer.Option(min=0.0, metavar="SECONDS", help="how long a study at work is waited for"),
    ] = 300.0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Take one patient out of everything this node keeps, and search for what is left.

    The node may be running. Images, results, notes, jobs and half-written files go; then every
    file is searched for her identifiers. What was delivered, and who has to be asked, is listed.
    Cannot be undone. A command that was broken off is repeated. Exit code 1: something was found.
    Example: [bold]cadnode patients erase --patient-id - --dry-run[/]
    """
    with _opened(
        config, patient_id, issuer, study or [], manifest or [], cache or [], wait_s=wait
    ) as place:
        outlook = place.look(quiet=as_json)
        beyond = place.found_beyond(outlook)
        if dry_run:
            show(outlook, beyond, as_json=as_json, dry_run=True)
            return
        _refuse(outlook, pinned_too=pinned_too, undelivered_too=undelivered_too)
        is_empty = outlook.is_empty and not any(beyond.values())
        if not (yes or is_empty):  # of nothing, half-written files may be left
            _ask(outlook, beyond)
        erased = place.erase(outlook, quiet=as_json)
    report(erased, place.storage, as_json=as_json)
    if (n_open := place.n_open()) and not as_json:
        err.print(
            f"Erasures that were broken off, of any patient: {n_open}. Each is ended by the "
            "command that began it; until then its plan in erasures/open holds identifiers.",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    if erased.record is None:
        raise typer.Exit(1)


class _Place:
    """One node and one patient, with what lies beyond the node's folder."""

    def __init__(self, erasure: "Erasure", beyond: Any, storage: Path, n_studies: int) -> None:
        self._erasure = erasure
        self._beyond = beyond
        self.storage = storage
        self._n_studies = n_studies

    def look(self, *, quiet: bool) -> "Outlook":
        with counting_progress(err, "reading headers", self._n_studies, quiet=quiet) as tick:
            return self._erasure.view.look(tick)

    def found_beyond(self, outlook: "Outlook") -> dict[str, int]:
        from cadnode.node.erasure.search import PatientSearch

        found: dict[str, int] = self._beyond.find(PatientSearch(outlook.plan.identifiers))
        return found

    def n_open(self) -> int:
        from cadnode.node.erasure.plan import Plans

        return Plans(self.storage).n_open()

    def erase(self, outlook: "Outlook", *, quiet: bool) -> "Erased":
        n_files = len(self._erasure.files()) + len(self._beyond.files())
        with counting_progress(err, "searching", n_files, quiet=quiet) as tick:
            return self._erasure.run(outlook, [self._beyond], tick=tick)


@contextmanager
def _opened(
    config: Path | None,
    patient_id: str,
    issuer: str,
    studies: Sequence[str],
    manifests: Sequence[Path],
    caches: Sequence[Path],
    wait_s: float = 0.0,
) -> Iterator[_Place]:
    """Raises `SettingsError` for wrong arguments, `CadnodeError` where the jobs are away."""
    from cadnode.audit.actors import this_user, user_name
    from cadnode.audit.event import Action, Event, EventOutcome
    from cadnode.audit.trail import Trail
    from cadnode.node.erasure.erasure import Erasure
    from cadnode.node.erasure.patient import WantedPatient
    from cadnode.node.erasure.selection import studies_here
    from cadnode.node.jobs import JobLookup, JobsUnavailable
    from cadnode.node.listener import open_spool
    from cadnode.receive.identity import is_valid_uid
    from cadnode_training.data.erasure import TrainingFiles

    if not all(map(is_valid_uid, studies)):
        raise SettingsError("--study is a Study Instance UID: digits and dots, at most 64")
    values = settings.load(config)
    storage = values.storage.folder
    if not (storage / "spool").is_dir():
        raise SettingsError(
            f"{storage} is no node's storage folder: name the node's file by --config, or run "
            "`cadnode serve` first"
        )
    beyond = TrainingFiles(manifests, caches)
    wanted = WantedPatient(_typed(patient_id), issuer.strip(), tuple(studies))
    spool, jobs = open_spool(values), JobLookup(values.database_url)
    by = user_name()
    trail = Trail.of(values)

    def told(study: str, clean: bool) -> None:
        outcome = EventOutcome.SUCCESS if clean else EventOutcome.FAILURE
        trail.record(Event(Action.ERASED, outcome, this_user(), study))

    erasure = Erasure(values, spool, jobs, wanted, by=by, wait_s=wait_s, told=told)
    try:
        yield _Place(erasure, beyond, storage, len(studies_here(storage, spool)))
    except JobsUnavailable:
        raise CadnodeError(
            "the job database (jobs.database_url) does not answer: without it nobody knows what is "
            "under way; repeat the command when it does"
        ) from None
    finally:
        jobs.close()


def _typed(patient_id: str) -> str:
    """The ID, asked for where it is not given. Raises `SettingsError` where nobody can be asked."""
    if patient_id not in ("", "-"):
        return patient_id
    if sys.stdin.isatty():
        return str(typer.prompt("Patient ID", err=True))
    if patient_id == "-":
        return sys.stdin.readline().rstrip("\n")
    raise SettingsError(
        "whose? Give --patient-id ID, or --patient-id - and the ID on standard input"
    )


def _refuse(outlook: "Outlook", *, pinned_too: bool, undelivered_too: bool) -> None:
    """Raises `ErasureRefused` for what needs a further word."""
    from cadnode.node.erasure.patient import ErasureRefused

    if outlook.pinned and not pinned_too:
        raise ErasureRefused(
            f"pinned: {', '.join(outlook.pinned)}. Unpin with `cadnode storage unpin`, or add "
            "--pinned-too"
        )
    if outlook.owed and not undelivered_too:
        words = "; ".join(
            f"{one.study} ({owed_words(one.not_read, one.destinations)})" for one in outlook.owed
        )
        raise ErasureRefused(
            f"not done yet: {words}. Wait, or add --undelivered-too: then nobody gets it"
        )


def _ask(outlook: "Outlook", beyond: dict[str, int]) -> None:
    """Raises `SettingsError` when there is nobody to ask, and `Abort` when the answer is no."""
    what = sum_of(outlook, beyond)
    if not sys.stdin.isatty():
        raise SettingsError(f"this erases {what}: add --yes, or --dry-run to see what")
    typer.confirm(f"Erase {what}? This cannot be undone.", abort=True)
