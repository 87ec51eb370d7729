"""Images from an archive (Orthanc or any PACS with DICOMweb) and a pathology CSV: local training.

`archive:FILE.toml` names both (docs/data.md). Files are fetched once into a folder that only the
user can read; a run that was broken off goes on where it was. Credentials come from the
environment or a file of their own, never from the TOML file or the command line.
"""

import hashlib
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cadnode.errors import DataError
from cadnode.http import Credentials, HttpPeerValues
from cadnode_training.data.manifest import Manifest
from cadnode_training.data.pathology import Pathology, label_images, read_pathology
from cadnode_training.data.sets.archive_client import (
    WILDCARDS,
    ArchiveClient,
    ArchiveInstance,
    DicomWebClient,
    OrthancClient,
    session,
)

NAME: Final = "archive"
USER, PASSWORD, TOKEN = (
    "CADNODE_ARCHIVE_USER", "CADNODE_ARCHIVE_PASSWORD", "CADNODE_ARCHIVE_TOKEN",
)  # fmt: skip
# DICOM keywords that an archive is asked for, by the pathology's key column.
_KEYWORDS: Final[Mapping[str, str]] = {
    "study_instance_uid": "StudyInstanceUID",
    "accession_number": "AccessionNumber",
    "patient_id": "PatientID",
}


class ArchiveConfig(BaseModel):
    """The TOML file; relative paths start at its folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^https?://[^/\s@]+(/\S*)?$")
    protocol: Literal["orthanc", "dicomweb"] = "orthanc"
    pathology: Path
    folder: Path
    credentials_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0


def read(path: Path, tick: Callable[[], None] = lambda: None) -> Manifest:
    """The manifest of what the archive holds of the pathology's studies; `tick` after each file.

    Raises
    ------
    DataError
        The configuration or the pathology is wrong, the archive refuses or does not answer, or
        it holds no mammogram that is spoken of.
    """
    config = read_config(path)
    pathology = read_pathology(config.pathology)
    kind = OrthancClient if config.protocol == "orthanc" else DicomWebClient
    with session(*_peer(config)) as peer:
        paths = fetch(kind(peer), pathology, config.folder, tick)
    return label_images(config.folder, paths, pathology)


def read_config(path: Path) -> ArchiveConfig:
    """The configuration in a TOML file, its paths absolute.

    Raises
    ------
    DataError
        The file is missing, no TOML, or a key is wrong; the message names the key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        config = ArchiveConfig.model_validate(content)
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path.name} is missing or cannot be read") from None
    except tomllib.TOMLDecodeError:
        raise DataError(f"{path.name} is no TOML file") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DataError(f"{path.name}: {wrong}") from None
    base = path.parent
    update = {
        name: base / value.expanduser()
        for name in ("pathology", "folder", "credentials_file", "ca_file")
        if (value := getattr(config, name)) is not None
    }
    return config.model_copy(update=update)


def fetch(
    client: ArchiveClient,
    pathology: Pathology,
    folder: Path,
    tick: Callable[[], None] = lambda: None,
) -> list[Path]:
    """The files of the pathology's studies in `folder`; those that are there are not fetched.

    Names are hashes of UIDs. `tick` is called after each file.

    Raises
    ------
    DataError
        The archive has none of the studies.
    HttpFailure
        The archive refuses or does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths: dict[Path, None] = {}
    for study, instance in _instances(client, pathology):
        path = folder / _hash(study) / f"{_hash(instance.sop_instance_uid)}.dcm"
        if not path.is_file():
            client.fetch(instance, path)
        paths[path] = None
        tick()
    if not paths:
        raise DataError(
            "the archive has no mammogram (modality MG) of the studies in "
            f"{pathology.file.name}: are its identifiers written as the archive writes them?"
        )
    return list(paths)


def _instances(
    client: ArchiveClient, pathology: Pathology
) -> Iterator[tuple[str, ArchiveInstance]]:
    """Each study with each of its mammograms."""
    for keyword, value in _questions(pathology):
        try:
            found = [(s, i) for s in client.studies(keyword, value) for i in client.mammograms(s)]
        except (KeyError, TypeError, AttributeError):
            raise DataError(
                "the archive's answer is not as its interface has it: are `url` and `protocol` "
                "right?"
            ) from None
        yield from found


def _questions(pathology: Pathology) -> list[tuple[str, str]]:
    """Each study (or woman) once, in the file's order."""
    questions: dict[tuple[str, str], None] = {}
    for statement in pathology.statements:
        keyword = _KEYWORDS.get(statement.key)
        if keyword is None:
            raise DataError(
                f"{pathology.file.name}, line {statement.line}: an archive is asked by "
                f"{', '.join(_KEYWORDS)}"
            )
        if WILDCARDS.search(statement.value):
            raise DataError(
                f"{pathology.file.name}, line {statement.line}, column {statement.key}: "
                "no *, ? or \\"
            )
        questions[keyword, statement.value] = None
    return list(questions)


def _hash(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:24]


def _peer(config: ArchiveConfig) -> tuple[HttpPeerValues, Credentials | None]:
    """How the archive is reached, and as whom."""
    if config.ca_file is not None and not config.ca_file.is_file():
        raise DataError("ca_file is missing")
    found = _credentials(config)
    if found and not _is_private(config.url):
        raise DataError("credentials go to another machine by https only: change `url`")
    values = HttpPeerValues(
        "the archive", config.url.rstrip("/"), ca_file=config.ca_file, timeout_s=config.timeout_s,
        retries_requests=True, follows_redirects=True,
    )  # fmt: skip
    if TOKEN in found:
        return values, Credentials(token=found[TOKEN])
    return values, Credentials(found.get(USER, ""), found.get(PASSWORD, "")) if found else None


def _credentials(config: ArchiveConfig) -> dict[str, str]:
    """By the names of the environment's variables; the file goes before the environment."""
    names = (USER, PASSWORD, TOKEN)
    if config.credentials_file is None:
        return {name: os.environ[name] for name in names if os.environ.get(name)}
    try:
        mode = config.credentials_file.stat().st_mode
        lines = config.credentials_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError("credentials_file is missing or cannot be read") from None
    if mode & 0o077:
        raise DataError("credentials_file can be read by others: chmod 600")
    pairs = [line.partition("=") for line in lines if line.strip() and not line.startswith("#")]
    if not pairs or any(name.strip() not in names for name, _, _ in pairs):
        raise DataError(f"credentials_file has lines NAME=value, NAME one of {', '.join(names)}")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _is_private(url: str) -> bool:
    """Whether nobody can listen: TLS, or this very machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
