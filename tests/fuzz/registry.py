"""Every target, by name."""

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    codecs,
    files,
    listener,
    logins,
    multipart,
    parcels,
    peers,
    reports,
    settings,
    web,
)


def all_targets() -> dict[str, Target]:
    """Every target, in the order in which they are run."""
    targets: list[Target] = [
        multipart.Multipart(),
        settings.SettingsFile(),
        parcels.Parcels(),
        parcels.Signatures(),
        parcels.Cards(),
        web.Web(),
        logins.IdTokens(),
        logins.ProviderDocuments(),
        logins.UsersFile(),
        peers.DicomwebPeer(),
        peers.OrthancPeer(),
        peers.Destinations(),
        listener.Listener(),
        files.Identity(),
        files.Headers(),
        files.Reports(),
        files.PresentationStates(),
        files.Segmentations(),
        files.KeyObjects(),
        reports.Written(),
        *codecs.codecs(),
    ]
    return {target.name: target for target in targets}
