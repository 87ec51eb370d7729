"""Models change, and others read along, while a node runs: it never stops, nor tells anybody."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.demo.archive import DemoArchive, find_orthanc, with_orthanc
from cadnode.log import hashed
from cadnode.models import store
from cadnode.quality.journal import Journal
from cadnode.registry import history, installation, shadow_set
from cadnode.registry.installation import Stores
from tests.integration.node import Node, left_active, running_node, wait_until
from tests.synthetic import write_exam
from tests.unit import store_cases
from tests.unit.store_cases import ANNA

N_OBJECTS = 5  # one SR and four heat maps
PATIENCE_S = 600.0  # a shadow yields to everybody: on a busy machine it takes its time

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[DemoArchive]:
    executable = find_orthanc()
    assert executable, "Orthanc is missing: deploy/system-packages.sh test"
    with with_orthanc(executable, tmp_path / "orthanc") as running:
        yield running


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """A toy 0.0.1 reads digital views instead of the packaged models; its 0.0.2 is there."""
    found = Stores(tmp_path / "data" / "models")
    for version in ("0.0.1", "0.0.2"):
        made = store_cases.made(tmp_path / "new", version, seed=int(version[-1]))
        installation.add(made, found, ANNA, store.read_card)
    left_active(found, "toy")
    return found


def documents(node: Node, name: str) -> list[dict[str, Any]]:
    """Documents of that name in the results, oldest first."""
    files = sorted(
        (node.folder / "data" / "results").glob(f"*/*/{name}"), key=lambda p: p.stat().st_mtime
    )
    return [json.loads(file.read_bytes()) for file in files]


def cli(node: Node, *arguments: str) -> str:
    """What a command prints, with the settings of the node."""
    done = CliRunner().invoke(app, [*arguments, "--config", str(node.config)])
    assert done.exit_code == 0, done.output
    return done.stdout


def imported_outcomes(node: Node, like: str) -> None:
    """Journal and outcomes of 25 women with and 25 without cancer, from the scanner of a study.

    The cancers score 0.2 in log-odds higher than that study's exam, all others 0.2 lower.
    """
    journal = Journal(node.folder / "data")
    (line,) = (one for one in journal.lines() if one.study == like)
    (system,) = (one for one in line.systems if one.system == "kim2018")
    table = ["study_instance_uid,laterality,outcome,outcome_date"]
    for number in range(50):
        uid, has_cancer = f"1.2.840.99.{number}", number % 2 == 0
        odds = math.log(system.score / (1 - system.score)) + (0.2 if has_cancer else -0.2)
        score = 1 / (1 + math.exp(-odds - number / 1000))
        breasts = tuple(replace(one, score=score) for one in system.breasts)
        journal.add(
            replace(
                line, study=hashed(uid), read_at=line.read_at - timedelta(seconds=number + 1),
                systems=(replace(system, breasts=breasts, score=score),),
            )
        )  # fmt: skip
        outcome = "malignant" if has_cancer else "negative"
        table.append(f"{uid},B,{outcome},2020-02-01")
    file = node.folder / "outcomes.csv"
    file.write_text("\n".join(table))
    assert "100 breasts are new" in cli(node, "outcomes", "import", str(file))


def calibrations(result: dict[str, Any]) -> tuple[str, str]:
    """Version of the toy model, and whose calibration the exam was read with."""
    (used,) = (m for m in result["models"] if m["name"] == "toy")
    return used["version"], used.get("calibration", "")


def versions(result: dict[str, Any]) -> set[str]:
    return {m["version"] for m in result["models"] if m["name"] == "toy"}


def test_a_version_reads_along_and_then_takes_over_while_the_node_runs(
    tmp_path: Path, archive: DemoArchive, stores: Stores
) -> None:
    with running_node(tmp_path, archive) as node:
        shadow_set.start(stores, "toy@0.0.2", (), ANNA, store.read_card)
        node.send(*write_exam(tmp_path / "one", seed=1))
        wait_until(lambda: archive.count() == N_OBJECTS, "the result is delivered")
        wait_until(lambda: documents(node, "shadow.json"), "the shadow has read", PATIENCE_S)
        wait_until(node.is_idle, "nothing is left to do")
        assert archive.count() == N_OBJECTS
        (told,), (result,) = documents(node, "shadow.json"), documents(node, "result.json")
        assert versions(result) == {"0.0.1"}

        installation.activate(stores, "toy", "0.0.2", ANNA, store.read_card)
        node.send(*write_exam(tmp_path / "two", seed=2))
        wait_until(lambda: archive.count() == 2 * N_OBJECTS, "the next result is delivered")
        wait_until(lambda: node.jobs("shadow") == 2, "nothing reads along any more")
        assert versions(documents(node, "result.json")[-1]) == {"0.0.2"}
        assert len(documents(node, "shadow.json")) == 1
        assert (node.endings, node.events("models_changed")) == ([], 1)
    assert (told["status"], told["wanted"]) == ("read", ["toy@0.0.2"])
    assert [m["version"] for m in told["active"] + told["shadow"]] == ["0.0.1", "0.0.2"]
    (exam, *breasts) = told["scores"]
    assert (exam["system"], exam["what"], [b["what"] for b in breasts]) == (
        "kim2018", "exam", ["R", "L"],
    )  # fmt: skip
    assert exam["active"] == result["exam"]["score"]
    assert exam["shadow"] != exam["active"]


def test_a_calibrated_version_reads_along_takes_over_and_is_taken_back_while_the_node_runs(
    tmp_path: Path, archive: DemoArchive, stores: Stores
) -> None:
    made = iter(range(1, 9))

    def exam_of(station: str) -> dict[str, Any]:
        """The result of the same images in another study, acquired at a station."""
        number = next(made)
        files = write_exam(
            tmp_path / f"{number}", study_uid=f"1.2.840.98.{number}", StationName=station
        )
        node.send(*files)
        wait_until(lambda: archive.count() == number * N_OBJECTS, "the result is delivered")
        return documents(node, "result.json")[-1]

    with running_node(tmp_path, archive) as node:
        general = exam_of("MG1")
        imported_outcomes(node, hashed("1.2.840.98.1"))
        said = cli(node, "calibrate", "toy")
        assert "toy@0.0.3" in said

        cli(node, "models", "shadow", "start", "toy@0.0.3")
        exam_of("MG1")
        wait_until(lambda: documents(node, "shadow.json"), "the shadow has read", PATIENCE_S)
        (along,) = documents(node, "shadow.json")

        cli(node, "models", "activate", "toy@0.0.3")
        calibrated, elsewhere = exam_of("MG1"), exam_of("MG2")
        cli(node, "models", "rollback", "toy")
        back = exam_of("MG1")
        assert node.endings == []
    (made_of,) = store.read_card(stores.own / "toy" / "0.0.3").scanners
    score = general["exam"]["score"]
    odds = made_of.slope * math.log(score / (1 - score)) + made_of.intercept
    assert abs(made_of.intercept) > 0.05  # it changes something
    assert calibrated["exam"]["score"] == pytest.approx(1 / (1 + math.exp(-odds)), abs=1e-6)
    (of_exam, *_) = along["scores"]
    assert (of_exam["active"], of_exam["shadow"]) == (score, calibrated["exam"]["score"])
    assert elsewhere["exam"]["score"] == back["exam"]["score"] == score
    assert [calibrations(one) for one in (general, calibrated, elsewhere, back)] == [
        ("0.0.1", ""), ("0.0.3", str(made_of)), ("0.0.3", ""), ("0.0.1", ""),
    ]  # fmt: skip


def test_a_damaged_version_disturbs_neither_as_shadow_nor_as_the_active_one(
    tmp_path: Path, archive: DemoArchive, stores: Stores
) -> None:
    shadow_set.start(stores, "toy@0.0.2", (), ANNA, store.read_card)
    sha256 = store.read_card(stores.own / "toy" / "0.0.2").weights_sha256
    store.blob(stores.own, sha256).write_bytes(b"damaged")
    with running_node(tmp_path, archive) as node:
        node.send(*write_exam(tmp_path / "one", seed=1))
        wait_until(lambda: documents(node, "shadow.json"), "the shadow has failed", PATIENCE_S)
        assert archive.count() == N_OBJECTS
        (told,) = documents(node, "shadow.json")
        assert (told["status"], told["reason"]) == ("failed", "model")

        # By hand: `cadnode models activate` would have refused it.
        content = history.read(stores.own).changed("toy", "activate", "0.0.1", "0.0.2", ANNA)
        history.write(stores.own, content)
        node.send(*write_exam(tmp_path / "two", seed=2))
        wait_until(lambda: archive.count() == 2 * N_OBJECTS, "the next result is delivered")
        assert versions(documents(node, "result.json")[-1]) == {"0.0.1"}
        shown = CliRunner().invoke(app, ["check", "--json", "--config", str(node.config)])
    assert node.events("models_refused") == 1
    assert node.endings == []
    assert "Traceback" not in node.log
    (running,) = [c for c in json.loads(shown.stdout) if c["name"] == "running node"]
    assert (shown.exit_code, running["verdict"]) == (2, "failed")
    assert "refused" in running["found"]
    assert "toy 0.0.1" in running["advice"]
