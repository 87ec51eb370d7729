"""The report on paper as a DICOM object: Encapsulated PDF, for archives and viewers of documents.

PS3.3 A.45.1, modules C.24.1 and C.24.2.
"""

from typing import Final

from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from cadnode.errors import ReportError
from cadnode.report import codes
from cadnode.report.cad_sr import concepts
from cadnode.report.edition import Edition
from cadnode.report.identity import contributing_equipment, file_meta, patient_and_study, stamp
from cadnode.report.sr.image_library import images

SERIES_NUMBER: Final = 908
SERIES_DESCRIPTION: Final = "cadnode report (PDF)"


def encapsulated_pdf(edition: Edition, pdf: bytes) -> Dataset:
    """The PDF as a data set with file meta information, ready to be written.

    Its UID is derived from what it states, as every object's; the PDF's bytes are not in it: other
    fonts or another WeasyPrint draw the same report differently.

    Raises
    ------
    ReportError
        It is no PDF, or of an odd length, which DICOM cannot keep (OB, PS3.5 section 6.2).
    """
    if not pdf.startswith(b"%PDF-") or len(pdf) % 2:
        raise ReportError("the rendered report is no PDF of an even length")
    ds = patient_and_study(edition.reference)
    ds.SOPClassUID = EncapsulatedPDFStorage
    ds.SOPInstanceUID = edition.uid("pdf")
    ds.Modality = "DOC"
    ds.SeriesInstanceUID = edition.uid("pdf-series")
    ds.InstanceNumber = 1
    stamp(
        ds,
        made_at=edition.made_at,
        series_number=SERIES_NUMBER,
        description=SERIES_DESCRIPTION,
    )
    ds.ConversionType = "WSD"
    ds.AcquisitionDateTime = ""
    ds.BurnedInAnnotation = "YES"  # patient and study stand on each sheet
    ds.RecognizableVisualFeatures = "NO"
    ds.DocumentTitle = "Mammography CAD report"
    ds.ConceptNameCodeSequence = [codes.code_item(concepts.REPORT)]
    sources = [_source(header) for header in images(edition)]
    if sources:
        ds.SourceInstanceSequence = sources
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.EncapsulatedDocument = pdf
    ds.EncapsulatedDocumentLength = len(pdf)
    ds.ContributingEquipmentSequence = contributing_equipment(
        edition.reference, edition.made_at, edition.exam.content
    )
    ds.file_meta = file_meta(ds.SOPClassUID, ds.SOPInstanceUID, ExplicitVRLittleEndian)
    return ds


def _source(header: Dataset) -> Dataset:
    """Reference to an image that the report is about."""
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [codes.code_item(codes.SOURCE_OF_PROCESSING)]
    return item
