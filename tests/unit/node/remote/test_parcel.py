"""What a remote worker brings is what it read, or is refused."""

import io
import zipfile

import numpy as np
import pytest

from cadnode.limits import READING_BYTES
from cadnode.node.remote.parcel import ParcelWrong, packed, unpacked
from tests.report_cases import digital_exam, result_of


def test_readings_come_out_as_they_went_in_with_their_heat_maps() -> None:
    first, second = (result_of(digital_exam(), kind) for kind in ("findings", "failed"))

    read = unpacked(packed([(first, 4.25), (second, 0.5)]))

    assert [seconds for _, seconds in read] == [4.25, 0.5]
    assert [result.views for result, _ in read] == [first.views, second.views]
    assert [result.findings for result, _ in read] == [first.findings, second.findings]
    pairs = zip(read[0][0].heat_maps, first.heat_maps, strict=True)
    assert first.heat_maps
    assert all(np.array_equal(one.values, other.values) for one, other in pairs)


def bomb(name: str) -> bytes:
    inside = io.BytesIO()
    with zipfile.ZipFile(inside, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b"\0" * (5 * READING_BYTES))
    return inside.getvalue()


def with_maps(maps: bytes) -> bytes:
    file = io.BytesIO()
    whole = packed([(result_of(digital_exam(), "findings"), 1.0)])
    with zipfile.ZipFile(io.BytesIO(whole)) as before, zipfile.ZipFile(file, "w") as after:
        for one in before.infolist():
            after.writestr(one, maps if one.filename.endswith(".npz") else before.read(one))
    return file.getvalue()


def damaged_inside() -> bytes:
    """A deflated reading whose stream makes no sense, in a zip file that does."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("parcel.json", b'{"seconds": []}')
    data = bytearray(file.getvalue())
    begin = 30 + len("parcel.json")
    data[begin : begin + 4] = b"\xff\xff\xff\xff"
    return bytes(data)


def with_seconds(seconds: float) -> bytes:
    return packed([(result_of(digital_exam(), "findings"), seconds)])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        packed([])[:-10],
        bomb("parcel.json"),
        with_maps(bomb("0.npy")),
        with_maps(b"no zip"),
        damaged_inside(),
        with_seconds(float("nan")),
        with_seconds(-1.0),
    ],
    ids=["empty", "cut", "bomb", "bomb in it", "damaged", "inflates to nothing", "nan", "below 0"],
)
def test_what_is_damaged_or_senseless_or_unpacks_to_more_than_any_reading_is_refused(
    data: bytes,
) -> None:
    with pytest.raises(ParcelWrong):
        unpacked(data)
