"""Data without a licence measure; a training on them is refused unless the user has a licence."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.errors import SettingsError
from cadnode_training.data.licences import require_licensed
from tests.training import film_layouts


@pytest.mark.parametrize("kind", ["pisa-masses", "pisa-calcifications"])
def test_a_set_without_a_licence_is_refused_and_named(kind: str) -> None:
    with pytest.raises(SettingsError, match=rf"{kind} only measures: .* no licence stated"):
        require_licensed(["phantom:small", f"{kind}:nowhere"])

    require_licensed([f"{kind}:nowhere"], allowed=True)
    require_licensed(["cbis-mass-rois:nowhere", "mini-mias:nowhere", "phantom:small"])


def test_a_manifest_is_asked_for_its_rows(tmp_path: Path) -> None:
    film_layouts.pisa_masses(tmp_path / "p", women=1)
    file = tmp_path / "m.csv"
    file.write_text(
        "image,dataset,woman,label,lesion_kind\np/images/0000p1.jpg,pisa-masses,0000,benign,mass\n"
    )

    with pytest.raises(SettingsError, match="pisa-masses only measures"):
        require_licensed([f"manifest:{file}"])


def test_the_command_refuses_before_it_reads_anything(tmp_path: Path) -> None:
    words = ["train", "wang2016", "--data", "pisa-masses:nowhere", "--out", str(tmp_path / "o")]

    result = CliRunner().invoke(app, [*words, "--dry-run"])

    assert result.exit_code == 2
    assert "no licence stated" in " ".join(result.output.split())
