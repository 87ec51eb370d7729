"""Headers are read once a file, and the notes of them never count for more than the spool."""

import json
import os
from pathlib import Path

import pytest

from cadnode import __version__
from cadnode.domain import Laterality, ViewPosition
from cadnode.exam.mammogram import Instance, inspect
from cadnode.log import hashed
from cadnode.node import header_index
from cadnode.node.header_index import HeaderIndex
from cadnode.node.readiness import content_of, describe, relevant, views_of
from cadnode.receive.spool import Spool, StoredInstance
from tests.rejection import note
from tests.spool_cases import add_file
from tests.synthetic import IDENTIFIERS, MARK, STANDARD_VIEWS, view_dataset, write
from tests.unit.region_cases import mammogram, tid1500

STUDY_UID = "1.2.826.0.1.77777.40"
L_MLO = (Laterality.LEFT, ViewPosition.MLO)


class Place:
    """A spool, an index of it, and the files whose headers were read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.spool = Spool(folder / "spool")
        self.index = HeaderIndex(self.spool)
        self.key = hashed(STUDY_UID)
        self.read: list[str] = []
        monkeypatch.setattr(header_index, "inspect", self._inspect)

    def _inspect(self, path: Path) -> Instance:
        self.read.append(path.name)
        return inspect(path)

    def receive(self, number: int, **attributes: str) -> StoredInstance:
        side, view = STANDARD_VIEWS[number % 4]
        ds = view_dataset(side, view, seed=1)
        ds.StudyInstanceUID, ds.SOPInstanceUID = STUDY_UID, f"{STUDY_UID}.{number}"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)
        return add_file(self.spool, write(ds, self.folder / "in.dcm"))

    @property
    def notes(self) -> Path:
        return self.spool.header_index(self.key)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_a_study_of_40_images_costs_40_header_readings_though_each_arrival_looks_at_all(
    place: Place,
) -> None:
    for number in range(40):
        place.receive(number)
        assert len(place.index.files(place.key)) == number + 1  # as the listener does
    assert len(place.read) == 40
    other = HeaderIndex(Spool(place.folder / "spool"))  # the worker's
    assert views_of(other.files(place.key)) == {
        (Laterality(side), ViewPosition(view)) for side, view in STANDARD_VIEWS
    }
    assert len(relevant(other.files(place.key))) == 40
    assert len(place.read) == 40


def test_what_is_noted_is_what_a_look_into_the_files_gives(place: Place) -> None:
    image = mammogram()
    drawn = tid1500([("CIRCLE", [(40, 40), (43, 44)])])
    for ds in (image, drawn, note([image])):
        key = add_file(place.spool, write(ds, place.folder / "in.dcm")).study_key
    place.index.files(key)
    noted = place.index.files(key)
    assert noted == [describe(inspect(path)) for path in place.spool.instances(key)]
    assert len(noted) == len(place.read) == 3
    assert sum(file.marks_regions for file in noted) == 1
    assert frozenset().union(*(file.rejects for file in noted)) == {hashed(image.SOPInstanceUID)}
    assert len(relevant(noted)) == 3


def test_a_file_that_changed_is_read_again_and_no_other(place: Place) -> None:
    place.receive(0)
    second = place.receive(1)
    before = content_of(place.index.files(place.key))
    place.read.clear()
    place.receive(1, ViewPosition="CC", PatientComments="corrected")
    assert content_of(place.index.files(place.key)) != before
    assert place.read == [second.path.name]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"\0" * 400),
        lambda path: path.write_text('[1]\n5\nnull\n{"written_by": 1}\n{'),
        lambda path: path.write_text(path.read_text().replace(__version__, "0.0.0-other")),
        lambda path: path.write_text(path.read_text().replace('"CC"', '"XX"')),
    ],
    ids=["removed", "zeros", "not ours", "of another version", "unknown view"],
)
def test_notes_that_cannot_be_used_are_made_again_from_the_spool(place: Place, damage) -> None:
    place.receive(0)
    first = place.index.files(place.key)
    damage(place.notes)
    assert place.index.files(place.key) == first
    assert len(place.read) == 2
    assert place.index.files(place.key) == first
    assert len(place.read) == 2


def test_a_line_that_a_crash_cut_off_costs_itself_and_not_the_next(place: Place) -> None:
    place.receive(0)
    place.index.files(place.key)
    place.notes.write_bytes(place.notes.read_bytes()[:-9])
    place.receive(1)
    place.index.files(place.key)
    assert len(place.read) == 3
    place.index.files(place.key)
    assert len(place.read) == 3


def test_a_file_that_goes_away_is_left_out(place: Place) -> None:
    stored = place.receive(0)
    place.receive(1)
    place.index.files(place.key)
    stored.path.unlink()
    assert [file.view for file in place.index.files(place.key)] == [L_MLO]


def test_a_file_whose_header_cannot_be_read_may_be_readable_the_next_time(place: Place) -> None:
    stored = place.receive(0)
    whole, stat = stored.path.read_bytes(), stored.path.stat()
    stored.path.write_bytes(b"\0" * len(whole))
    os.utime(stored.path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert relevant(place.index.files(place.key)) == []
    stored.path.write_bytes(whole)
    os.utime(stored.path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert relevant(place.index.files(place.key)) == [stored.path]


def test_an_index_that_cannot_be_written_costs_time_and_nothing_else(place: Place) -> None:
    place.receive(0)
    place.notes.parent.write_text("a file where the folder should be")
    assert len(place.index.files(place.key)) == 1
    assert len(place.index.files(place.key)) == 1
    assert len(place.read) == 2


def test_no_identifier_is_in_the_notes(place: Place) -> None:
    place.receive(0)
    place.index.files(place.key)
    text = place.notes.read_text()
    assert json.loads(text)["view"] == ["L", "CC"]
    assert all(words not in text for words in (*IDENTIFIERS, MARK, STUDY_UID))


def test_the_notes_of_a_discarded_study_go_with_it(place: Place) -> None:
    place.receive(0)
    place.index.files(place.key)
    place.spool.discard(place.key)
    assert not place.notes.exists()
    assert place.index.files(place.key) == []
