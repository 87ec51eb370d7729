"""Rejection notes: key objects that name images not to be used any more (IHE IOCM)."""

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage

from tests.synthetic import code, uid, view_dataset


def note(
    rejected: Sequence[Dataset],
    value: str = "113001",
    *,
    scheme: str = "DCM",
    where: str = "both",
) -> Dataset:
    """A key object titled (value, scheme) of these images' study, or of the standard one.

    `where` says which of its two places names the images: "content", "evidence" or "both".
    """
    source = rejected[0] if rejected else view_dataset(rows=8, columns=8)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = KeyObjectSelectionDocumentStorage
    ds.SOPInstanceUID = uid("note", value, *(str(r.SOPInstanceUID) for r in rejected))
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    for keyword in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
        "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName",
    ):  # fmt: skip
        setattr(ds, keyword, source.get(keyword, ""))
    ds.Modality, ds.SeriesInstanceUID = "KO", uid("note series")
    ds.SeriesNumber, ds.InstanceNumber, ds.Manufacturer = 99, 1, "Archive"
    ds.ContentDate, ds.ContentTime = "20250101", "090000"
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = [code(value, scheme, "Rejected")]
    references = [_reference(r) for r in rejected]
    ds.ContentSequence = [_image(r) for r in references] if where != "evidence" else []
    ds.CurrentRequestedProcedureEvidenceSequence = (
        [_study(source, references)] if where != "content" else []
    )
    return ds


def _reference(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    return item


def _image(reference: Dataset) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "IMAGE"
    item.ReferencedSOPSequence = [reference]
    return item


def _study(source: Dataset, references: Sequence[Dataset]) -> Dataset:
    series, study = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = source.SeriesInstanceUID, references
    study.StudyInstanceUID, study.ReferencedSeriesSequence = source.StudyInstanceUID, [series]
    return study
