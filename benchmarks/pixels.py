"""Pixels: decoding beside every other decoder, and a view's preprocessing beside MONAI's.

    python -m benchmarks.pixels [--runs 5] [--out benchmarks/pixels.md]

One phantom view (2294 × 1914, 12 bits) in each lossless transfer syntax. *Decoding* is
`imaging.decode`, from file to stored values, its process apart included, beside the fastest of
pydicom's plugins and imagecodecs that are installed. *Preprocessing* is `imaging.pixels.load` and
the packaged digital view model's chain, beside MONAI's `LoadImage` (PydicomReader), display range,
`CropForeground` and `Resize` to the same size, both without the time that each takes to decode.
Medians of interleaved runs, after one that warms up.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
import pydicom
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from benchmarks.ingest import machine
from benchmarks.warm import exam_folder
from cadnode.exam.exam import Mammogram
from cadnode.exam.read import exam_of
from cadnode.imaging import pixels, view_chain
from cadnode.imaging.decode import stored_codes
from cadnode.imaging.view_chain import PreprocessSpec
from tests.encoding import encode

COMPRESSED = (RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless)
Timed = dict[str, list[float]]


def interleaved(ways: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Median seconds of each way, which take turns."""
    seconds: Timed = {name: [] for name in ways}
    for number in range(runs + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return {name: median(found) for name, found in seconds.items()}


def in_syntax(source: Mammogram, syntax: UID, folder: Path) -> Mammogram:
    """The same view in a file of that transfer syntax."""
    if syntax == source.transfer_syntax_uid:
        return source
    path = folder / f"{syntax}.dcm"
    encode(pydicom.dcmread(source.path), syntax).save_as(path, enforce_file_format=True)
    return replace(source, path=path, transfer_syntax_uid=str(syntax))


def decoders(path: Path, syntax: UID) -> dict[str, Callable[[], object]]:
    """Each decoder that is installed, from file to array."""

    def by(plugin: str) -> Callable[[], object]:
        def decoded() -> object:
            return get_decoder(syntax).as_array(
                pydicom.dcmread(path), raw=True, decoding_plugin=plugin
            )

        return decoded

    return {name: by(name) for name in get_decoder(syntax).available_plugins}


def decoding(source: Mammogram, folder: Path, runs: int) -> list[str]:
    """Rows of the table of decoding."""
    rows = []
    for syntax in COMPRESSED:
        view = in_syntax(source, syntax, folder)
        others = decoders(view.path, syntax)
        found = interleaved({"ours": lambda one=view: stored_codes(one), **others}, runs)
        ours = found.pop("ours")
        fastest = min(found, key=lambda name: found[name])
        rows.append(
            f"| {syntax.name} | {ours * 1000:.0f} | {fastest} | {found[fastest] * 1000:.0f} | "
            f"{ours / found[fastest]:.2f} |"
        )
    return rows


def preprocessing(source: Mammogram, folder: Path, spec: PreprocessSpec, runs: int) -> list[str]:
    """Rows of the table of preprocessing, in one transfer syntax each."""
    warnings.simplefilter("ignore")  # MONAI's reader misses positions in space at every file
    from monai.transforms import (
        Compose,
        CropForeground,
        EnsureChannelFirst,
        LoadImage,
        Resize,
        ScaleIntensityRangePercentiles,
    )

    monai = Compose(
        [
            LoadImage(reader="PydicomReader", image_only=True),
            EnsureChannelFirst(channel_dim="no_channel"),
            ScaleIntensityRangePercentiles(1, 99.7, 0, 1, clip=True),
            CropForeground(select_fn=lambda image: image > 0.05),
            Resize((spec.height, spec.width), mode="bilinear"),
        ]
    )
    chain = view_chain.build(spec)
    rows = []
    for syntax in (ExplicitVRLittleEndian, RLELossless):
        view = in_syntax(source, syntax, folder)
        path = view.path.rename(view.path.with_suffix(".dcm"))
        found = interleaved(
            {
                "ours": lambda one=view: chain(
                    view_chain.start(pixels.load(one), one.laterality)
                ),
                "our decoding": lambda one=view: stored_codes(one),
                "monai": lambda at=path: np.asarray(monai(at)),
                "its decoding": lambda at=path: pydicom.dcmread(at).pixel_array,
            },
            runs,
        )  # fmt: skip
        ours, peer = found["ours"] - found["our decoding"], found["monai"] - found["its decoding"]
        rows.append(
            f"| {syntax.name} | {ours * 1000:.0f} | {peer * 1000:.0f} | {ours / peer:.2f} | "
            f"{found['our decoding'] * 1000:.0f} | {found['its decoding'] * 1000:.0f} |"
        )
    return rows


def digital_spec() -> PreprocessSpec:
    """Of the packaged view model of digital mammography."""
    from cadnode.node.readers import load_readers
    from cadnode.settings import Settings

    (model,) = (one for one in load_readers(Settings(), "cpu").views if "digital" in one.card.name)
    return model.card.preprocess


def main() -> None:
    """Measure, and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    before, spec = machine(), digital_spec()
    with exam_folder("phantom") as folder, tempfile.TemporaryDirectory() as scratch:
        source = exam_of([folder]).mammograms[0]
        decoded = decoding(source, Path(scratch), options.runs)
        prepared = preprocessing(source, Path(scratch), spec, options.runs)
    text = "\n".join(
        [
            "# Pixels", "",
            f"{datetime.now(UTC):%Y-%m-%d}, {before}. One phantom view, {source.rows} × "
            f"{source.columns}, median of {options.runs} interleaved runs; "
            "`python -m benchmarks.pixels`.", "",
            "| transfer syntax | ours, ms | the fastest other | its ms | ratio |",
            "|---|---:|---|---:|---:|", *decoded, "",
            "From file to stored values. Ours decodes in a process apart, within limits.", "",
            "| transfer syntax | ours, ms | MONAI, ms | ratio | our decoding, ms | its, ms |",
            "|---|---:|---:|---:|---:|---:|", *prepared, "",
            "Read, window, crop and resize, without what decoding takes of each.", "",
        ]
    )  # fmt: skip
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
