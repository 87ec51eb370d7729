"""Files to send, and how they are spread over associations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import UID
from pynetdicom.dsutils import split_dataset

from cadnode.deliver.outcome import RefusedObject

MOST_CONTEXTS = 128  # identifiers of presentation contexts are the odd numbers 1–255, PS3.8 9.3.2.2


@dataclass(frozen=True, slots=True)
class QueuedObject:
    """A file and the presentation context that it needs."""

    path: Path
    sop_class_uid: str
    transfer_syntax_uid: str

    def describe(self) -> str:
        """SOP class and transfer syntax by their names."""
        return f"{UID(self.sop_class_uid).name} in {UID(self.transfer_syntax_uid).name}"


def items_of(files: Sequence[Path]) -> tuple[list[QueuedObject], list[RefusedObject]]:
    """Items of the files that are DICOM, and one refusal for each that is not."""
    found = [item_of(path) for path in files]
    items = [item for item in found if item is not None]
    not_dicom = RefusedObject("a file is not DICOM or cannot be read")
    return items, [not_dicom] * (len(found) - len(items))


def item_of(path: Path) -> QueuedObject | None:
    """Item of a file; None when it is not DICOM or cannot be read."""
    try:
        meta, _ = split_dataset(path)
        item = QueuedObject(path, str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
        return item if meta.MediaStorageSOPInstanceUID else None
    except Exception:
        # pydicom raises whatever malformed bytes lead to; its text may quote them.
        return None


def plan(
    items: Sequence[QueuedObject],
) -> Iterator[tuple[list[tuple[str, str]], list[QueuedObject]]]:
    """(presentation contexts, items) of each association needed, in the order of `items`.

    One context per SOP class and transfer syntax, so that the peer's choice is exact.
    """
    contexts: list[tuple[str, str]] = []
    batch: list[QueuedObject] = []
    for item in items:
        context = (item.sop_class_uid, item.transfer_syntax_uid)
        if context not in contexts:
            if len(contexts) == MOST_CONTEXTS:
                yield contexts, batch
                contexts, batch = [], []
            contexts.append(context)
        batch.append(item)
    if batch:
        yield contexts, batch
