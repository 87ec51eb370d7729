"""A kind of destination is one file and one line of `deliver.destination.KINDS`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pytest

from cadnode.deliver import destination as kinds
from cadnode.deliver.destination import KINDS, DestinationKind, kind_of
from cadnode.deliver.outcome import Delivered
from cadnode.deliver.outgoing import Outgoing, Takes
from cadnode.domain import Profile
from cadnode.errors import PermanentDeliveryError, SettingsError, TransientDeliveryError
from cadnode.node import checks, deliveries, destination_profiles
from cadnode.node.jobs import DeliveryStatus
from cadnode.node.worker_steps import WorkerSteps
from cadnode.settings import Destination, Settings, StorageSection
from cadnode.settings.peers import NEEDED

STUDY = "0123456789abcdef"


@dataclass
class TapeKind:
    """A kind that the tree does not know: what its file would hold."""

    takes: Takes = Takes.OBJECTS
    serial: bool = False
    needs: tuple[str, ...] = ("folder",)
    advice: str = "insert a tape"
    error: Exception | None = None
    n_unverified: int = 0
    sent: list[Outgoing] = field(default_factory=list)
    called_by: list[str] = field(default_factory=list)

    def where(self, destination: Destination) -> str:
        return f"the tape at {destination.folder}"

    def check(self, destination: Destination, calling_ae_title: str) -> str:
        if self.error is not None:
            raise self.error
        return "is rewound"

    def send(
        self, outgoing: Outgoing, destination: Destination, calling_ae_title: str
    ) -> Delivered:
        if self.error is not None:
            raise self.error
        self.sent.append(outgoing)
        self.called_by.append(calling_ae_title)
        return Delivered(len(outgoing.files), 0, self.n_unverified)


Added = Callable[[DestinationKind], Settings]


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Added:
    """The settings of a node with a destination "tape" of a kind that is added by its one line."""

    def add(kind: DestinationKind) -> Settings:
        monkeypatch.setattr(kinds, "KINDS", {**KINDS, "tape": kind})
        new: Any = {"name": "tape", "kind": "tape", "folder": Path("/dev/st0")}
        return Settings(
            storage=StorageSection(folder=tmp_path / "data"),
            destinations=(Destination.model_construct(**new),),
        )

    return add


@pytest.fixture
def result(tmp_path: Path) -> Path:
    made = tmp_path / "data" / "results" / STUDY / "content"
    made.mkdir(parents=True)
    for name in ("sr.dcm", "cad-sr.dcm", "heatmap-1-RCC.dcm", "fhir.json"):
        (made / name).write_bytes(b"x")
    return made


def test_every_kind_of_the_settings_has_an_entry_and_the_other_way_round() -> None:
    assert set(get_args(Destination.model_fields["kind"].annotation)) == set(KINDS)


def test_the_settings_ask_for_what_the_entry_of_each_kind_needs() -> None:
    assert {name: kind.needs for name, kind in KINDS.items()} == dict(NEEDED)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("dicom", "a destination of kind 'dicom' needs host, port and ae_title"),
        ("orthanc", "a destination of kind 'orthanc' needs url"),
        ("stow", "a destination of kind 'stow' needs url"),
        ("fhir", "a destination of kind 'fhir' needs url"),
        ("folder", "a destination of kind 'folder' needs folder"),
        ("hl7", "a destination of kind 'hl7' needs host and port"),
    ],
)
def test_a_destination_without_what_its_kind_needs_is_no_setting(kind: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Destination(name="x", kind=kind)


def test_a_new_kind_is_delivered_to_by_its_one_line(added: Added, result: Path) -> None:
    tape = TapeKind()
    settings = added(tape)

    assert deliveries.deliver(settings, STUDY, result, "tape") is DeliveryStatus.DELIVERED

    (sent,) = tape.sent
    assert [file.name for file in sent.files] == ["heatmap-1-RCC.dcm", "sr.dcm"]
    assert sent.place == STUDY
    assert [sent.is_ours(Path(name)) for name in ("sr.dcm", "scan.dcm")] == [True, False]
    assert tape.called_by == [settings.listener.ae_title]


def test_a_new_kind_that_takes_the_bundle_has_it_made_and_gets_it(
    added: Added, result: Path
) -> None:
    tape = TapeKind(takes=Takes.BUNDLE)
    settings = added(tape)

    assert destination_profiles.profiles_of(settings) == (Profile.FHIR,)
    assert deliveries.deliver(settings, STUDY, result, "tape") is DeliveryStatus.DELIVERED

    (sent,) = tape.sent
    assert sent.files == [result / "fhir.json"]


@pytest.mark.parametrize(
    ("tape", "answer"),
    [
        (TapeKind(n_unverified=1), "unverified"),
        (TapeKind(error=TransientDeliveryError("the tape is rewinding")), "retry"),
        (TapeKind(error=OSError("sr.dcm")), "retry"),
        (TapeKind(error=PermanentDeliveryError("the tape is torn")), "refused"),
        (TapeKind(error=SettingsError("no tape")), "refused"),
    ],
)
def test_how_a_try_ends_does_not_depend_on_the_kind(
    added: Added, result: Path, tape: TapeKind, answer: str
) -> None:
    assert deliveries.deliver(added(tape), STUDY, result, "tape") == answer


def test_the_job_database_gets_a_plain_word_of_how_a_try_ended(added: Added, result: Path) -> None:
    nobody: Any = None  # neither spool nor models take part in a delivery
    answer = WorkerSteps(added(TapeKind()), nobody, nobody).deliver(STUDY, "content", "tape")

    assert (answer, type(answer)) == ("delivered", str)


def test_a_destination_whose_kind_is_serial_gets_one_study_after_the_other(added: Added) -> None:
    spool: Any = None
    models: Any = None

    for serial in (True, False):
        steps = WorkerSteps(added(TapeKind(serial=serial)), spool, models).bound()
        assert ("tape" in steps.one_at_a_time) is serial

    assert [name for name, kind in KINDS.items() if kind.serial] == ["fhir", "hl7"]


def test_the_check_asks_the_kind(added: Added) -> None:
    settings = added(TapeKind())
    good = checks.destination_check(settings, settings.destinations[0])
    settings = added(TapeKind(error=PermanentDeliveryError("the tape is torn")))
    bad = checks.destination_check(settings, settings.destinations[0])

    assert (good.verdict, good.found) == ("ok", "the tape at /dev/st0: is rewound")
    assert (bad.verdict, bad.found, bad.advice) == (
        "failed", "the tape at /dev/st0: the tape is torn", "insert a tape",
    )  # fmt: skip


def test_a_kind_is_given_no_destination_without_what_it_needs(added: Added) -> None:
    settings = added(TapeKind(needs=("folder", "url")))

    with pytest.raises(SettingsError, match="destination 'tape' needs url"):
        kind_of(settings.destinations[0])


@pytest.mark.parametrize("name", sorted(KINDS))
def test_verdicts_are_for_kinds_that_take_objects_and_no_other(name: str) -> None:
    keys: dict[str, Any] = {
        "host": "127.0.0.1", "port": 104, "ae_title": "A", "url": "http://a", "folder": "/a",
    }  # fmt: skip
    needed = {key: keys[key] for key in NEEDED[name]}
    block = {"name": "a", "kind": name, "verdicts": True, **needed}
    if KINDS[name].takes is Takes.OBJECTS:
        assert Destination.model_validate(block).verdicts
    else:
        with pytest.raises(ValueError, match="does not take"):
            Destination.model_validate(block)
