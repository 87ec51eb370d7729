"""The kinds of destination, and what each of them does: a new kind is a file and a line here.

A kind's name is the value of `kind` in a `[[destinations]]` block; `settings.peers` accepts it
and asks for the keys that the kind needs. A kind that takes another document than DICOM objects or
the FHIR bundle also needs that to be made: `report.profiles`, `node.outputs`, `node.results`.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from cadnode.deliver.dicom import DicomKind
from cadnode.deliver.fhir import FhirKind
from cadnode.deliver.folder import FolderKind
from cadnode.deliver.hl7 import Hl7Kind
from cadnode.deliver.orthanc import OrthancKind
from cadnode.deliver.outcome import Delivered
from cadnode.deliver.outgoing import Outgoing, Takes
from cadnode.deliver.stow import StowKind
from cadnode.errors import SettingsError
from cadnode.settings import Destination


class DestinationKind(Protocol):
    """What destinations of one kind have in common.

    `calling_ae_title` is this node's, by which DICOM peers know it.
    """

    @property
    def takes(self) -> Takes:
        """Which of an exam's results it takes."""

    @property
    def serial(self) -> bool:
        """Whether one study's results have to go after the other's."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The keys of a destination without which this kind cannot be reached."""

    @property
    def advice(self) -> str:
        """What to look at when `check` fails."""

    def where(self, destination: Destination) -> str:
        """The destination's address in words."""

    def check(self, destination: Destination, calling_ae_title: str) -> str:
        """A line on what was found, when the destination answers and lets us in.

        Raises
        ------
        DeliveryError
            It cannot be reached or refuses us; the message is the reason.
        """

    def send(
        self, outgoing: Outgoing, destination: Destination, calling_ae_title: str
    ) -> Delivered:
        """What the destination took: every file. It may be sent again after any failure.

        Raises
        ------
        TransientDeliveryError
            It is away, busy or out of resources: the same may be sent again.
        PermanentDeliveryError
            It refuses what it is sent, or some of it; what it does not refuse it has.
        OSError
            A file of ours cannot be read.
        """


KINDS: Final[Mapping[str, DestinationKind]] = {
    "dicom": DicomKind(),
    "orthanc": OrthancKind(),
    "stow": StowKind(),
    "fhir": FhirKind(),
    "folder": FolderKind(),
    "hl7": Hl7Kind(),
}


def kind_of(destination: Destination) -> DestinationKind:
    """The kind of a destination.

    Raises
    ------
    SettingsError
        There is no such kind, or a key that it needs has no value.
    """
    kind = KINDS.get(destination.kind)
    if kind is None:
        raise SettingsError(f"there is no kind of destination {destination.kind!r}")
    missing = [key for key in kind.needs if getattr(destination, key) is None]
    if missing:
        raise SettingsError(f"destination {destination.name!r} needs {', '.join(missing)}")
    return kind
