"""The job database as other processes than the worker see it."""

from dbos import DBOSClient

from cadnode.jobs import sqlite_clock
from cadnode.jobs.serializer import JsonSerializer


def client_of(database_url: str) -> DBOSClient:
    """A client of the job database; it connects when it is first used, and waits for nothing."""
    sqlite_clock.mend()
    return DBOSClient(
        system_database_url=database_url,
        serializer=JsonSerializer(),
        lazy=True,
        retry_connection_errors=False,
        application_name="cadnode",
    )
