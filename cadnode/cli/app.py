"""The `cadnode` command: arguments in, tables or JSON out.

The work is done in `node`, `demo` and `training`; they are imported inside the commands, so that
`--help` answers at once.
"""

import json
import os
import sys
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cadnode import __version__, extras, places, settings
from cadnode.cli.audit import audit_app
from cadnode.cli.backup import backup_app
from cadnode.cli.calibrate import calibrate
from cadnode.cli.command import (
    AsJson,
    ConfigFile,
    OutFolder,
    command,
    err,
    out,
    print_json,
    to_folder,
)
from cadnode.cli.compare import compare, report
from cadnode.cli.configuration import settings_app
from cadnode.cli.data import data_app, phantom
from cadnode.cli.deliveries import deliveries_app
from cadnode.cli.evaluate import evaluate_app
from cadnode.cli.log import show_log
from cadnode.cli.models import models_app
from cadnode.cli.orthanc import orthanc_app
from cadnode.cli.outcomes import outcomes_app
from cadnode.cli.panels import OrderedGroup
from cadnode.cli.patients import patients_app
from cadnode.cli.quality import quality_app
from cadnode.cli.recall import recall
from cadnode.cli.service import service_app
from cadnode.cli.storage import storage_app
from cadnode.cli.studies import studies_app
from cadnode.cli.tls import tls_app
from cadnode.cli.train import train_app
from cadnode.cli.users import users_app
from cadnode.cli.verdicts import verdicts
from cadnode.domain import Profile, System
from cadnode.errors import PermanentDeliveryError, SettingsError
from cadnode.terminal import styled

app = typer.Typer(
    name="cadnode",
    cls=OrderedGroup,
    help="Mammography CAD node: mammograms in by DICOM, structured reports and heat maps out.\n\n"
    "First steps: [bold]cadnode demo[/] shows it all on a real exam; "
    "[bold]cadnode check --example[/] prints a configuration file to start from; "
    "[bold]cadnode serve --config FILE[/] runs the node.",
    epilog="Exit codes: 0 done · 2 wrong settings, arguments or data · 3 nothing could be read · "
    "4 model missing or damaged · 5 report failed · 6 delivery failed. Research use only.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(train_app, name="train")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(models_app, name="models")
app.add_typer(data_app, name="data")
app.add_typer(orthanc_app, name="orthanc")
app.add_typer(studies_app, name="studies")
app.add_typer(deliveries_app, name="deliveries")
app.add_typer(storage_app, name="storage")
app.add_typer(users_app, name="users")
app.add_typer(settings_app, name="settings")
app.add_typer(patients_app, name="patients")
app.add_typer(audit_app, name="audit")
app.add_typer(outcomes_app, name="outcomes")
app.add_typer(quality_app, name="quality")
app.add_typer(service_app, name="service")
app.add_typer(tls_app, name="tls")
app.add_typer(backup_app, name="backup")
studies_app.command()(verdicts)
studies_app.command()(recall)
app.command()(calibrate)
app.command()(phantom)
app.command()(compare)
app.command()(report)
app.command("log")(show_log)


class ServeRole(StrEnum):
    """What `cadnode serve` runs in this process."""

    ALL = "all"
    LISTENER = "listener"
    WORKER = "worker"
    WEB = "web"
    REMOTE_WORKER = "remote-worker"


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="print the version and stop")] = False,
) -> None:
    """Shown by `cadnode --help`; see `app`."""
    from cadnode import log

    log.configure("WARNING", human=True)
    if version:
        out.print(f"cadnode {__version__}", highlight=False)
        raise typer.Exit


@app.command()
@command
def serve(
    config: ConfigFile = None,
    role: Annotated[
        ServeRole,
        typer.Option(
            help="one role in this process; [bold]all[/] starts and watches those of a node. A "
            "[bold]remote-worker[/] reads for the node at remote.url, from another machine"
        ),
    ] = ServeRole.ALL,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    applied: Annotated[Path | None, typer.Option("--applied", hidden=True)] = None,
) -> None:
    """Run the node: DICOM listener, worker and HTTP side, each a process of its own.

    Stop it with Ctrl-C or SIGTERM. Nothing received is lost, also by `kill -9`: work goes on at
    the last finished step when the node is started again.
    """
    from cadnode import log, log_files
    from cadnode.log_files import LogWriter

    values = settings.load(applied or config)  # what the supervisor has taken up
    if values.remote.url is not None and role is not ServeRole.REMOTE_WORKER:
        raise SettingsError(
            "remote.url is set: this is no node's configuration; a remote worker starts with "
            "--role remote-worker"
        )
    log.configure(values.log.level, human=sys.stderr.isatty())
    log.nothing_escapes()
    os.umask(0o027)  # studies and reports: for the node's user and group, whatever started it
    places.folder(values.storage.folder, "storage.folder")
    values.storage.folder.mkdir(parents=True, exist_ok=True)
    if values.log.keep_mb:
        own = "node" if role is ServeRole.ALL else role.value
        also = LogWriter(
            values.storage.folder / log_files.FOLDER, own, int(values.log.keep_mb * 1e6)
        )
        log.configure(values.log.level, human=sys.stderr.isatty(), also=also)
    if role is ServeRole.ALL:
        from cadnode.node import supervise

        supervise.serve(config, values)
    else:
        _run(role, values, config, supervised=supervised)


def _run(
    role: ServeRole, values: settings.Settings, config: Path | None, *, supervised: bool
) -> None:
    """Run one role in this process.

    By hand it takes its part of the storage folder itself, and new settings from its own file; a
    supervisor has both for its roles.
    """
    from cadnode.node import heartbeat, job_database, orphans, role_status, storage_lock
    from cadnode.node.own_settings import OwnSettings, begin_again, watched
    from cadnode.node.settings_reload import AppliedFile

    storage = values.storage.folder
    has_supervisor = supervised and orphans.end_with_parent()
    is_one_of_several = role is ServeRole.REMOTE_WORKER or (
        role in (ServeRole.WORKER, ServeRole.LISTENER)
        and not has_supervisor
        and job_database.is_shared(values.database_url)
    )
    with ExitStack() as open_:
        if not has_supervisor:
            open_.enter_context(storage_lock.held(storage, shared=True))
        presence = role_status.present(storage, role.value, beside=is_one_of_several)
        slot = open_.enter_context(presence)
        pulse = open_.enter_context(heartbeat.beating(storage, slot))
        own = OwnSettings(role.value, slot, config, values)
        if not supervised:
            open_.enter_context(watched(own))
        if role is ServeRole.LISTENER:
            from cadnode.node import listener

            renewal = AppliedFile(storage, values) if supervised else own
            listener.run(values, pulse, renewal, supervised=supervised, slot=slot)
        elif role is ServeRole.WEB:
            from cadnode.node.web_port import listened_at_once

            listening = listened_at_once(values.web)  # before imports that take seconds
            from cadnode.node import web_server

            web_server.run(values, pulse, supervised=supervised, config=config, listening=listening)
        elif role is ServeRole.REMOTE_WORKER:
            from cadnode.node.remote import remote_worker

            remote_worker.run(values, pulse, slot=slot)
        else:
            from cadnode.node import trial_job, worker

            if not supervised:  # the supervisor has looked
                trial_job.ensure(values.database_url, storage)
            worker.run(values, pulse, supervised=supervised, slot=slot)
    if own.begins_again:
        begin_again()


@app.command()
@command
def read(
    paths: Annotated[list[Path], typer.Argument(help="DICOM files or folders with them")],
    out_folder: OutFolder,
    roi: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VIEW:r0,c0,r1,c1",
            help="also assess this region, in pixels as stored; VIEW is a SOP Instance UID, or "
            "a view such as [bold]RCC[/]; may be repeated",
        ),
    ] = None,
    counts: Annotated[
        System | None,
        typer.Option(
            metavar="SYSTEM",
            parser=System,
            help="whose probability is the finding's, instead of reading.counts: kim2018, "
            "kang2021, helsinki_dtl, wang2016, or an imported network's",
        ),
    ] = None,
    profile: Annotated[
        Profile | None,
        typer.Option(help="which objects are made, instead of report.profile"),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Read exams offline: files in, `result.json`, `report.html`, SR and heat maps out.

    One exam is written into DIR, several into DIR/1, DIR/2, … `result.json` is written also when
    nothing could be read; the exit code is then 3.

    Regions that people marked in the exam (a Structured Report, a presentation state or a
    segmentation) are assessed as well, and so are those of --roi:
    [bold]cadnode read exam/ --out result --roi RCC:1200,800,1700,1300[/]
    """
    values = settings.load(config)
    missing = [p for p in paths if not p.exists()]
    if missing:  # before torch is imported, which takes seconds
        raise SettingsError(f"there is no {missing[0]}")
    from cadnode.cli.output import print_readings, reading_progress
    from cadnode.node import readers
    from cadnode.node.destination_profiles import profiles_of
    from cadnode.report.profiles import ObjectKind, kinds_of

    if counts is not None:
        values = values.model_copy(
            update={"reading": values.reading.model_copy(update={"counts": (counts,)})}
        )
    if profile is not None:
        values = values.model_copy(
            update={"report": values.report.model_copy(update={"profile": profile})}
        )
    if ObjectKind.PDF in kinds_of(profiles_of(values)):
        extras.need("pdf", "the report on paper (a profile with the PDF)")
    with reading_progress(err, quiet=as_json) as progress:
        readings = readers.read_paths(
            paths, out_folder, values, rois=roi or (), on_progress=progress
        )
    documents = [json.loads((r.folder / "result.json").read_bytes()) for r in readings]
    if as_json:
        print_json(documents)
    else:
        print_readings(out, readings)
    if not any(r.result.views for r in readings):
        raise typer.Exit(3)


@app.command()
@command
def send(
    paths: Annotated[list[Path], typer.Argument(help="DICOM files or folders with them")],
    to: Annotated[str, typer.Option(metavar="AE@HOST:PORT", help="the peer that is to receive")],
    calling: Annotated[str, typer.Option(help="our own AE title")] = "CADNODE",
    own: Annotated[
        bool, typer.Option("--own", help="also send what cadnode made: earlier results")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be sent")] = False,
    as_json: AsJson = False,
) -> None:
    """Send DICOM files by C-STORE, as they are: nothing is converted.

    Each file that is not DICOM, that cadnode made, or that the peer refuses is named with the
    reason. Exit code 2 when nothing is left to send, 6 when the peer refused one.

    Example: [bold]cadnode send exam/ --to CADNODE@127.0.0.1:11112[/]
    """
    from cadnode.cli.output import counting_progress
    from cadnode.node import send_command

    peer = send_command.parse_peer(to, calling)
    files, left_out = send_command.sift(send_command.dicom_files(paths), own=own)
    sent, refused = 0, list[send_command.NotSent]()
    if files and not dry_run:
        with counting_progress(err, "sending", len(files), quiet=as_json) as advance:
            sent, refused = send_command.send_files(files, peer, advance)
    if as_json:
        failures = [{"file": str(one.path), "reason": one.reason} for one in [*left_out, *refused]]
        print_json({"sent": sent, "files": len(files), "left_out": failures, "dry_run": dry_run})
    else:
        for one in [*left_out, *refused]:
            err.print(styled("[yellow]![/] {} {}", one.path, one.reason), soft_wrap=True)
        at = f"{peer.ae_title} at {peer.host}:{peer.port}"
        done = f"would go to {at}" if dry_run else f"taken by {peer.ae_title}"
        of = f"{len(files)}" if dry_run else f"{sent} of {len(files)}"
        out.print(f"{of} files {done}")
    if not files:
        raise SettingsError("there is nothing to send")
    if refused:
        raise PermanentDeliveryError(f"{peer.ae_title} refused {len(refused)} files")


@app.command()
@command
def check(
    config: ConfigFile = None,
    example: Annotated[
        bool, typer.Option("--example", help="print a commented configuration file and stop")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look whether the node can work: settings, disk, port, GPU, models, destinations, sources.

    Exit code 0 when nothing failed, 2 otherwise.
    """
    if example:
        sys.stdout.write(settings.example())
        return
    from cadnode.cli.output import print_checks
    from cadnode.node import checks

    values = settings.load(config)
    results = list(checks.run(values))
    if as_json:
        print_json([c.as_dict() for c in results])
    else:
        print_checks(out, results)
    if any(c.verdict == checks.CheckVerdict.FAILED for c in results):
        raise typer.Exit(2)


@app.command()
@command
def demo(
    out_folder: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="DIR", help="where results are written", callback=to_folder
        ),
    ] = Path("out/demo"),
    exam: Annotated[
        str,
        typer.Option(
            help="[bold]malignant[/] or [bold]benign[/]: two real exams (CBIS-DDSM, film); "
            "[bold]phantom[/]: a synthetic one whose lesions are known"
        ),
    ] = "malignant",
    archive: Annotated[
        str,
        typer.Option(
            help="[bold]auto[/] (Orthanc if installed), [bold]orthanc[/], [bold]embedded[/]"
        ),
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """Send an exam to a running node and show what comes back.

    Starts an archive and a node on free ports of this machine, sends the four views by C-STORE,
    waits until the archive holds the SR and four heat maps, and writes them to DIR, with
    index.html to look at.
    """
    from cadnode.cli.output import demo_progress, print_demo

    if exam != "phantom":
        extras.need("demo", "the demo's real exam (--exam phantom needs nothing)")
    from cadnode.demo import run as demo_run

    with demo_progress(err, quiet=as_json) as progress:
        shown = demo_run.run(out_folder, exam, archive, on_stage=progress)
    if as_json:
        print_json(shown.as_dict())
    else:
        print_demo(out, shown)


def main() -> None:
    """Entry point of the console script."""
    app()
