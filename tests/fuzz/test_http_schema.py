"""The HTTP API as it describes itself in /api/openapi.json, by schemathesis: never a 500."""

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.checks import not_a_server_error

from cadnode.web.api import create
from tests.web_cases import TOKEN, Told, known

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
schema = schemathesis.openapi.from_asgi(
    "/api/openapi.json", create(Told().node(), known()), headers=HEADERS
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True)
def test_every_operation_answers_as_documented(case: schemathesis.Case) -> None:
    answer = case.call(headers=HEADERS)
    case.validate_response(answer, checks=[not_a_server_error])
    if answer.status_code in (404, 422):
        assert set(answer.json()) >= {"error", "hint"}
