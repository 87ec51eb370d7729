"""A configuration file to start from."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cadnode.settings.load import Settings


def example() -> str:
    """A commented configuration file with every setting at its default."""
    lines = [
        "# cadnode configuration. Every line shows the default; remove the # to change it.",
        "",
    ]
    for section, field in Settings.model_fields.items():
        if section in ("destinations", "sources"):
            continue
        model = type(field.default)
        lines += [f"# {(model.__doc__ or '').strip()}", f"[{section}]"]
        for name, info in fields_of(model):
            if name == "peers":
                continue  # blocks of their own, below
            if info.description:
                lines.append(f"# {info.description}")
            value = "is not set" if info.default is None else f"= {toml(info.default)}"
            lines.append(f"# {name} {value}")
        lines.append("")
    return "\n".join([*lines, _PEERS_EXAMPLE])


def fields_of(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """The fields of a section: its own first, then those that it inherits."""
    own = [key for key in model.__annotations__ if key in model.model_fields]
    for key in dict.fromkeys([*own, *model.model_fields]):
        yield key, model.model_fields[key]


def toml(value: object) -> str:
    """A TOML literal of a default value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {toml(item)}' for key, item in value.items()) + "}"
    return f'"{value}"' if isinstance(value, str | Path) else repr(value)


_PEERS_EXAMPLE = """\
# Where results go; repeat the block for more.
# [[destinations]]
# name = "archive"
# kind = "dicom"            # C-STORE; or "orthanc" (REST), "stow" (DICOMweb), "fhir", "folder"
# host = "127.0.0.1"        # for "dicom", with port and ae_title
# port = 4242
# ae_title = "ORTHANC"
# query_ae_title = "FIND"   # who answers C-FIND when it says that it has an object already, where
# query_host = "127.0.0.1"  # that is another one: asked is whether that object is ours
# query_port = 4242
# url = "http://127.0.0.1:8042"            # for "orthanc", "stow" and "fhir", with, if need be,
# username = "cadnode"                     # a user, and the file that holds the password,
# password_file = "/etc/cadnode/orthanc"
# token_file = "/etc/cadnode/token"        # or the file that holds a bearer token,
# ca_file = "/etc/cadnode/ca.pem"          # and certificates to trust for https, or with tls
# tls = true                # for "dicom": by TLS; ours, where the peer wants one:
# certificate_file = "/etc/cadnode/node.pem"
# key_file = "/etc/cadnode/node.key"
# folder = "/path"                         # for "folder"
# timeout_s = 30.0
# give_up_after_h = 72.0    # an unreachable destination is retried for this long
# profile = "cad-sr"        # which objects it gets; without one, those of report.profile

# Where studies are fetched from, when Orthanc's plugin (or anybody) tells of them by HTTP.
# [[sources]]
# name = "orthanc"
# kind = "orthanc"          # by its REST interface; or "dicomweb" (WADO-RS), "dicom" (C-MOVE)
# url = "http://127.0.0.1:8042"            # username, password_file, token_file, ca_file as above
# host, port and ae_title, with tls if need be, for "dicom", as above
# give_up_after_h = 24.0

# Who may send to the listener; repeat the block for more. Without one, anybody who reaches it.
# [[listener.peers]]
# address = "10.1.2.3"      # its IP address, or a network: "10.1.2.0/24"
# ae_title = "PACS"         # without it: any AE title at that address
# certificate_sha256 = "…"  # without it: any certificate that listener.ca_file vouches for
"""
