"""`cadnode check`: is this node able to work? Each line names what was checked and what to do."""

import os
import shutil
import socket
from collections.abc import Iterator, Mapping

from cadnode import http, places
from cadnode.deliver import commitment
from cadnode.deliver.destination import kind_of
from cadnode.deliver.dicom import DicomKind, peer_of
from cadnode.errors import CadnodeError, DeliveryError, ReportError, SettingsError, SignatureError
from cadnode.node import commitments, source_kinds, worker_state
from cadnode.node.audit_checks import audit_checks
from cadnode.node.certificate_checks import certificate_checks
from cadnode.node.check import Check as Check
from cadnode.node.check import CheckVerdict as CheckVerdict
from cadnode.node.destination_profiles import profiles_of
from cadnode.node.disk_problems import disk_problems
from cadnode.node.refused_peers import refused_problems
from cadnode.node.role_status import Presence
from cadnode.node.senders import Senders, senders_of
from cadnode.node.supervise import ROLES
from cadnode.page.pdf import SAMPLE, pdf_of
from cadnode.receive.fetch.fetch import FetchFailure
from cadnode.report.profiles import ObjectKind, kinds_of
from cadnode.settings import Destination, Settings, Source
from cadnode.settings.section import is_loopback
from cadnode.web import library


def run(settings: Settings) -> Iterator[Check]:
    """Checks in the order in which an admin would look: disk, port, device, models, peers."""
    yield _disk(settings)
    if settings.remote.url is not None:  # no node: a machine that reads for one
        yield from _reading(settings)
        yield from _remote(settings)
        return
    yield from _ports(settings)
    yield _senders(settings)
    yield from certificate_checks(settings)
    yield from _web(settings)
    yield from _viewer(settings)
    yield from _identities(settings)
    yield from audit_checks(settings)
    yield _jobs(settings)
    yield from _roles(settings)
    yield from _reading(settings)
    yield from _shadow(settings)
    yield from _worker(settings)
    yield from _workers(settings)
    yield from _remote(settings)
    yield from paper(settings)
    if not settings.destinations:
        yield Check(
            "destinations", CheckVerdict.WARNING, "none configured",
            "results stay in the storage folder; add a [[destinations]] block to send them on",
        )  # fmt: skip
    for destination in settings.destinations:
        yield destination_check(settings, destination)
    for source in settings.sources:
        yield source_check(source, settings.listener.ae_title)


def _disk(settings: Settings) -> Check:
    folder = settings.storage.folder
    try:
        places.folder(folder, "storage.folder")
    except SettingsError as error:
        return Check(
            "storage", CheckVerdict.FAILED, str(error),
            "give the node's user the right to write there, or change storage.folder",
        )  # fmt: skip
    existing = next(p for p in [folder.absolute(), *folder.absolute().parents] if p.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    found = f"{free_gb:.1f} GB free in {folder}"
    if free_gb < settings.storage.min_free_gb:
        return Check(
            "storage", CheckVerdict.FAILED, found,
            f"the listener refuses images below {settings.storage.min_free_gb} GB: make room",
        )  # fmt: skip
    if existing == folder.absolute():
        for problem in disk_problems(settings):
            verdict = CheckVerdict.FAILED if problem.failing else CheckVerdict.WARNING
            return Check("storage", verdict, f"{found}: {problem.meaning}", problem.hint)
    return Check("storage", CheckVerdict.OK, found)


def _ports(settings: Settings) -> Iterator[Check]:
    listener = settings.listener
    found = f"{listener.ae_title} can listen"
    if listener.in_clear:
        yield _can_listen("listener", listener.host, listener.port, found)
    if listener.certificate_file is not None:
        yield _can_listen("listener", listener.host, listener.tls_port, f"{found} by TLS", "tls_")


def _senders(settings: Settings) -> Check:
    """Whether anybody on the network can make the node read and report what they send."""
    listener, senders = settings.listener, senders_of(settings.listener)
    name = "listener peers"
    if senders is Senders.ANYBODY:
        return Check(
            name, CheckVerdict.FAILED,
            f"anybody who reaches {listener.host} port {listener.port} can send images",
            "name who may in [[listener.peers]], or set listener.host = \"127.0.0.1\"",
        )  # fmt: skip
    if senders is Senders.ANY_ADDRESS:
        return Check(
            name, CheckVerdict.WARNING, "images are taken from any address",
            "an AE title is no proof of who sends: name addresses in [[listener.peers]]",
        )  # fmt: skip
    return Check(name, CheckVerdict.OK, f"images are taken from {senders.value}")


def _can_listen(name: str, host: str, port: int, found: str, key: str = "") -> Check:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return Check(
            name, CheckVerdict.WARNING, f"port {port}: {os.strerror(error.errno or 0)}",
            f"fine if this node is already running; else choose another {name}.{key}port",
        )  # fmt: skip
    return Check(name, CheckVerdict.OK, f"{found} on {port}")


def _viewer(settings: Settings) -> Iterator[Check]:
    """Whether the pages can show images as a viewer does."""
    if not settings.web.enabled:
        return
    package, version = library.pinned()
    if library.library_file():
        yield Check("viewer", CheckVerdict.OK, f"{package} {version}")
    else:
        found = f"{package} {version} is not installed"
        yield Check("viewer", CheckVerdict.WARNING, found, library.ADVICE)


def _web(settings: Settings) -> Iterator[Check]:
    """Token and certificate first: with a bad one the node does not even try to listen."""
    from cadnode.node.web_security import check_security

    web = settings.web
    if not web.enabled:
        yield Check(
            "web", CheckVerdict.WARNING, "switched off", "set web.enabled for pages and plugins"
        )
        return
    try:
        check_security(web)
    except CadnodeError as error:
        yield Check(
            "web", CheckVerdict.FAILED, str(error), "the HTTP side does not start like this"
        )
        return
    who = "anybody on this machine"
    if web.knows_somebody:
        who = "clients with the token" if web.token_file else "those who say who they are"
    scheme = "https" if web.tls_files else "http"
    yield _can_listen("web", web.host, web.port, f"{scheme} for {who}")
    if web.tls_files is None and not is_loopback(web.host):
        what = "the token crosses" if web.token_file else "passwords and tokens cross"
        yield Check(
            "web", CheckVerdict.WARNING, f"{what} the network in clear on {web.host}",
            "set web.certificate_file and web.key_file, or put a TLS proxy before it",
        )  # fmt: skip


def _identities(settings: Settings) -> Iterator[Check]:
    """Who may ask the HTTP side, by their roles, and whether anybody may administer it."""
    from cadnode.identity.overview import overview

    if not settings.web.enabled or not settings.web.knows_somebody:
        return
    try:
        for one in overview(settings.web):
            verdict = CheckVerdict.WARNING if one.advice else CheckVerdict.OK
            yield Check("identities", verdict, one.found, one.advice)
    except CadnodeError as error:
        yield Check(
            "identities", CheckVerdict.FAILED, str(error), "the HTTP side does not start like this"
        )


def _jobs(settings: Settings) -> Check:
    """A job is stored, waits, runs and is reported, in a database of its own."""
    from cadnode.node import job_database, trial_job

    file = job_database.file_of(settings.database_url)
    # Before the first start its folder is not there, which `serve` makes.
    is_new = file is not None and not file.parent.exists()
    unusable = None if is_new else job_database.problem_of(settings.database_url, thorough=True)
    if unusable:
        return Check(
            "jobs", CheckVerdict.FAILED, f"the job database {unusable.words}",
            "a worker waits for it and goes on by itself; one that is damaged it keeps aside",
        )  # fmt: skip
    if problem := trial_job.problem_of(settings.database_url, settings.storage.folder):
        return Check("jobs", CheckVerdict.FAILED, problem, "until then no study can be read")
    is_sqlite = settings.database_url.startswith("sqlite")
    found = "a trial job ran" if is_sqlite else "the job database answers"
    return Check("jobs", CheckVerdict.OK, found)


def _roles(settings: Settings) -> Iterator[Check]:
    """What a running node's processes do not do just now, and what became of studies by that."""
    from cadnode.node import health, role_status

    storage = settings.storage.folder
    roles = {name: role_status.look_around(storage, name) for name in ROLES}
    yield from _listeners(roles["listener"])
    for name, role in (one for found in roles.values() for one in found.items()):
        if role.hangs or role.waits_for:
            found = f"hangs: {role.hangs}" if role.hangs else f"waits: {role.waits_for}"
            yield Check(
                f"running {name}", CheckVerdict.FAILED, found,
                "the node starts a role that hangs again; what is waited for, another line names",
            )  # fmt: skip
    for problem in health.lasting_problems(settings):
        yield Check("studies", CheckVerdict.WARNING, problem.meaning, problem.hint)
    for problem in refused_problems(storage):
        yield Check("refused peers", CheckVerdict.WARNING, problem.meaning, problem.hint)


def _listeners(slots: Mapping[str, Presence]) -> Iterator[Check]:
    """Listeners that share the storage folder, and one that has died; none where there is one."""
    here = [slot for slot, one in slots.items() if one.is_up]
    if not here or len(slots) < 2:
        return
    yield Check("listeners", CheckVerdict.OK, f"{len(here)} share the folder: {', '.join(here)}")
    for slot, one in slots.items():
        if not one.is_up:
            how = f"ended: {one.error}" if one.error else "ended unasked"
            yield Check(
                "listeners", CheckVerdict.WARNING, f"{slot} {how}; the others go on",
                "start it again; the log says why it ended",
            )  # fmt: skip


def _reading(settings: Settings) -> Iterator[Check]:
    # torch takes seconds to import: only here, not for `cadnode check --help`
    from cadnode.models.device import choose_device
    from cadnode.node.model_overview import overview, verify
    from cadnode.node.readers import engine_of, load_readers

    try:
        device = choose_device(settings.reading.device)
        engine = engine_of(settings.reading).on(device)
        yield Check("device", CheckVerdict.OK, f"{device}, {engine.describe()}")
        for damaged in (v for v in verify(settings) if v.problem):
            yield Check(
                "model",
                CheckVerdict.WARNING,
                damaged.problem,
                "`cadnode models verify` gives details",
            )
        readers = load_readers(settings, device)
        rows = [row for row in overview(settings).rows if row.active and row.card]
        for card in (model.card for model in readers):
            kinds = ", ".join(card.applies_to)
            by = next((row.whose for row in rows if row.card == card), "")
            yield Check(
                "model", CheckVerdict.OK,
                f"{card.name} {card.version} reads {kinds} ({card.weights_sha256[:12]}); {by}",
            )  # fmt: skip
        for system in readers.systems:
            verdict = CheckVerdict.OK if system.active else CheckVerdict.WARNING
            found = "active" if system.active else "not active"
            yield Check(f"system {system.system}", verdict, found, system.reason)
    except SignatureError as error:
        yield Check(
            "models", CheckVerdict.FAILED, str(error),
            "`cadnode models trust list` shows whose models this node takes",
        )  # fmt: skip
    except CadnodeError as error:
        yield Check("models", CheckVerdict.FAILED, str(error), "see reading.* in the configuration")


def _shadow(settings: Settings) -> Iterator[Check]:
    from cadnode.node.shadow_process import chosen

    try:
        now = chosen(settings)
    except CadnodeError:  # `active.json` is damaged: the models' check reports it
        return
    if now.specs:
        yield Check("shadow", CheckVerdict.OK, f"{', '.join(now.specs)} reads in shadow mode")
    for problem in now.problems:
        yield Check(
            "shadow", CheckVerdict.WARNING, problem,
            "`cadnode models shadow start | stop`, or reading.shadow in the configuration",
        )  # fmt: skip


def _worker(settings: Settings) -> Iterator[Check]:
    """The models a running worker uses: a change that it refused has no effect."""
    state = worker_state.read(settings.storage.folder)
    if state is None or not state.runs:
        return
    used = ", ".join(f"{m.name} {m.version}" for m in state.models)
    if state.problem is None:
        yield Check("running node", CheckVerdict.OK, f"reads with {used}")
        return
    yield Check(
        "running node", CheckVerdict.FAILED,
        f"refused the models that are active now ({state.problem.code}): {state.problem.message}",
        f"it still reads with {used}; mend the model or `cadnode models rollback NAME`",
    )  # fmt: skip


def _workers(settings: Settings) -> Iterator[Check]:
    # DBOS takes a second to import: only here, as `_jobs` does
    from cadnode.node.worker_checks import worker_checks

    return worker_checks(settings)


def _remote(settings: Settings) -> Iterator[Check]:
    if settings.remote.url is None and not settings.remote.workers:
        return iter(())
    # torch takes seconds to import: only here, as `_reading` does
    from cadnode.node.remote.remote_checks import remote_checks

    return remote_checks(settings)


def paper(settings: Settings) -> Iterator[Check]:
    """Whether the PDF report can be drawn, where a destination gets it, and with which fonts."""
    if ObjectKind.PDF not in kinds_of(profiles_of(settings)):
        return
    try:
        wanted = pdf_of(SAMPLE).fonts_wanted
    except ReportError as error:
        yield Check("PDF", CheckVerdict.FAILED, str(error), "or choose a profile without the PDF")
        return
    if wanted:
        yield Check(
            "PDF", CheckVerdict.WARNING, "has no letters for some scripts",
            f"install {' '.join(wanted)}; until then letters are written as numbers",
        )  # fmt: skip
    else:
        yield Check("PDF", CheckVerdict.OK, "can be drawn, with fonts of many scripts")


def destination_check(
    settings: Settings, destination: Destination, advice: Mapping[str, str] | None = None
) -> Check:
    """Whether a destination answers and accepts us; `advice` by kind, instead of the kind's."""
    name, kind = f"destination {destination.name}", kind_of(destination)
    where = kind.where(destination)
    try:
        found = kind.check(destination, settings.listener.ae_title)
        if destination.commit:
            commitment.check(peer_of(destination, settings.listener.ae_title).for_commitment)
            found += " and offers storage commitment"
            if not commitments.may_answer(settings, destination):
                return Check(
                    name, CheckVerdict.WARNING,
                    f"{where}: {found}, but the listener would not let its answers in",
                    f"add address and ae_title {destination.ae_title} to [[listener.peers]] and, "
                    "where there are any, to listener.calling_ae_titles",
                )  # fmt: skip
        return Check(name, CheckVerdict.OK, f"{where}: {found}")
    except CadnodeError as error:
        told = error.hint if isinstance(error, DeliveryError) else ""
        mend = told or (advice or {}).get(destination.kind, kind.advice)
        return Check(name, CheckVerdict.FAILED, f"{where}: {error}", mend)


def source_check(source: Source, ae_title: str) -> Check:
    """Whether a source answers and accepts us, under our AE title."""
    name = f"source {source.name}"
    advice = DicomKind.advice if source.kind == "dicom" else http.ADVICE
    try:
        with source_kinds.opened(source, ae_title) as opened:
            return Check(name, CheckVerdict.OK, f"{source.where}: {opened.check()}")
    except FetchFailure as failure:
        return Check(name, CheckVerdict.FAILED, f"{source.where}: {failure}", advice)
