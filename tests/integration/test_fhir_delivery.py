"""A bundle goes to a strict FHIR server over HTTP: once, again, refused, busy.

The server is ours (tests/fhir_server.py): it validates each bundle with `fhir.resources` and keeps
FHIR's rules of conditional creation. No server of another maker has been tried.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cadnode.deliver import fhir
from cadnode.errors import PermanentDeliveryError, TransientDeliveryError
from cadnode.http import HttpPeerValues
from cadnode.node import deliveries, destination_profiles
from cadnode.node.outputs import write_outputs
from cadnode.report.edition import Edition
from cadnode.report.fhir.bundle import bundle, write_bundle
from cadnode.settings import Destination, Settings
from tests.fhir_server import FhirServer, running
from tests.report_cases import MADE_AT, digital_exam, result_of


@pytest.fixture
def server() -> Iterator[FhirServer]:
    with running() as state:
        yield state


def edition_of(outcome: str) -> Edition:
    exam = digital_exam()
    return Edition(exam, result_of(exam, outcome), MADE_AT)


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "fhir.json", edition_of("systems"))


def peer(server: FhirServer, **more: object) -> HttpPeerValues:
    return HttpPeerValues("ehr", server.url, **more)  # type: ignore[arg-type]  # named values


def test_a_report_sent_twice_makes_nothing_twice(server: FhirServer, sent: Path) -> None:
    first = fhir.send(sent, peer(server))
    held = dict(server.resources)
    second = fhir.send(sent, peer(server))

    assert first.n_sent == second.n_sent == len(bundle(edition_of("systems"))["entry"])
    assert server.resources == held
    kinds = [key.split(" ")[0] for key in held]
    # cadnode and five models; exam, two breasts, three findings.
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "Device": 6, "ImagingSelection": 3, "Observation": 6, "DiagnosticReport": 1,
    }  # fmt: skip


def test_another_reading_adds_a_report_and_no_device(
    server: FhirServer, sent: Path, tmp_path: Path
) -> None:
    fhir.send(sent, peer(server))

    fhir.send(write_bundle(tmp_path / "next.json", edition_of("none")), peer(server))

    kinds = [key.split(" ")[0] for key in server.resources]
    assert (kinds.count("DiagnosticReport"), kinds.count("Device")) == (2, 6)


def test_the_bundle_is_sent_as_fhir_json_with_its_length_and_the_token(
    server: FhirServer, sent: Path, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("s3cret\n")

    fhir.send(sent, peer(server, token_file=tmp_path / "token"))

    (headers,) = server.headers
    assert headers["Content-Type"] == "application/fhir+json"
    assert headers["Content-Length"] == str(sent.stat().st_size)
    assert headers["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("status", [401, 403, 409, 412, 423, 429, 500, 503])
def test_a_server_that_is_busy_or_whose_password_changed_is_tried_again(
    server: FhirServer, sent: Path, status: int
) -> None:
    server.fail_with = [status]

    with pytest.raises(TransientDeliveryError):
        fhir.send(sent, peer(server))

    assert fhir.send(sent, peer(server)).n_sent > 0


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_is_for_good(server: FhirServer, sent: Path, status: int) -> None:
    server.fail_with = [status]

    with pytest.raises(PermanentDeliveryError):
        fhir.send(sent, peer(server))


def test_a_bundle_that_is_not_valid_is_refused(server: FhirServer, sent: Path) -> None:
    sent.write_text(sent.read_text().replace('"status": "partial"', '"state": "partial"'))

    with pytest.raises(PermanentDeliveryError):
        fhir.send(sent, peer(server))

    assert server.resources == {}


def test_a_server_that_is_away_is_tried_again(sent: Path) -> None:
    with running() as server:
        away = peer(server)

    with pytest.raises(TransientDeliveryError):
        fhir.send(sent, away)


def test_what_answers_something_else_is_no_fhir_server() -> None:
    for answer in ({"resourceType": "Bundle", "type": "searchset"}, [], None):
        with pytest.raises(PermanentDeliveryError, match="is the url right"):
            fhir.outcome(answer, "ehr")


def test_a_resource_that_the_answer_calls_refused_is_refused() -> None:
    answer = {
        "type": "transaction-response",
        "entry": [{"response": {"status": "201 Created"}}, {"response": {"status": "412 Müller"}}],
    }

    with pytest.raises(PermanentDeliveryError, match=r"took 1 of 2 objects: answered 412$"):
        fhir.outcome(answer, "ehr")


def test_check_names_the_servers_version(server: FhirServer) -> None:
    assert fhir.check(peer(server)) == "FHIR 5.0.0"


def test_a_destination_of_kind_fhir_gets_the_bundle_that_the_report_made(
    server: FhirServer, tmp_path: Path
) -> None:
    exam = digital_exam()
    settings = Settings(
        destinations=(
            Destination(name="ehr", kind="fhir", url=server.url),
            Destination(name="pacs", kind="folder", folder=tmp_path / "pacs", profile="cad-sr"),
        )
    )
    made = tmp_path / "made"
    write_outputs(
        exam, result_of(exam, "failed"), made, settings.report, made_at=MADE_AT,
        profiles=destination_profiles.profiles_of(settings),
    )  # fmt: skip

    assert deliveries.deliver(settings, "study", made, "ehr") == "delivered"
    assert deliveries.deliver(settings, "study", made, "pacs") == "delivered"

    assert any(key.startswith("DiagnosticReport") for key in server.resources)
    assert [p.name for p in (tmp_path / "pacs").rglob("*.*")] == ["cad-sr.dcm"]


def test_a_reading_without_a_bundle_is_no_delivery(server: FhirServer, tmp_path: Path) -> None:
    destination = Destination(name="ehr", kind="fhir", url=server.url)

    told = deliveries.deliver(Settings(destinations=(destination,)), "study", tmp_path, "ehr")

    assert told == "refused"
