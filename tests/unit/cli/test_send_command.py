"""`cadnode send` names each file that it leaves out, and why."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import MediaStorageDirectoryStorage
from pynetdicom import AE, evt
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.node.send_command import sift
from tests.report_cases import digital_exam, film_exam, objects_of
from tests.synthetic import view_dataset, write, write_exam

MG = "1.2.840.10008.5.1.4.1.1.1.2"


class Peer:
    """A Storage SCP that takes mammograms and answers with a status of the test's choice."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.statuses: dict[str, int] = {}
        ae = AE("PACS")
        ae.add_supported_context(MG)
        ae.add_supported_context(MG, "1.2.840.10008.1.2.1")
        self.server = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self.store)]
        )
        self.to = f"PACS@127.0.0.1:{self.server.server_address[1]}"

    def store(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        self.taken.append(uid)
        return self.statuses.get(uid, 0)


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.server.shutdown()
    assert not [t for t in threading.enumerate() if t.name.startswith("AcceptorServer")]


def send(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["send", *map(str, words)], env={"COLUMNS": "400"})
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.exit_code, result.stdout, result.stderr


def write_object(made: Dataset, path: Path) -> Path:
    dcmwrite(path, made, enforce_file_format=True)
    return path


def test_what_is_not_dicom_is_named_and_the_rest_is_sent(peer: Peer, tmp_path: Path) -> None:
    files = write_exam(tmp_path / "exam")
    strays = {"report.html": b"<html>", "empty": b"", "thumbs [1].db": b"\0" * 300,
              "cut.dcm": files[0].read_bytes()[:140]}  # fmt: skip
    for name, content in strays.items():
        (tmp_path / "exam" / name).write_bytes(content)

    code, shown, told = send(tmp_path / "exam", "--to", peer.to)

    assert (code, len(peer.taken)) == (0, 4)
    assert "4 of 4 files taken by PACS" in shown
    for name in strays:
        assert f"{tmp_path / 'exam' / name} is not DICOM, or cannot be read" in told
    assert told.count("! ") == len(strays)


@pytest.mark.parametrize("outcome", ["findings", "none", "failed", "systems", "marked"])
@pytest.mark.parametrize("exam", [film_exam, digital_exam], ids=["film", "digital"])
def test_every_object_that_cadnode_makes_is_left_out_unless_it_is_asked_for(
    exam: Any, outcome: str, tmp_path: Path
) -> None:
    made = [
        write_object(ds, tmp_path / f"{n}.dcm") for n, ds in enumerate(objects_of(exam(), outcome))
    ]

    to_send, left_out = sift(made)

    assert made
    assert (to_send, [one.path for one in left_out]) == ([], made)
    assert all("--own" in one.reason for one in left_out)
    assert sift(made, own=True) == (made, [])


def test_a_film_whose_maker_names_itself_like_the_node_in_part_is_sent(tmp_path: Path) -> None:
    ds = view_dataset()
    ds.Manufacturer = "CADNODE MEDICAL"

    path = write(ds, tmp_path / "a.dcm")

    assert sift([path]) == ([path], [])


def test_what_the_peer_refuses_is_named_with_its_reason(peer: Peer, tmp_path: Path) -> None:
    files = write_exam(tmp_path)
    uids = [str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in files]
    peer.statuses = {uids[1]: 0xA900, uids[3]: 0xC001}

    code, shown, told = send(tmp_path, "--to", peer.to)

    assert code == 6
    assert "2 of 4 files taken by PACS" in shown
    assert f"{files[1]} answered A900, data set does not match SOP class" in told
    assert f"{files[3]} answered C001, cannot understand" in told
    assert "refused 2 files" in told
    assert str(files[0]) not in told


def test_a_kind_that_the_peer_does_not_accept_is_named(peer: Peer, tmp_path: Path) -> None:
    write(view_dataset(), tmp_path / "a.dcm")
    (report, *_) = [d for d in objects_of(film_exam(), "findings") if d.Modality == "SR"]
    path = write_object(report, tmp_path / "sr.dcm")

    code, shown, told = send(tmp_path, "--to", peer.to, "--own")

    assert code == 6
    assert "1 of 2 files taken" in shown
    assert f"{path} does not accept" in told


def test_machines_are_given_every_file_and_its_reason(peer: Peer, tmp_path: Path) -> None:
    write(view_dataset(), tmp_path / "a.dcm")
    (tmp_path / "notes.txt").write_text("x")
    own = write_object(objects_of(film_exam(), "findings")[0], tmp_path / "own.dcm")

    code, shown, _ = send(tmp_path, "--to", peer.to, "--json")

    document = json.loads(shown)
    assert (code, document["sent"], document["files"]) == (0, 1, 1)
    reasons = {row["file"]: row["reason"] for row in document["left_out"]}
    assert set(reasons) == {str(tmp_path / "notes.txt"), str(own)}


def test_a_dicomdir_is_left_out(tmp_path: Path) -> None:
    ds = view_dataset()
    ds.SOPClassUID = MediaStorageDirectoryStorage

    to_send, left_out = sift([write(ds, tmp_path / "DICOMDIR")])

    assert to_send == []
    assert "DICOMDIR" in left_out[0].reason


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_where_nothing_is_left_to_send_no_peer_is_called(dry: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"x")

    code, shown, told = send(tmp_path, "--to", "PACS@127.0.0.1:1", *dry)

    assert code == 2
    assert "0 " in shown
    assert str(tmp_path / "a.dcm") in told
    assert "nothing to send" in told


def test_a_dry_run_names_what_would_be_left_out(tmp_path: Path) -> None:
    write(view_dataset(), tmp_path / "a.dcm")
    (tmp_path / "b.txt").write_text("x")

    code, shown, told = send(tmp_path, "--to", "PACS@127.0.0.1:1", "--dry-run")

    assert (code, "1 files would go to PACS" in shown) == (0, True)
    assert str(tmp_path / "b.txt") in told
