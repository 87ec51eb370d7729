"""The node's settings: one frozen tree from a TOML file and `CADNODE_…` environment variables.

Environment variables override the file: `CADNODE_LISTENER__PORT=11113` sets `listener.port`.
Unknown keys are refused, so that a typing error cannot silently do nothing.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import (
    SettingsError as SourceError,
)

from cadnode.domain import OPERATING_POINT, YOUDEN, Laterality, Profile, System, ViewPosition
from cadnode.errors import SettingsError

STANDARD_VIEWS = ("R CC", "L CC", "R MLO", "L MLO")


def _ae_title(value: str) -> str:
    """AE title as PS3.5 6.2 wants it: 1–16 characters, no backslash or control character."""
    if not re.fullmatch(r"[ -\[\]-~]{1,16}", value) or not value.strip():
        raise ValueError("an AE title has 1 to 16 printable ASCII characters, no backslash")
    return value.strip()


def _view(value: str) -> str:
    """A side and a view position, such as `R MLO`."""
    side, _, view = value.partition(" ")
    try:
        Laterality(side), ViewPosition(view)
    except ValueError as error:
        raise ValueError(f"a view is written like 'R MLO' or 'L CC', not {value!r}") from error
    return value


AeTitle = Annotated[str, AfterValidator(_ae_title)]
View = Annotated[str, AfterValidator(_view)]
ShadowSpec = Annotated[str, Field(pattern=r"^[^@\s]+@\d+\.\d+\.\d+$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Listener(_Section):
    """The DICOM listener (Storage and Verification SCP)."""

    ae_title: AeTitle = Field("CADNODE", description="AE title that peers call")
    host: str = Field("0.0.0.0", description="address to listen on")
    port: Port = Field(11112, description="TCP port to listen on")
    calling_ae_titles: tuple[AeTitle, ...] = Field(
        (), description="AE titles that may send; empty: any"
    )
    check_called_ae_title: bool = Field(
        False, description="refuse peers that call another AE title than ours"
    )
    max_associations: PositiveInt = Field(20, description="associations served at the same time")
    network_timeout_s: PositiveFloat = Field(60.0, description="silence after which a peer is cut")


class Storage(_Section):
    """Where the node keeps what it receives and makes."""

    folder: Path = Field(Path("cadnode-data"), description="spool, results and job database")
    min_free_gb: NonNegativeFloat = Field(
        2.0, description="below this much free disk the listener answers Out of Resources (A700)"
    )


class Study(_Section):
    """When a study is read."""

    wanted_views: tuple[View, ...] = Field(
        STANDARD_VIEWS, description="a study with all of these is read at once; empty: never"
    )
    settle_s: NonNegativeFloat = Field(
        2.0, description="pause after the wanted views are there, for stragglers of the same send"
    )
    quiet_s: PositiveFloat = Field(30.0, description="a study quiet for this long is read as it is")
    sweep_s: PositiveFloat = Field(
        30.0, description="how often the spool is searched for studies that no message announced"
    )


class Reading(_Section):
    """How exams are read."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA, else CPU")
    model_folders: tuple[Path, ...] = Field(
        (), description="further folders with a card.json and model.safetensors each"
    )
    threads: int = Field(0, ge=0, description="CPU threads of the worker; 0: all cores")
    for_processing: bool = Field(False, description="also read For Processing images")
    counts: tuple[System, ...] = Field(
        tuple(System),
        min_length=1,
        description="whose probability is the finding's: the first of these that assessed it",
    )
    operating_point: str = Field(
        YOUDEN,
        pattern=f"^({OPERATING_POINT})$",
        description="from which score on something is suspicious, on each card's ROC curve: "
        "youden, sensitivity=0.9 or specificity=0.9 (any value)",
    )
    flips: bool = Field(
        False, description="average CNNs over mirrored regions: four times the work"
    )
    bf16: bool = Field(
        False,
        description="CNNs compute in bfloat16 where their card has measured that scores agree: "
        "about three times faster on processors and GPUs that know it",
    )
    shadow: tuple[ShadowSpec, ...] = Field(
        (),
        description="versions, NAME@VERSION each, that read every exam as well, after its result "
        "is delivered and for your eyes only: `cadnode models shadow`",
    )
    most_regions: int = Field(
        4, ge=0, le=20, description="detected regions per view that are assessed at most"
    )


class Report(_Section):
    """What reports say beside the result."""

    disclaimer: str = Field(
        "Research use only, not for primary diagnosis", min_length=1, max_length=1024
    )
    heat_map_longer_side: PositiveInt = Field(
        2048, description="pixels of a heat map's longer side"
    )
    profile: Profile = Field(
        Profile.STANDARD,
        description="which objects are made: " + ", ".join(Profile) + " (docs/dicom-objects.md)",
    )


class Destination(_Section):
    """Where results go: a DICOM peer (C-STORE) or a folder."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")
    kind: Literal["dicom", "folder"] = "dicom"
    host: str = "127.0.0.1"
    port: Port | None = None
    ae_title: AeTitle | None = None
    folder: Path | None = None
    timeout_s: PositiveFloat = 30.0
    give_up_after_h: PositiveFloat = Field(
        72.0, description="an unreachable destination is retried for this long"
    )
    profile: Profile | None = Field(
        None, description="which objects it gets; without one, those of report.profile"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> "Destination":
        if self.kind == "dicom" and (self.port is None or self.ae_title is None):
            raise ValueError("a destination of kind 'dicom' needs host, port and ae_title")
        if self.kind == "folder" and self.folder is None:
            raise ValueError("a destination of kind 'folder' needs folder")
        return self


class Jobs(_Section):
    """The durable job database."""

    database_url: str = Field(
        "", description="SQLAlchemy URL (postgresql://…); empty: SQLite file in storage.folder"
    )


class Log(_Section):
    """Structured logs on standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="CADNODE_", env_nested_delimiter="__"
    )

    listener: Listener = Listener()
    storage: Storage = Storage()
    study: Study = Study()
    reading: Reading = Reading()
    report: Report = Report()
    destinations: tuple[Destination, ...] = ()
    jobs: Jobs = Jobs()
    log: Log = Log()

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Settings":
        names = [d.name for d in self.destinations]
        if len(names) != len(set(names)):
            raise ValueError("two destinations have the same name")
        return self

    @property
    def database_url(self) -> str:
        """URL of the job database."""
        return (
            self.jobs.database_url or f"sqlite:///{(self.storage.folder / 'jobs.sqlite').resolve()}"
        )

    def profile_of(self, destination: Destination) -> Profile:
        """Which objects a destination gets."""
        return destination.profile or self.report.profile

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """Every profile that somebody gets; the report's own when there is no destination."""
        wanted = dict.fromkeys(self.profile_of(d) for d in self.destinations)
        return tuple(wanted) or (self.report.profile,)

    def destination(self, name: str) -> Destination:
        """Destination of that name. Raises `SettingsError` when there is none."""
        for destination in self.destinations:
            if destination.name == name:
                return destination
        known = ", ".join(d.name for d in self.destinations) or "none"
        raise SettingsError(f"there is no destination {name!r}; configured: {known}")


def load(file: Path | None = None) -> Settings:
    """Settings from `file` (TOML) and the environment; the defaults when `file` is None.

    Raises
    ------
    SettingsError
        The file is missing or is not TOML, or a key or value is wrong; says which and where.
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


def example() -> str:
    """A commented configuration file with every setting at its default."""
    lines = [
        "# cadnode configuration. Every line shows the default; remove the # to change it.",
        "",
    ]
    for section, field in Settings.model_fields.items():
        if section == "destinations":
            continue
        model = type(field.default)
        lines += [f"# {(model.__doc__ or '').strip()}", f"[{section}]"]
        for name, info in model.model_fields.items():
            if info.description:
                lines.append(f"# {info.description}")
            lines.append(f"# {name} = {_toml(info.default)}")
        lines.append("")
    return "\n".join([*lines, _DESTINATIONS_EXAMPLE])


def _toml(value: object) -> str:
    """A TOML literal of a default value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str | Path) else repr(value)


_DESTINATIONS_EXAMPLE = """\
# Where results go; repeat the block for more.
# [[destinations]]
# name = "archive"
# kind = "dicom"            # or "folder" with folder = "/path"
# host = "127.0.0.1"
# port = 4242
# ae_title = "ORTHANC"
# timeout_s = 30.0
# give_up_after_h = 72.0    # an unreachable destination is retried for this long
# profile = "cad-sr"        # which objects it gets; without one, those of report.profile
"""
