"""`cadnode check` of workers that share a PostgreSQL database, and of jobs that nobody runs."""

from collections.abc import Iterator

from dbos import DBOSClient
from sqlalchemy.exc import SQLAlchemyError

from cadnode.node import job_database
from cadnode.node.check import Check, CheckVerdict
from cadnode.node.jobs import OPEN
from cadnode.node.lease_table import Lease, LeaseTable
from cadnode.node.workflow import JOBS_VERSION
from cadnode.settings import Settings
from cadnode.terminal import counted


def worker_checks(settings: Settings) -> Iterator[Check]:
    """Checks of the leases; none where there is one worker, or the database does not answer."""
    url = settings.database_url
    if not job_database.is_shared(url):
        return
    table, client = LeaseTable(url), job_database.client_of(url)
    try:
        leases = table.all()
        yield from _found(leases, _stranded(client, leases))
    except SQLAlchemyError:  # not made yet, or away: the job database's own check reports it
        return
    finally:
        table.close()
        client.destroy()


def _stranded(client: DBOSClient, leases: list[Lease]) -> dict[str, int]:
    """How many open jobs there are of each version that no worker runs."""
    versions = {lease.jobs_version for lease in leases} | {JOBS_VERSION}
    jobs = client.list_workflows(status=list(OPEN), load_input=False, load_output=False)
    found: dict[str, int] = {}
    for job in jobs:
        if job.app_version and job.app_version not in versions:
            found[job.app_version] = found.get(job.app_version, 0) + 1
    return found


def _found(leases: list[Lease], stranded: dict[str, int]) -> Iterator[Check]:
    if leases:
        names = ", ".join(f"{lease.slot} on {lease.host}" for lease in leases)
        yield Check("workers", CheckVerdict.OK, f"{len(leases)} share the job database: {names}")
    for version, count in sorted(stranded.items()):
        yield Check(
            "workers", CheckVerdict.FAILED,
            f"{counted(count, 'job')} {'was' if count == 1 else 'were'} begun with version "
            f"{version} of the jobs, which no worker runs",
            "start a worker of the cadnode version before until they are done: docs/scale.md",
        )  # fmt: skip
