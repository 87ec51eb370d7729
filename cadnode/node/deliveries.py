"""What each configured destination gets of a study's results, and how a try to deliver ends."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.deliver.answers import most_hopeful
from cadnode.deliver.destination import DestinationKind, kind_of
from cadnode.deliver.dicom import peer_of
from cadnode.deliver.outcome import Delivered
from cadnode.deliver.outgoing import Outgoing
from cadnode.errors import (
    Again,
    DeliveryError,
    PermanentDeliveryError,
    SettingsError,
    not_taken,
)
from cadnode.log import get_logger
from cadnode.node.commitments import Transactions
from cadnode.node.committed_delivery import CommittedDelivery
from cadnode.node.destination_profiles import DOCUMENTS, profile_of
from cadnode.node.jobs import DeliveryStatus
from cadnode.node.results import exam_folders, has_outputs, objects_in
from cadnode.receive.commitment_data import Reference
from cadnode.receive.identity import read_file_identity
from cadnode.report.profiles import ANSWER, REPORTS, VERDICTS, chosen, is_ours, kinds_of
from cadnode.settings import Destination, Settings

log = get_logger("worker")


@dataclass(frozen=True, slots=True)
class TryEnd:
    """How one attempt to deliver ended, and why it did not arrive (one of our sentences)."""

    status: DeliveryStatus
    reason: str = ""


_NOT_TAKEN: Final = {
    Again.SOON: DeliveryStatus.RETRY,
    Again.SLOWLY: DeliveryStatus.REFUSED_FOR_NOW,
    Again.NEVER: DeliveryStatus.REFUSED,
}


def again_of(status: DeliveryStatus) -> Again:
    """When an attempt that ended so, and did not arrive, is followed by another."""
    return next(again for again, word in _NOT_TAKEN.items() if word is status)


def deliver(settings: Settings, study: str, result: Path, name: str) -> DeliveryStatus:
    """The status of one `attempt`."""
    return attempt(settings, study, result, name).status


def attempt(settings: Settings, study: str, result: Path, name: str) -> TryEnd:
    """How one attempt to deliver a study's results ended.

    A destination that the configuration does not name any more refuses. A file that is not there
    may come back with its disk, or with another reading.
    """
    status = DeliveryStatus.DELIVERED
    try:
        destination = settings.destination(name)
        if not result.is_dir():  # an empty one would count as delivered
            raise FileNotFoundError("result")
        if destination.commit:
            status = _deliver_committed(settings, study, result, destination)
        elif _deliver_all(settings, study, result, destination):
            status = DeliveryStatus.UNVERIFIED
    except DeliveryError as error:
        log.warning(
            "delivery_failed", study=study, destination=name, error=error, reason=str(error)
        )
        return TryEnd(_NOT_TAKEN[error.again], str(error))
    except SettingsError:
        log.error("delivery_failed", study=study, destination=name, reason="not configured")
        return TryEnd(DeliveryStatus.REFUSED, f"{name} is not configured as it should be")
    except OSError as error:
        log.error("delivery_failed", study=study, destination=name, error=error, reason="result")
        return TryEnd(DeliveryStatus.RETRY, "the result cannot be read")
    is_confirmed = status is not DeliveryStatus.AWAITING_COMMITMENT
    return TryEnd(status, "" if is_confirmed else f"{name} has stored it, and not confirmed it yet")


def _deliver_all(settings: Settings, study: str, result: Path, destination: Destination) -> int:
    """Deliver every patient's results; returns how many objects could not be compared.

    A refusal for one patient does not hold back another's; the error is raised after the last, of
    the class of the one that is tried again soonest.
    """
    kind = kind_of(destination)
    exams = exam_folders(result)
    n_unverified = 0
    refused: list[PermanentDeliveryError] = []
    for exam in exams:
        if len(exams) > 1 and not has_outputs(exam):
            continue  # images whose patient is unclear make no object
        try:
            place = study if exam == result else f"{study}/{exam.name}"
            if (exam / ANSWER).is_file():  # beside the report, and it replaces nothing of that
                place = f"{study}/region-{exam.name}"
            if (exam / VERDICTS).is_file():
                place = f"{study}/verdicts-{exam.name}"
            outgoing = Outgoing(_files(settings, exam, destination, kind), place, is_ours)
            sent = kind.send(outgoing, destination, settings.listener.ae_title)
            n_unverified += sent.n_unverified
        except PermanentDeliveryError as error:
            refused.append(error)
    if refused:
        again = most_hopeful(error.again for error in refused)
        raise not_taken(again, "; ".join(dict.fromkeys(map(str, refused))))
    return n_unverified


def _deliver_committed(
    settings: Settings, study: str, result: Path, destination: Destination
) -> DeliveryStatus:
    """Deliver to an archive that is asked to commit every patient's objects; as `_deliver_all`."""
    kind = kind_of(destination)
    exams = exam_folders(result)
    files: list[Path] = []
    missing: list[PermanentDeliveryError] = []
    for exam in exams:
        if len(exams) > 1 and not has_outputs(exam):
            continue
        try:
            files += _files(settings, exam, destination, kind)
        except PermanentDeliveryError as error:
            missing.append(error)

    def store(some: list[Path]) -> Delivered:
        outgoing = Outgoing(some, study, is_ours)
        return kind.send(outgoing, destination, settings.listener.ae_title)

    delivery = CommittedDelivery(
        (study, result.name, destination.name),
        result,
        peer_of(destination, settings.listener.ae_title).for_commitment,
        Transactions(settings.storage.folder),
        store,
    )
    status = delivery.attempt({_reference(path): path for path in files})
    if missing and status.has_arrived:
        raise missing[0]
    return status


def _reference(path: Path) -> Reference:
    identity = read_file_identity(path)
    return Reference(identity.sop_class_uid, identity.sop_instance_uid)


def _files(
    settings: Settings, exam: Path, destination: Destination, kind: DestinationKind
) -> list[Path]:
    """What a destination gets of an exam; raises `PermanentDeliveryError` when it is missing."""
    if (document := DOCUMENTS.get(kind.takes)) is not None:
        if not (exam / document.file).is_file():
            raise PermanentDeliveryError(f"no {document.words} was made of this reading")
        return [exam / document.file]
    return _objects(settings, exam, destination)


def _objects(settings: Settings, result: Path, destination: Destination) -> list[Path]:
    """The objects that a destination's profile gives it.

    Raises
    ------
    PermanentDeliveryError
        They were made for another profile, before the configuration changed: sending nothing
        would be no delivery.
    """
    made = objects_in(result)
    if (result / VERDICTS).is_file() and not destination.verdicts:
        raise PermanentDeliveryError(f"{destination.name} gets no verdicts any more")
    profile = profile_of(settings, destination)
    objects = chosen(made, profile)
    if made and not objects and kinds_of([profile]) & REPORTS:
        raise PermanentDeliveryError(f"nothing was made for the profile of {destination.name}")
    return objects
