"""The sections of the settings, each with its defaults and what they mean."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from cadnode.domain import (
    OPERATING_POINT,
    YOUDEN,
    Laterality,
    Priority,
    Profile,
    System,
    ViewPosition,
)
from cadnode.settings.identity import ProxyAddress, WebIdentity
from cadnode.settings.section import NetworkAddress, Section, is_loopback
from cadnode.tls import TlsFiles

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


def _fingerprint(value: str) -> str:
    """SHA-256 in hexadecimal, in capitals or not, with colons or without."""
    plain = value.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", plain):
        raise ValueError("a fingerprint is a SHA-256: 64 hexadecimal digits, colons or not")
    return plain


AeTitle = Annotated[str, AfterValidator(_ae_title)]
Fingerprint = Annotated[str, AfterValidator(_fingerprint)]
WantedView = Annotated[str, AfterValidator(_view)]
ShadowSpec = Annotated[str, Field(pattern=r"^[^@\s]+@\d+\.\d+\.\d+$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class ListenerPeer(Section):
    """Who may send to the listener; repeat the block for more. Without one anybody may."""

    address: NetworkAddress = Field(
        description="IP address, or network such as 10.1.2.0/24, that it connects from"
    )
    ae_title: AeTitle | None = Field(
        None, description="its AE title; without one, any at that address"
    )
    ae_titles: tuple[AeTitle, ...] = Field(
        (),
        description="further AE titles of the same machine: a PACS may send under another than it "
        "queries, or reports storage commitment, under",
    )
    priority: Priority | None = Field(
        None,
        description="priority of the studies that it sends: urgent, diagnostic or screening "
        "(docs/web.md)",
    )
    certificate_sha256: Fingerprint | None = Field(
        None,
        description="it must show this certificate, by TLS: `openssl x509 -fingerprint -sha256`",
    )
    username: str = Field(
        "", description="it must show this user with a passcode, by TLS (user identity negotiation)"
    )
    password_file: Path | None = Field(None, description="its first line is that passcode")
    port: Port | None = Field(
        None,
        description="port on which it takes reports of storage commitment (N-EVENT-REPORT) that it "
        "did not take on the association of its request; without one they are not sent again",
    )

    @property
    def titles(self) -> tuple[AeTitle, ...]:
        """All of its AE titles; none: any."""
        return tuple(dict.fromkeys((*filter(None, (self.ae_title,)), *self.ae_titles)))

    def has(self, ae_title: str) -> bool:
        """Whether this is one of its AE titles."""
        return not self.titles or ae_title in self.titles

    @model_validator(mode="after")
    def _user_has_a_passcode(self) -> "ListenerPeer":
        if (self.password_file is None) != (not self.username):
            raise ValueError("username and password_file come together")
        return self


class ListenerSection(Section):
    """The DICOM listener (Storage and Verification SCP)."""

    ae_title: AeTitle = Field("CADNODE", description="AE title that peers call")
    host: str = Field("0.0.0.0", description="address to listen on")
    port: Port = Field(11112, description="TCP port to listen on, in clear")
    in_clear: bool = Field(
        True, description="listen on port; without it by TLS alone, which needs a certificate"
    )
    tls_port: Port = Field(
        2762, description="TCP port to listen on by TLS, where there is a certificate"
    )
    certificate_file: Path | None = Field(
        None, description="PEM certificate, with its chain, to speak TLS; its files may be renewed"
    )
    key_file: Path | None = Field(None, description="PEM key of the certificate, no password")
    ca_file: Path | None = Field(
        None,
        description="PEM certificates of who signs the peers' ones: then each peer must show one",
    )
    crl_file: Path | None = Field(
        None, description="PEM lists of certificates that were revoked, of everybody in ca_file"
    )
    peers: tuple[ListenerPeer, ...] = Field(
        (), description="who may send, by address and AE title, as [[listener.peers]]; empty: any"
    )
    calling_ae_titles: tuple[AeTitle, ...] = Field(
        (), description="AE titles that may send, from whatever address peers allow; empty: any"
    )
    proxy_addresses: tuple[ProxyAddress, ...] = Field(
        (),
        description="IP addresses or networks of a TCP balancer before several listeners, which "
        "says who connects (PROXY protocol, version 1 or 2); from there nobody else can connect",
    )
    check_called_ae_title: bool = Field(
        False, description="refuse peers that call another AE title than ours"
    )
    max_associations: PositiveInt = Field(20, description="associations served at the same time")
    max_associations_per_address: NonNegativeInt = Field(
        0, description="of these for one IP address; 0: all but a quarter, which is for others"
    )
    max_connections: PositiveInt = Field(
        500,
        description="TCP connections held that have asked for no association yet, half of them "
        "for one IP address; the oldest is closed for a new one",
    )
    commitment: bool = Field(
        True,
        description="whether senders may ask if their images are safe here (storage commitment); "
        "the node is no archive: images go as [retention] says, whatever was confirmed",
    )
    network_timeout_s: PositiveFloat = Field(60.0, description="silence after which a peer is cut")
    least_bytes_per_s: PositiveFloat = Field(
        10_000.0,
        description="a peer is cut that sends an image more slowly than this, the first 30 s aside",
    )

    @model_validator(mode="after")
    def _peers_may_send(self) -> "ListenerSection":
        for peer in self.peers:
            never = [one for one in peer.titles if one not in self.calling_ae_titles]
            if self.calling_ae_titles and never:
                raise ValueError(
                    f"peer {never[0]} is not among calling_ae_titles and could never send"
                )
            if peer.certificate_sha256 and self.ca_file is None:
                raise ValueError("a peer with certificate_sha256 needs listener.ca_file")
            if peer.username and self.certificate_file is None:
                raise ValueError(
                    "a peer with a username needs listener.certificate_file: passcodes are taken "
                    "by TLS alone"
                )
        return self

    @property
    def tls_files(self) -> TlsFiles | None:
        """The files of TLS; None where it is not spoken."""
        if self.certificate_file is None:
            return None
        return TlsFiles(self.certificate_file, self.key_file, self.ca_file, self.crl_file)

    @model_validator(mode="after")
    def _certificate_is_whole(self) -> "ListenerSection":
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file come together")
        if self.certificate_file is None and (self.ca_file or not self.in_clear):
            raise ValueError("TLS needs certificate_file and key_file")
        if self.crl_file is not None and self.ca_file is None:
            raise ValueError("crl_file needs ca_file")
        return self


class StorageSection(Section):
    """Where the node keeps what it receives and makes."""

    folder: Path = Field(Path("cadnode-data"), description="spool, results and job database")
    min_free_gb: NonNegativeFloat = Field(
        2.0, description="below this much free disk the listener answers Out of Resources (A700)"
    )


class RetentionSection(Section):
    """How long what is read and delivered is kept; nothing else goes (docs/storage.md)."""

    enabled: bool = Field(
        True,
        description="whether the node removes anything on its own; `cadnode storage clean` does it "
        "by hand",
    )
    images_days: NonNegativeFloat = Field(
        14.0,
        description="received images are removed so many days after their results were delivered "
        "(without destinations: after they were read); 0: not by age, but at the latest with their "
        "results",
    )
    results_days: NonNegativeFloat = Field(
        90.0,
        description="results are removed so many days after they were delivered; without "
        "destinations never; 0: not by age",
    )
    images_gb: NonNegativeFloat = Field(
        0.0, description="above this many GB of images the oldest delivered go; 0: no limit"
    )
    results_gb: NonNegativeFloat = Field(
        0.0, description="above this many GB of results the oldest delivered go; 0: no limit"
    )
    keep_h: NonNegativeFloat = Field(
        24.0,
        description="nothing is removed of a study that got an image, and no results that were "
        "delivered, in the last so many hours",
    )
    high_mark_percent: float = Field(
        90.0, gt=0, le=100,
        description="use of the disk from which the oldest delivered studies are removed: the "
        "node's files as a share of them and the free disk above storage.min_free_gb; at 100 % the "
        "listener stops receiving",
    )  # fmt: skip
    low_mark_percent: float = Field(
        80.0, ge=0, le=100, description="use of the disk at which that removal ends"
    )
    jobs_days: PositiveFloat = Field(
        30.0,
        description="rows of finished jobs stay in the job database so many days; those of a study "
        "as long as its results",
    )
    every_s: PositiveFloat = Field(
        300.0, description="how often the node looks for what may go; the disk's use every 5 s"
    )

    @model_validator(mode="after")
    def _marks_are_in_order(self) -> "RetentionSection":
        if self.low_mark_percent > self.high_mark_percent:
            raise ValueError("low_mark_percent must not be above high_mark_percent")
        return self


class StudySection(Section):
    """When a study is read."""

    wanted_views: tuple[WantedView, ...] = Field(
        STANDARD_VIEWS, description="a study with all of these is read at once; empty: never"
    )
    diagnostic_words: tuple[Annotated[str, Field(min_length=2, max_length=64)], ...] = Field(
        (),
        description="a study is diagnostic, and read before screening, when its study or procedure "
        "description has one of these, in capitals or not",
    )
    settle_s: NonNegativeFloat = Field(
        2.0, description="pause after the wanted views are there, for stragglers of the same send"
    )
    quiet_s: PositiveFloat = Field(30.0, description="a study quiet for this long is read as it is")
    sweep_s: PositiveFloat = Field(
        30.0, description="how often the spool is searched for studies that no message announced"
    )
    answer_within_s: NonNegativeFloat = Field(
        0.0,
        description="a study that is not read so many seconds after its last image is reported to "
        "the destinations as not read, with the reason; its reading replaces that report when it "
        "comes; 0: never",
    )
    priors: Literal["on_demand", "newest"] = Field(
        "on_demand",
        description="when a woman's prior exam is fetched from the sources, to be shown beside the "
        "study: when somebody asks for it on the study's page, or the newest one as soon as the "
        "study is about to be read, which does not wait for it",
    )


class ReadingSection(Section):
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
        description="whose probability is the finding's: the first of these that assessed it; "
        "where several read whole views, the first of these scores them. An imported network's "
        "system may be among them",
    )
    operating_point: str = Field(
        YOUDEN,
        pattern=f"^({OPERATING_POINT})$",
        description="from which score on something is suspicious, on each card's ROC curve: "
        "youden, sensitivity=0.9 or specificity=0.9 (any value)",
    )
    age_prior: bool = Field(
        False,
        description="also report a score of image and age, where the model's card has a prior by "
        "age; calls, the operating point and all order stay with the image's own score",
    )
    flips: bool = Field(
        False, description="average CNNs over mirrored regions: four times the work"
    )
    engine: Literal["auto", "openvino", "torch"] = Field(
        "auto",
        description="what networks are computed with on processors; auto: OpenVINO where it is "
        "installed and gives PyTorch's scores, else PyTorch; on a GPU always PyTorch",
    )
    bf16: Literal["auto"] | bool = Field(
        "auto",
        description="compute in bfloat16, in about half the time: auto: by OpenVINO where the "
        "processor has instructions for it and scores stay the same; true: also CNNs whose card "
        "has measured that scores agree",
    )
    shadow: tuple[ShadowSpec, ...] = Field(
        (),
        description="versions, NAME@VERSION each, that read every exam as well, after its result "
        "is delivered and for your eyes only: `cadnode models shadow`",
    )
    most_regions: int = Field(
        4, ge=0, le=20, description="detected regions per view that are assessed at most"
    )
    longest_per_image_s: PositiveFloat = Field(
        300.0,
        description="a reading that takes longer than this for each image, and once more, hangs: "
        "the worker is started again, and the third time the study is set aside",
    )


class ModelsSection(Section):
    """Models of your own."""

    require_signature: bool = Field(
        False,
        description="read only with models that a key signed which this node trusts, those that "
        "are packaged with cadnode aside: `cadnode models trust`",
    )


class ReportSection(Section):
    """What reports say beside the result."""

    disclaimer: str = Field(
        "Research use only, not for primary diagnosis",
        min_length=1,
        max_length=1024,
        description="stands in every object, on the page and in the PDF",
    )
    verdicts_after_s: PositiveFloat = Field(
        60.0,
        description="readers' verdicts on a study are sent when there was no further one for so "
        "long, to destinations with verdicts = true",
    )
    heat_map_longer_side: PositiveInt = Field(
        2048, description="pixels of a heat map's longer side"
    )
    small_heat_map_longer_side: PositiveInt = Field(
        1024, description="pixels of a small heat map's longer side"
    )
    profile: Profile = Field(
        Profile.STANDARD,
        description="which objects are made: " + ", ".join(Profile) + " (docs/dicom-objects.md)",
    )
    page: bool = Field(True, description="also write report.html, a page that shows the reading")


class JobsSection(Section):
    """The durable job database."""

    database_url: str = Field(
        "", description="SQLAlchemy URL (postgresql://…); empty: SQLite file in storage.folder"
    )


class AuditSection(Section):
    """The audit trail: who did what to which study (docs/audit.md). It is always kept."""

    keep_days: NonNegativeFloat = Field(
        0.0, description="months of the trail are removed so many days after their end; 0: never"
    )
    syslog_host: str | None = Field(
        None, description="audit record repository that gets a copy, by syslog over TLS (RFC 5425)"
    )
    syslog_port: Port = Field(6514, description="its TCP port")
    syslog_ca_file: Path | None = Field(
        None,
        description="PEM certificates of who signs the repository's one; without it, the system's",
    )
    certificate_file: Path | None = Field(
        None, description="PEM certificate, with its chain, that the repository is shown"
    )
    key_file: Path | None = Field(None, description="PEM key of the certificate, no password")

    @property
    def tls_files(self) -> TlsFiles:
        """The files of TLS towards the repository."""
        return TlsFiles(self.certificate_file, self.key_file, self.syslog_ca_file)

    @model_validator(mode="after")
    def _is_whole(self) -> "AuditSection":
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file come together")
        if self.syslog_host is None and (self.syslog_ca_file or self.certificate_file):
            raise ValueError("the files of TLS need syslog_host")
        return self


class LogSection(Section):
    """Structured logs on standard error, and the newest of their lines for pages."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="the least severe event that is logged"
    )
    keep_mb: NonNegativeFloat = Field(
        40.0,
        description="the newest lines are kept in storage.folder/log, for the page of the log and "
        "`cadnode log`: so many MB in all, a quarter for each process; 0: none",
    )


class WebSection(WebIdentity):
    """The node's HTTP side: health, the state of each study, its page. Orthanc's plugin uses it."""

    enabled: bool = Field(True, description="whether the node listens for HTTP at all")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(8114, description="TCP port to listen on")
    language: Literal["en", "de", "es", "fr", "ja"] = Field(
        "en",
        description="language of pages where neither a choice on the page nor the browser says "
        "one: English, German, Spanish, French or Japanese",
    )
    certificate_file: Path | None = Field(None, description="PEM certificate chain: serve https")
    key_file: Path | None = Field(None, description="PEM key of the certificate")
    max_connections: PositiveInt = Field(
        256,
        description="connections held at the same time; those of this machine are counted apart",
    )
    max_connections_per_address: PositiveInt = Field(
        64,
        description="of these for one IP address (IPv6: network of 64 bits); more for a proxy "
        "elsewhere, which brings everybody's",
    )
    metrics_from: tuple[NetworkAddress, ...] = Field(
        ("127.0.0.1", "::1"),
        description="IP addresses or networks that read /metrics without a credential, directly "
        "and not through a proxy; any other shows a token (`cadnode users token`)",
    )

    @property
    def tls_files(self) -> TlsFiles | None:
        """The files of TLS; None where http is served."""
        if self.certificate_file is None:
            return None
        return TlsFiles(self.certificate_file, self.key_file)

    @model_validator(mode="after")
    def _is_safe(self) -> "WebSection":
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file come together")
        if self.enabled and not self.knows_somebody and not is_loopback(self.host):
            raise ValueError(
                f"listening on {self.host} needs users_file, tokens_file, token_file, "
                "openid_issuer or proxy_user_header: pages show patients"
            )
        return self


def reached_at(host: str) -> str:
    """Where a program on this machine reaches what listens on `host`: not at 0.0.0.0 or ::."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
