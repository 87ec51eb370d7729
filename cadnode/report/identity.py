"""Whose study an object belongs to and what made it: the modules every object shares.

Patient and study attributes are copied from the reference header byte for byte where its
character set can carry our own text, and never pass through code that prints a value in a
warning (pydicom's value checks, highdicom's check of person names).
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final

from pydicom import Dataset, config
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID

from cadnode import __version__
from cadnode.errors import ReportError
from cadnode.exam.content import contribution, header_digest
from cadnode.report.character_set import (
    UTF8,
    as_unicode,
    carries,
    in_ascii,
    is_for_text,
    is_truthful,
    unchanged,
    written_as_stored,
)
from cadnode.report.codes import ACQUISITION_EQUIPMENT, PROCESSING_EQUIPMENT, code_item

MANUFACTURER: Final = "cadnode"
IMPLEMENTATION_CLASS_UID: Final = "2.25.285547865982832626916569870667095229613"
_OFFSET: Final = re.compile(r"(?P<sign>[+-])(?P<hours>\d\d)(?P<minutes>[0-5]\d)", re.ASCII)
_WEST, _EAST = timedelta(hours=-12), timedelta(hours=14)

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
    the bytes they were, whatever they mean; otherwise everything is re-encoded as UTF-8
    (ISO_IR 192). Text of ours beyond ASCII is never put beside text that breaks the same set.

    Raises
    ------
    ReportError
        When the reference has no Study Instance UID.
    """
    if not reference.get("StudyInstanceUID"):
        raise ReportError("the reference header has no Study Instance UID")
    keep = _may_stay(reference, tuple(texts))
    ds = Dataset()
    with config.disable_value_validation():
        if not keep:
            ds.SpecificCharacterSet = UTF8
        elif reference.get("SpecificCharacterSet"):
            ds.SpecificCharacterSet = reference.SpecificCharacterSet
        for keyword in (*PATIENT_MODULES, *STUDY_MODULES):
            _copy(reference, ds, keyword, keep)
        if zone_of(reference) is not None:
            _copy(reference, ds, "TimezoneOffsetFromUTC", keep)
        for keyword in _ALWAYS_PRESENT:
            if keyword not in ds:
                setattr(ds, keyword, "")
    return written_as_stored(ds) if keep else ds


def copied_digest(reference: Dataset) -> str:
    """Sha256 of the attributes of `reference` that `patient_and_study` copies, as stored."""
    keywords = (*PATIENT_MODULES, *STUDY_MODULES, "SpecificCharacterSet", "TimezoneOffsetFromUTC")
    return header_digest(reference, {tag for k in keywords if (tag := tag_for_keyword(k))})


def _may_stay(reference: Dataset, texts: tuple[str, ...]) -> bool:
    """Whether our texts can stand in the source's character set beside its own."""
    if not is_for_text(reference.get("SpecificCharacterSet")):
        return False
    if all(text.isascii() for text in texts):
        return True
    tags = [tag_for_keyword(keyword) for keyword in (*PATIENT_MODULES, *STUDY_MODULES)]
    known = [Tag(tag) for tag in tags if tag is not None]
    return carries(reference, texts) and is_truthful(reference, known)


def _copy(source: Dataset, target: Dataset, keyword: str, keep_bytes: bool) -> None:
    """Copy one attribute; one whose value cannot be read at all is left out."""
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in source:
        return
    copied = unchanged if keep_bytes else as_unicode
    try:
        target[tag] = copied(source, Tag(tag))
    except (ValueError, TypeError, NotImplementedError):
        return


def zone_of(header: Dataset) -> tzinfo | None:
    """The zone that Timezone Offset From UTC (0008,0201) states; None for one that is none.

    PS3.3 C.12.1.1.8: &ZZXX from -1200 to +1400. An offset that nobody can read is not copied.
    """
    offset = header.get("TimezoneOffsetFromUTC")
    match = _OFFSET.fullmatch(offset.strip()) if isinstance(offset, str) else None
    if match is None:
        return None
    shift = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"]))
    shift = -shift if match["sign"] == "-" else shift
    return timezone(shift) if _WEST <= shift <= _EAST else None


def stamp(ds: Dataset, *, made_at: datetime, series_number: int, description: str) -> None:
    """Add series, equipment and SOP common attributes that all our objects share.

    PS3.3 C.7.3.1 General Series, C.7.5.1 General Equipment, C.12.1 SOP Common. Times are in
    the study's zone when the source states it, else as given: an offset of our own would
    silently move the copied study time.
    """
    zone = zone_of(ds)
    made_at = made_at.astimezone(zone) if made_at.tzinfo and zone else made_at
    ds.SeriesNumber = series_number
    ds.SeriesDescription = description
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = "cadnode"
    ds.SoftwareVersions = __version__
    ds.InstanceCreationDate = ds.ContentDate = made_at.strftime("%Y%m%d")
    ds.InstanceCreationTime = ds.ContentTime = made_at.strftime("%H%M%S")


def contributing_equipment(source: Dataset, made_at: datetime, content: str = "") -> list[Dataset]:
    """Items of Contributing Equipment Sequence (0018,A001): the images' maker, and ourselves.

    Our item states `content`, the digest of what the object was made from (`Exam.content`), where
    it is known.
    """
    ours = Dataset()
    ours.PurposeOfReferenceCodeSequence = [code_item(PROCESSING_EQUIPMENT)]
    ours.Manufacturer = MANUFACTURER
    ours.ManufacturerModelName = "cadnode"
    ours.SoftwareVersions = __version__
    ours.ContributionDateTime = made_at.strftime("%Y%m%d%H%M%S%z")
    ours.ContributionDescription = contribution(content)
    maker = _maker(source)
    return [maker, ours] if "Manufacturer" in maker else [ours]


def _maker(source: Dataset) -> Dataset:
    """The modality, in ASCII: the report's character set may be that of another header."""
    theirs = Dataset()
    theirs.PurposeOfReferenceCodeSequence = [code_item(ACQUISITION_EQUIPMENT)]
    with config.disable_value_validation():
        for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions"):
            if values := in_ascii(source.get(keyword)):
                setattr(theirs, keyword, values if keyword == "SoftwareVersions" else values[0])
    return theirs


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
