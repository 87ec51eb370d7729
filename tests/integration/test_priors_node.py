"""A node whose archive speaks DIMSE alone: a study and its newest prior come by C-MOVE."""

from pathlib import Path

from cadnode.log import hashed
from cadnode.node.erasure.places import files_below, place_of
from cadnode.receive.fetch.requests import FetchCode
from tests.integration.http_peers import web_orthanc
from tests.integration.node import CONFIG, Node, views_alone, wait_until
from tests.integration.test_fetch_node import ask, ended, is_idle, traces
from tests.peers import free_port
from tests.prior_cases import LONG_AGO, PRESENT, YEAR_AGO, exam_files
from tests.synthetic import IDENTIFIERS, MARK, write_exam

SOURCE = """
[[sources]]
name = "pacs"
kind = "dicom"
port = {port}
ae_title = "{ae_title}"
"""


def test_a_study_fetched_by_c_move_is_read_and_its_newest_prior_lies_beside_it_unread(
    tmp_path: Path,
) -> None:
    port = free_port()
    with web_orthanc(
        tmp_path / "orthanc", modalities={"node": ("CADNODE", port)},
        DicomAlwaysAllowFind=True, DicomAlwaysAllowMove=True,
    ) as archive:  # fmt: skip
        files = write_exam(tmp_path / "exam", study_uid=PRESENT, StudyDate="20240615")
        for study in (YEAR_AGO, LONG_AGO):
            files += exam_files(tmp_path / "priors", study)
        for file in files:
            archive.post("/instances", file.read_bytes())
        config = tmp_path / "node.toml"
        config.write_text(
            CONFIG.format(
                port=port, web_port=free_port(), folder=tmp_path / "data", quiet_s=3.0,
                archive_port=archive.dicom_port,
            ).replace("[study]\n", '[study]\npriors = "newest"\n')
            + SOURCE.format(port=archive.dicom_port, ae_title=archive.aet)
        )  # fmt: skip
        node = Node(tmp_path, port, config, 0)
        views_alone(tmp_path / "data")
        node.start()
        try:
            key = ask(node, PRESENT, "pacs")
            wait_until(lambda: ended(node, key) is FetchCode.FETCHED, "it has come")
            wait_until(lambda: node.events("prior_fetched") == 1, "its prior has come")
            wait_until(lambda: node.jobs("deliver") == 1, "it is read and delivered")
            wait_until(lambda: is_idle(node), "nothing is left to do")
            assert node.events("study_read") == 1
            data = tmp_path / "data"
            assert [p.name for p in (data / "spool" / "studies").iterdir()] == [key]
            beside = data / "priors" / key / hashed(YEAR_AGO)
            assert len(list(beside.glob("*.dcm"))) == 2
            assert not (data / "priors" / key / hashed(LONG_AGO)).exists()
            unknown = [p for p in files_below(data) if place_of(p.relative_to(data)) is None]
            assert unknown == []
            said = traces(node)
        finally:
            node.stop()
    marked = (*IDENTIFIERS, MARK, PRESENT, YEAR_AGO, "2.25.")
    assert [text for text in marked if text in said] == []
