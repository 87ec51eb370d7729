"""The page of every setting is what the settings say."""

from pathlib import Path

from cadnode.settings import reference
from cadnode.settings.load import Settings

PAGE = Path(__file__).parents[3] / "docs/configuration.md"


def test_the_page_is_written_from_the_settings() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.reference()


def test_every_section_is_on_the_page() -> None:
    page = reference.reference()

    for section in Settings.model_fields:
        assert f"[{section}]" in page
    assert "| `quiet_s` | number | `30.0` |" in page
    assert '| `kind` | `dicom`, `orthanc`, `stow`, `fhir`, `folder`, `hl7` | `"dicom"` |' in page
    assert "required" in page
