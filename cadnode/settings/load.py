"""The node's settings: one frozen tree from a TOML file and `CADNODE_…` environment variables.

Environment variables override the file: `CADNODE_LISTENER__PORT=11113` sets `listener.port`.
Unknown keys are refused, so that a typing error cannot silently do nothing.
"""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import (
    SettingsError as SourceError,
)

from cadnode.errors import SettingsError
from cadnode.settings.peers import Destination, Source
from cadnode.settings.quality import QualitySection
from cadnode.settings.remote import RemoteSection
from cadnode.settings.sections import (
    AuditSection,
    JobsSection,
    ListenerSection,
    LogSection,
    ModelsSection,
    ReadingSection,
    ReportSection,
    RetentionSection,
    StorageSection,
    StudySection,
    WebSection,
)
from cadnode.terminal import counted

_MOST_BYTES: Final = 1 << 20  # of a file; with every key and a hundred peers it has some 50 KB
_MOST_SHOWN: Final = 200  # characters of a wrong value
_CREDENTIALS: Final = re.compile(r"(://)[^\s'\"]*@")


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
    models: ModelsSection = ModelsSection()
    report: ReportSection = ReportSection()
    destinations: tuple[Destination, ...] = ()
    sources: tuple[Source, ...] = ()
    web: WebSection = WebSection()
    audit: AuditSection = AuditSection()
    jobs: JobsSection = JobsSection()
    log: LogSection = LogSection()
    quality: QualitySection = QualitySection()
    remote: RemoteSection = RemoteSection()

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Settings":
        for what, peers in (("destinations", self.destinations), ("sources", self.sources)):
            names = [peer.name for peer in peers]
            if len(names) != len(set(names)):
                raise ValueError(f"two {what} have the same name")
        return self

    @property
    def database_url(self) -> str:
        """URL of the job database; PostgreSQL's names the driver that is installed."""
        if not self.jobs.database_url:
            return f"sqlite:///{(self.storage.folder / 'jobs.sqlite').resolve()}"
        scheme, mark, rest = self.jobs.database_url.partition("://")
        is_plain = scheme in ("postgresql", "postgres")
        return f"postgresql+psycopg{mark}{rest}" if is_plain else self.jobs.database_url

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
    stated = {} if file is None else _parsed(file)

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
            return env_settings, InitSettingsSource(settings_cls, init_kwargs=stated)

    try:
        return FromFile()
    except SourceError as error:
        raise SettingsError(f"a CADNODE_… environment variable cannot be read: {error}") from error
    except ValidationError as error:
        # Its own text quotes values whole, and with them credentials in a URL.
        raise SettingsError(_explain(error, file)) from None


def _parsed(file: Path) -> dict[str, Any]:
    """The tree in a TOML file; raises `SettingsError` when there is none in it."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise SettingsError(f"{file} is no configuration file: it has more than 1 MB")
        text = content.decode("utf-8")
        tree = tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = 1 + content[: error.start].count(b"\n")
        raise SettingsError(f"{file} is not TOML: line {line} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not TOML: {error}") from error
    except RecursionError:
        raise SettingsError(f"{file} is no configuration: tables and arrays are too deep") from None
    # No key has a use for it, and a path with it fails wherever it is used.
    if "\0" in text or _holds_null(tree):
        raise SettingsError(f"{file} has the character U+0000 in a value")
    return tree


def _holds_null(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_null, (*value.keys(), *value.values())))
    if isinstance(value, list):
        return any(map(_holds_null, value))
    return isinstance(value, str) and "\0" in value


def _explain(error: ValidationError, file: Path | None) -> str:
    """One line per wrong key: where, what was found, what is wanted; no credentials in URLs."""
    n = counted(error.error_count(), "wrong setting")
    lines = [f"{file or 'the environment'} has {n}:"]
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "(top level)"
        shown = _without_credentials(repr(item["input"]))
        shown = shown if len(shown) <= _MOST_SHOWN else shown[:_MOST_SHOWN] + " …"
        found = "" if item["type"] in {"missing", "extra_forbidden"} else f", found {shown}"
        wanted = {
            "extra_forbidden": "there is no such setting",
            "missing": "is missing",
        }.get(item["type"], item["msg"])
        lines.append(f"  {where}: {wanted}{found}")
    return _without_credentials("\n".join(lines))


def _without_credentials(text: str) -> str:
    return _CREDENTIALS.sub(r"\1…@", text)
