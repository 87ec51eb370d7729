"""Whose study an object belongs to and what made it: the modules every object shares.

Patient and study attributes are copied from the reference header byte for byte where its
character set can carry our own text, and never pass through code that prints a value in a
warning (pydicom's value checks, highdicom's check of person names).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from pydicom import DataElement, Dataset, config
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID
from pydicom.valuerep import PersonName

from cadnode import __version__
from cadnode.errors import ReportError
from cadnode.report.codes import ACQUISITION_EQUIPMENT, PROCESSING_EQUIPMENT, code_item

MANUFACTURER: Final = "cadnode"
IMPLEMENTATION_CLASS_UID: Final = "2.25.285547865982832626916569870667095229613"
UTF8: Final = "ISO_IR 192"

# PS3.3 C.7.1.1 Patient, C.7.1.3 Clinical Trial Subject.
PATIENT_MODULES: Final = (
    "PatientName", "PatientID", "IssuerOfPatientID", "TypeOfPatientID",
    "IssuerOfPatientIDQualifiersSequence", "SourcePatientGroupIdentificationSequence",
    "GroupOfPatientsIdentificationSequence", "PatientBirthDate",
    "PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar",
    "PatientAlternativeCalendar", "PatientSex", "QualityControlSubject", "PatientBirthTime",
    "ReferencedPatientSequence", "OtherPatientIDsSequence", "OtherPatientIDs",
    "OtherPatientNames", "EthnicGroup", "PatientComments", "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence", "ResponsiblePerson", "ResponsiblePersonRole",
    "ResponsibleOrganization", "PatientIdentityRemoved", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence", "ClinicalTrialSponsorName", "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID",
)  # fmt: skip

# PS3.3 C.7.2.1 General Study, C.7.2.2 Patient Study, C.7.2.3 Clinical Trial Study.
STUDY_MODULES: Final = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName",
    "ReferringPhysicianIdentificationSequence", "ConsultingPhysicianName", "StudyID",
    "AccessionNumber", "IssuerOfAccessionNumberSequence", "StudyDescription",
    "PhysiciansOfRecord", "PhysiciansOfRecordIdentificationSequence",
    "NameOfPhysiciansReadingStudy", "PhysiciansReadingStudyIdentificationSequence",
    "RequestingServiceCodeSequence", "ReferencedStudySequence", "ProcedureCodeSequence",
    "ReasonForPerformedProcedureCodeSequence", "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence", "PatientAge", "PatientSize", "PatientWeight",
    "PatientBodyMassIndex", "MedicalAlerts", "Allergies", "SmokingStatus", "PregnancyStatus",
    "LastMenstrualDate", "Occupation", "AdditionalPatientHistory", "AdmissionID",
    "IssuerOfAdmissionIDSequence", "ServiceEpisodeID", "ServiceEpisodeDescription",
    "PatientState", "ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription",
)  # fmt: skip

# Type 2 in those modules: present, empty when nobody knows.
_ALWAYS_PRESENT: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip


def patient_and_study(reference: Dataset, texts: Iterable[str] = ()) -> Dataset:
    """Patient and study modules of `reference` in a data set of their own.

    Specific Character Set stays the source's when it can carry `texts`, and values then stay
    the bytes they were; otherwise everything is re-encoded as UTF-8 (ISO_IR 192).

    Raises
    ------
    ReportError
        When the reference has no Study Instance UID.
    """
    if not reference.get("StudyInstanceUID"):
        raise ReportError("the reference header has no Study Instance UID")
    keep = _carries(reference, texts)
    ds = Dataset()
    with config.disable_value_validation():
        if not keep:
            ds.SpecificCharacterSet = UTF8
        elif "SpecificCharacterSet" in reference:
            ds.SpecificCharacterSet = reference.SpecificCharacterSet
        for keyword in (*PATIENT_MODULES, *STUDY_MODULES, "TimezoneOffsetFromUTC"):
            _copy(reference, ds, keyword, keep)
        for keyword in _ALWAYS_PRESENT:
            if keyword not in ds:
                setattr(ds, keyword, "")
    return ds


def _carries(reference: Dataset, texts: Iterable[str]) -> bool:
    """Whether the source's character set can hold our texts; all of them hold ASCII."""
    texts = tuple(texts)
    if all(text.isascii() for text in texts):
        return True
    declared = reference.get("SpecificCharacterSet") or ""
    if not isinstance(declared, str):  # code extensions: our text would need escape sequences
        return False
    try:
        for text in texts:
            text.encode(convert_encodings(declared)[0])
    except (UnicodeError, LookupError):
        return False
    return True


def _copy(source: Dataset, target: Dataset, keyword: str, keep_bytes: bool) -> None:
    """Copy one attribute; one whose value cannot be read at all is left out."""
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in source:
        return
    element = source.get_item(tag)
    if keep_bytes and isinstance(element, RawDataElement):
        target[tag] = element._replace(VR=element.VR or dictionary_VR(tag))
        return
    try:
        element = source[tag]
    except (ValueError, TypeError, NotImplementedError):
        return
    target[tag] = element if keep_bytes else _decoded(element)


def _decoded(element: DataElement) -> DataElement:
    """The same element with its text as Unicode, to be encoded anew."""
    if element.VR == "SQ":
        items = [_decoded_item(item) for item in element.value]
        return DataElement(element.tag, "SQ", Sequence(items))
    if element.VR != "PN":
        return DataElement(element.tag, element.VR, element.value)
    names = [element.value] if element.VM <= 1 else list(element.value)
    fresh = [PersonName(str(name)) for name in names if name is not None]
    return DataElement(element.tag, "PN", fresh if len(fresh) > 1 else "".join(map(str, fresh)))


def _decoded_item(item: Dataset) -> Dataset:
    """A sequence item whose elements are all `_decoded`, without a character set of its own."""
    fresh = Dataset()
    for element in item:
        if element.keyword != "SpecificCharacterSet":
            fresh[element.tag] = _decoded(element)
    return fresh


def stamp(ds: Dataset, *, made_at: datetime, series_number: int, description: str) -> None:
    """Add series, equipment and SOP common attributes that all our objects share.

    PS3.3 C.7.3.1 General Series, C.7.5.1 General Equipment, C.12.1 SOP Common. Times are in
    the study's zone when the source states it, else as given: an offset of our own would
    silently move the copied study time.
    """
    made_at = _in_zone(made_at, str(ds.get("TimezoneOffsetFromUTC") or ""))
    ds.SeriesNumber = series_number
    ds.SeriesDescription = description
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = "cadnode"
    ds.SoftwareVersions = __version__
    ds.InstanceCreationDate = ds.ContentDate = made_at.strftime("%Y%m%d")
    ds.InstanceCreationTime = ds.ContentTime = made_at.strftime("%H%M%S")


def _in_zone(made_at: datetime, offset: str) -> datetime:
    """`made_at` in the zone `offset` (&HHMM); unchanged when either knows no zone."""
    if made_at.tzinfo is None or not offset:
        return made_at
    try:
        zone = datetime.strptime(offset, "%z").tzinfo
    except ValueError:
        return made_at
    return made_at.astimezone(zone)


def contributing_equipment(source: Dataset, made_at: datetime) -> list[Dataset]:
    """Items of Contributing Equipment Sequence (0018,A001): the images' maker, and ourselves."""
    ours = Dataset()
    ours.PurposeOfReferenceCodeSequence = [code_item(PROCESSING_EQUIPMENT)]
    ours.Manufacturer = MANUFACTURER
    ours.ManufacturerModelName = "cadnode"
    ours.SoftwareVersions = __version__
    ours.ContributionDateTime = made_at.strftime("%Y%m%d%H%M%S%z")
    ours.ContributionDescription = "Computer-aided detection"
    if not source.get("Manufacturer"):
        return [ours]
    theirs = Dataset()
    theirs.PurposeOfReferenceCodeSequence = [code_item(ACQUISITION_EQUIPMENT)]
    with config.disable_value_validation():
        for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions"):
            if source.get(keyword):
                setattr(theirs, keyword, source.get(keyword))
    return [theirs, ours]


def file_meta(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
) -> FileMetaDataset:
    """File Meta Information (PS3.10 section 7.1) that names cadnode as the writer."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = "CADNODE"
    return meta
