"""What a remote worker brings back: the readings of a study's exams in one zip file.

<n>.json, <n>.npz   the reading of exam n, as `node.results` keeps it (reading.json, maps.npz)
parcel.json         how many there are, and the seconds that each took
"""

import io
import json
import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cadnode.domain import ExamResult
from cadnode.errors import CadnodeError
from cadnode.limits import PIXEL_BYTES, READING_BYTES
from cadnode.node import results

_CONTENTS: Final = "parcel.json"
_MOST_EXAMS: Final = 64
_DAMAGED: Final = (
    OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile, RuntimeError,
    NotImplementedError, AttributeError, lzma.LZMAError, struct.error, zlib.error,
)  # fmt: skip
Read = tuple[ExamResult, float]
"""A reading, and how many seconds it took."""


class ParcelWrong(CadnodeError):
    """What a remote worker brought is no reading."""


def packed(read: Sequence[Read], within: Path | None = None) -> bytes:
    """The readings of a study's exams as one file, made in the folder `within`."""
    file = io.BytesIO()
    with (
        TemporaryDirectory(dir=within) as name,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as parcel,
    ):
        for number, (result, _) in enumerate(read, start=1):
            folder = Path(name) / str(number)
            results.save_reading(folder, result)
            parcel.write(folder / results.READING, f"{number}.json")
            parcel.write(folder / results.MAPS, f"{number}.npz")
        parcel.writestr(_CONTENTS, json.dumps({"seconds": [seconds for _, seconds in read]}))
    return file.getvalue()


def unpacked(data: bytes) -> list[Read]:
    """The readings in a parcel; nothing of it is written to a disk.

    Raises
    ------
    ParcelWrong
        It is damaged, larger than any reading is, or of another version.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parcel:
            if sum(one.file_size for one in parcel.infolist()) > READING_BYTES:
                raise ParcelWrong("it is larger than any reading")
            seconds = [float(one) for one in json.loads(parcel.read(_CONTENTS))["seconds"]]
            if not all(math.isfinite(one) and one >= 0.0 for one in seconds):
                raise ParcelWrong("it took no time that there is")
            if len(seconds) > _MOST_EXAMS:
                raise ParcelWrong("it has more exams than any study")
            read = []
            for number, took in enumerate(seconds, start=1):
                maps = parcel.read(f"{number}.npz")
                with zipfile.ZipFile(io.BytesIO(maps)) as inner:  # an .npz is a zip file, too
                    if sum(one.file_size for one in inner.infolist()) > PIXEL_BYTES:
                        raise ParcelWrong("its heat maps are larger than any image")
                document = parcel.read(f"{number}.json")
                read.append((results.reading_of(document, io.BytesIO(maps)), took))
            return read
    except _DAMAGED as error:
        raise ParcelWrong(type(error).__name__) from None
