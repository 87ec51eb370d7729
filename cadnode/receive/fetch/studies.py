"""The studies that a source lists under a Patient ID, whatever it is asked by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR, tag_for_keyword

from cadnode.exam.dicom_file import tolerant

STUDIES: Final = 200  # asked for at most; a woman's exams of forty years are some thirty
COUNTED: Final = 20  # of the newest it is asked how many images they have, where that is a request
KEYWORDS: Final = (
    "StudyInstanceUID", "StudyDate", "StudyDescription", "PatientName", "PatientID",
    "IssuerOfPatientID", "PatientBirthDate",
)  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class ListedStudy:
    """A study at a source. `header` holds what the source states of `KEYWORDS`.

    `source_id` is the source's own name of it, "" where it has none. `modalities` is empty and
    `n_instances` None where the source does not say.
    """

    header: Dataset = field(repr=False)
    source_id: str = ""
    modalities: tuple[str, ...] = ()
    n_instances: int | None = None

    @property
    def study_instance_uid(self) -> str:
        """Its UID as stated, "" of none."""
        return str(self.header.get("StudyInstanceUID") or "").strip("\0 ")

    @property
    def n_images(self) -> int | None:
        """How many mammograms; None where reports and others may be among its instances."""
        return self.n_instances if set(self.modalities) == {"MG"} else None

    @property
    def may_be_mammography(self) -> bool:
        """Whether it has mammograms, or the source does not say what it has."""
        return not self.modalities or "MG" in self.modalities


def header_of(values: Mapping[str, object]) -> Dataset:
    """These values as a data set, unvalidated: validation would quote them in warnings."""
    header = Dataset()
    with tolerant():
        for keyword in KEYWORDS:
            tag, value = tag_for_keyword(keyword), values.get(keyword)
            if tag is not None and value:
                vr = dictionary_VR(tag)
                header.add(DataElement(tag, vr, str(value), validation_mode=config.IGNORE))
    return header
