"""The routes of a study's images: what they answer, to whom, and what they refuse."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cadnode.audit.event import Action, EventOutcome
from tests.view_cases import HANGING, KEY, image, key_of, read, viewer
from tests.web_cases import DONE, VIEWERS_TOKEN, Told, Trail, known, served

BEARER = {"Authorization": f"Bearer {VIEWERS_TOKEN}"}


def told(folder: Path, library: str = "") -> Told:
    images = [image(laterality=side, view=view) for side, view in HANGING]
    shows = viewer(folder, images, read(folder, images))
    return Told({KEY: replace(DONE, key=KEY)}, viewing=shows.viewing(library))


FIRST = key_of(image(laterality="R"))


def test_the_list_names_what_the_other_routes_serve(tmp_path: Path) -> None:
    with served(told(tmp_path)) as client:
        views = client.get(f"/studies/{KEY}/views").json()["views"]
        assert [view["name"] for view in views] == ["RCC", "LCC", "RMLO", "LMLO"]
        url = views[0]["url"]
        assert url == f"/studies/{KEY}/views/{FIRST}"
        assert client.get(f"{url}/preview").headers["Content-Type"] == "image/jpeg"
        assert client.get(views[0]["maps"][0]["url"]).headers["Content-Type"] == "image/webp"
        grey = client.get(f"{url}/grey")
        assert len(grey.content) == 5 * 4096 + 1
        tile = client.get(f"{url}/tiles/0/0_0")
    cells = np.frombuffer(tile.content, "<u2").reshape(512, 400)
    stored = np.frombuffer(image(laterality="R").PixelData, "<u2").reshape(512, 400)
    assert np.array_equal(cells, stored)
    assert tile.headers["Content-Encoding"] == "gzip"
    assert tile.headers["Cache-Control"] == "no-store"


def test_who_takes_no_gzip_gets_none(tmp_path: Path) -> None:
    with served(told(tmp_path)) as client:
        tile = client.get(f"/studies/{KEY}/views/{FIRST}/tiles/0/0_0", Accept_Encoding="identity")
    assert "Content-Encoding" not in tile.headers
    assert len(tile.content) == 2 * 512 * 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{'0' * 16}/tiles/0/0_0", 404),
        (f"{FIRST}/tiles/9/0_0", 404),
        (f"{FIRST}/tiles/0/7_7", 404),
        (f"{FIRST}/tiles/0/-1_0", 404),
        (f"{FIRST}/tiles/{'9' * 400}/0_0", 404),
        (f"{FIRST}/tiles/a/0_0", 422),
        (f"{FIRST}/maps/99", 404),
        (f"{FIRST}/other", 404),
        ("..%2F..%2Fstudies/preview", 404),
        ("nokey/preview", 422),
    ],
)
def test_what_there_is_not_is_refused_in_json(tmp_path: Path, path: str, status: int) -> None:
    with served(told(tmp_path)) as client:
        answer = client.get(f"/studies/{KEY}/views/{path}")
    assert answer.status_code == status
    assert "error" in answer.json()


def test_an_image_that_cannot_be_shown_says_why(tmp_path: Path) -> None:
    frames = image(laterality="R", NumberOfFrames="3")
    shows = viewer(tmp_path, [frames, image()])
    with served(Told({KEY: DONE}, viewing=shows.viewing())) as client:
        answer = client.get(f"/studies/{KEY}/views/{key_of(frames)}/tiles/0/0_0")
        page = client.get(f"/studies/{KEY}").text
    assert answer.status_code == 422
    assert answer.json()["code"] == "multi_frame"
    assert "several frames" in answer.json()["error"]
    assert "RCC: an image of several frames is not shown here" in page


def test_strangers_see_no_image_and_looking_is_one_line_in_the_trail(tmp_path: Path) -> None:
    trail = Trail()
    with served(told(tmp_path), known(), trail) as client:
        for path in ("", f"/{FIRST}/preview", f"/{FIRST}/tiles/0/0_0", f"/{FIRST}/maps/0"):
            assert client.get(f"/studies/{KEY}/views{path}").status_code == 401
            assert client.get(f"/studies/{KEY}/views{path}", **BEARER).status_code == 200
    viewed = [line for line in trail.lines if line[0] is Action.VIEWED]
    assert viewed == [(Action.VIEWED, EventOutcome.SUCCESS, "looker", KEY)]


def test_the_page_begins_with_the_images_and_needs_no_inline_code(tmp_path: Path) -> None:
    with served(told(tmp_path, "openseadragon-6.1.1.min.js")) as client:
        page = client.get(f"/studies/{KEY}").text
    assert page.index('id="room"') < page.index("Deliveries")
    assert page.count("/preview") == 4
    assert 'src="/static/openseadragon-6.1.1.min.js"' in page
    assert "style=" not in page
    assert "onclick" not in page


def test_a_node_that_shows_no_images_has_a_page_without_them() -> None:
    with served(Told()) as client:
        page = client.get("/studies/1.2.840.99.1")
        assert client.get("/studies/1.2.840.99.1/views").status_code == 404
    assert page.status_code == 200
    assert 'class="tools"' not in page.text


def test_the_library_is_kept_by_browsers_and_only_by_its_own_name() -> None:
    with served(Told()) as client:
        for name in ("openseadragon-0.0.0.min.js", "openseadragon.min.js", "library.json"):
            assert client.get(f"/static/{name}").status_code == 404
