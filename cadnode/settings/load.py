"""The node's settings: one frozen tree from a TOML file and `CADNODE_…` environment variables.

Environment variables override the file: `CADNODE_LISTENER__PORT=11113` sets `listener.port`.
Unknown keys are refused, so that a typing error cannot silently do nothing.
"""

import tomllib
from pathlib import Path

from pydantic import ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import (
    SettingsError as SourceError,
)

from cadnode.errors import SettingsError
from cadnode.settings.peers import Destination, Source
from cadnode.settings.sections import (
    JobsSection,
    ListenerSection,
    LogSection,
    ReadingSection,
    ReportSection,
    RetentionSection,
    StorageSection,
    StudySection,
    WebSection,
)


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="CADNODE_", env_nested_delimiter="__"
    )

    listener: ListenerSection = ListenerSection()
    storage: StorageSection = StorageSection()
    retention: RetentionSection = RetentionSection()
    study: StudySection = StudySection()
    reading: ReadingSection = ReadingSection()
    report: ReportSection = ReportSection()
    destinations: tuple[Destination, ...] = ()
    sources: tuple[Source, ...] = ()
    web: WebSection = WebSection()
    jobs: JobsSection = JobsSection()
    log: LogSection = LogSection()

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Settings":
        for what, peers in (("destinations", self.destinations), ("sources", self.sources)):
            names = [peer.name for peer in peers]
            if len(names) != len(set(names)):
                raise ValueError(f"two {what} have the same name")
        return self

    @property
    def database_url(self) -> str:
        """URL of the job database."""
        return (
            self.jobs.database_url or f"sqlite:///{(self.storage.folder / 'jobs.sqlite').resolve()}"
        )

    def destination(self, name: str) -> Destination:
        """Destination of that name. Raises `SettingsError` when there is none."""
        for destination in self.destinations:
            if destination.name == name:
                return destination
        known = ", ".join(d.name for d in self.destinations) or "none"
        raise SettingsError(f"there is no destination {name!r}; configured: {known}")

    def source(self, name: str) -> Source:
        """Source of that name. Raises `SettingsError` when there is none."""
        for source in self.sources:
            if source.name == name:
                return source
        known = ", ".join(s.name for s in self.sources) or "none"
        raise SettingsError(f"there is no source {name!r}; configured: {known}")


def load(file: Path | None = None) -> Settings:
    """Settings from `file` (TOML) and the environment; the defaults when `file` is None.

    Raises
    ------
    SettingsError
        The file is missing or is not TOML, or a key or value is wrong; names which and where.
    """
    if file is not None and not file.is_file():
        raise SettingsError(
            f"there is no configuration file {file}; "
            "`cadnode check --example` prints one to start from"
        )

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            if file is None:
                return (env_settings,)
            return env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)

    try:
        return FromFile()
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not TOML: {error}") from error
    except SourceError as error:
        raise SettingsError(f"a CADNODE_… environment variable cannot be read: {error}") from error
    except ValidationError as error:
        raise SettingsError(_explain(error, file)) from error


def _explain(error: ValidationError, file: Path | None) -> str:
    """One line per wrong key: where, what was found, what is wanted."""
    lines = [f"{file or 'the environment'} has {error.error_count()} wrong setting(s):"]
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "(top level)"
        found = (
            "" if item["type"] in {"missing", "extra_forbidden"} else f", found {item['input']!r}"
        )
        wanted = {
            "extra_forbidden": "there is no such setting",
            "missing": "is missing",
        }.get(item["type"], item["msg"])
        lines.append(f"  {where}: {wanted}{found}")
    return "\n".join(lines)
