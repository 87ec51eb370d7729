"""The settings file (`cadnode.settings.load`): never a password in an error."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from cadnode.errors import SettingsError
from cadnode.settings import load, peers, sections
from cadnode.settings.load import Settings
from tests.fuzz.mutate import raw, text
from tests.fuzz.target import Target

_SECTIONS = tuple(Settings.model_fields)
_KEYS = tuple(
    dict.fromkeys(
        key
        for module in (sections, peers)
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, sections.Section)
        for key in model.model_fields
    )
)
_SEEDS = (
    b'[listener]\nae_title = "CADNODE"\nport = 11112\ncalling_ae_titles = ["A", "B"]\n'
    b'[study]\nwanted_views = ["R CC"]\nquiet_s = 3.5\n[web]\nhost = "127.0.0.1"\nport = 8114\n'
    b'[jobs]\ndatabase_url = "postgresql://ZZQuser:ZZQpw@localhost/jobs"\n[log]\nlevel = "INFO"\n',
    b'[[destinations]]\nname = "pacs"\nkind = "dicom"\nhost = "h"\nport = 104\nae_title = "P"\n'
    b'profile = "all"\n[[destinations]]\nname = "web"\nkind = "stow"\nurl = "http://h/dicom-web"\n'
    b'username = "u"\n[[sources]]\nname = "o"\nkind = "orthanc"\nurl = "http://127.0.0.1:8042"\n',
    b'[reading]\ncounts = ["kim2018"]\noperating_point = "specificity=0.9"\nthreads = 2\n'
    b'[report]\ndisclaimer = "x"\nprofile = "standard"\n[storage]\nfolder = "x"\nmin_free_gb = 1\n',
)


class SettingsFile(Target):
    """A TOML file; what it may raise is a `SettingsError` that can be shown to anybody."""

    name = "settings"
    allowed = (SettingsError,)
    marks = (b"ZZQpw",)

    def open(self, folder: Path) -> None:
        super().open(folder)
        self._file = folder / "cadnode.toml"

    def seeds(self) -> list[bytes]:
        return list(_SEEDS)

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        return text.mutated_toml(
            data, rng, _KEYS, _SECTIONS, lambda made: raw.mutated(made, rng, other)
        )

    def run(self, data: bytes) -> Iterator[str]:
        self._file.write_bytes(data)
        settings = load(self._file)
        str(settings.database_url)
        for peer in (*settings.destinations, *settings.sources):
            settings.destination(peer.name) if peer in settings.destinations else None
            yield f"{peer.name} {peer.kind}"
