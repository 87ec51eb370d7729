"""Files that a spool has received without a network."""

from pathlib import Path

from cadnode.receive.identity import read_file_identity
from cadnode.receive.spool import Spool, StoredInstance


def add_file(spool: Spool, source: Path) -> StoredInstance:
    """A copy of a DICOM file, received as if it had come by network."""
    identity = read_file_identity(source)
    incoming = spool.open()
    try:
        incoming.write(source.read_bytes())
        return spool.publish(incoming, identity)
    finally:
        incoming.drop()
