"""The settings: every key with its type and default, and the example file."""

import functools
import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from tests.golden.code import Destination, Settings, Source, example

Json = dict[str, Any]


@functools.cache
def keys() -> dict[str, Json]:
    """What is accepted and the default of every key, by its dotted name.

    What is accepted is a JSON schema without titles and descriptions. A key of
    `[[destinations]]` or `[[sources]]` has brackets in its name; "required" has no default.
    """
    found = dict(_keys(Settings, ""))
    found |= dict(_keys(Destination, "destinations[]."))
    return found | dict(_keys(Source, "sources[]."))


def _keys(model: type[BaseModel], before: str) -> Iterator[tuple[str, Json]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{before}{name}.")
        elif name in ("destinations", "sources") and not before:
            yield name, {"default": list(field.default)}
        else:
            yield before + name, _key(model, name, field)


def _key(model: type[BaseModel], name: str, field: FieldInfo) -> Json:
    schema = model.model_json_schema()
    accepted = _plain(schema["properties"][name], schema.get("$defs", {}))
    accepted.pop("default", None)
    if field.is_required():
        return {"accepts": accepted}
    default = TypeAdapter(Any).dump_python(field.get_default(), mode="json")
    return {"accepts": accepted, "default": default}


def _plain(schema: Any, definitions: Json) -> Any:
    """The schema with its definitions in place, without words for people."""
    if isinstance(schema, list):
        return [_plain(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    return {
        k: _plain(v, definitions) for k, v in schema.items() if k not in ("title", "description")
    }


def example_file() -> str:
    """What `cadnode check --example` prints."""
    return example()


VALUES: dict[str, str] = {
    "CADNODE_LISTENER__AE_TITLE": "AETITLE",
    "CADNODE_LISTENER__HOST": "127.0.0.2",
    "CADNODE_LISTENER__PORT": "11113",
    "CADNODE_LISTENER__CALLING_AE_TITLES": '["A", "B"]',
    "CADNODE_LISTENER__CHECK_CALLED_AE_TITLE": "true",
    "CADNODE_LISTENER__MAX_ASSOCIATIONS": "7",
    "CADNODE_LISTENER__NETWORK_TIMEOUT_S": "12.5",
    "CADNODE_LISTENER__COMMITMENT": "false",
    "CADNODE_LISTENER__IN_CLEAR": "false",
    "CADNODE_LISTENER__TLS_PORT": "2763",
    "CADNODE_LISTENER__CERTIFICATE_FILE": "/somewhere/node.pem",
    "CADNODE_LISTENER__KEY_FILE": "/somewhere/node.key",
    "CADNODE_LISTENER__CA_FILE": "/somewhere/ca.pem",
    "CADNODE_LISTENER__CRL_FILE": "/somewhere/crl.pem",
    "CADNODE_LISTENER__PEERS": '[{"address": "10.0.0.0/8", "ae_title": "GANTRY"}]',
    "CADNODE_LISTENER__MAX_ASSOCIATIONS_PER_ADDRESS": "6",
    "CADNODE_LISTENER__MAX_CONNECTIONS": "90",
    "CADNODE_LISTENER__LEAST_BYTES_PER_S": "5000.5",
    "CADNODE_LISTENER__PROXY_ADDRESSES": '["10.0.0.5"]',
    "CADNODE_STORAGE__FOLDER": "/somewhere",
    "CADNODE_STORAGE__MIN_FREE_GB": "0.5",
    "CADNODE_RETENTION__ENABLED": "false",
    "CADNODE_RETENTION__IMAGES_DAYS": "3.5",
    "CADNODE_RETENTION__RESULTS_DAYS": "33.5",
    "CADNODE_RETENTION__IMAGES_GB": "100.5",
    "CADNODE_RETENTION__RESULTS_GB": "10.5",
    "CADNODE_RETENTION__KEEP_H": "2.5",
    "CADNODE_RETENTION__HIGH_MARK_PERCENT": "85.5",
    "CADNODE_RETENTION__LOW_MARK_PERCENT": "70.5",
    "CADNODE_RETENTION__JOBS_DAYS": "10.5",
    "CADNODE_RETENTION__EVERY_S": "60.5",
    "CADNODE_STUDY__WANTED_VIEWS": '["R CC"]',
    "CADNODE_STUDY__DIAGNOSTIC_WORDS": '["diagnost"]',
    "CADNODE_STUDY__SETTLE_S": "3.5",
    "CADNODE_STUDY__QUIET_S": "31.5",
    "CADNODE_STUDY__SWEEP_S": "32.5",
    "CADNODE_STUDY__ANSWER_WITHIN_S": "600.5",
    "CADNODE_STUDY__PRIORS": "newest",
    "CADNODE_READING__DEVICE": "cpu",
    "CADNODE_READING__MODEL_FOLDERS": '["/models"]',
    "CADNODE_READING__THREADS": "3",
    "CADNODE_READING__FOR_PROCESSING": "true",
    "CADNODE_READING__COUNTS": '["kim2018"]',
    "CADNODE_READING__OPERATING_POINT": "sensitivity=0.9",
    "CADNODE_READING__AGE_PRIOR": "true",
    "CADNODE_READING__FLIPS": "true",
    "CADNODE_READING__BF16": "true",
    "CADNODE_READING__ENGINE": "torch",
    "CADNODE_READING__SHADOW": '["kim2018@1.2.3"]',
    "CADNODE_READING__MOST_REGIONS": "5",
    "CADNODE_READING__LONGEST_PER_IMAGE_S": "100.5",
    "CADNODE_MODELS__REQUIRE_SIGNATURE": "true",
    "CADNODE_QUALITY__BASELINE_EXAMS": "400",
    "CADNODE_QUALITY__WINDOW_EXAMS": "150",
    "CADNODE_QUALITY__EVERY_S": "600.5",
    "CADNODE_REMOTE__WORKERS": "3",
    "CADNODE_REMOTE__HEAD_START_S": "5.5",
    "CADNODE_REMOTE__URL": "https://node.hospital.org",
    "CADNODE_REMOTE__TOKEN_FILE": "/token",
    "CADNODE_REMOTE__CA_FILE": "/somewhere/ca.pem",
    "CADNODE_REPORT__DISCLAIMER": "words",
    "CADNODE_REPORT__HEAT_MAP_LONGER_SIDE": "512",
    "CADNODE_REPORT__SMALL_HEAT_MAP_LONGER_SIDE": "256",
    "CADNODE_REPORT__VERDICTS_AFTER_S": "30",
    "CADNODE_REPORT__PROFILE": "all",
    "CADNODE_REPORT__PAGE": "false",
    "CADNODE_DESTINATIONS": '[{"name": "a", "kind": "folder", "folder": "/somewhere"}]',
    "CADNODE_SOURCES": '[{"name": "b", "kind": "orthanc", "url": "http://127.0.0.1:8042"}]',
    "CADNODE_WEB__ENABLED": "false",
    "CADNODE_WEB__HOST": "localhost",
    "CADNODE_WEB__PORT": "8115",
    "CADNODE_WEB__LANGUAGE": "ja",
    "CADNODE_WEB__MAX_CONNECTIONS": "100",
    "CADNODE_WEB__MAX_CONNECTIONS_PER_ADDRESS": "20",
    "CADNODE_WEB__METRICS_FROM": '["10.1.2.0/24"]',
    "CADNODE_WEB__TOKEN_FILE": "/token",
    "CADNODE_WEB__CERTIFICATE_FILE": "/certificate",
    "CADNODE_WEB__KEY_FILE": "/key",
    "CADNODE_WEB__USERS_FILE": "/users",
    "CADNODE_WEB__TOKENS_FILE": "/tokens",
    "CADNODE_WEB__SESSION_IDLE_MIN": "15.5",
    "CADNODE_WEB__SESSION_H": "8.5",
    "CADNODE_WEB__OPENID_ISSUER": "https://login.hospital.org/",
    "CADNODE_WEB__OPENID_CLIENT_ID": "node",
    "CADNODE_WEB__OPENID_CLIENT_SECRET_FILE": "/secret",
    "CADNODE_WEB__OPENID_REDIRECT_URL": "https://cad.hospital.org/login/openid",
    "CADNODE_WEB__OPENID_ROLES": '{"radiologists": "viewer"}',
    "CADNODE_WEB__OPENID_SCOPES": '["openid", "groups"]',
    "CADNODE_WEB__OPENID_GROUPS_CLAIM": "roles",
    "CADNODE_WEB__OPENID_NAME_CLAIM": "email",
    "CADNODE_WEB__OPENID_CA_FILE": "/authority",
    "CADNODE_WEB__PROXY_USER_HEADER": "X-Remote-User",
    "CADNODE_WEB__PROXY_ROLE_HEADER": "X-Remote-Role",
    "CADNODE_WEB__PROXY_ROLE": "viewer",
    "CADNODE_WEB__PROXY_ADDRESSES": '["10.1.2.3"]',
    "CADNODE_AUDIT__KEEP_DAYS": "400.5",
    "CADNODE_AUDIT__SYSLOG_HOST": "audit.example.org",
    "CADNODE_AUDIT__SYSLOG_PORT": "6515",
    "CADNODE_AUDIT__SYSLOG_CA_FILE": "/somewhere/audit-ca.pem",
    "CADNODE_AUDIT__CERTIFICATE_FILE": "/somewhere/node.pem",
    "CADNODE_AUDIT__KEY_FILE": "/somewhere/node.key",
    "CADNODE_LOG__KEEP_MB": "12.5",
    "CADNODE_JOBS__DATABASE_URL": "postgresql://somewhere/jobs",
    "CADNODE_LOG__LEVEL": "DEBUG",
}
"""Environment variables that set something, each with a value that is not the default."""


def loaded(settings: BaseModel, variable: str) -> str:
    """What the settings hold where this variable puts a value, as JSON without defaults."""
    found: Any = settings
    for part in variable.removeprefix("CADNODE_").lower().split("__"):
        found = getattr(found, part)
    return json.dumps(TypeAdapter(Any).dump_python(found, mode="json", exclude_unset=True))


_OPENID = (
    "CADNODE_WEB__OPENID_ISSUER", "CADNODE_WEB__OPENID_CLIENT_ID",
    "CADNODE_WEB__OPENID_REDIRECT_URL", "CADNODE_WEB__OPENID_ROLES",
)  # fmt: skip
_PROXY = ("CADNODE_WEB__PROXY_USER_HEADER", "CADNODE_WEB__PROXY_ADDRESSES")
_LISTENER_TLS = ("CADNODE_LISTENER__CERTIFICATE_FILE", "CADNODE_LISTENER__KEY_FILE")
TOGETHER: dict[str, tuple[str, ...]] = {
    "CADNODE_LISTENER__IN_CLEAR": _LISTENER_TLS,
    "CADNODE_LISTENER__CERTIFICATE_FILE": _LISTENER_TLS,
    "CADNODE_LISTENER__KEY_FILE": _LISTENER_TLS,
    "CADNODE_LISTENER__CA_FILE": _LISTENER_TLS,
    "CADNODE_LISTENER__CRL_FILE": (*_LISTENER_TLS, "CADNODE_LISTENER__CA_FILE"),
    "CADNODE_AUDIT__SYSLOG_CA_FILE": ("CADNODE_AUDIT__SYSLOG_HOST",),
    "CADNODE_AUDIT__CERTIFICATE_FILE": ("CADNODE_AUDIT__KEY_FILE", "CADNODE_AUDIT__SYSLOG_HOST"),
    "CADNODE_AUDIT__KEY_FILE": ("CADNODE_AUDIT__CERTIFICATE_FILE", "CADNODE_AUDIT__SYSLOG_HOST"),
    "CADNODE_WEB__CERTIFICATE_FILE": ("CADNODE_WEB__KEY_FILE",),
    "CADNODE_WEB__KEY_FILE": ("CADNODE_WEB__CERTIFICATE_FILE",),
    "CADNODE_REMOTE__TOKEN_FILE": ("CADNODE_REMOTE__URL",),
    "CADNODE_REMOTE__CA_FILE": ("CADNODE_REMOTE__URL",),
    **dict.fromkeys(_OPENID, _OPENID),
    "CADNODE_WEB__OPENID_CLIENT_SECRET_FILE": _OPENID,
    "CADNODE_WEB__OPENID_CA_FILE": _OPENID,
    "CADNODE_WEB__PROXY_USER_HEADER": (*_PROXY, "CADNODE_WEB__PROXY_ROLE"),
    "CADNODE_WEB__PROXY_ADDRESSES": (*_PROXY, "CADNODE_WEB__PROXY_ROLE"),
    "CADNODE_WEB__PROXY_ROLE": _PROXY,
    "CADNODE_WEB__PROXY_ROLE_HEADER": _PROXY,
}
"""Variables that are refused without these others."""


def meant(text: str) -> Any:
    """The value that a variable's text stands for: JSON where it is JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
