"""Other machines in the settings: where results go, and where studies are fetched from.

Passwords and tokens are never in the configuration: it names the files that hold them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveFloat, model_validator

from cadnode.domain import Profile
from cadnode.errors import SettingsError
from cadnode.http import HttpPeerValues
from cadnode.settings.hl7 import Hl7Header
from cadnode.settings.section import Section
from cadnode.settings.sections import AeTitle, Port
from cadnode.tls import TlsFiles


def _http_url(value: str) -> str:
    """An http or https URL with a host and without credentials, query or final slash."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ValueError("a URL is written like http://127.0.0.1:8042 or https://host/dicom-web")
    if parts.username or parts.password:
        raise ValueError("a URL holds no credentials: name username and password_file")
    return value.rstrip("/")


HttpUrl = Annotated[str, AfterValidator(_http_url)]
PeerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]

NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "dicom": ("host", "port", "ae_title"),
    "orthanc": ("url",),
    "stow": ("url",),
    "fhir": ("url",),
    "folder": ("folder",),
    "hl7": ("host", "port"),
}
"""The keys without which a destination of a kind makes no sense.

`deliver.destination.KINDS` describes each kind. Settings are below `deliver` and cannot ask
it: a test holds this table, the `kind` of `Destination` and `KINDS` together.
"""


class HttpPeer(Section):
    """A peer that may be reached by HTTP. TLS is used for https URLs."""

    url: HttpUrl | None = Field(
        None, description="http or https, without credentials; for every kind reached by HTTP"
    )
    username: str = Field("", description="of HTTP Basic authentication, with password_file")
    password_file: Path | None = Field(None, description="its first line is the password")
    token_file: Path | None = Field(
        None, description="its first line is sent as `Authorization: Bearer …`"
    )
    ca_file: Path | None = Field(
        None,
        description="PEM certificates to trust beside the system's, for https; for DICOM by "
        "TLS these alone",
    )
    timeout_s: PositiveFloat = Field(30.0, description="silence after which a peer is given up")
    name: PeerName = Field(
        description="unique; stands in logs and on pages: letters, digits, - and _"
    )

    def http_values(self) -> HttpPeerValues:
        """How the peer is reached by HTTP. Raises `SettingsError` when it has no url."""
        if self.url is None:
            raise SettingsError(f"{self.name!r} is not reached by HTTP: it has no url")
        return HttpPeerValues(
            name=self.name,
            url=self.url,
            username=self.username,
            password_file=self.password_file,
            token_file=self.token_file,
            ca_file=self.ca_file,
            timeout_s=self.timeout_s,
        )

    @model_validator(mode="after")
    def _has_one_kind_of_credentials(self) -> "HttpPeer":
        if (self.password_file is None) != (not self.username):
            raise ValueError("username and password_file come together")
        if self.token_file is not None and self.username:
            raise ValueError("a peer has a token_file or a username, not both")
        return self


class Destination(Hl7Header, HttpPeer):
    """Where results go: a DICOM peer, an Orthanc, a STOW-RS or FHIR server, HL7, or a folder."""

    # What each of them does: `deliver.destination.KINDS`. A test holds the two together.
    kind: Literal["dicom", "orthanc", "stow", "fhir", "folder", "hl7"] = Field(
        "dicom",
        description="C-STORE, Orthanc's REST interface, DICOMweb, FHIR, a folder, HL7 v2 by MLLP",
    )
    host: str = Field("127.0.0.1", description="for dicom and hl7: where the peer listens")
    port: Port | None = Field(None, description="for dicom and hl7: the port it listens on")
    link_url: HttpUrl | None = Field(
        None,
        description="for hl7: the address of this node's pages, as people reach it; with it a "
        "message has a link to the study's page",
    )
    ae_title: AeTitle | None = Field(None, description="for dicom: the AE title that we call")
    query_host: str = Field(
        "", description="who answers C-FIND for it, where that is not host, port and ae_title"
    )
    query_port: Port | None = Field(None, description="port of query_host; without one, port")
    query_ae_title: AeTitle | None = Field(
        None, description="AE title of query_host; without one, ae_title"
    )
    calling_ae_title: AeTitle | None = Field(
        None,
        description="the AE title by which this archive knows this node, where that is not "
        "listener.ae_title",
    )
    tls: bool = Field(
        False,
        description="for dicom and hl7: by TLS; its certificate is checked by ca_file and tls_name",
    )
    tls_name: str = Field("", description="the name in its certificate, where that is not host")
    certificate_file: Path | None = Field(
        None, description="for dicom and hl7: PEM certificate, with its chain, that we show by TLS"
    )
    key_file: Path | None = Field(None, description="PEM key of the certificate, no password")
    crl_file: Path | None = Field(
        None,
        description="for dicom and hl7: PEM lists of certificates that were revoked, of everybody "
        "in ca_file",
    )
    folder: Path | None = Field(None, description="for folder: where a folder a study is written")
    give_up_after_h: PositiveFloat = Field(
        72.0, description="an unreachable destination is retried for this long"
    )
    commit: bool = Field(
        False,
        description="for dicom: a result counts as delivered once this archive has confirmed by "
        "storage commitment that it keeps it; its answer may come hours later, to listener.port",
    )
    commit_ae_title: AeTitle | None = Field(
        None,
        description="with commit: the AE title that is asked, and may answer, where that is not "
        "ae_title",
    )
    commit_within_h: PositiveFloat = Field(
        24.0,
        description="with commit: an archive that has not answered for so long is asked again, and "
        "health says so",
    )
    profile: Profile | None = Field(
        None, description="which objects it gets; without one, those of report.profile"
    )

    verdicts: bool = Field(
        False,
        description="for kinds that take DICOM objects: what readers accept and reject is sent "
        "there as well, as an SR (report.verdicts_after_s)",
    )

    @property
    def tls_files(self) -> TlsFiles | None:
        """The files of TLS with a DICOM peer or an HL7 listener; None where it is not spoken."""
        if not self.tls:
            return None
        return TlsFiles(self.certificate_file, self.key_file, self.ca_file, self.crl_file)

    @model_validator(mode="after")
    def _is_whole(self) -> "Destination":
        needed = NEEDED.get(self.kind, ())
        if any(getattr(self, key) is None for key in needed):
            keys = " and ".join(filter(None, (", ".join(needed[:-1]), needed[-1])))
            raise ValueError(f"a destination of kind {self.kind!r} needs {keys}")
        if self.kind not in ("dicom", "hl7") and (self.tls or self.certificate_file):
            raise ValueError(
                "tls and certificate_file are for kinds 'dicom' and 'hl7'; by HTTP, TLS is for "
                "https URLs"
            )
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file come together")
        if self.kind == "dicom" and self.username and not self.tls:
            raise ValueError("username and password_file are shown to a DICOM peer by TLS: set tls")
        if self.kind == "dicom" and self.token_file is not None:
            raise ValueError("a token_file is for HTTP; a DICOM peer takes username, password_file")
        if self.certificate_file is not None and not self.tls:
            raise ValueError("a certificate_file is shown by TLS alone: set tls")
        if self.crl_file is not None and (self.ca_file is None or not self.tls):
            raise ValueError("crl_file needs tls and ca_file")
        if self.commit and self.kind != "dicom":
            raise ValueError(f"commit is for destinations of kind 'dicom', not {self.kind!r}")
        if self.verdicts and self.kind in ("fhir", "hl7"):
            raise ValueError(
                f"verdicts are sent as a DICOM SR, which a destination of kind {self.kind!r} does "
                "not take: set it on the archive's destination"
            )
        return self


class Source(HttpPeer):
    """Where studies are fetched from on request (`POST /api/studies`), and prior exams sought."""

    kind: Literal["orthanc", "dicomweb", "dicom"] = Field(
        "orthanc",
        description="Orthanc's REST interface; QIDO-RS and WADO-RS; or C-FIND and C-MOVE, for "
        "which the peer must know this node's AE title, address and listener.port",
    )
    host: str = Field("127.0.0.1", description="for dicom: where the peer listens")
    port: Port | None = Field(None, description="for dicom: the port it listens on")
    ae_title: AeTitle | None = Field(None, description="for dicom: the AE title that we call")
    tls: bool = Field(
        False,
        description="for dicom: by TLS; its certificate is checked by ca_file and tls_name",
    )
    tls_name: str = Field("", description="the name in its certificate, where that is not host")
    certificate_file: Path | None = Field(
        None, description="for dicom: PEM certificate, with its chain, that we show by TLS"
    )
    key_file: Path | None = Field(None, description="PEM key of the certificate, no password")
    crl_file: Path | None = Field(
        None,
        description="for dicom: PEM lists of certificates that were revoked, of everybody in "
        "ca_file",
    )
    give_up_after_h: PositiveFloat = Field(
        24.0, description="an unreachable source is asked again for this long"
    )

    @property
    def tls_files(self) -> TlsFiles | None:
        """The files of TLS with a DICOM peer; None where it is not spoken."""
        if not self.tls:
            return None
        return TlsFiles(self.certificate_file, self.key_file, self.ca_file, self.crl_file)

    @property
    def where(self) -> str:
        """Its URL, or its AE title, host and port."""
        if self.kind == "dicom":
            return f"{self.ae_title} at {self.host}:{self.port}"
        return str(self.url)

    @model_validator(mode="after")
    def _is_whole(self) -> "Source":
        if self.kind != "dicom":
            if self.url is None:
                raise ValueError(f"a source of kind {self.kind!r} needs url")
            if self.tls or self.certificate_file or self.port or self.ae_title:
                raise ValueError(
                    "port, ae_title, tls and certificate_file are for kind 'dicom'; by HTTP, TLS "
                    "is for https URLs"
                )
            return self
        if self.port is None or self.ae_title is None:
            raise ValueError("a source of kind 'dicom' needs host, port and ae_title")
        if self.token_file is not None:
            raise ValueError("a token_file is for HTTP; a DICOM peer takes username, password_file")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file come together")
        if not self.tls and (self.username or self.certificate_file):
            raise ValueError("user and certificate are shown to a DICOM peer by TLS alone: set tls")
        if self.crl_file is not None and (self.ca_file is None or not self.tls):
            raise ValueError("crl_file needs tls and ca_file")
        return self
