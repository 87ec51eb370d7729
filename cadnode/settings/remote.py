"""Reading on other machines, without a shared folder (docs/scale.md)."""

from pathlib import Path

from pydantic import Field, NonNegativeFloat, model_validator

from cadnode.http import HttpPeerValues
from cadnode.settings.peers import HttpUrl
from cadnode.settings.section import Section


class RemoteSection(Section):
    """Reading on other machines: workers and head_start_s on the node, the rest on the others."""

    workers: int = Field(
        0,
        ge=0,
        le=64,
        description="on the node: how many exams remote workers may have in hand at the same time, "
        "beside the one that the node reads itself; 0: none",
    )
    head_start_s: NonNegativeFloat = Field(
        0.0,
        description="on the node: while a remote worker asks for exams, the node itself reads one "
        "only after it was offered for so long; 0: whoever is free first",
    )
    url: HttpUrl | None = Field(
        None, description="on a remote worker: address of the node's HTTP side, best by https"
    )
    token_file: Path | None = Field(
        None,
        description="on a remote worker: its first line is a token of the node, of the "
        "role remote-worker",
    )
    ca_file: Path | None = Field(
        None, description="on a remote worker: PEM certificates to trust beside the system's"
    )

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "RemoteSection":
        if self.url is not None and self.workers:
            raise ValueError("a node has workers, a remote worker has a url: not both")
        if self.url is None and (self.token_file or self.ca_file):
            raise ValueError("token_file and ca_file need url, the node's address")
        return self

    def http_values(self) -> HttpPeerValues | None:
        """How the node is reached; None on a node itself."""
        if self.url is None:
            return None
        return HttpPeerValues(
            name="the node", url=self.url, token_file=self.token_file, ca_file=self.ca_file
        )
