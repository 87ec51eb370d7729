"""A node's studies and deliveries, opened for a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadnode import settings

if TYPE_CHECKING:
    from cadnode.node.orders import DeliveryDesk
    from cadnode.node.study_index import Studies
    from cadnode.node.study_queue import StudyQueue

LOOK_S = 60.0  # for which a command looks at studies that are not listed yet


@dataclass(frozen=True, slots=True)
class NodePlace:
    """The node's studies and deliveries, as its folders and its job database have them."""

    values: settings.Settings
    studies: "Studies"
    queue: "StudyQueue"
    desk: "DeliveryDesk"


@contextmanager
def opened(values: settings.Settings) -> Iterator[NodePlace]:
    """The node of these settings, running or not."""
    from cadnode.errors import CadnodeError
    from cadnode.node.jobs import JobLookup
    from cadnode.node.listener import open_spool
    from cadnode.node.orders import DeliveryDesk
    from cadnode.node.study_index import Studies
    from cadnode.node.study_queue import StudyQueue
    from cadnode.web.node import Unavailable

    progress = JobLookup(values.database_url)
    desk = DeliveryDesk(values, progress)
    try:
        studies = Studies(values, open_spool(values), progress)
        yield NodePlace(values, studies, StudyQueue(values, studies, progress), desk)
    except Unavailable as error:
        raise CadnodeError(f"{error}: {error.hint}") from None
    finally:
        desk.close()
        progress.close()
