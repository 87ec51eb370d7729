"""Where a cohort's exams come from: a configured source, or one that is named on the spot."""

import re
from typing import Final

from pydantic import ValidationError

from cadnode.errors import SettingsError
from cadnode.settings import Settings, Source

NAMED: Final = "archive"
_PEER: Final = re.compile(
    r"(?P<title>[^@\\]{1,16})@(?P<host>[^@:\s]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})"
)
_HTTP: Final = ("orthanc", "dicomweb")


def origin_of(text: str, settings: Settings) -> Source:
    """The source that `text` names: `NAME`, `orthanc:URL`, `dicomweb:URL` or `AET@HOST:PORT`.

    Raises
    ------
    SettingsError
        It is none of these, or no source of that name is configured.
    """
    kind, colon, url = text.partition(":")
    if colon and kind in _HTTP:
        return _made({"kind": kind, "url": url})
    if found := _PEER.fullmatch(text):
        return _made(
            {"kind": "dicom", "ae_title": found["title"], "host": found["host"].strip("[]"),
             "port": int(found["port"])}
        )  # fmt: skip
    names = [source.name for source in settings.sources]
    if text in names:
        return settings.source(text)
    known = f"configured are {', '.join(names)}" if names else "none is configured (--config)"
    raise SettingsError(
        "--from is the name of a source of the configuration, orthanc:URL, dicomweb:URL or "
        f"AET@HOST:PORT; {known}"
    )


def _made(values: dict[str, object]) -> Source:
    try:
        return Source.model_validate({"name": NAMED, **values})
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
        )
        raise SettingsError(f"--from: {wrong}") from None
