"""What is no backup, or a damaged one, is refused before anything of it is used."""

import io
import tarfile

import pytest

from cadnode.backup import archive
from cadnode.backup.archive import summed_up
from cadnode.errors import DataError


@pytest.mark.parametrize("name", ["storage/../../evil", "/etc/evil", "storage/link"])
def test_a_part_that_no_backup_has_is_refused(name: str) -> None:
    stream = io.BytesIO()
    writer = archive.BackupWriter(stream, archive.BackupHead(1, "0", "", "X", "/s", "", True))
    if name == "storage/link":
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        writer._tar.addfile(link)
    else:
        writer.add_bytes(name, b"evil")
    writer.close()
    stream.seek(0)
    with pytest.raises(DataError, match="no backup has"):
        summed_up(stream)


@pytest.mark.parametrize("head", [b"[]", b"7", b"{}", b"no JSON"])
def test_a_tar_file_with_another_head_is_no_backup(head: bytes) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        info = tarfile.TarInfo("head.json")
        info.size = len(head)
        tar.addfile(info, io.BytesIO(head))
    stream.seek(0)
    with pytest.raises(DataError):
        summed_up(stream)


@pytest.mark.parametrize("manifest", [b"[]", b"{}", b'{"files": {"head.json": 1}}'])
def test_a_manifest_of_another_form_is_damage(manifest: bytes) -> None:
    stream = io.BytesIO()
    writer = archive.BackupWriter(stream, archive.BackupHead(1, "0", "", "X", "/s", "", True))
    writer.add_bytes(archive.MANIFEST, manifest)
    writer._tar.close()
    stream.seek(0)
    with pytest.raises(DataError, match="damaged"):
        summed_up(stream)


def test_a_later_format_names_the_version_that_made_it() -> None:
    stream = io.BytesIO()
    archive.BackupWriter(stream, archive.BackupHead(2, "9.1", "", "X", "/s", "", True)).close()
    stream.seek(0)
    with pytest.raises(DataError, match=r"'9\.1'"):
        summed_up(stream)
