"""The HTTP API as it describes itself in /api/openapi.json, by schemathesis: never a 500.

Each operation is a test of its own with a name of its own: of tests with one name, those that share
the work among processes run one.
"""

from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings

from cadnode.web.api import create
from tests.unit.web.test_model_pages import shown
from tests.web_cases import TOKEN, Told, known

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
schema = schemathesis.openapi.from_asgi(
    "/api/openapi.json", create(Told(models=shown(), outcomes=()).node(), known()), headers=HEADERS
)
OPERATIONS: list[Any] = [one.ok() for one in schema.get_all_operations()]  # type: ignore[union-attr]
# What this node does not do: it has no spool, and counts nothing.
AWAY = {"POST /api/upload", "GET /metrics", "GET /readyz"}


def test_every_operation_is_described() -> None:
    names = [operation.label for operation in OPERATIONS]

    assert len(set(names)) == len(names) > 20
    assert set(names) >= AWAY


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_an_operation_answers_as_documented(operation: Any) -> None:
    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(case=operation.as_strategy())
    def answers(case: Any) -> None:
        answer = case.call(headers=HEADERS)
        assert answer.status_code < 500 or (answer.status_code == 503 and operation.label in AWAY)
        if answer.status_code in (404, 422, 503):
            assert set(answer.json()) >= {"error", "hint"}

    answers()
