"""A study's results to one configured destination, by its kind; and whether it can be reached."""

import os
from collections.abc import Sequence
from pathlib import Path

from cadnode.deliver import dicom, fhir, folder, orthanc, stow
from cadnode.deliver.outcome import Delivered
from cadnode.errors import DeliveryError, PermanentDeliveryError, SettingsError
from cadnode.log import get_logger
from cadnode.node.peers import dicom_values, http_values
from cadnode.node.results import BUNDLE, exam_folders, has_outputs, objects_in
from cadnode.report.profiles import REPORTS, chosen, is_ours, kinds_of
from cadnode.settings import Destination, Settings

log = get_logger("worker")


def deliver(settings: Settings, study: str, result: Path, name: str) -> str:
    """One try to deliver the results: "delivered", "unverified", "retry" or "refused".

    "unverified" is delivered, too: the destination had objects of these UIDs already, and nobody
    could look at whether they are ours (`deliver.held`). A destination that the configuration does
    not name any more refuses. A file that is not there may come back with its disk, or with
    another reading.
    """
    n_unverified = 0
    try:
        destination = settings.destination(name)
        if not result.is_dir():  # an empty one would count as delivered
            raise FileNotFoundError("result")
        n_unverified = _deliver_all(settings, study, result, destination)
    except DeliveryError as error:
        log.warning(
            "delivery_failed", study=study, destination=name, error=error, reason=str(error)
        )
        return "retry" if error.retryable else "refused"
    except SettingsError:
        log.error("delivery_failed", study=study, destination=name, reason="not configured")
        return "refused"
    except OSError as error:
        log.error("delivery_failed", study=study, destination=name, error=error, reason="result")
        return "retry"
    return "unverified" if n_unverified else "delivered"


def _deliver_all(settings: Settings, study: str, result: Path, destination: Destination) -> int:
    """Deliver every patient's results; returns how many objects nobody could look at.

    What is refused of one patient keeps nothing from another; the error comes after the last.
    """
    exams = exam_folders(result)
    n_unverified, refused = 0, None
    for exam in exams:
        if len(exams) > 1 and not has_outputs(exam):
            continue  # images whose patient is unclear make no object
        try:
            if destination.kind == "fhir":
                fhir.send(_bundle(exam), http_values(destination))
            else:
                place = study if exam == result else f"{study}/{exam.name}"
                objects = _objects(settings, exam, destination)
                n_unverified += _send_objects(settings, place, objects, destination).n_unverified
        except PermanentDeliveryError as error:
            refused = refused or error
    if refused:
        raise refused
    return n_unverified


def reach(settings: Settings, destination: Destination) -> str:
    """What was found at a destination, in words, when it is there and lets us in.

    Raises
    ------
    DeliveryError
        It cannot be reached or refuses us; says how.
    """
    if destination.kind == "folder":
        return _reach_folder(Path(destination.folder or "."))
    if destination.kind == "dicom":
        dicom.echo(dicom_values(destination, settings.listener.ae_title))
        return "answered C-ECHO"
    check = {"orthanc": orthanc.check, "stow": stow.check, "fhir": fhir.check}[destination.kind]
    return check(http_values(destination))


def _objects(settings: Settings, result: Path, destination: Destination) -> list[Path]:
    """The objects that a destination's profile gives it.

    Raises
    ------
    PermanentDeliveryError
        They were made for another profile, before the configuration changed: sending nothing
        would be no delivery.
    """
    made = objects_in(result)
    profile = settings.profile_of(destination)
    objects = chosen(made, profile)
    if made and not objects and kinds_of([profile]) & REPORTS:
        raise PermanentDeliveryError(f"nothing was made for the profile of {destination.name}")
    return objects


def _bundle(result: Path) -> Path:
    bundle = result / BUNDLE
    if not bundle.is_file():
        raise PermanentDeliveryError("no FHIR bundle was made of this reading")
    return bundle


def _send_objects(
    settings: Settings, place: str, objects: Sequence[Path], destination: Destination
) -> Delivered:
    """Send DICOM objects as they are stored, to `place` in a folder; raises `DeliveryError`."""
    if destination.kind == "folder":
        n_sent = folder.deliver(objects, Path(destination.folder or ".") / place, is_ours)
        return Delivered(n_sent, 0)
    if destination.kind == "orthanc":
        return orthanc.send(objects, http_values(destination))
    if destination.kind == "stow":
        return stow.send(objects, http_values(destination))
    return dicom.send(objects, dicom_values(destination, settings.listener.ae_title))


def _reach_folder(path: Path) -> str:
    if not (path.is_dir() and os.access(path, os.W_OK)):
        raise PermanentDeliveryError("it is no folder, or may not be written")
    return "can be written"
