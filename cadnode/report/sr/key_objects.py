"""Key object selection: the views with findings, for readers who open these first."""

from typing import Final

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr import DeviceObserverIdentifyingAttributes, ObserverContext
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from cadnode.report.edition import Edition
from cadnode.report.highdicom_sources import owned, unnamed
from cadnode.report.identity import MANUFACTURER

SERIES_NUMBER: Final = 906
SERIES_DESCRIPTION: Final = "cadnode views with findings"
_OF_INTEREST: Final = Code("113000", "DCM", "Of Interest")  # CID 7010


def key_objects(edition: Edition) -> Dataset | None:
    """Key Object Selection Document of the views that have findings; None when none has.

    PS3.3 A.35.4, TID 2010. Views in other studies than the report's are left out: a selection
    over several studies has to be stored once in each of them (PS3.3 C.17.6.2.1).
    """
    marked = {finding.sop_instance_uid for finding in edition.result.findings}
    study = edition.reference.StudyInstanceUID
    views = [
        unnamed(mammogram.header)
        for mammogram in edition.exam.mammograms
        if mammogram.sop_instance_uid in marked and mammogram.header.StudyInstanceUID == study
    ]
    if not views:
        return None
    description = f"Views with computer-aided detection findings. {edition.disclaimer}"
    made = KeyObjectSelectionDocument(
        evidence=views,
        content=KeyObjectSelection(
            _OF_INTEREST,
            views,
            observer_device_context=_observer(edition),
            description=description,
        ),
        series_instance_uid=edition.uid("key-objects-series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=edition.uid("key-objects"),
        instance_number=1,
        manufacturer=MANUFACTURER,
    )
    return owned(
        made,
        edition,
        edition.reference,
        series_number=SERIES_NUMBER,
        description=SERIES_DESCRIPTION,
        texts=[description],
    )


def _observer(edition: Edition) -> ObserverContext:
    """TID 1002 and 1004 (PS3.16): this installation of the software as the observer."""
    device = DeviceObserverIdentifyingAttributes(
        uid=edition.observer_uid,
        name="cadnode",
        manufacturer_name=MANUFACTURER,
        model_name="cadnode",
    )
    return ObserverContext(codes.DCM.Device, device)
