"""Every target, by name."""

from tests.fuzz.target import Target
from tests.fuzz.targets import codecs, files, multipart, settings


def all_targets() -> dict[str, Target]:
    """Every target, in the order in which they are run."""
    targets: list[Target] = [
        multipart.Multipart(),
        settings.SettingsFile(),
        files.Identity(),
        files.Headers(),
        files.Reports(),
        files.PresentationStates(),
        files.Segmentations(),
        files.KeyObjects(),
        *codecs.codecs(),
    ]
    return {target.name: target for target in targets}
