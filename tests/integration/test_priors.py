"""Priors found at and fetched from real archives: Orthanc in three ways, and DCMTK's dcmqrscp."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cadnode.audit.event import Action
from cadnode.errors import SettingsError
from cadnode.log import hashed
from cadnode.node import source_kinds
from cadnode.receive import scp
from cadnode.receive.fetch.fetch import FetchFailure
from cadnode.receive.fetch.requests import FetchCode
from cadnode.receive.identity import read_file_identity
from cadnode.receive.prior_store import AwaitedPriors
from cadnode.receive.spool import StoredInstance
from cadnode.settings import Source
from cadnode.web.prior_exams import PriorState
from tests.integration.http_peers import PASSWORD, USER, web_orthanc
from tests.peers import free_port, wait_for_port, wait_until
from tests.prior_cases import LONG_AGO, PRESENT, YEAR_AGO, PriorNode, exam_files
from tests.synthetic import MARK, uid

AE = "CADNODE"
KINDS = ("orthanc", "dicomweb", "dicom")


@contextmanager
def listening(node: PriorNode, port: int) -> Iterator[list[StoredInstance]]:
    """The node's listener; gives what was announced, that is to be read."""
    announced: list[StoredInstance] = []
    config = scp.ScpConfig(ae_title=AE, port=port)
    aside = AwaitedPriors(node.store, AE)
    with scp.serve(config, node.spool, announced.append, set_aside=aside):
        yield announced


@contextmanager
def dcmqrscp(folder: Path, files: list[Path], node_port: int) -> Iterator[int]:
    """DCMTK's archive, with these files, that knows the node as a destination of C-MOVE."""
    store, port = folder / "store", free_port()
    store.mkdir(parents=True)
    (folder / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nnode = ({AE}, 127.0.0.1, {node_port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {store} RW (200, 1024mb) ANY\nAETable END\n"
    )
    process = subprocess.Popen(
        ["dcmqrscp", "-c", str(folder / "dcmqrscp.cfg")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_port(port)
        subprocess.run(
            ["storescu", "-aec", "ARCHIVE", "127.0.0.1", str(port), *map(str, files)],
            check=True, capture_output=True,
        )  # fmt: skip
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def archived(folder: Path) -> list[Path]:
    """Two priors of hers, one of another woman under her number, and a CT of hers."""
    folder.mkdir()
    other = {"PatientName": f"{MARK}OTHER^ANN", "PatientBirthDate": "19610304"}
    ct = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "CT"}
    return [
        *exam_files(folder, YEAR_AGO, views=4),
        *exam_files(folder, LONG_AGO, PatientName=f"{MARK}MAIDEN^SYNTHETIC"),
        *exam_files(folder, uid("another's"), **other),
        *exam_files(folder, uid("a ct"), views=1, **ct),
    ]


def sought(node: PriorNode, present: str, prior: str) -> PriorState:
    node.priors.bringer  # noqa: B018
    return next(p.state for p in node.priors.listed(present).priors if p.key == prior)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, int, Path]]:
    """An Orthanc with the archived exams, and the port at which it knows the node."""
    folder, port = tmp_path_factory.mktemp("orthanc"), free_port()
    modalities = {"node": (AE, port)}
    with web_orthanc(
        folder / "o", password=PASSWORD, modalities=modalities,
        DicomAlwaysAllowFind=True, DicomAlwaysAllowMove=True,
    ) as archive:  # fmt: skip
        for file in archived(folder / "files"):
            archive.post("/instances", file.read_bytes())
        yield archive, port, folder / "files"


def source_of(kind: str, archive: Any, folder: Path) -> dict[str, Any]:
    if kind == "dicom":
        return {"name": "pacs", "kind": kind, "port": archive.dicom_port, "ae_title": archive.aet}
    secret = folder / "secret"
    secret.write_text(PASSWORD)
    root = "/dicom-web" if kind == "dicomweb" else ""
    url = f"http://127.0.0.1:{archive.http_port}{root}"
    return {"name": "pacs", "kind": kind, "url": url, "username": USER, "password_file": secret}


@pytest.mark.parametrize("kind", KINDS)
def test_a_prior_is_found_fetched_beside_the_study_and_shown_but_not_read(
    kind: str, tmp_path: Path, place: tuple[Any, int, Path]
) -> None:
    archive, port, _ = place
    node = PriorNode(tmp_path / "data", sources=[source_of(kind, archive, tmp_path)])
    present = node.receive(exam_files(tmp_path, PRESENT))
    prior = hashed(YEAR_AGO)
    with listening(node, port) as announced:
        found = node.priors.listed(present)
        assert [(p.key, p.interval, p.n_images, p.state) for p in found.priors] == [
            (prior, "1 year 1 month before", 4, PriorState.AT_SOURCE),
            (hashed(LONG_AGO), "3 years before", 2, PriorState.AT_SOURCE),
        ]
        assert (found.n_another, found.away) == (1, ())
        assert node.priors.bring(present, prior) is True
        wait_until(lambda: sought(node, present, prior) is PriorState.HERE)
        assert [p.reason for p in node.priors.listed(present).priors] == ["", ""]
    assert len(node.store.images(present, prior)) == 4
    assert node.spool.studies() == [present]
    assert announced == []
    pictures = node.priors.pictures(present, prior)
    assert [view.name for view in pictures.views] == ["RCC", "LCC", "RMLO", "LMLO"]
    pixels = node.priors.views.pixels(present, prior, pictures.views[0].view)
    assert pixels is not None
    shown = np.asarray(Image.open(BytesIO(pixels.preview())))
    assert shown.shape == (256, 200)
    assert shown[:, -60:].mean() > 10 * shown[:, :40].mean()  # a right breast's chest wall
    told = [(e.action, e.study, e.peer) for e in node.recorder.events]
    assert told == [(Action.RECEIVED, prior, "pacs")]


def test_dcmtks_archive_lists_and_moves_too(tmp_path: Path) -> None:
    port = free_port()
    with dcmqrscp(tmp_path / "dcmtk", archived(tmp_path / "files"), port) as archive:
        source = {"name": "pacs", "kind": "dicom", "port": archive, "ae_title": "ARCHIVE"}
        node = PriorNode(tmp_path / "data", sources=[source])
        present = node.receive(exam_files(tmp_path, PRESENT))
        with listening(node, port) as announced:
            found = node.priors.listed(present)
            assert [p.key for p in found.priors] == [hashed(YEAR_AGO), hashed(LONG_AGO)]
            for prior in found.priors:
                assert node.priors.bring(present, prior.key)
                wait_until(lambda key=prior.key: sought(node, present, key) is PriorState.HERE)
        assert announced == []
    assert [len(node.store.images(present, p.key)) for p in found.priors] == [4, 2]


def test_an_archive_that_does_not_know_the_node_is_said_to(tmp_path: Path) -> None:
    with dcmqrscp(tmp_path / "dcmtk", archived(tmp_path / "files"), free_port()) as archive:
        source = {"name": "pacs", "kind": "dicom", "port": archive, "ae_title": "ARCHIVE"}
        node = PriorNode(tmp_path / "data", sources=[source], listener={"ae_title": "STRANGER"})
        present = node.receive(exam_files(tmp_path, PRESENT))
        (prior, _) = node.priors.listed(present).priors
        assert node.priors.bring(present, prior.key)
        wait_until(lambda: sought(node, present, prior.key) is PriorState.FAILED)
        (prior, _) = node.priors.listed(present).priors
        assert prior.reason == FetchCode.NODE_UNKNOWN.meaning
        assert prior.may_be_fetched


def test_what_is_sent_meanwhile_by_somebody_elses_move_is_received_to_be_read(
    tmp_path: Path,
) -> None:
    port = free_port()
    files = exam_files(tmp_path, YEAR_AGO)
    with dcmqrscp(tmp_path / "dcmtk", files, port) as archive:
        node = PriorNode(tmp_path / "data")
        present = node.receive(exam_files(tmp_path, PRESENT))
        here = [hashed(read_file_identity(file).sop_instance_uid) for file in files]
        node.store.expect(present, hashed(YEAR_AGO), 60.0, here)
        with listening(node, port) as announced:
            subprocess.run(
                ["movescu", "-S", "-aet", "READER", "-aec", "ARCHIVE", "-aem", AE,
                 "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={YEAR_AGO}",
                 "127.0.0.1", str(archive)],
                check=True, capture_output=True,
            )  # fmt: skip
            wait_until(lambda: len(announced) == 2)
    assert node.store.images(present, hashed(YEAR_AGO)) == []
    assert node.spool.studies() == sorted([present, hashed(YEAR_AGO)])


def test_a_source_of_kind_dicom_is_checked(tmp_path: Path, place: tuple[Any, int, Path]) -> None:
    archive, _, _ = place
    source = Source(**source_of("dicom", archive, tmp_path))
    with source_kinds.opened(source, AE) as opened:
        assert opened.check() == "offers C-FIND and C-MOVE"
    away = source.model_copy(update={"port": free_port()})
    with (
        pytest.raises(FetchFailure, match="refuses the connection"),
        source_kinds.opened(away, AE) as one,
    ):
        one.check()
    with pytest.raises(SettingsError):
        source_kinds.peer_of(source.model_copy(update={"port": None}), AE)
