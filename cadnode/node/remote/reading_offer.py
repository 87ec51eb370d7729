"""What a node offers to remote workers, and who has it: the contents of its files."""

from enum import StrEnum

from cadnode.node.remote.machines import RemoteFileContent


class ReadingOffer(RemoteFileContent):
    """A content that is to be read. `files` and `replaced` are names in the study's folder.

    `digest` states what it is read with (`Readers.digest`), `rank` how soon, the lowest first, and
    `within_s` for how long one machine may have it.
    """

    study: str
    content: str
    files: tuple[str, ...]
    replaced: tuple[str, ...] = ()
    digest: str
    for_processing: bool = False
    rank: int = 0
    at: float = 0.0
    within_s: float = 600.0

    @property
    def key(self) -> str:
        """Its name among the offers."""
        return f"{self.study}-{self.content}"


class ReadingClaim(RemoteFileContent):
    """Who reads an offer: a machine, or "" for this node's own worker, and with whose token."""

    claim: str
    by: str
    token: str = ""


class OfferState(StrEnum):
    """Where an offer is."""

    OPEN = "open"
    TAKEN = "taken"
    ENDED = "ended"
    OURS = "ours"  # for this node alone: other machines failed with it
