"""Which objects each configured destination gets, and so which are made of a study."""

from dataclasses import dataclass
from typing import Final

from cadnode.deliver.destination import kind_of
from cadnode.deliver.outgoing import Takes
from cadnode.domain import Profile
from cadnode.node.results import BUNDLE, MESSAGE
from cadnode.report import profiles
from cadnode.report.profiles import CITED, kinds_of
from cadnode.settings import Destination, Settings


@dataclass(frozen=True, slots=True)
class DestinationDocument:
    """One file that a kind of destination takes in place of objects."""

    profile: Profile
    file: str
    words: str


DOCUMENTS: Final = {
    Takes.BUNDLE: DestinationDocument(Profile.FHIR, BUNDLE, "FHIR bundle"),
    Takes.MESSAGE: DestinationDocument(Profile.HL7, MESSAGE, "HL7 message"),
}


def profile_of(settings: Settings, destination: Destination) -> Profile:
    """Which objects a destination gets; one that takes a document gets that only."""
    document = DOCUMENTS.get(kind_of(destination).takes)
    if document is not None:
        return document.profile
    return destination.profile or settings.report.profile


def takes_answers(settings: Settings, destination: Destination) -> bool:
    """Whether a destination gets the answers to regions that people ask about."""
    return profiles.takes_answers(profile_of(settings, destination))


def profiles_of(settings: Settings) -> tuple[Profile, ...]:
    """Every profile that a destination gets; the report's own when there is no destination.

    And a report whose findings readers' verdicts can name, where a destination gets those.
    """
    wanted = dict.fromkeys(profile_of(settings, d) for d in settings.destinations)
    if any(d.verdicts for d in settings.destinations) and kinds_of(wanted).isdisjoint(CITED):
        wanted[Profile.TID1500] = None  # verdicts name its findings
    return tuple(wanted) or (settings.report.profile,)
