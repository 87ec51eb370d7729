"""What a source lists of a study's instances, and which of them concern the node."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR, tag_for_keyword

from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.kind import is_own_output, refuse_other_objects
from cadnode.exam.markings import gsps, seg, sr
from cadnode.exam.rejection import KEY_OBJECTS

KEYWORDS: Final = ("SOPClassUID", "Modality", "Manufacturer", "BodyPartExamined")
_BESIDE_CLASSES: Final = sr.SOP_CLASSES | gsps.SOP_CLASSES | seg.SOP_CLASSES | {KEY_OBJECTS}
_BESIDE_MODALITIES: Final = frozenset({"SR", "PR", "SEG", "KO"})
_NOT_OURS: Final = frozenset(
    {SkipReason.NOT_AN_IMAGE, SkipReason.NOT_MAMMOGRAPHY, SkipReason.OWN_OUTPUT}
)


@dataclass(frozen=True, slots=True)
class Listed:
    """An instance at a source. `where` is the source's own way to name it.

    The other values are as the source states them, "" where it does not.
    """

    sop_instance_uid: str
    where: str
    sop_class_uid: str = ""
    modality: str = ""
    manufacturer: str = ""
    body_part: str = ""


def wanted(instances: Iterable[Listed]) -> list[Listed]:
    """Those that concern the node, each once; none where there is no mammogram.

    The rules by which received files count, applied to what a source knows of its instances without
    opening a file: mammograms, objects in which a person may have marked regions, and key objects,
    which may reject images. Our own outputs never count.
    """
    distinct = list({i.sop_instance_uid: i for i in instances}.values())
    mammograms = [i for i in distinct if is_mammogram(i)]
    if not mammograms:
        return []
    return [i for i in distinct if i in mammograms or may_concern(i)]


def is_mammogram(instance: Listed) -> bool:
    """Whether it is a mammographic image, or tomosynthesis, as far as the source states it."""
    try:
        refuse_other_objects(_header(instance))
    except NotProcessable as error:
        return error.reason not in _NOT_OURS
    return True


def may_concern(instance: Listed) -> bool:
    """Whether it is a report, presentation state, segmentation or key object, and not ours."""
    if is_own_output(_header(instance)):
        return False
    if instance.sop_class_uid:
        return instance.sop_class_uid in _BESIDE_CLASSES
    return instance.modality.strip().upper() in _BESIDE_MODALITIES


def _header(instance: Listed) -> Dataset:
    """The values as a data set, unvalidated: validation would quote them in warnings."""
    values = (
        instance.sop_class_uid, instance.modality, instance.manufacturer, instance.body_part,
    )  # fmt: skip
    ds = Dataset()
    for keyword, value in zip(KEYWORDS, values, strict=True):
        tag = tag_for_keyword(keyword)
        if value and tag is not None:
            ds.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE))
    return ds
