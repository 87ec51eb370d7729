"""exam/kind.py: an image is read only where it is shown to be a plain view of a whole breast."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.mammogram import inspect
from cadnode.exam.read import exam_of, read_instance
from tests.synthetic import code, set_pixels, uid, view_dataset, write

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SMALL = {"rows": 256, "columns": 200}


def reason_of(tmp_path: Path, **overrides: object) -> SkipReason | None:
    path = write(view_dataset("R", "CC", **{**SMALL, **overrides}), tmp_path / "a.dcm")
    skipped = inspect(path).skipped
    return None if skipped is None else skipped.reason


def item(**attributes: object) -> Dataset:
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize(
    "overrides",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY"]},
        {"ImageType": ["DERIVED", "PRIMARY", "POST_PROCESSED", "", "", "", "", "", "100000"]},
        {"ImageType": ["DERIVED", "PRIMARY", "", "VENDOR OWN"]},
        {"ImageType": None},
        {
            "ImageType": ["DERIVED", "PRIMARY", "", "", "LOW_ENERGY"],
            "ContrastBolusAgent": "Iohexol",
        },
        {"ImageType": ["ORIGINAL", "PRIMARY", "", "LOW_ENERGY"], "ContrastBolusAgent": "Iohexol"},
        {"ImageType": ["ORIGINAL", "PRIMARY"], "ContrastBolusAgent": "Iohexol"},
        {"ImageType": ["DERIVED", "PRIMARY", ""], "SeriesDescription": "R CC Low Energy CEM"},
        {"ConversionType": "WSD"},  # as GE's Senographe writes it
        {"KVP": "39"},
        {"PatientSex": "M"},
        {"StudyDescription": "STEREO BIOPSY SPECIMEN CAPTURE"},
        {"StudyDescription": "BIOPSY", "SeriesDescription": "BIOPSY"},
    ],
)
def test_a_plain_view_is_read(tmp_path: Path, overrides: dict[str, object]) -> None:
    assert reason_of(tmp_path, **overrides) is None


@pytest.mark.parametrize(
    "overrides",
    [
        {"ImageType": ["DERIVED", "PRIMARY", "", "RECOMBINED"]},
        {"ImageType": ["DERIVED", "PRIMARY", "", "SUBTRACTION"]},
        {"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION", "LOW_ENERGY"]},
        {"ImageType": ["DERIVED", "PRIMARY", "", "ADDITION"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "", "", "HIGH_ENERGY"]},
        {"ImageType": ["DERIVED", "PRIMARY", "RECOMBINED"]},
        {"ImageType": ["DERIVED", "PRIMARY", "", "CESM SUBTRACTED"]},
        {"ImageType": ["DERIVED", "PRIMARY", "", "VENDOR"], "ContrastBolusAgent": "Iohexol"},
        {"ImageType": ["DERIVED", "PRIMARY"], "ContrastBolusAgent": "Iohexol"},
        {"ImageType": ["DERIVED", "PRIMARY"], "ContrastBolusAgentSequence": [code("1", "X", "I")]},
        {"ImageType": ["DERIVED", "PRIMARY"], "SeriesDescription": "R CC Recombined"},
        {"ImageType": ["DERIVED", "PRIMARY"], "SeriesDescription": "CEM R CC"},
        {"ImageType": ["ORIGINAL", "PRIMARY"], "KVP": "49"},
    ],
)
def test_of_contrast_mammography_all_but_the_low_energy_image_is_skipped(
    tmp_path: Path, overrides: dict[str, object]
) -> None:
    assert reason_of(tmp_path, **overrides) is SkipReason.CONTRAST_ENHANCED


@pytest.mark.parametrize(
    "overrides",
    [
        {"ImageType": ["DERIVED", "SECONDARY"]},
        {"ImageType": ["ORIGINAL", "SECONDARY"]},
        {"ImageType": ["DERIVED", "PRIMARY", "SCREEN SAVE"]},
        {"SeriesDescription": "Screenshot of R CC"},
        {"SeriesDescription": "WORKSTATION CAPTURE"},
        {"BurnedInAnnotation": "YES"},
        {"SOPClassUID": SECONDARY_CAPTURE, "ConversionType": "WSD"},
        {"SOPClassUID": SECONDARY_CAPTURE, "ConversionType": "DI"},
        {"SOPClassUID": SECONDARY_CAPTURE, "ConversionType": "SI"},
        {"SOPClassUID": SECONDARY_CAPTURE, "ConversionType": "SYN"},
        {"SOPClassUID": SECONDARY_CAPTURE},
        {"SOPClassUID": f"{SECONDARY_CAPTURE}.2", "ConversionType": "WSD"},
        {"SOPClassUID": f"{SECONDARY_CAPTURE}.3"},
        {"SOPClassUID": SECONDARY_CAPTURE, "DetectorType": "FILM", "ConversionType": "WSD"},
    ],
)
def test_captures_and_copies_are_skipped(tmp_path: Path, overrides: dict[str, object]) -> None:
    assert reason_of(tmp_path, **overrides) is SkipReason.CAPTURE


@pytest.mark.parametrize(
    "overrides",
    [
        {"ConversionType": "DF"},
        {"Manufacturer": "LUMISYS", "ConversionType": None},
        {"PatientID": "Mass-Test_P_00173_RIGHT_CC", "ConversionType": "WSD"},
    ],
)
def test_a_secondary_capture_is_read_with_the_marks_of_a_film(
    tmp_path: Path, overrides: dict[str, object]
) -> None:
    film = {k: v for k, v in overrides.items() if v is not None}
    assert reason_of(tmp_path, SOPClassUID=SECONDARY_CAPTURE, **film) is None


def test_burned_in_text_of_a_film_is_its_label(tmp_path: Path) -> None:
    assert reason_of(tmp_path, DetectorType="FILM", BurnedInAnnotation="YES") is None


@pytest.mark.parametrize(
    "overrides",
    [
        {"SpecimenDescriptionSequence": [item(SpecimenIdentifier="S1", SpecimenUID="1.2")]},
        {"ContainerIdentifier": "C1"},
        {"SeriesDescription": "L BREAST SPECIMEN"},
        {"ProtocolName": "Specimen"},
        {"ViewPosition": "SPECIMEN"},
        {"BodyPartExamined": "SPECIMEN"},
        {"ViewCodeSequence": [code("127457009", "SCT", "tissue specimen from breast")]},
        {"Manufacturer": "Faxitron Bioptics"},
        {"ManufacturerModelName": "Trident HD"},
    ],
)
def test_specimens_are_skipped(tmp_path: Path, overrides: dict[str, object]) -> None:
    assert reason_of(tmp_path, **overrides) is SkipReason.SPECIMEN


@pytest.mark.parametrize(
    "overrides",
    [
        {"ImageType": ["DERIVED", "PRIMARY", "STEREO", "LEFT"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "PREFIRE_MINUS"]},
        {"SeriesDescription": "Stereo pair"},
        {"SeriesDescription": "R CC NEEDLE LOC"},
        {"ProtocolName": "BIOPSY"},
        {"SeriesDescription": "Galactography R CC"},
    ],
)
def test_biopsies_and_localisations_are_skipped(
    tmp_path: Path, overrides: dict[str, object]
) -> None:
    assert reason_of(tmp_path, **overrides) is SkipReason.BIOPSY


def test_an_image_type_of_no_plain_view_is_skipped(tmp_path: Path) -> None:
    image_type = ["DERIVED", "PRIMARY", "SOMETHING NEW"]
    assert reason_of(tmp_path, ImageType=image_type) is SkipReason.IMAGE_TYPE


def test_evidence_never_holds_the_values_of_free_texts_or_unknown_terms(tmp_path: Path) -> None:
    ds = view_dataset(
        "R", "CC", **SMALL, ImageType=["DERIVED", "PRIMARY", "ZZQNAME"],
        SeriesDescription="ZZQNAME R CC", ImageComments="ZZQNAME", Laterality="ZZQNAME",
    )  # fmt: skip
    shown = repr(inspect(write(ds, tmp_path / "a.dcm")).evidence)
    assert "SeriesDescription" in shown
    assert "ZZQ" not in shown


@pytest.mark.parametrize(
    "overrides",
    [{"rows": 64, "columns": 64}, {"rows": 128, "columns": 128}, {"rows": 400, "columns": 170}],
)
def test_icons_and_previews_are_too_small(tmp_path: Path, overrides: dict[str, int]) -> None:
    icon = write(view_dataset("R", "CC", **overrides), tmp_path / "a.dcm")
    exam = exam_of([icon])
    assert [s.reason for s in exam.skipped] == [SkipReason.TOO_SMALL]


def test_a_field_of_two_centimetres_holds_no_breast(tmp_path: Path) -> None:
    ds = view_dataset("R", "CC", rows=400, columns=400, ImagerPixelSpacing=["0.05", "0.05"])
    exam = exam_of([write(ds, tmp_path / "a.dcm")])
    assert [s.reason for s in exam.skipped] == [SkipReason.TOO_SMALL]


def test_a_film_s_secondary_capture_never_comes_before_a_mammography_image(tmp_path: Path) -> None:
    real = view_dataset("R", "CC", **SMALL)
    film = view_dataset(
        "R", "CC", rows=1024, columns=800, study_uid=uid("study", 0), SOPInstanceUID=uid("film"),
        SOPClassUID=SECONDARY_CAPTURE, ConversionType="DF", AcquisitionTime="235959",
    )  # fmt: skip
    for name, ds in (("a", real), ("b", film)):
        write(ds, tmp_path / f"{name}.dcm")
    exam = exam_of([tmp_path])
    assert [m.sop_instance_uid for m in exam.mammograms] == [real.SOPInstanceUID]
    assert [s.reason for s in exam.skipped] == [SkipReason.SUPERSEDED]


@pytest.mark.parametrize(
    "overrides",
    [
        {"ImageType": ["DERIVED", "SECONDARY"]},
        {"SeriesDescription": "Specimen"},
        {"ImageType": ["DERIVED", "PRIMARY", "", "RECOMBINED"]},
        {"EstimatedRadiographicMagnificationFactor": "1.8"},
        {"ImageLaterality": "L", "ViewPosition": "RCC"},
    ],
)
def test_what_is_skipped_never_supersedes(tmp_path: Path, overrides: dict[str, object]) -> None:
    real = view_dataset("R", "CC", **SMALL)
    other = view_dataset(
        "R", "CC", rows=1024, columns=800, study_uid=uid("study", 0), SOPInstanceUID=uid("other"),
        **{"AcquisitionTime": "235959", **overrides},
    )  # fmt: skip
    for name, ds in (("a", real), ("b", other)):
        write(ds, tmp_path / f"{name}.dcm")
    exam = exam_of([tmp_path])
    assert [m.sop_instance_uid for m in exam.mammograms] == [real.SOPInstanceUID]
    assert len(exam.skipped) == 1
    assert exam.skipped[0].reason is not SkipReason.SUPERSEDED
    assert exam.evidence[str(other.SOPInstanceUID)]


def test_a_contradiction_is_reported_with_both_sources(tmp_path: Path) -> None:
    path = write(view_dataset("R", "CC", **SMALL, ViewPosition="LCC"), tmp_path / "a.dcm")
    with pytest.raises(NotProcessable) as caught:
        read_instance(path)
    assert caught.value.reason is SkipReason.LATERALITY_UNKNOWN
    assert caught.value.detail == (
        "Image Laterality (0020,0062) says R, View Position (0018,5101) says L"
    )


def test_an_8_bit_copy_of_an_acquired_image_does_not_stand_in_for_it(tmp_path: Path) -> None:
    real = view_dataset("R", "CC", **SMALL)
    copy = view_dataset(
        "R", "CC", **SMALL, SOPInstanceUID=uid("copy"), ImageType=["DERIVED", "SECONDARY", ""]
    )
    set_pixels(copy, (np.asarray(copy.pixel_array) >> 4).astype(np.uint8), 8)
    for name, ds in (("a", real), ("b", copy)):
        write(ds, tmp_path / f"{name}.dcm")
    exam = exam_of([tmp_path])
    assert [s.reason for s in exam.skipped] == [SkipReason.CAPTURE]
